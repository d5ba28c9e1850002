//! The heaviest of very many, in bounded memory: "space-saving" (Metwally,
//! Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in
//! data streams, 2005), with weights.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

/// Keeps the heaviest. What weighs more than the whole divided by the room is
/// surely among them.
#[derive(Debug)]
pub struct Heavy {
    room: usize,
    by_name: FxHashMap<Box<str>, usize>,
    kept: Vec<Kept>,
    order: BTreeSet<(u64, usize)>,
}

#[derive(Debug)]
struct Kept {
    name: Box<str>,
    weight: u64,
    /// Of the weight, what may have been others'.
    doubt: u64,
}

/// One of the heaviest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// What.
    pub name: Box<str>,
    /// What it weighs, at most.
    pub weight: u64,
    /// By how much that may be too much; 0 where it is exact.
    pub doubt: u64,
}

impl Heavy {
    /// Room for so many.
    pub fn new(room: usize) -> Heavy {
        Heavy {
            room: room.max(1),
            by_name: FxHashMap::default(),
            kept: Vec::new(),
            order: BTreeSet::new(),
        }
    }

    /// Adds weight.
    pub fn add(&mut self, name: &str, weight: u64) {
        if let Some(&slot) = self.by_name.get(name) {
            let kept = &mut self.kept[slot];
            self.order.remove(&(kept.weight, slot));
            kept.weight = kept.weight.saturating_add(weight);
            self.order.insert((kept.weight, slot));
            return;
        }
        let slot = match self.kept.len() < self.room {
            true => {
                self.kept.push(Kept {
                    name: name.into(),
                    weight,
                    doubt: 0,
                });
                self.kept.len() - 1
            }
            false => {
                // There is at least one.
                let Some((least, slot)) = self.order.pop_first() else {
                    return;
                };
                let kept = &mut self.kept[slot];
                self.by_name.remove(&kept.name);
                *kept = Kept {
                    name: name.into(),
                    weight: least.saturating_add(weight),
                    doubt: least,
                };
                slot
            }
        };
        self.by_name.insert(name.into(), slot);
        self.order.insert((self.kept[slot].weight, slot));
    }

    /// The heaviest, the heaviest first.
    pub fn first(&self, count: usize) -> Vec<Weighed> {
        let mut first: Vec<Weighed> = self
            .order
            .iter()
            .rev()
            .take(count)
            .map(|(_, slot)| {
                let kept = &self.kept[*slot];
                Weighed {
                    name: kept.name.clone(),
                    weight: kept.weight,
                    doubt: kept.doubt,
                }
            })
            .collect();
        first.sort_by(|a, b| (b.weight, &a.name).cmp(&(a.weight, &b.name)));
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_are_found_among_very_many() {
        let mut heavy = Heavy::new(100);
        for n in 0..20_000_u64 {
            heavy.add(&format!("light-{n}"), 1);
            if n % 10 == 0 {
                heavy.add("often", 5);
            }
            if n % 100 == 0 {
                heavy.add("seldom and much", 40);
            }
        }
        let first = heavy.first(2);
        let names: Vec<&str> = first.iter().map(|one| &*one.name).collect();
        assert_eq!(names, ["often", "seldom and much"]);
        for (one, truth) in first.iter().zip([10_000, 8_000]) {
            assert!(one.weight >= truth && one.weight - one.doubt <= truth);
        }
        assert!(heavy.kept.len() == 100 && heavy.by_name.len() == 100);
    }

    #[test]
    fn with_room_for_all_it_is_exact() {
        let mut heavy = Heavy::new(10);
        for (name, weight) in [("a", 1), ("b", 5), ("a", 3), ("c", 4)] {
            heavy.add(name, weight);
        }
        let first = heavy.first(9);
        let told: Vec<_> = first.iter().map(|one| (&*one.name, one.weight)).collect();
        assert_eq!(told, [("b", 5), ("a", 4), ("c", 4)]);
        assert!(first.iter().all(|one| one.doubt == 0));
    }
}
