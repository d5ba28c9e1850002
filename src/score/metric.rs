//! The figures by name, as expectations ask for them.

use super::Figures;

/// What a metric counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds; written as a duration.
    Time,
    /// Things.
    Count,
    /// Bytes.
    Bytes,
}

/// A figure that can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name: that of the JSON's field, without `_us`.
    pub name: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// What it is, in a few words.
    pub about: &'static str,
    value: fn(&Figures) -> Option<u64>,
}

impl Metric {
    /// Its value; `None` if that is unknown.
    pub fn value(&self, figures: &Figures) -> Option<u64> {
        (self.value)(figures)
    }

    /// The metric of that name.
    pub fn find(name: &str) -> Option<&'static Metric> {
        Metric::ALL.iter().find(|metric| metric.name == name)
    }
}

macro_rules! metrics {
    ($($unit:ident $name:literal $field:ident $about:literal;)+) => {
        &[$(Metric {
            name: $name,
            unit: Unit::$unit,
            about: $about,
            value: |figures| figures.$field.into_value(),
        }),+]
    };
}

impl Metric {
    /// All of them, in the order of the card.
    pub const ALL: &'static [Metric] = metrics! {
        Time "noticed" noticed_us "from the failure's begin to the client's first sign";
        Time "reconnected" reconnected_us "from the loss of a connection to the first new one";
        Time "recovery" recovery_us "from the failure's end until all is as before";
        Time "recovery_from_begin" recovery_from_begin_us "the same from the failure's begin";
        Count "connections_opened" connections_opened "connections that were opened";
        Count "connections_closed" connections_closed "connections that ended";
        Count "connections_failed" connections_failed "connections that never came to stand";
        Count "calls" calls "calls, without streams";
        Count "failed_calls" failed_calls "calls that did not end with OK";
        Count "retries" retries "failed calls that were asked again";
        Count "retries_max" retries_max "the most times that one call was asked again";
        Time "retry_spacing_min" retry_spacing_min_us "from a failure to the next attempt, the shortest";
        Time "retry_spacing_median" retry_spacing_median_us "the median of those";
        Time "retry_spacing_max" retry_spacing_max_us "the longest of those";
        Count "requests_peak" requests_peak "the most requests at a time";
        Count "requests_peak_before" requests_peak_before "before the failure";
        Count "requests_peak_during" requests_peak_during "during the failure";
        Count "requests_peak_after" requests_peak_after "after the failure";
        Count "told_otherwise" told_otherwise "writes committed though the client was told otherwise";
        Count "written_again" written_again "of those, written again by the client";
        Count "watches" watches "what is watched";
        Count "watches_ended" watches_ended "ends of watches that were not the client's wish";
        Count "watches_recreated" watches_recreated "watches that were created anew";
        Count "watches_missing" watches_missing "watches that are still missing";
        Time "watch_away" watch_away_us "the longest time that a watch was away";
        Count "watch_gaps" watch_gaps "re-creations that left changes out";
        Count "watch_overlaps" watch_overlaps "re-creations from a revision that had been given";
        Count "relists" relists "lists of ranges that were watched before the failure";
        Bytes "relist_bytes" relist_bytes "their bytes";
        Count "events" events "watch events that were delivered";
        Count "events_lost" events_lost "events that were never delivered";
        Count "events_lost_relisted" events_lost_relisted "of those, what a list made good";
        Count "events_duplicated" events_duplicated "events that were delivered twice";
        Count "events_disordered" events_disordered "events that came after a later one";
        Count "progress_ahead" progress_ahead "progress ahead of an event, or without it";
        Time "behind" behind_us "the longest time that a watch was behind";
    };
}

trait IntoValue {
    fn into_value(self) -> Option<u64>;
}

impl IntoValue for u64 {
    fn into_value(self) -> Option<u64> {
        Some(self)
    }
}

impl IntoValue for Option<u64> {
    fn into_value(self) -> Option<u64> {
        self
    }
}
