//! The chapters, their pace, and the faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{self, MissedTickBehavior, sleep, timeout};
use tonic::transport::Endpoint;

use super::api_server::ApiServer;
use super::bundled::Bundled;
use super::stage::Stage;
use crate::cli::Failure;
use crate::cli::fault::CommandedFault;
use crate::etcd::schema::etcdserverpb::RangeRequest;
use crate::etcd::schema::etcdserverpb::kv_client::KvClient;
use crate::fault::Armory;
use crate::replay::plan::Step;
use crate::score::{Answer, Measurement, Options, Order};

/// A part of the recording.
struct Chapter {
    title: &'static str,
    /// It begins with the first step at this recorded revision.
    from: i64,
    /// How long it takes to tell, at speed 1.
    lasts: Duration,
}

const CHAPTERS: [Chapter; 6] = [
    Chapter {
        title: "kube-apiserver starts: it counts and lists each resource, and opens a watch",
        from: 0,
        lasts: Duration::from_millis(4_000),
    },
    Chapter {
        title: "it fills the empty store: flow schemas, service IPs, namespaces, API services",
        from: 2,
        lasts: Duration::from_millis(3_500),
    },
    Chapter {
        title: "a controller manager takes its lease and makes service accounts",
        from: 74,
        lasts: Duration::from_millis(2_000),
    },
    Chapter {
        title: "a namespace, and a deployment of five pods; what is written comes back on watches (▸)",
        from: 100,
        lasts: Duration::from_millis(3_000),
    },
    Chapter {
        title: "the deployment is scaled to twelve",
        from: 425,
        lasts: Duration::from_millis(2_500),
    },
    Chapter {
        title: "a fault: the watch of pods loses every third deletion, and the deployment is scaled to two",
        from: SCALED_DOWN,
        lasts: Duration::from_millis(4_500),
    },
];

/// Where the deletions begin.
const SCALED_DOWN: i64 = 449;

const PODS: &str = "/registry/pods/";
/// The end of their range.
const PODS_END: &str = "/registry/pods0";

/// Some deletions never reach the watch of pods.
const LOST_DELETES: &[&str] = &[
    "lost-deletes",
    "--watch",
    "drop_events",
    "--resource",
    "pods",
    "--match",
    "{event: delete}",
    "--every",
    "3",
];

/// That watch alone is ended as etcd does when its revision was compacted.
const COMPACTED: &[&str] = &[
    "compacted",
    "--watch",
    "cancel",
    "--match",
    "{watched_prefix: /registry/pods/, created: before}",
];

/// How long a cache rests before it lists again: client-go's first backoff.
const REST: Duration = Duration::from_millis(800);

/// How long all has to be well before a scorecard says so, and a little more.
const SETTLES: Duration = Duration::from_millis(1_300);

/// How long the trace may take to answer.
const CARD_WITHIN: Duration = Duration::from_secs(5);

/// What the story is told with.
pub(super) struct Props<'a> {
    pub stage: &'a Stage,
    pub armory: &'a Arc<Armory>,
    pub measurement: &'a Measurement,
    /// Where the etcd behind the proxy is.
    pub behind: &'a str,
    /// How much faster than usual.
    pub speed: f64,
}

/// How long an API server's caches rest, at a speed.
pub(super) fn rest(speed: f64) -> Duration {
    REST.div_f64(speed)
}

/// Tells the story; `server` is left as it stands at its end.
///
/// # Errors
/// If something gets no answer.
pub(super) async fn tell(
    props: &Props<'_>,
    bundled: &Bundled,
    server: &mut ApiServer<'_>,
) -> Result<(), Failure> {
    let mut steps: &[Step] = &bundled.plan.steps;
    for (n, chapter) in CHAPTERS.iter().enumerate() {
        let next = CHAPTERS.get(n + 1).map_or(i64::MAX, |next| next.from);
        let length = steps.partition_point(|step| step.place.revision < next);
        let (its, rest) = steps.split_at(length);
        steps = rest;
        props.stage.title(chapter.title).await;
        if chapter.from == SCALED_DOWN {
            props.begin_to_measure();
            props.strike(LOST_DELETES)?;
        }
        props.play(server, its, chapter.lasts).await?;
    }
    if !server.caught_up_but(PODS).await {
        return Err(Failure::failed(
            "a watch that no fault struck did not bring what it should",
        ));
    }
    props.lost(server).await?;
    props.compacted(server).await?;
    props.card().await
}

