//! A line of the log as a row of a table.
//!
//! A column a field, in the order of docs/log.md, by the same names. What is an
//! object there is a column a field here: `settings_client_max_frame_size`.
//! docs/export.md lists them; a test holds the list against this one.

use std::borrow::Cow;

use super::super::schema::v1::{Goaway, LogLine, Settings, Side, SideReport};
use crate::trace::key_text;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing: the fact is absent.
    Absent,
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A moment, in microseconds since 1970.
    Moment(i64),
}

/// What stands in all cells of a column, where something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Cell::Text`]
    Text,
    /// [`Cell::Integer`]
    Integer,
    /// [`Cell::Boolean`]
    Boolean,
    /// [`Cell::Moment`]
    Moment,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub kind: Kind,
    /// Whether something always does.
    pub required: bool,
    cell: for<'a> fn(u64, &'a LogLine) -> Cell<'a>,
}

impl Column {
    /// What stands in this column, of a line whose `ts` is `at` (nanoseconds since
    /// 1970).
    pub fn cell<'a>(&self, at: u64, line: &'a LogLine) -> Cell<'a> {
        (self.cell)(at, line)
    }
}

/// One column: how its cells are made says what kind it is.
macro_rules! column {
    // Always there.
    (text! $name:literal $field:ident) => {
        column!($name Text true |_, line| Cell::Text(Cow::Borrowed(&line.$field)))
    };
    (number! $name:literal $field:ident) => {
        column!($name Integer true |_, line| whole(line.$field))
    };
    (flag $name:literal $field:ident) => {
        column!($name Boolean true |_, line| Cell::Boolean(line.$field))
    };
    // Sometimes there.
    (text $name:literal $field:ident) => {
        column!($name Text false |_, line| text(line.$field.as_deref()))
    };
    (number $name:literal $field:ident) => {
        column!($name Integer false |_, line| line.$field.map_or(Cell::Absent, whole))
    };
    (yes $name:literal $field:ident) => {
        column!($name Boolean false |_, line| line.$field.map_or(Cell::Absent, Cell::Boolean))
    };
    (key $name:literal $field:ident) => {
        column!($name Text false |_, line| key(line.$field.as_deref()))
    };
    (hex $name:literal $field:ident) => {
        column!($name Text false |_, line| match line.$field {
            Some(number) => Cell::Text(Cow::Owned(format!("{number:x}"))),
            None => Cell::Absent,
        })
    };
    (side $name:literal $field:ident) => {
        column!($name Text false |_, line| side(line.$field))
    };
    // Of one side of a connection.
    (report $name:literal $of:ident $report:ident => $cell:expr) => {
        column!($name Integer false |_, line| match &line.$of {
            Some($report) => $cell,
            None => Cell::Absent,
        })
    };
    (report text $name:literal $of:ident $report:ident => $cell:expr) => {
        column!($name Text false |_, line| match &line.$of {
            Some($report) => $cell,
            None => Cell::Absent,
        })
    };
    (report flag $name:literal $of:ident $report:ident => $cell:expr) => {
        column!($name Boolean false |_, line| match &line.$of {
            Some($report) => $cell,
            None => Cell::Absent,
        })
    };
    ($name:literal $kind:ident $required:literal $cell:expr) => {
        Column {
            name: $name,
            kind: Kind::$kind,
            required: $required,
            cell: $cell,
        }
    };
}

