//! A judge who suspects every call, says what he was told to, and takes nothing
//! back.

use std::fmt;
use std::time::Instant;

use etcdtap::etcd::verdict::{Asked, FaultId, Hit, Judge, Refreshed, Suspicion, Verdict};

/// Such a judge.
pub struct Saying<F>(F);

impl<F> Saying<F>
where
    F: FnMut(&Asked<'_>) -> Option<Verdict> + Send + 'static,
{
    /// One who says so; whose fault it is he adds himself.
    pub fn of(say: F) -> Box<dyn Judge> {
        Box::new(Saying(say))
    }
}

impl<F> fmt::Debug for Saying<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a judge who says what he was told to")
    }
}

impl<F> Judge for Saying<F>
where
    F: FnMut(&Asked<'_>) -> Option<Verdict> + Send,
{
    fn refresh(&mut self, _: Instant) -> Refreshed {
        Refreshed {
            armed: true,
            changed: false,
            keeps: false,
            ..Refreshed::default()
        }
    }

    fn suspects(&mut self, _: &Asked<'_>, _: Instant) -> Suspicion {
        Suspicion::Judge
    }

    fn judge(&mut self, call: &Asked<'_>, _: Instant) -> Option<Box<Verdict>> {
        let mut verdict = (self.0)(call)?;
        verdict.hits.push(Hit {
            fault: FaultId(1),
            name: "said".into(),
            did: "as was said".into(),
        });
        Some(Box::new(verdict))
    }

    fn is_lifted(&self, _: FaultId) -> bool {
        false
    }

    fn gave_up(&mut self, _: FaultId, why: &str) {
        panic!("the core gave up: {why}");
    }
}
