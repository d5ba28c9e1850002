//! Expectations: `recovery < 10s`, `events_lost == 0`.

use std::fmt;
use std::str::FromStr;

use super::metric::{Metric, Unit};
use super::print::shown;
use super::{Figures, Scorecard};
use crate::notation::{nearest, parse_duration, parse_size};

/// What somebody expects of a scorecard.
#[derive(Debug, Clone, Copy)]
pub struct Expectation {
    metric: &'static Metric,
    than: Than,
    /// In the metric's unit.
    bound: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Than {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

/// The longer ones first: `<` begins `<=`.
const OPERATORS: [(&str, Than); 5] = [
    ("<=", Than::AtMost),
    (">=", Than::AtLeast),
    ("==", Than::Equal),
    ("<", Than::Less),
    (">", Than::More),
];

/// What became of an expectation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// The expectation, as it was written or would be.
    pub expectation: String,
    /// Whether it was met.
    pub met: bool,
    /// What the metric was, in words.
    pub was: String,
}

impl Expectation {
    /// Holds it against a card's total. What is unknown meets nothing.
    pub fn check(&self, card: &Scorecard) -> Outcome {
        let value = self.metric.value(&card.total);
        let met = value.is_some_and(|value| match self.than {
            Than::Less => value < self.bound,
            Than::AtMost => value <= self.bound,
            Than::More => value > self.bound,
            Than::AtLeast => value >= self.bound,
            Than::Equal => value == self.bound,
        });
        Outcome {
            expectation: self.to_string(),
            met,
            was: match value {
                Some(value) => shown(self.metric.unit, value),
                None => unknown(self.metric, card),
            },
        }
    }
}

/// Why a metric has no value.
fn unknown(metric: &Metric, card: &Scorecard) -> String {
    let Figures { not_recovered, .. } = &card.total;
    let why = match (metric.name, &card.failure, not_recovered) {
        ("recovery" | "recovery_from_begin", Some(_), Some(why)) => why.as_str(),
        ("recovery" | "recovery_from_begin", Some(_), None) => "there was no client",
        ("recovery" | "recovery_from_begin" | "noticed" | "reconnected", None, _) => {
            "there was no failure"
        }
        ("noticed", ..) => "no client showed a sign of it",
        ("reconnected", ..) => "no connection was lost and opened again",
        ("watch_away", ..) => "no watch was created anew",
        ("behind", ..) => "no event's age is known",
        _ => "nothing was asked again",
    };
    format!("unknown: {why}")
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operators = OPERATORS.iter();
        let mut written = operators.filter(|(_, than)| *than == self.than);
        let operator = written.next().map_or("", |(written, _)| written);
        let bound = match self.metric.unit {
            Unit::Time => {
                crate::fault::plan::Span(std::time::Duration::from_micros(self.bound)).to_string()
            }
            Unit::Count | Unit::Bytes => self.bound.to_string(),
        };
        write!(f, "{} {operator} {bound}", self.metric.name)
    }
}

impl FromStr for Expectation {
    /// The rest of a sentence that begins with the place the text was given at.
    type Err = String;

    fn from_str(text: &str) -> Result<Expectation, String> {
        let wrong = || {
            format!(
                "\"{text}\" is no expectation; write a metric, one of < <= > >= ==, and a value, \
                 such as 'recovery < 10s'"
            )
        };
        let at = text.find(['<', '>', '=']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let (name, written) = (name.trim(), rest);
        let (operator, than) = OPERATORS
            .iter()
            .find(|(operator, _)| written.starts_with(operator))
            .ok_or_else(wrong)?;
        let value = written[operator.len()..].trim();
        if name.is_empty() || value.is_empty() {
            return Err(wrong());
        }
        let metric = Metric::find(name).ok_or_else(|| {
            let names = Metric::ALL.iter().map(|metric| metric.name);
            let hint = match nearest(name, names) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "etcdtap scorecard --help lists them".to_owned(),
            };
            format!("there is no metric \"{name}\"; {hint}")
        })?;
        let bound = match metric.unit {
            Unit::Time => u64::try_from(parse_duration(value)?.as_micros()).unwrap_or(u64::MAX),
            Unit::Bytes => parse_size(value)? as u64,
            Unit::Count => value.replace(',', "").parse().map_err(|_| {
                format!("\"{value}\" is no number, and {name} is one; write it such as 0")
            })?,
        };
        Ok(Expectation {
            metric,
            than: *than,
            bound,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_read() {
        for (text, read) in [
            ("recovery < 10s", "recovery < 10s"),
            ("recovery<=1m30s", "recovery <= 1m30s"),
            (" events_lost == 0 ", "events_lost == 0"),
            ("relist_bytes<1MiB", "relist_bytes < 1048576"),
            ("calls >= 1,000", "calls >= 1000"),
            ("retry_spacing_min>250us", "retry_spacing_min > 250us"),
        ] {
            let expectation: Expectation = text.parse().expect(text);
            assert_eq!(expectation.to_string(), read);
        }
    }

    #[test]
    fn slips_are_answered_with_what_was_meant() {
        let slip = |text: &str| text.parse::<Expectation>().expect_err(text);
        assert_eq!(
            slip("recovry < 10s"),
            "there is no metric \"recovry\"; did you mean recovery?"
        );
        assert_eq!(
            slip("happiness > 3"),
            "there is no metric \"happiness\"; etcdtap scorecard --help lists them"
        );
        for text in [
            "",
            "recovery",
            "recovery <",
            "< 10s",
            "recovery = 10s",
            "recovery =< 1s",
        ] {
            assert!(slip(text).contains("is no expectation"), "{text}");
        }
        assert!(slip("recovery < 10").contains("number without a unit"));
        assert!(slip("events_lost == none").contains("is no number"));
        assert!(slip("relist_bytes < 1Mb").contains("unit \"Mb\""));
    }

    #[test]
    fn what_is_unknown_meets_nothing_and_says_why() {
        let card = crate::score::Meter::new(Default::default()).card(None, Default::default());
        let check = |text: &str| text.parse::<Expectation>().expect(text).check(&card);
        let recovery = check("recovery < 10s");
        assert!(!recovery.met);
        assert_eq!(recovery.was, "unknown: there was no failure");
        assert!(check("events_lost == 0").met);
        assert!(!check("events_lost > 0").met);
    }

    #[test]
    fn every_name_is_found_once() {
        for metric in Metric::ALL {
            let same = Metric::ALL.iter().filter(|one| one.name == metric.name);
            assert_eq!(same.count(), 1, "{}", metric.name);
        }
    }
}
