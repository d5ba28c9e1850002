//! Values as people write them in flags, files and plans: durations, sizes, and
//! the slips of the finger in between.

mod duration;
mod io_reason;
mod nearest;
mod size;

pub use duration::parse_duration;
pub(crate) use io_reason::io_reason;
pub use nearest::nearest;
pub use size::parse_size;
