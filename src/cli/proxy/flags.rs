//! The flags of `etcdtap proxy`, raw: every value is read later, together with
//! those of the environment and of the file, so that each is refused in the
//! same words wherever it stands.

use std::ffi::OsString;

use clap::Args;

use crate::control::Address;

const FILTERS: &str =
    "Filters (a call is logged if it passes all of them; repeat one for any of several)";

const FAULTS: &str = "Faults";

const RECORDING: &str = "Recording";

const EXAMPLES: &str = "\
Examples:
  Watch etcdctl work on a local etcd:
    etcdtap proxy --listen 127.0.0.1:12379 --upstream http://127.0.0.1:2379
    etcdctl --endpoints 127.0.0.1:12379 get --prefix /registry/pods/

  Stand before a kubeadm control plane's etcd, with its certificates:
    etcdtap proxy --listen 127.0.0.1:12379 --upstream https://127.0.0.1:2379 \\
      --pki /etc/kubernetes/pki

  One listener for each member, so that the client's balancing keeps its meaning:
    etcdtap proxy --listen 127.0.0.1:12391 --upstream https://10.0.0.1:2379 \\
                  --listen 127.0.0.1:12392 --upstream https://10.0.0.2:2379 \\
      --pki /etc/kubernetes/pki

  Only slow writes of pods, as JSON for jq:
    etcdtap proxy ... --resource pods --verb create --verb update \\
      --min-duration 100ms --log json | jq .

  Only lists of big answers, and whatever fails:
    etcdtap proxy ... --filter 'verb == \"list\" && response_bytes > 1MiB || failed'

  Break things on purpose, as a plan says, and change that while calls pass:
    etcdtap proxy ... --faults plan.yaml --admin
    etcdtap fault list

  Record an hour a file, and keep a day of them; values of Secrets stand in none:
    etcdtap proxy ... --record /var/lib/etcdtap/calls.mcap \\
      --record-rotate-every 1h --record-keep-for 24h

  Let an incident happen as soon as it listens:
    etcdtap proxy ... --scenario slow-disk --set for=5m

Every flag is also an environment variable (--log-file is ETCDTAP_LOG_FILE;
repeatable ones are separated by commas) and a key of the file that --config
names. A flag wins over a variable, a variable over the file.

Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 a port in use, an unreadable
certificate; 2 a wrong flag, variable, file or address.";

