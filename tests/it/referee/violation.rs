//! What a peer did against the rules, in words.

use std::fmt;

use etcdtap::http2::Side;

/// Which rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    Preface,
    FrameSize,
    HeaderBlock,
    Compression,
    TableSize,
    IdleStream,
    EndedStream,
    ClosedStream,
    StreamId,
    ConcurrentStreams,
    Padding,
    Priority,
    Settings,
    SettingsAck,
    PingAck,
    Goaway,
    UnaskedGoaway,
    ZeroIncrement,
    ConnectionWindow,
    StreamWindow,
    WindowOverflow,
    Fields,
    Grpc,
    PingStrikes,
    /// Found by the world, not by one peer.
    Leak,
    Unanswered,
    Stuck,
    Altered,
    Fate,
    CoreStopped,
}

impl Rule {
    pub fn section(self) -> &'static str {
        match self {
            Rule::Preface => "RFC 9113 section 3.4",
            Rule::FrameSize => "RFC 9113 section 4.2",
            Rule::HeaderBlock => "RFC 9113 sections 4.3 and 6.10",
            Rule::Compression => "RFC 7541 sections 2.3, 3 and 5",
            Rule::TableSize => "RFC 7541 section 4.2",
            Rule::IdleStream | Rule::EndedStream | Rule::ClosedStream => "RFC 9113 section 5.1",
            Rule::StreamId => "RFC 9113 section 5.1.1",
            Rule::ConcurrentStreams => "RFC 9113 section 5.1.2",
            Rule::Padding => "RFC 9113 section 6.1",
            Rule::Priority => "RFC 9113 section 6.3",
            Rule::Settings => "RFC 9113 section 6.5",
            Rule::SettingsAck => "RFC 9113 section 6.5.3",
            Rule::PingAck => "RFC 9113 section 6.7",
            Rule::Goaway | Rule::UnaskedGoaway => "RFC 9113 section 6.8",
            Rule::ZeroIncrement => "RFC 9113 section 6.9",
            Rule::ConnectionWindow | Rule::StreamWindow | Rule::WindowOverflow => {
                "RFC 9113 section 6.9.1"
            }
            Rule::Fields => "RFC 9113 sections 8.1 to 8.3",
            Rule::Grpc => "gRPC over HTTP/2",
            Rule::PingStrikes => "grpc-go's keepalive enforcement",
            Rule::Leak
            | Rule::Unanswered
            | Rule::Stuck
            | Rule::Altered
            | Rule::Fate
            | Rule::CoreStopped => "the world's own",
        }
    }
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    /// Who noticed it.
    pub seen_by: Side,
    /// 0 is the connection.
    pub stream: u32,
    /// Where the offending frame begins in what this peer received.
    pub at: u64,
    pub words: String,
}

impl Violation {
    pub fn new(
        rule: Rule,
        seen_by: Side,
        stream: u32,
        at: u64,
        words: impl Into<String>,
    ) -> Violation {
        Violation {
            rule,
            seen_by,
            stream,
            at,
            words: words.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            rule,
            seen_by,
            stream,
            at,
            words,
        } = self;
        let section = rule.section();
        write!(
            f,
            "{rule:?} ({section}), seen by the {seen_by} at byte {at}, stream {stream}: {words}"
        )
    }
}
