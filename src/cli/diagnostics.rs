//! What the program says about itself: on standard error, apart from the call
//! log.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// From this on `tracing` speaks on standard error, as `RUST_LOG` says, or
/// `usual` where it says nothing.
pub fn start(usual: &str) {
    let usual = || EnvFilter::new(usual);
    let (filter, complaint) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (
                usual(),
                Some(format!(
                    "RUST_LOG is ignored: {error}; write it such as debug or etcdtap=debug"
                )),
            ),
        },
        _ => (usual(), None),
    };
    let colour = std::io::stderr().is_terminal() && !no_color();
    let started = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
    if let (Ok(()), Some(complaint)) = (started, complaint) {
        tracing::warn!("{complaint}");
    }
}

/// Whether the user wants no colours (<https://no-color.org>).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
