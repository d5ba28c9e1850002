//! What `etcdtap proxy` was asked for, read and found consistent.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::call_log::Format;
use crate::cli::recording::Hiding;
use crate::control;
use crate::filter::Filter;
use crate::net::{ListenerTls, Scheduling, Upstream, UpstreamTls};
use crate::record::recorder::RecorderOptions;

/// What `etcdtap proxy` was asked for, read and found consistent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyArgs {
    /// Listeners with the etcd behind each; at least one.
    pub routes: Vec<Route>,
    /// The call log.
    pub log: Log,
    /// Which calls are logged.
    pub filter: FilterArgs,
    /// How long calls may go on after the first signal.
    pub drain: Duration,
    /// Bytes of a message that are kept for decoding.
    pub capture_bytes: usize,
    /// The API server's `--etcd-prefix`.
    pub etcd_prefix: String,
    /// A descriptor set to know besides etcd's.
    pub descriptor_set: Option<PathBuf>,
    /// Worker threads; `None` for as many as suit the machine.
    pub threads: Option<NonZeroUsize>,
    /// How the kernel is asked to run them.
    pub scheduling: Scheduling,
    /// TLS towards the clients; `None` for plain text.
    pub listener_tls: Option<ListenerTls>,
    /// TLS towards the upstreams that are `https`.
    pub upstream_tls: UpstreamTls,
    /// Print the summary table at the end.
    pub summary: bool,
    /// Faults, and who may change them.
    pub faults: Faults,
    /// What is recorded; `None` for nothing.
    pub record: Option<Record>,
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What may stand in it.
    pub hiding: Hiding,
    /// How it is made.
    pub options: RecorderOptions,
}

/// Faults, and who may change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The plan to begin with.
    pub plan: Option<PathBuf>,
    /// The incident to begin with.
    pub scenario: Option<Scenario>,
    /// Whether there may be any.
    pub allowed: bool,
    /// Bytes that they may hold back on one connection.
    pub hold_bytes: u64,
    /// The admin API.
    pub admin: Option<control::Config>,
}

/// A scenario, and what of it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, or the path of one.
    pub source: String,
    /// Parameters and their values.
    pub settings: Vec<(String, String)>,
}

/// A listener and the etcd behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The etcd behind it.
    pub upstream: Upstream,
}

/// The call log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Its format; `None` leaves it to where it goes.
    pub format: Option<Format>,
    /// Its file; `None` for standard output.
    pub file: Option<PathBuf>,
    /// From when on a call is marked as slow.
    pub slow: Option<Duration>,
}

/// Which calls are logged: empty and absent parts let everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterArgs {
    /// gRPC methods.
    pub methods: Vec<String>,
    /// Operations.
    pub verbs: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Beginnings of keys.
    pub key_prefixes: Vec<String>,
    /// The shortest call.
    pub min_duration: Option<Duration>,
    /// Only what failed.
    pub errors_only: bool,
    /// What has to hold besides.
    pub expression: Option<Filter>,
}
