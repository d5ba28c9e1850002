//! What each side of a connection did, as its last line says it.

use crate::http2::Settings;
use crate::record::redact::scrub_text;
use crate::record::schema::v1;
use crate::relay::SideReport;

/// What one side of a connection did in all.
pub(super) fn report(bytes: u64, report: &SideReport) -> v1::SideReport {
    let micros = |micros: u128| u64::try_from(micros).unwrap_or(u64::MAX);
    let trips = &report.round_trips;
    let mean = trips.total.as_micros().checked_div(trips.count.into());
    let stalled = report.stalls.count > 0;
    v1::SideReport {
        bytes,
        settings: report.settings.as_ref().map(settings),
        pings: report.pings,
        ping_rtt_mean_us: mean.map(micros),
        ping_rtt_max_us: mean.map(|_| micros(trips.longest.as_micros())),
        resets: report.resets.count,
        last_reset: report.resets.last.map(|code| code.to_string()),
        stalls: report.stalls.count,
        stalled_us: match stalled {
            true => micros(report.stalls.total.as_micros()),
            false => 0,
        },
        goaway: report.goaway.as_ref().map(|goaway| v1::Goaway {
            last_stream: goaway.last_stream.number(),
            code: goaway.code.to_string(),
            debug: scrub_text(&goaway.debug).into_owned(),
        }),
    }
}

fn settings(settings: &Settings) -> v1::Settings {
    v1::Settings {
        header_table_size: settings.header_table_size,
        enable_push: settings.enable_push,
        max_concurrent_streams: settings.max_concurrent_streams,
        initial_window_size: settings.initial_window_size,
        max_frame_size: settings.max_frame_size,
        max_header_list_size: settings.max_header_list_size,
    }
}
