//! What the fields of a line say: of its operation, its request and answer, its end.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::Unknown;
use crate::etcd::verdict::{FaultId, Hit};
use crate::etcd::{
    Compare, CompareTarget, Ending, KeyValue, Op, RangeAsked, Request, Response, TxnAsked, Value,
};
use crate::grpc::Code;
use crate::http2::{ErrorCode, Offence, Settings, Side, StreamId};
use crate::kube::key::{self, ResourceKey};
use crate::kube::operation::{Operation, Verb};
use crate::kube::value::Stored;
use crate::record::line::word;
use crate::record::schema::v1::log_line::{Extent, Form};
use crate::record::schema::v1::{self, LogLine};
use crate::relay::{FlowStalls, Goaway, Resets, RoundTrips, SideReport};

/// What is operated on.
pub fn operation(line: &LogLine) -> Operation<'_> {
    let verb = line.verb.as_deref().unwrap_or_default();
    Operation {
        // etcd's own names stand where there is no verb; a method that is called
        // as one of ours is none.
        verb: match line.method.as_deref() == Some(verb) {
            true => None,
            false => verb.parse().ok(),
        },
        key: line.key.as_deref(),
        range_end: line.range_end.as_deref(),
        object: line.resource.as_deref().map(|resource| ResourceKey {
            group: line.group.as_deref(),
            resource,
            namespace: line.namespace.as_deref(),
            name: line.name.as_deref(),
            internal: line.internal,
            extent: {
                let of = line.extent_of.as_deref().unwrap_or_default();
                match line.extent() {
                    Extent::One => key::Extent::One,
                    Extent::All => key::Extent::All,
                    Extent::After => key::Extent::After(of),
                    Extent::Beginning => key::Extent::Beginning(of),
                    Extent::Onward => key::Extent::Onward,
                    Extent::Between => key::Extent::Between,
                }
            },
        }),
        stored: match (line.encryption.as_deref(), line.kind.as_deref()) {
            (Some(provider), _) => Some(Stored::Encrypted {
                provider: Some(provider),
                version: None,
                key_name: None,
            }),
            (None, Some(kind)) => Some(Stored::Protobuf {
                api_version: None,
                kind: Some(kind),
            }),
            (None, None) => None,
        },
    }
}

pub(super) fn request(line: &LogLine) -> Request {
    let key = || line.key.as_deref().unwrap_or_default().into();
    let range_end = || line.range_end.as_deref().unwrap_or_default().into();
    // Where the answer named another one, `lease` may be that.
    let lease = match (line.lease, line.granted_lease) {
        (lease, Some(granted)) if lease == Some(granted) => 0,
        (lease, _) => lease.unwrap_or(0),
    };
    let put = || Op::Put {
        key: key(),
        value: Value::default(),
        lease,
    };
    match line.asked() {
        Form::Unread => Request::Unread,
        Form::Range => Request::Range(RangeAsked {
            key: key(),
            range_end: range_end(),
            limit: line.limit.unwrap_or(0),
            revision: line.at_revision.unwrap_or(0),
            count_only: line.count_only,
            keys_only: line.keys_only,
            serializable: line.serializable,
        }),
        Form::Put => Request::Op(put()),
        Form::DeleteRange => Request::Op(Op::DeleteRange {
            key: key(),
            range_end: range_end(),
        }),
        Form::Txn => Request::Txn(TxnAsked {
            compares: line
                .if_revision
                .map(|number| Compare {
                    target: CompareTarget::ModRevision,
                    key: key(),
                    number,
                })
                .into_iter()
                .collect(),
            success: match lease {
                0 => Vec::new(),
                _ => vec![put()],
            },
            failure: Vec::new(),
            omitted: 0,
        }),
        Form::Compact => Request::Compact {
            revision: line.compact_revision.unwrap_or(0),
        },
        Form::Lease => Request::Lease {
            id: lease,
            ttl: line.ttl.unwrap_or(0),
        },
        Form::Named => Request::Named {
            key: line.key.as_deref().map(Into::into),
            range_end: line.range_end.as_deref().map(Into::into),
            revision: line.at_revision,
            name: line.subject.as_deref().map(Into::into),
        },
    }
}

pub(super) fn response(line: &LogLine, request: &Request, wrote: bool) -> Response {
    let counted = line.count.unwrap_or(0);
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let first = || {
        line.mod_revision.map(|mod_revision| {
            Box::new(KeyValue {
                key: line.key.as_deref().unwrap_or_default().into(),
                mod_revision,
                ..KeyValue::default()
            })
        })
    };
    match line.answered() {
        Form::Range => {
            let is_count = line.count_only || line.verb.as_deref() == Some(Verb::Count.as_str());
            Response::Range {
                kvs: if is_count { 0 } else { counted },
                count: signed(line.total.unwrap_or(counted)),
                more: line.more,
                first: first(),
            }
        }
        Form::Put => Response::Put,
        Form::DeleteRange => Response::DeleteRange {
            deleted: counted as i64,
        },
        Form::Txn => Response::Txn {
            succeeded: line.guards_held.unwrap_or(false),
            puts: u64::from(wrote),
            deleted: 0,
            kvs: counted,
            first: first(),
        },
        Form::Lease => Response::Lease {
            id: match (line.granted_lease, request) {
                (Some(granted), _) => granted,
                (None, Request::Lease { id, .. }) => *id,
                (None, _) => 0,
            },
            ttl: line.granted_ttl.unwrap_or(0),
        },
        Form::Named => Response::Named {
            count: line.count.map(|count| count as i64),
        },
        Form::Unread | Form::Compact => Response::Unread,
    }
}

