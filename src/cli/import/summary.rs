//! What an import says at its end.

use std::fmt::Write;

use super::output::Recorded;
use crate::etcd::MethodName;
use crate::import::Report;
use crate::trace::{grouped, quiet_text, shortened, size};

/// Notes that are shown one by one.
const SHOWN: usize = 10;

/// Methods that are shown.
const METHODS: usize = 6;

/// The summary: what was read, and what is missing.
pub(super) fn text(
    place: &str,
    report: &Report,
    trouble: Option<&str>,
    recorded: &Recorded,
) -> String {
    let mut out = String::new();
    let counts = &report.counts;
    let mut row = |name: &str, number: String, about: String| {
        // Writing into a String cannot fail.
        let _ = match about.is_empty() {
            true => writeln!(out, "{name:<14} {number:>11}"),
            false => writeln!(out, "{name:<14} {number:>11}  {about}"),
        };
    };
    if let Some(path) = &recorded.path {
        row(
            "recording",
            size(recorded.bytes),
            path.display().to_string(),
        );
    }
    row("packets", grouped(report.packets), span(report));
    let in_tls = match counts.opened_tls {
        0 => String::new(),
        n => format!("{} in TLS", grouped(n)),
    };
    row("connections", grouped(counts.connections), in_tls);
    row("streams", grouped(counts.streams), String::new());
    row("calls", grouped(report.calls()), methods(report));
    row("watches", grouped(counts.watches), String::new());
    row("watch events", grouped(counts.watch_events), String::new());
    if counts.requests > 0 {
        row("HTTP/1.1", grouped(counts.requests), "requests".to_owned());
    }
    let (sent, answered) = (counts.bytes.client, counts.bytes.server);
    let bytes = format!(
        "{} from clients, {} from servers",
        size(sent),
        size(answered)
    );
    row("bytes", size(sent + answered), bytes);
    if report.mirrored > 0 {
        let about = "connections, before and after translation of addresses".to_owned();
        row("seen twice", grouped(report.mirrored), about);
    }
    let left_out = report.other + report.other_encrypted;
    if left_out > 0 {
        let about = match report.other_encrypted {
            0 => "connections that speak something else".to_owned(),
            n => format!(
                "connections that speak something else, {} encrypted",
                grouped(n)
            ),
        };
        row("left out", grouped(left_out), about);
    }
    missing(&mut out, place, report, trouble, recorded);
    out
}

/// What is missing, a line each; nothing if all is there.
fn missing(
    out: &mut String,
    place: &str,
    report: &Report,
    trouble: Option<&str>,
    recorded: &Recorded,
) {
    let mut lines = Vec::new();
    if let Some(damage) = &report.damage {
        lines.push(format!("{place} {damage}"));
    }
    if let Some(trouble) = trouble {
        lines.push(format!("{place} cannot be read to its end: {trouble}"));
    }
    if let Some(trouble) = &recorded.trouble {
        lines.push(format!("the recording is not whole: {trouble}"));
    }
    if report.encrypted > 0 {
        lines.push(encrypted(report.encrypted));
    }
    if report.begun_before > 0 {
        let (n, were) = of(report.begun_before, "connection was", "connections were");
        lines.push(format!(
            "{n} {were} open before the capture began: HTTP/2 cannot be followed without its \
             beginning"
        ));
    }
    if report.given_up > 0 {
        let (n, were) = of(report.given_up, "connection was", "connections were");
        lines.push(format!(
            "{n} {were} not read to the end, because something is missing"
        ));
    }
    if report.missing_bytes > 0 {
        let one = "byte that was received is not in the capture";
        let many = "bytes that were received are not in the capture";
        let (n, bytes) = of(report.missing_bytes, one, many);
        lines.push(format!("{n} {bytes}"));
    }
    for (number, one, many) in [
        (
            report.dropped,
            "packet was dropped",
            "packets were dropped by whoever captured",
        ),
        (
            report.cut,
            "packet was cut short: capture with -s 0",
            "packets were cut short: capture with -s 0",
        ),
        (
            report.fragments,
            "IP fragment was left out",
            "IP fragments were left out",
        ),
        (report.broken, "packet is damaged", "packets are damaged"),
    ] {
        if number > 0 {
            let (n, what) = of(number, one, many);
            lines.push(format!("{n} {what}"));
        }
    }
    for (link, number) in &report.unknown_links {
        let (n, packets) = of(*number, "packet", "packets");
        lines.push(format!(
            "{n} {packets} of link type {link}, which is not known"
        ));
    }
    if lines.is_empty() {
        return;
    }
    out.push_str("\nmissing, or left out:\n");
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
    for note in report.notes.iter().take(SHOWN) {
        let _ = writeln!(out, "  - {note}");
    }
    let noted = report.encrypted + report.begun_before + report.given_up;
    if noted > SHOWN as u64 {
        let _ = writeln!(out, "  - and {} more", grouped(noted - SHOWN as u64));
    }
}

