//! Captures through the importer: files as tcpdump, Wireshark and others write
//! them, whole and damaged, in the clear and in TLS.

mod captures;
mod chance;
mod files;
mod gist;
mod packets;
mod streams;
mod tls;

use std::convert::Infallible;
use std::time::Instant;

use etcdtap::etcd::Event;
use etcdtap::import::{CaptureError, ImportError, Importer, Options, Report, Sink};
use etcdtap::trace::Anchor;

/// What an import gave.
#[derive(Debug, Default)]
pub struct Given {
    pub anchor: Option<Anchor>,
    pub events: Vec<Event>,
}

impl Sink for Given {
    type Error = Infallible;

    fn begin(&mut self, anchor: Anchor) -> Result<(), Infallible> {
        assert!(self.anchor.is_none() && self.events.is_empty());
        self.anchor = Some(anchor);
        Ok(())
    }

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
    let mut importer = Importer::new(options.clone(), Instant::now(), Given::default());
    importer.read_keys(keys);
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