pub(super) fn ending(line: &LogLine) -> Ending {
    let code = reset_code(line.reset.as_deref());
    match line.ending.as_deref().unwrap_or_default() {
        word::NO_TRAILERS => Ending::NoTrailers,
        word::RESET => Ending::Reset {
            by: side(line.reset_by).unwrap_or(Side::Server),
            code,
        },
        word::CONNECTION_LOST => Ending::ConnectionLost {
            by: side(line.lost_by),
        },
        word::TRACING_STOPPED => Ending::TracingStopped,
        word::INJECTED => Ending::Injected,
        word::INJECTED_RESET => Ending::InjectedReset { code },
        _ => Ending::Trailers,
    }
}

/// The offence whose sentence is the line's message: `client sent … (CODE, rule)`.
pub(super) fn offence(line: &LogLine) -> Offence {
    let by = side(line.by).unwrap_or(Side::Client);
    let code = reset_code(line.code.as_deref());
    let message = line.message.as_deref().unwrap_or_default();
    let what = message.strip_prefix(by.to_string().as_str());
    let what = what.map_or(message, str::trim_start);
    let opens = format!(" ({code}, ");
    let (what, rule) = what
        .strip_suffix(')')
        .and_then(|what| what.rsplit_once(&opens))
        .unwrap_or((what, ""));
    Offence {
        by,
        code,
        stream: StreamId::from_bits(line.offending_stream.unwrap_or(0)),
        what: Cow::Owned(what.to_owned()),
        rule: Cow::Owned(rule.to_owned()),
    }
}

pub(super) fn report(report: Option<&v1::SideReport>) -> SideReport {
    let Some(report) = report else {
        return SideReport::default();
    };
    SideReport {
        settings: report.settings.map(|settings| Settings {
            header_table_size: settings.header_table_size,
            enable_push: settings.enable_push,
            max_concurrent_streams: settings.max_concurrent_streams,
            initial_window_size: settings.initial_window_size,
            max_frame_size: settings.max_frame_size,
            max_header_list_size: settings.max_header_list_size,
        }),
        pings: report.pings,
        round_trips: report
            .ping_rtt_mean_us
            .map_or_else(RoundTrips::default, |mean| RoundTrips {
                count: 1,
                total: micros(mean),
                longest: micros(report.ping_rtt_max_us.unwrap_or(mean)),
            }),
        goaway: report.goaway.as_ref().map(|goaway| Goaway {
            last_stream: StreamId::from_bits(goaway.last_stream),
            code: reset_code(Some(&goaway.code)),
            debug: goaway.debug.as_str().into(),
        }),
        resets: Resets {
            count: report.resets,
            last: report.last_reset.as_deref().and_then(ErrorCode::parse),
        },
        stalls: FlowStalls {
            count: report.stalls,
            total: micros(report.stalled_us),
        },
    }
}

pub(super) fn hits(line: &LogLine) -> Vec<Hit> {
    let faults = line.fault.iter();
    faults
        .map(|fault| Hit {
            // A number of that run; nothing asks for it.
            fault: FaultId(0),
            name: fault.name.as_str().into(),
            did: fault.did.as_str().into(),
        })
        .collect()
}

/// gRPC's name for a code, or `CODE_n`.
pub(super) fn code(text: &str) -> Code {
    let number = || text.strip_prefix("CODE_")?.parse().ok().map(Code);
    Code::from_name(text)
        .or_else(number)
        .unwrap_or(Code::UNKNOWN)
}

pub(super) fn reset_code(text: Option<&str>) -> ErrorCode {
    text.and_then(ErrorCode::parse)
        .unwrap_or(ErrorCode::NO_ERROR)
}

pub(super) fn side(side: Option<i32>) -> Option<Side> {
    v1::Side::try_from(side?).ok()?.side()
}

pub(super) fn unknown(field: &'static str, says: &str) -> Unknown {
    Unknown {
        field,
        says: says.into(),
    }
}

pub(super) fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// No recorder writes times that reach so far; where one does, they stop.
pub(super) fn later(at: Instant, after: Duration) -> Instant {
    at.checked_add(after).unwrap_or(at)
}

pub(super) fn earlier(at: Instant, before: Duration) -> Instant {
    at.checked_sub(before).unwrap_or(at)
}
