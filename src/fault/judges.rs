//! The armory as the judge of every connection.

use std::sync::Arc;

use super::Armory;
use crate::etcd::verdict::{Judge, Judges};
use crate::kube::key::KeySpace;
use crate::relay::Peers;

/// Judges connections by the rules of an armory, for an API server whose objects
/// are below the prefix of a key space.
#[derive(Debug, Clone)]
pub struct ArmoryJudges {
    /// The rules.
    pub armory: Arc<Armory>,
    /// Where the API server's objects are.
    pub keys: KeySpace,
}

impl Judges for ArmoryJudges {
    fn judge(&self, peers: &Arc<Peers>) -> Box<dyn Judge> {
        self.armory.judge(peers, self.keys.clone())
    }
}
