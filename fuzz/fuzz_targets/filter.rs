//! Filters: no text panics or overflows the stack; a mistake is within the text;
//! what is read can be asked, and what its terms rule out does not pass.
//!
//! The first octet says which facts are there; the rest is the filter.

#![no_main]

use etcdtap::filter::{Fact, Facts, Filter, Kind, Literal, Name, Vocabulary};
use libfuzzer_sys::fuzz_target;

/// Facts of every kind, each absent where its bit says so.
struct Sheet(u8);

impl Facts for Sheet {
    fn fact(&self, name: Name) -> Option<Fact<'_>> {
        if self.0 >> (name as u8 % 8) & 1 == 0 {
            return None;
        }
        Some(match name.kind() {
            Kind::Text => Fact::Text("pods"),
            Kind::Number => Fact::Number(i64::from(self.0)),
            Kind::Duration => Fact::Duration(100_000_000),
            Kind::Time => Fact::Time(1_793_693_132_000_000_000),
            Kind::Flag => Fact::Flag(true),
            Kind::Faults => return None,
        })
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, text)) = input.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    for vocabulary in [Vocabulary::LOG, Vocabulary::ASKED] {
        match Filter::parse(text, &vocabulary) {
            Ok(filter) => {
                let facts = Sheet(first);
                let terms = filter.requires();
                if !filter.passes(&facts) {
                    continue;
                }
                for any in &terms.any_of {
                    let is = any.values.iter().any(|value| match value {
                        Literal::Text(text) => match facts.fact(any.name) {
                            Some(Fact::Text(fact)) => fact.as_bytes() == &**text,
                            _ => false,
                        },
                        Literal::Number(number) => matches!(
                            facts.fact(any.name),
                            Some(Fact::Number(n) | Fact::Duration(n) | Fact::Time(n)) if n == *number
                        ),
                    });
                    assert!(is, "{any:?}");
                }
            }
            Err(mistake) => {
                assert!(mistake.column() <= text.chars().count() + 1);
                let _ = mistake.drawn();
            }
        }
    }
});
