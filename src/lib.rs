//! etcdtap stands between kube-apiserver and etcd: it relays every byte as it
//! came, decodes a copy on the fly, and logs what the API server does to etcd
//! in Kubernetes' own terms.
//!
//! This file is the map of the house. A folder is one concern; it may use the
//! folders above it in this list and none below (`net` and `cli`, which drive
//! everything, stand last):
//!
//! | folder | concern |
//! |---|---|
//! | [`notation`] | durations and sizes as people write them, and their slips |
//! | `fnv` | a hash that has to be the same in every release |
//! | [`http2`] | frames, HPACK, settings, windows (RFC 9113, RFC 7541) |
//! | [`http1`] | the requests that share etcd's port: `/health`, `/metrics`, the JSON gateway |
//! | [`relay`] | one connection's two halves, what passes and what was seen |
//! | [`grpc`] | message framing, status, compression |
//! | [`etcd`] | the schema, the methods, calls and watches |
//! | [`kube`] | registry keys, stored objects, operations in Kubernetes' words |
//! | [`mvcc`] | etcd's multi-version store, as far as it is known |
//! | [`snapshot`] | etcd's snapshots, read |
//! | [`filter`] | one language for "which of these": lines, records, calls |
//! | [`fault`] | the plan of faults, which calls they strike, how chance falls |
//! | [`scenario`] | incidents: plans with a name, parameters and a time line |
//! | [`trace`] | the finished call and its sinks: the log, the summary |
//! | [`record`] | recordings: written, redacted, read |
//! | [`playback`] | an etcd made of a recording |
//! | [`import`] | packet captures: the connections in them, put back together |
//! | [`score`] | how a client took a failure, from the trace or from a log |
//! | [`control`] | the admin API, through which faults are changed while calls pass |
//! | [`replay`] | a recording driven again, its answers compared |
//! | [`net`] | sockets, TLS, timers: the only place that does I/O on the data path |
//! | [`cli`] | the command line, one file a command |
//!
//! Everything above `trace`, and `import`, is sans-io: bytes and `now` go in, bytes, events
//! and the next time-out come out.

pub mod cli;
pub mod control;
pub mod etcd;
pub mod fault;
pub mod filter;
mod fnv;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod import;
pub mod kube;
pub mod mvcc;
pub mod net;
pub mod notation;
pub mod playback;
pub mod record;
pub mod relay;
pub mod replay;
pub mod scenario;
pub mod score;
pub mod snapshot;
pub mod trace;
