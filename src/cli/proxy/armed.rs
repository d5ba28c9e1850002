//! Connections that faults may strike.

use std::sync::Arc;
use std::time::Instant;

use crate::etcd::verdict::{Judge, Judges};
use crate::etcd::warden::Warden;
use crate::fault::Armory;
use crate::kube::key::KeySpace;
use crate::relay::Peers;

/// Gives every connection a judge that goes by what the armory holds.
#[derive(Debug)]
pub(in crate::cli) struct Armed {
    /// The faults.
    pub armory: Arc<Armory>,
    /// Where the API server's objects are.
    pub keys: KeySpace,
}

impl Judges for Armed {
    fn judge(&self, peers: &Arc<Peers>) -> Box<dyn Judge> {
        self.armory.judge(peers, self.keys.clone())
    }

    fn warden(&self, peers: &Arc<Peers>, encrypted: bool, now: Instant) -> Option<Box<dyn Warden>> {
        Some(self.armory.warden(peers, encrypted, now))
    }
}
