//! Captures through the importer: files as tcpdump, Wireshark and others write
//! them, whole and damaged, in the clear and in TLS.

mod captures;
mod chance;
mod command;
mod files;
mod gist;
pub(crate) mod packets;
mod streams;
mod tls;

use std::convert::Infallible;
use std::time::{Duration, Instant, UNIX_EPOCH};

use etcdtap::etcd::Event;
use etcdtap::import::{CaptureError, ImportError, Importer, KeyLog, Options, Report, Sink};
use etcdtap::trace::Anchor;

/// What an import gave.
#[derive(Debug)]
pub struct Given {
    pub anchor: Anchor,
    pub events: Vec<Event>,
}

impl Sink for Given {
    type Error = Infallible;

    fn event(&mut self, event: Event) -> Result<(), Infallible> {
        self.events.push(event);
        Ok(())
    }
}

/// Imports a file, handed in in pieces of so many bytes.
pub fn import(
    file: &[u8],
    options: &Options,
    keys: &[u8],
    piece: usize,
) -> Result<(Report, Given), CaptureError> {
    let anchor = Anchor {
        wall: UNIX_EPOCH + Duration::from_secs(1_793_693_200),
        at: Instant::now(),
    };
    let given = Given {
        anchor,
        events: Vec::new(),
    };
    let mut importer = Importer::new(options.clone(), anchor, given);
    let mut log = KeyLog::default();
    log.read(keys);
    importer.use_keys(log);
    let refused = |error| match error {
        ImportError::Capture(error) => error,
        ImportError::Sink(never) => match never {},
    };
    for piece in file.chunks(piece) {
        importer.push(piece).map_err(refused)?;
    }
    importer.finish().map_err(refused)
}

/// Imports a file that is a capture.
pub fn read(file: &[u8]) -> (Report, Given) {
    import(file, &Options::default(), b"", 4096).expect("a capture")
}