impl Props<'_> {
    /// Does the steps, evenly over a time.
    async fn play(
        &self,
        server: &mut ApiServer<'_>,
        steps: &[Step],
        lasts: Duration,
    ) -> Result<(), Failure> {
        let count = steps.iter().filter(|step| ApiServer::does(step)).count();
        let every = lasts.div_f64(self.speed * count.max(1) as f64);
        let mut beat = time::interval(every.max(Duration::from_micros(1)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for step in steps.iter().filter(|step| ApiServer::does(step)) {
            beat.tick().await;
            server.step(step).await?;
        }
        Ok(())
    }

    fn begin_to_measure(&self) {
        self.measurement
            .order(Order::Begin(Options::default()), drop);
    }

    /// Lets a fault begin, and shows the command that would do it elsewhere.
    fn strike(&self, words: &[&str]) -> Result<(), Failure> {
        let fault = CommandedFault::of(words)?;
        self.stage.command(&fault.command());
        let added = self.armory.add(fault.spec, None, Instant::now());
        added.map_err(|refused| Failure::failed(refused.to_string()))?;
        Ok(())
    }

    fn end(&self, words: &[&str]) -> Result<(), Failure> {
        let name = words.first().copied().unwrap_or_default();
        let removed = self.armory.remove(name);
        removed.map_err(|refused| Failure::failed(refused.to_string()))?;
        Ok(())
    }

    /// What the lost events did.
    async fn lost(&self, server: &ApiServer<'_>) -> Result<(), Failure> {
        let there = self.pods().await?;
        let believed = server
            .cache(PODS)
            .map_or(0, |cache| cache.seen().keys.len());
        self.stage
            .finding(&format!(
                "etcd has {there} pods, and the API server's cache has {believed}: no call failed, nobody noticed."
            ))
            .await;
        sleep(Duration::from_millis(1_500).div_f64(self.speed)).await;
        self.end(LOST_DELETES)
    }

    /// The watch ends, and the cache comes back.
    async fn compacted(&self, server: &ApiServer<'_>) -> Result<(), Failure> {
        let others = server.caches().saturating_sub(1);
        self.stage
            .title(
                "another: that watch alone is cancelled, as if its revision were compacted; the API server lists anew",
            )
            .await;
        let Some(cache) = server.cache(PODS) else {
            return Err(Failure::failed("the recording has no watch of pods"));
        };
        let before = cache.seen().created;
        self.strike(COMPACTED)?;
        if !cache.wait_for(|seen| seen.created > before).await {
            return Err(Failure::failed("the watch of pods was not opened anew"));
        }
        self.end(COMPACTED)?;
        // So long nothing may happen before the card says that all is as before.
        sleep(SETTLES).await;
        let there = self.pods().await?;
        let believed = cache.seen().keys.len();
        self.stage
            .finding(&format!(
                "etcd has {there} pods, and so has the cache ({believed}). The {others} other watches were left alone."
            ))
            .await;
        Ok(())
    }

    /// How the API server took it.
    async fn card(&self) -> Result<(), Failure> {
        let (tell, told) = oneshot::channel();
        self.measurement
            .order(Order::End { failure: None }, move |answer| {
                // Whoever asked may have given up.
                let _ = tell.send(answer);
            });
        let Ok(Ok(Answer::Card(card))) = timeout(CARD_WITHIN, told).await else {
            return Err(Failure::failed("the trace does not say how that was taken"));
        };
        self.stage
            .title("how the API server took it, measured on the wire")
            .await;
        self.stage
            .say(&format!("\n{}", card.to_string().trim_end()));
        Ok(())
    }

    /// How many pods there are, past the proxy.
    async fn pods(&self) -> Result<i64, Failure> {
        let failed = |what: String| Failure::failed(format!("{}: {what}", self.behind));
        let channel = Endpoint::from_shared(self.behind.to_owned())
            .map_err(|error| failed(error.to_string()))?
            .connect()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let asked = RangeRequest {
            key: PODS.into(),
            range_end: PODS_END.into(),
            count_only: true,
            ..RangeRequest::default()
        };
        let answer = KvClient::new(channel).range(asked).await;
        let answer = answer.map_err(|status| failed(status.message().to_owned()))?;
        Ok(answer.into_inner().count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::schema::etcdserverpb::TxnRequest;
    use crate::record::traffic::Said;
    use crate::replay::plan::Act;

    /// The key of the first write of a chapter.
    fn begins_with(bundled: &Bundled, chapter: &Chapter) -> String {
        let steps = bundled.plan.steps.iter();
        let mut since = steps.filter(|step| step.place.revision >= chapter.from);
        let txn = since.find_map(|step| {
            let Act::Call(n) = step.act else { return None };
            let said = bundled.book.calls[n].request.as_ref()?;
            let txn = said.decode::<TxnRequest>().filter(|_| {
                Said::whole(said).is_some() && bundled.book.calls[n].path().ends_with("/Txn")
            })?;
            Some(String::from_utf8_lossy(&txn.compare.first()?.key).into_owned())
        });
        txn.unwrap_or_default()
    }

    #[test]
    fn the_chapters_are_in_the_recording() {
        let bundled = Bundled::read().unwrap();
        let begin: Vec<_> = CHAPTERS
            .iter()
            .map(|chapter| begins_with(&bundled, chapter))
            .collect();
        let expected = [
            "/registry/flowschemas/",
            "/registry/flowschemas/",
            "/registry/leases/kube-system/kube-controller-manager",
            "/registry/namespaces/lab",
            "/registry/deployments/lab/web",
            "/registry/deployments/lab/web",
        ];
        for (begins, expected) in begin.iter().zip(expected) {
            assert!(begins.starts_with(expected), "{begin:?}");
        }
        assert!(CHAPTERS.is_sorted_by_key(|chapter| chapter.from));
    }

    #[test]
    fn the_commands_are_faults() {
        for words in [LOST_DELETES, COMPACTED] {
            CommandedFault::of(words).unwrap();
        }
    }
}
