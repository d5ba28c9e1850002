//! What can be asked about: the fields of the log (`docs/log.md`), with durations
//! and times as such.

use std::fmt;

/// What a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, or the bytes of a key.
    Text,
    /// A whole number; also bytes and revisions.
    Number,
    /// A length of time.
    Duration,
    /// A moment.
    Time,
    /// Yes or no.
    Flag,
    /// The names of faults.
    Faults,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Text => "text",
            Kind::Number => "a number",
            Kind::Duration => "a duration",
            Kind::Time => "a time",
            Kind::Flag => "yes or no",
            Kind::Faults => "names of faults",
        })
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $text:literal $kind:ident,)*) => {
        /// A name in a filter. `docs/filter.md` and `docs/log.md` say what each
        /// means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`")] $(#[$doc])* $name,)*
        }

        impl Name {
            /// Every name.
            pub const ALL: &[Name] = &[$(Name::$name),*];

            /// As filters spell it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Name::$name => $text,)* }
            }

            /// What it is.
            pub const fn kind(self) -> Kind {
                match self { $(Name::$name => Kind::$kind,)* }
            }
        }
    };
}

names! {
    // Every line.
    /// The log's `ts`.
    Time "time" Time,
    Event "event" Text,
    Conn "conn" Number,
    Client "client" Text,
    Upstream "upstream" Text,
    UserAgent "user_agent" Text,
    /// Whether it failed, as `--errors-only` has it.
    Failed "failed" Flag,
    Fault "fault" Faults,
    // Calls.
    Stream "stream" Number,
    Service "service" Text,
    Method "method" Text,
    Verb "verb" Text,
    Key "key" Text,
    RangeEnd "range_end" Text,
    Resource "resource" Text,
    Group "group" Text,
    Namespace "namespace" Text,
    /// The object's.
    ObjectName "name" Text,
    /// The object's.
    ObjectKind "kind" Text,
    Encryption "encryption" Text,
    Limit "limit" Number,
    AtRevision "at_revision" Number,
    KeysOnly "keys_only" Flag,
    Serializable "serializable" Flag,
    IfRevision "if_revision" Number,
    CompactRevision "compact_revision" Number,
    /// In hexadecimal.
    Lease "lease" Text,
    /// The log's `ttl`.
    Ttl "ttl" Duration,
    /// The log's `granted_ttl`.
    GrantedTtl "granted_ttl" Duration,
    Subject "subject" Text,
    Status "status" Text,
    Message "message" Text,
    Ending "ending" Text,
    Reset "reset" Text,
    ResetBy "reset_by" Text,
    LostBy "lost_by" Text,
    /// The log's `duration_us`.
    Duration "duration" Duration,
    /// The log's `first_byte_us`.
    FirstByte "first_byte" Duration,
    Slow "slow" Flag,
    RequestBytes "request_bytes" Number,
    ResponseBytes "response_bytes" Number,
    RequestMessages "request_messages" Number,
    ResponseMessages "response_messages" Number,
    Revision "revision" Number,
    Committed "committed" Flag,
    Count "count" Number,
    Total "total" Number,
    More "more" Flag,
    Continue "continue" Text,
    ModRevision "mod_revision" Number,
    Succeeded "succeeded" Flag,
    // Watches.
    WatchId "watch_id" Number,
    Type "type" Text,
    /// The log's `lag_us`.
    Lag "lag" Duration,
    StartRevision "start_revision" Number,
    ProgressNotify "progress_notify" Flag,
    PrevKv "prev_kv" Flag,
    Cause "cause" Text,
    Events "events" Number,
    /// The log's `held_us`.
    Held "held" Duration,
    /// Whether the client got it.
    Delivered "delivered" Flag,
    // Connections.
    State "state" Text,
    Listener "listener" Text,
    TlsVersion "tls_version" Text,
    Sni "sni" Text,
    Alpn "alpn" Text,
    Identity "identity" Text,
    Interposed "interposed" Flag,
    PingsAnswered "pings_answered" Number,
    By "by" Text,
    Code "code" Text,
    OffendingStream "offending_stream" Number,
    Streams "streams" Number,
    BytesClient "bytes_client" Number,
    BytesServer "bytes_server" Number,
    PingsClient "pings_client" Number,
    PingsServer "pings_server" Number,
    ResetsClient "resets_client" Number,
    ResetsServer "resets_server" Number,
    StallsClient "stalls_client" Number,
    StallsServer "stalls_server" Number,
    /// The log's `stalled_us_client`.
    StalledClient "stalled_client" Duration,
    /// The log's `stalled_us_server`.
    StalledServer "stalled_server" Duration,
    // Plain HTTP.
    Protocol "protocol" Text,
    Path "path" Text,
    HttpStatus "http_status" Number,
}

impl Name {
    /// The name that is spelt so.
    pub fn find(text: &str) -> Option<Name> {
        Name::ALL.iter().copied().find(|name| name.as_str() == text)
    }

    /// The field of the log that says it; `None` where none does. Durations are
    /// microseconds there, but for `ttl` and `granted_ttl`, which are seconds.
    pub const fn log_field(self) -> Option<&'static str> {
        Some(match self {
            Name::Failed => return None,
            Name::Time => "ts",
            Name::Duration => "duration_us",
            Name::FirstByte => "first_byte_us",
            Name::Lag => "lag_us",
            Name::Held => "held_us",
            Name::StalledClient => "stalled_us_client",
            Name::StalledServer => "stalled_us_server",
            name => name.as_str(),
        })
    }

    /// All that such a fact can be, where that is a short list.
    pub(super) const fn values(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Name::Event => &[
                "call",
                "watch_created",
                "watch_event",
                "watch_progress",
                "watch_canceled",
                "connection",
                "fault",
                "ping",
                "http1",
            ],
            Name::Type => &["PUT", "DELETE"],
            Name::Cause => &[
                "requested",
                "refused",
                "compacted",
                "server",
                "stream_ended",
            ],
            Name::Ending => &[
                "no_trailers",
                "reset",
                "connection_lost",
                "tracing_stopped",
                "injected",
                "injected_reset",
            ],
            Name::State => &["opened", "closed", "failed", "tracing_stopped"],
            Name::ResetBy | Name::LostBy | Name::By => &["client", "server"],
            Name::Protocol => &["HTTP/1.0", "HTTP/1.1", "HTTP/2"],
            _ => return None,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