fn encrypted(connections: u64) -> String {
    let (n, are) = of(connections, "connection is", "connections are");
    format!(
        "{n} {are} encrypted and could not be opened: --keylog takes a key log that one end \
         wrote meanwhile; kube-apiserver, etcd and etcdctl write none, so record with etcdtap \
         proxy instead"
    )
}

/// The sentence for a capture that has nothing of etcd's.
pub(super) fn nothing(place: &str, report: &Report, ports: &[u16]) -> String {
    let packets = match (report.packets, report.segments) {
        (0, _) => return format!("{place} has no packets"),
        (n, 0) => format!("{} packets and none of TCP", grouped(n)),
        (n, _) => format!("{} packets", grouped(n)),
    };
    if report.encrypted > 0 {
        return format!(
            "nothing was imported from {place}: {}",
            encrypted(report.encrypted)
        );
    }
    match ports {
        [] => format!(
            "nothing was imported from {place}: it has {packets}, and no connection that can be \
             followed and speaks HTTP/2"
        ),
        ports => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!(
                "nothing was imported from {place}: it has {packets}, and no connection to port \
                 {} that can be followed; leave --port out to import all that speaks HTTP/2",
                ports.join(" or ")
            )
        }
    }
}

/// A number and what it is of.
fn of<'t>(number: u64, one: &'t str, many: &'t str) -> (String, &'t str) {
    (grouped(number), if number == 1 { one } else { many })
}

/// From when to when.
fn span(report: &Report) -> String {
    let Some(first) = report.first else {
        return String::new();
    };
    let moment = |nanos: u64| {
        let micros = i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        format!("{time:.0}")
    };
    format!("{} to {}", moment(first), moment(report.last))
}

/// The methods that were called most.
fn methods(report: &Report) -> String {
    let mut methods: Vec<(String, u64)> = report
        .counts
        .calls
        .iter()
        .map(|(name, calls)| (shown(name), *calls))
        .collect();
    methods.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let more = methods.len().saturating_sub(METHODS);
    let shown: Vec<String> = methods
        .iter()
        .take(METHODS)
        .map(|(name, calls)| format!("{name} {}", grouped(*calls)))
        .collect();
    match more {
        0 => shown.join(", "),
        more => format!("{}, and {more} other methods", shown.join(", ")),
    }
}

/// A method as the summary names it. Names come from the wire.
fn shown(name: &MethodName) -> String {
    let name = name.to_string();
    let name = name.strip_prefix("etcdserverpb.").unwrap_or(&name);
    shortened(quiet_text(name), 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Note;

    #[test]
    fn what_is_missing_is_said_in_lines() {
        let mut report = Report {
            packets: 1_234_567,
            first: Some(1_793_693_132_000_000_000),
            last: 1_793_693_230_500_000_000,
            begun_before: 1,
            given_up: 1200,
            missing_bytes: 1,
            cut: 2,
            ..Report::default()
        };
        report.counts.connections = 3;
        report.notes = vec![Note {
            client: ([10, 0, 0, 7], 40_312).into(),
            server: ([10, 0, 0, 5], 2379).into(),
            lost: crate::import::Lost::BegunBefore,
        }];
        let recorded = Recorded {
            path: Some("calls.mcap".into()),
            bytes: 933_612,
            trouble: None,
        };
        let text = text(
            "etcd.pcap",
            &report,
            Some("its packing is damaged"),
            &recorded,
        );
        let expected = "\
recording             912K  calls.mcap
packets          1,234,567  2026-11-03T08:05:32Z to 2026-11-03T08:07:10Z
connections              3
streams                  0
calls                    0
watches                  0
watch events             0
bytes                   0B  0B from clients, 0B from servers

missing, or left out:
  etcd.pcap cannot be read to its end: its packing is damaged
  1 connection was open before the capture began: HTTP/2 cannot be followed without its beginning
  1,200 connections were not read to the end, because something is missing
  1 byte that was received is not in the capture
  2 packets were cut short: capture with -s 0
  - 10.0.0.7:40312 to 10.0.0.5:2379: was open before the capture began, and HTTP/2 cannot be followed without its beginning
  - and 1,191 more
";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_from_the_wire_cannot_reach_a_terminal() {
        let (_, name) = MethodName::parse(b"/etcdserverpb.KV/\x1b[2J");
        assert_eq!(shown(&name), "KV/\\u{1b}[2J");
    }
}