/// Stand between clients and etcd, and log every call
///
/// Relays every byte as it came and logs what it was: which key, which
/// resource, how long, and what etcd answered.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProxyFlags {
    /// Address to listen on, as IP:PORT; repeat it with --upstream, in order
    #[arg(long, value_name = "ADDR", help_heading = "Route")]
    listen: Vec<OsString>,

    /// The etcd behind it: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL", help_heading = "Route")]
    upstream: Vec<OsString>,

    /// Read settings from this YAML file
    #[arg(long, value_name = "FILE")]
    config: Option<OsString>,

    /// How to log calls: pretty, json or off [default: pretty on a terminal, json otherwise]
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    log: Option<OsString>,

    /// Log to this file instead of standard output; SIGHUP opens it anew
    #[arg(long, value_name = "PATH", help_heading = "Log")]
    log_file: Option<OsString>,

    /// Mark calls that take at least this long
    #[arg(
        long,
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = "Log"
    )]
    slow: Option<OsString>,

    /// At the end, print a table of what passed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = "Log")]
    summary: Option<OsString>,

    /// Log only that for which this holds, such as 'resource == "pods" && duration > 100ms'; see docs/filter.md
    #[arg(
        long,
        value_name = "EXPRESSION",
        allow_hyphen_values = true,
        help_heading = FILTERS
    )]
    filter: Option<OsString>,

    /// Log only this gRPC method, such as Range or KV/Range
    #[arg(
        long,
        value_name = "NAME",
        help_heading = FILTERS
    )]
    method: Vec<OsString>,

    /// Log only this operation, such as get, list, create, update, watch
    #[arg(
        long,
        value_name = "VERB",
        help_heading = FILTERS
    )]
    verb: Vec<OsString>,

    /// Log only this resource, such as pods or deployments.apps
    #[arg(
        long,
        value_name = "NAME",
        help_heading = FILTERS
    )]
    resource: Vec<OsString>,

    /// Log only this namespace
    #[arg(
        long,
        value_name = "NAME",
        help_heading = FILTERS
    )]
    namespace: Vec<OsString>,

    /// Log only keys that begin with this
    #[arg(
        long,
        value_name = "PREFIX",
        help_heading = FILTERS
    )]
    key_prefix: Vec<OsString>,

    /// Log only calls that take at least this long
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = FILTERS
    )]
    min_duration: Option<OsString>,

    /// Log only what failed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = FILTERS)]
    errors_only: Option<OsString>,

    /// The API server's --etcd-prefix [default: /registry]
    #[arg(long, value_name = "PREFIX", help_heading = "Decoding")]
    etcd_prefix: Option<OsString>,

    /// Bytes of each message that are kept for decoding [default: 64KiB]
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = "Decoding"
    )]
    capture_bytes: Option<OsString>,

    /// Methods to know besides etcd's: a FileDescriptorSet, as protoc writes it
    #[arg(long, value_name = "FILE", help_heading = "Decoding")]
    descriptor_set: Option<OsString>,

    /// Take all certificates from this folder, laid out as kubeadm does
    #[arg(long, value_name = "DIR", help_heading = "TLS")]
    pki: Option<OsString>,

    /// Certificate that the listeners show (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_cert: Option<OsString>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_key: Option<OsString>,

    /// Authority that signs the clients' certificates (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    tls_client_ca: Option<OsString>,

    /// Client certificates: require, optional or none [default: require with a client CA]
    #[arg(long, value_name = "MODE", help_heading = "TLS")]
    tls_client_auth: Option<OsString>,

    /// Authority that signs etcd's certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    upstream_ca: Option<OsString>,

    /// Client certificate to show to etcd (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    upstream_cert: Option<OsString>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    upstream_key: Option<OsString>,

    /// Name that etcd's certificate must carry [default: the URL's host]
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    upstream_server_name: Option<OsString>,

    /// Strike calls with the faults of this plan (YAML); see `etcdtap fault`
    #[arg(long, value_name = "FILE", help_heading = FAULTS)]
    faults: Option<OsString>,

    /// Let this incident happen from the start: a name, or the path of a scenario; see `etcdtap scenario`
    #[arg(long, value_name = "NAME|FILE", help_heading = FAULTS)]
    scenario: Option<OsString>,

    /// Give a parameter of the scenario a value
    #[arg(long, value_name = "NAME=VALUE", help_heading = FAULTS)]
    set: Vec<OsString>,

    /// Refuse every fault, also over the admin API
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = FAULTS)]
    no_faults: Option<OsString>,

    /// Most bytes that faults may hold back on one connection [default: 16MiB]
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = FAULTS
    )]
    fault_hold_bytes: Option<OsString>,

    /// Answer `etcdtap fault` here: IP:PORT or unix:/PATH; without a value 127.0.0.1:12382
    #[arg(long, value_name = "ADDR", num_args = 0..=1,
          default_missing_value = Address::DEFAULT, help_heading = FAULTS)]
    admin: Option<OsString>,

    /// File with the token that `etcdtap fault` must show
    #[arg(long, value_name = "FILE", help_heading = FAULTS)]
    admin_token_file: Option<OsString>,

    /// Certificate that the admin API shows (PEM)
    #[arg(long, value_name = "FILE", help_heading = FAULTS)]
    admin_tls_cert: Option<OsString>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", help_heading = FAULTS)]
    admin_tls_key: Option<OsString>,

    /// Authority that signs the certificates of who may ask (PEM)
    #[arg(long, value_name = "FILE", help_heading = FAULTS)]
    admin_client_ca: Option<OsString>,

    /// Record everything that passes to this MCAP file
    #[arg(long, value_name = "FILE", help_heading = RECORDING)]
    record: Option<OsString>,

    /// What stands in it of values: redacted (all but Secrets), all or none [default: redacted]
    #[arg(long, value_name = "CHOICE", help_heading = RECORDING)]
    record_values: Option<OsString>,

    /// Hide these values, too: resource=NAME, namespace=NAME, name=NAME or key=PREFIX*, joined by commas; or a filter: namespace == "kube-system" && resource != "leases"
    #[arg(long, value_name = "RULE", help_heading = RECORDING)]
    redact: Vec<OsString>,

    /// When the disk cannot keep up: drop (leave out calls, and count them) or block (let traffic wait) [default: drop]
    #[arg(long, value_name = "CHOICE", help_heading = RECORDING)]
    record_overflow: Option<OsString>,

    /// Bytes that may wait for the disk [default: 64MiB]
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_queue: Option<OsString>,

    /// How much of the newest may be lost if the process dies [default: 1s]
    #[arg(
        long,
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_flush: Option<OsString>,

    /// zstd's level, 1 to 19, or none [default: 1]
    #[arg(
        long,
        value_name = "LEVEL",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_compression: Option<OsString>,

    /// Begin another file when one is this large
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_rotate_size: Option<OsString>,

    /// Begin another file when one is this old
    #[arg(
        long,
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_rotate_every: Option<OsString>,

    /// Keep at most this many finished files
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_keep_files: Option<OsString>,

    /// Keep at most this much in finished files
    #[arg(
        long,
        value_name = "SIZE",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_keep_size: Option<OsString>,

    /// Keep finished files for this long
    #[arg(
        long,
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = RECORDING
    )]
    record_keep_for: Option<OsString>,

    /// How long calls may go on after SIGTERM or Ctrl-C [default: 5s]
    #[arg(
        long,
        value_name = "DURATION",
        allow_hyphen_values = true,
        help_heading = "Process"
    )]
    drain: Option<OsString>,

    /// Worker threads [default: one for every four cores, at least one]
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Process"
    )]
    threads: Option<OsString>,

    /// How the kernel runs them: batch (woken up, they interrupt nobody) or normal [default: batch]
    #[arg(
        long,
        value_name = "HOW",
        allow_hyphen_values = true,
        help_heading = "Process"
    )]
    scheduling: Option<OsString>,
}
