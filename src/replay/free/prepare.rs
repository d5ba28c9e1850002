//! What the recording presupposes, written before its traffic is driven.

use std::time::Duration;

use prost::Message as _;

use super::known::Known;
use super::program::Program;
use crate::etcd::schema::etcdserverpb as pb;
use crate::replay::plan::Act;
use crate::replay::target::{Lost, Target, words};

/// Writes it, one step after the other.
///
/// # Errors
/// If the target does not take it.
pub(super) async fn prepare(
    target: &Target,
    program: &Program,
    patience: Duration,
    known: &mut Known<'_>,
) -> Result<(), Lost> {
    for &step in &program.first {
        match known.planned(step) {
            Act::Lease { id, ttl } => {
                let asked = pb::LeaseGrantRequest { id: *id, ttl: *ttl };
                let asked = asked.encode_to_vec().into();
                let path = "/etcdserverpb.Lease/LeaseGrant";
                // One that is there already is as good.
                let _ = target.unary(path, asked, patience).await?;
            }
            Act::Presuppose(_) => {
                let asked = known.foreign(step);
                let path = "/etcdserverpb.KV/Txn";
                let answer = target.unary(path, asked, patience).await?;
                let answer = answer.map_err(|status| {
                    Lost(format!(
                        "{} does not take what the recording presupposes: {}",
                        target.name,
                        words(&status)
                    ))
                })?;
                known.presupposed(step, &answer);
            }
            _ => {}
        }
    }
    Ok(())
}