/// All columns, in their order.
pub const COLUMNS: &[Column] = &[
    column!("ts" Moment true |at, _| Cell::Moment(i64::try_from(at / 1000).unwrap_or(i64::MAX))),
    column!(text! "event" event),
    column!(number! "conn" conn),
    column!(number "stream" stream),
    column!(text! "client" client),
    column!(text! "upstream" upstream),
    column!(text "user_agent" user_agent),
    column!(text "protocol" protocol),
    column!(text "service" service),
    column!(text "method" method),
    column!(text "path" path),
    column!(text "verb" verb),
    column!(key "key" key),
    column!(key "range_end" range_end),
    column!(text "resource" resource),
    column!(text "group" group),
    column!(text "namespace" namespace),
    column!(text "name" name),
    column!(text "kind" kind),
    column!(text "encryption" encryption),
    column!(text "type" r#type),
    column!(number "limit" limit),
    column!(number "at_revision" at_revision),
    column!(flag "count_only" count_only),
    column!(flag "keys_only" keys_only),
    column!(flag "serializable" serializable),
    column!(number "if_revision" if_revision),
    column!(number "compact_revision" compact_revision),
    column!(hex "lease" lease),
    column!(number "ttl" ttl),
    column!(text "subject" subject),
    column!(text "status" status),
    column!(number "http_status" http_status),
    column!(text "message" message),
    column!(text "ending" ending),
    column!(text "reset" reset),
    column!(side "reset_by" reset_by),
    column!(side "lost_by" lost_by),
    column!("fault" Text false |_, line| faults(line)),
    column!(number "duration_us" duration_us),
    column!(number "first_byte_us" first_byte_us),
    column!(flag "slow" slow),
    column!(number "request_bytes" request_bytes),
    column!(number "response_bytes" response_bytes),
    column!(number "request_messages" request_messages),
    column!(number "response_messages" response_messages),
    column!(number "revision" revision),
    column!(flag "committed" committed),
    column!(number "count" count),
    column!(number "total" total),
    column!(flag "more" more),
    column!(text "continue" r#continue),
    column!(number "mod_revision" mod_revision),
    column!(yes "succeeded" succeeded),
    column!(number "granted_ttl" granted_ttl),
    column!(number "watch_id" watch_id),
    column!(number "lag_us" lag_us),
    column!(number "start_revision" start_revision),
    column!(flag "progress_notify" progress_notify),
    column!(flag "prev_kv" prev_kv),
    column!(text "cause" cause),
    column!(number "events" events),
    column!(number "held_us" held_us),
    column!(yes "delivered" delivered),
    column!(text "state" state),
    column!(text "listener" listener),
    column!(text "tls_version" tls_version),
    column!(text "sni" sni),
    column!(text "alpn" alpn),
    column!(text "identity" identity),
    column!(side "by" by),
    column!(text "code" code),
    column!(number "offending_stream" offending_stream),
    column!(number "streams" streams),
    column!(flag "interposed" interposed),
    column!(number! "pings_answered" pings_answered),
    column!(report "bytes_client" of_client of => whole(of.bytes)),
    column!(report "settings_client_header_table_size" of_client of => setting(of, |s| Some(s.header_table_size))),
    column!(report flag "settings_client_enable_push" of_client of => enable_push(of)),
    column!(report "settings_client_max_concurrent_streams" of_client of => setting(of, |s| s.max_concurrent_streams)),
    column!(report "settings_client_initial_window_size" of_client of => setting(of, |s| Some(s.initial_window_size))),
    column!(report "settings_client_max_frame_size" of_client of => setting(of, |s| Some(s.max_frame_size))),
    column!(report "settings_client_max_header_list_size" of_client of => setting(of, |s| s.max_header_list_size)),
    column!(report "pings_client" of_client of => whole(of.pings)),
    column!(report "ping_rtt_mean_us_client" of_client of => of.ping_rtt_mean_us.map_or(Cell::Absent, whole)),
    column!(report "ping_rtt_max_us_client" of_client of => of.ping_rtt_max_us.map_or(Cell::Absent, whole)),
    column!(report "resets_client" of_client of => whole(of.resets)),
    column!(report text "last_reset_client" of_client of => text(of.last_reset.as_deref())),
    column!(report "stalls_client" of_client of => whole(of.stalls)),
    column!(report "stalled_us_client" of_client of => whole(of.stalled_us)),
    column!(report "goaway_client_last_stream" of_client of => goaway_stream(of)),
    column!(report text "goaway_client_code" of_client of => goaway(of, |goaway| &goaway.code)),
    column!(report text "goaway_client_debug" of_client of => goaway(of, |goaway| &goaway.debug)),
    column!(report "bytes_server" of_server of => whole(of.bytes)),
    column!(report "settings_server_header_table_size" of_server of => setting(of, |s| Some(s.header_table_size))),
    column!(report flag "settings_server_enable_push" of_server of => enable_push(of)),
    column!(report "settings_server_max_concurrent_streams" of_server of => setting(of, |s| s.max_concurrent_streams)),
    column!(report "settings_server_initial_window_size" of_server of => setting(of, |s| Some(s.initial_window_size))),
    column!(report "settings_server_max_frame_size" of_server of => setting(of, |s| Some(s.max_frame_size))),
    column!(report "settings_server_max_header_list_size" of_server of => setting(of, |s| s.max_header_list_size)),
    column!(report "pings_server" of_server of => whole(of.pings)),
    column!(report "ping_rtt_mean_us_server" of_server of => of.ping_rtt_mean_us.map_or(Cell::Absent, whole)),
    column!(report "ping_rtt_max_us_server" of_server of => of.ping_rtt_max_us.map_or(Cell::Absent, whole)),
    column!(report "resets_server" of_server of => whole(of.resets)),
    column!(report text "last_reset_server" of_server of => text(of.last_reset.as_deref())),
    column!(report "stalls_server" of_server of => whole(of.stalls)),
    column!(report "stalled_us_server" of_server of => whole(of.stalled_us)),
    column!(report "goaway_server_last_stream" of_server of => goaway_stream(of)),
    column!(report text "goaway_server_code" of_server of => goaway(of, |goaway| &goaway.code)),
    column!(report text "goaway_server_debug" of_server of => goaway(of, |goaway| &goaway.debug)),
    column!(hex "cluster_id" cluster_id),
    column!(hex "member_id" member_id),
    column!(number "raft_term" raft_term),
    column!("extent" Text false |_, line| line.extent.map_or(Cell::Absent, |_| word(line.extent().as_str_name()))),
    column!(text "extent_of" extent_of),
    column!(flag "internal" internal),
    column!(hex "granted_lease" granted_lease),
    column!("asked" Text true |_, line| word(line.asked().as_str_name())),
    column!("answered" Text true |_, line| word(line.answered().as_str_name())),
    column!(yes "guards_held" guards_held),
    column!(number "answered_us" answered_us),
];

/// A number. What a table's 64 bits with a sign do not hold is its greatest.
fn whole(number: impl TryInto<i64>) -> Cell<'static> {
    Cell::Integer(number.try_into().unwrap_or(i64::MAX))
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Absent, |text| Cell::Text(Cow::Borrowed(text)))
}

