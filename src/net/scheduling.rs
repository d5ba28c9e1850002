//! How the kernel is asked to run our threads.

use std::str::FromStr;

/// How the kernel is asked to run our threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// Woken up, they do not interrupt what runs (Linux's `SCHED_BATCH`): etcd and its
    /// clients go on until they have said more, which then passes at once. On a core
    /// that is idle nothing changes. Where all cores are busy with other things, a call
    /// may wait for one of them.
    #[default]
    Batch,
    /// As of any other program.
    Normal,
}

impl FromStr for Scheduling {
    type Err = String;

    fn from_str(text: &str) -> Result<Scheduling, String> {
        match text {
            "batch" => Ok(Scheduling::Batch),
            "normal" => Ok(Scheduling::Normal),
            _ => Err(format!(
                "\"{text}\" is neither batch (do not interrupt what runs) nor normal (as any other program)"
            )),
        }
    }
}

impl Scheduling {
    /// Has this thread run so, and those that it starts from now on. A process that was
    /// given a niceness keeps what it was given.
    pub fn apply(self) {
        #[cfg(target_os = "linux")]
        if self == Scheduling::Batch
            && let Err(error) = become_batch()
        {
            tracing::debug!("the threads run as any others: {error}");
        }
    }
}

#[cfg(target_os = "linux")]
fn become_batch() -> Result<(), String> {
    use thread_priority::unix::{set_thread_priority_and_policy, thread_native_id};
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    };

    /// What the library turns into the niceness 0.
    const MIDDLE: u8 = 47;

    if rustix::process::getpriority_process(None).is_ok_and(|niceness| niceness != 0) {
        return Ok(());
    }
    let middle = ThreadPriorityValue::try_from(MIDDLE)?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(middle),
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch),
    )
    .map_err(|error| format!("{error:?}"))
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The niceness and the policy of this thread (proc(5), `stat`).
    fn seen() -> (i32, u32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        (fields[16].parse().unwrap(), fields[38].parse().unwrap())
    }

    #[test]
    fn threads_are_batch_and_as_nice_as_before() {
        const SCHED_BATCH: u32 = 3;
        std::thread::spawn(|| {
            let (niceness, before) = seen();
            Scheduling::Normal.apply();
            assert_eq!(seen(), (niceness, before));
            Scheduling::Batch.apply();
            let policy = if niceness == 0 { SCHED_BATCH } else { before };
            assert_eq!(seen(), (niceness, policy));
            // So are those that it starts.
            let started = std::thread::spawn(seen).join().unwrap();
            assert_eq!(started, (niceness, policy));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_neither_is_said() {
        assert_eq!("batch".parse(), Ok(Scheduling::Batch));
        assert_eq!("normal".parse(), Ok(Scheduling::Normal));
        assert!(
            "idle"
                .parse::<Scheduling>()
                .unwrap_err()
                .contains("neither")
        );
    }
}
