//! Settings as they were given, in layers: a flag wins over an environment
//! variable, that over the configuration file, that over the default.

mod environment;
mod file;
mod flags;
mod given;

pub use environment::{from_environment, suspicious, variable};
pub use file::from_file;
pub use flags::from_flags;
pub use given::{Given, Layer, Layers, Origin};