/// A name of the schema, as the log writes words.
fn word(name: &'static str) -> Cell<'static> {
    Cell::Text(Cow::Owned(name.to_ascii_lowercase()))
}

/// A key, escaped as in the log.
fn key(key: Option<&[u8]>) -> Cell<'_> {
    match key {
        None => Cell::Absent,
        Some(key) => Cell::Text(match std::str::from_utf8(key) {
            Ok(text) if !text.contains('\\') => Cow::Borrowed(text),
            _ => Cow::Owned(key_text(key)),
        }),
    }
}

fn side(side: Option<i32>) -> Cell<'static> {
    let side = side.and_then(|side| Side::try_from(side).ok()?.side());
    match side {
        Some(side) => Cell::Text(Cow::Owned(side.to_string())),
        None => Cell::Absent,
    }
}

/// As the log has them: `[{"name":"slow-lists","did":"…"}]`.
fn faults(line: &LogLine) -> Cell<'static> {
    if line.fault.is_empty() {
        return Cell::Absent;
    }
    let faults: Vec<_> = line
        .fault
        .iter()
        .map(|fault| serde_json::json!({"name": fault.name, "did": fault.did}))
        .collect();
    Cell::Text(Cow::Owned(serde_json::Value::from(faults).to_string()))
}

fn setting(of: &SideReport, setting: fn(&Settings) -> Option<u32>) -> Cell<'static> {
    let value = of.settings.as_ref().and_then(setting);
    value.map_or(Cell::Absent, whole)
}

fn enable_push(of: &SideReport) -> Cell<'static> {
    let push = of.settings.as_ref().map(|settings| settings.enable_push);
    push.map_or(Cell::Absent, Cell::Boolean)
}

fn goaway(of: &SideReport, part: fn(&Goaway) -> &String) -> Cell<'_> {
    text(of.goaway.as_ref().map(|goaway| part(goaway).as_str()))
}

fn goaway_stream(of: &SideReport) -> Cell<'static> {
    let goaway = of.goaway.as_ref();
    goaway.map_or(Cell::Absent, |goaway| whole(goaway.last_stream))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use prost_reflect::Kind as FieldKind;

    use super::*;
    use crate::record::schema::Channels;

    #[test]
    fn every_field_of_a_line_has_its_column_in_the_lines_order() {
        let pool = Channels::all().pool();
        let line = pool.get_message_by_name("etcdtap.v1.LogLine").unwrap();
        let mut fields = vec!["ts".to_owned()];
        for field in line.fields() {
            let side = field.name().strip_prefix("of_");
            let (FieldKind::Message(report), Some(side)) = (field.kind(), side) else {
                fields.push(field.name().to_owned());
                continue;
            };
            for part in report.fields() {
                match part.kind() {
                    FieldKind::Message(inner) => {
                        for leaf in inner.fields() {
                            fields.push(format!("{}_{side}_{}", part.name(), leaf.name()));
                        }
                    }
                    _ => fields.push(format!("{}_{side}", part.name())),
                }
            }
        }
        let columns: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(columns, fields);
        let distinct: HashSet<_> = columns.iter().collect();
        assert_eq!(distinct.len(), columns.len());
    }

    #[test]
    fn cells_are_of_their_columns_kind_and_absent_only_where_that_is_said() {
        for line in [LogLine::default(), super::super::fixtures::full_line()] {
            for column in COLUMNS {
                let kind = match column.cell(1_000_000, &line) {
                    Cell::Absent => {
                        assert!(!column.required, "{}", column.name);
                        continue;
                    }
                    Cell::Text(_) => Kind::Text,
                    Cell::Integer(_) => Kind::Integer,
                    Cell::Boolean(_) => Kind::Boolean,
                    Cell::Moment(_) => Kind::Moment,
                };
                assert_eq!(kind, column.kind, "{}", column.name);
            }
        }
    }

    #[test]
    fn nothing_of_a_full_line_is_absent() {
        let line = super::super::fixtures::full_line();
        for column in COLUMNS {
            let cell = column.cell(1_000_000, &line);
            assert_ne!(cell, Cell::Absent, "{}", column.name);
        }
    }
}
