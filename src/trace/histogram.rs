//! A histogram of signed whole numbers that keeps two leading digits or so.

use std::collections::BTreeMap;

/// Numbers below this are kept exactly; above, to one part in 64.
const EXACT: u64 = 128;
const BITS: u32 = EXACT.ilog2();

/// A log-linear histogram. Only buckets that hold something take room, of
/// which numbers of microseconds fill a few hundred.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    buckets: BTreeMap<i32, u64>,
    count: u64,
    highest: Option<i64>,
}

impl Histogram {
    pub fn record(&mut self, number: i64) {
        *self.buckets.entry(bucket(number)).or_default() += 1;
        self.count += 1;
        self.highest = self.highest.max(Some(number));
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of another's numbers as well.
    pub fn add(&mut self, other: &Histogram) {
        for (&bucket, &count) in &other.buckets {
            *self.buckets.entry(bucket).or_default() += count;
        }
        self.count += other.count;
        self.highest = self.highest.max(other.highest);
    }

    /// The highest number, exactly.
    pub fn highest(&self) -> Option<i64> {
        self.highest
    }

    /// The lowest number that `percent` of all are not above, by the nearest
    /// rank; the bucket's end that is farther from zero.
    pub fn percentile(&self, percent: u64) -> Option<i64> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (&bucket, &count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return Some(outer_end(bucket).min(self.highest?));
            }
        }
        None
    }
}

fn bucket(number: i64) -> i32 {
    let size = number.unsigned_abs();
    let bucket = if size < EXACT {
        size as i32
    } else {
        // The leading 7 bits, and how far they were shifted.
        let shift = size.ilog2() + 1 - BITS;
        (shift * (EXACT as u32 / 2)) as i32 + (size >> shift) as i32
    };
    if number < 0 { -bucket } else { bucket }
}

/// The number of a bucket that is farthest from zero.
fn outer_end(bucket: i32) -> i64 {
    let place = u64::from(bucket.unsigned_abs());
    let size = if place < EXACT {
        place
    } else {
        let half = EXACT / 2;
        let shift = place / half - 1;
        let lead = place - shift * half;
        (((u128::from(lead) + 1) << shift) - 1).min(i64::MAX as u128) as u64
    };
    let size = size as i64;
    if bucket < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_exact() {
        let mut histogram = Histogram::default();
        for number in 1..=100 {
            histogram.record(number);
        }
        assert_eq!(histogram.percentile(50), Some(50));
        assert_eq!(histogram.percentile(99), Some(99));
        assert_eq!(histogram.percentile(100), Some(100));
        assert_eq!(histogram.highest(), Some(100));
    }

    #[test]
    fn large_and_negative_numbers_stay_within_a_64th() {
        for exponent in 0..62 {
            for number in [1_i64 << exponent, (1 << exponent) + 1, (3 << exponent) / 2] {
                for number in [number, -number] {
                    let end = outer_end(bucket(number));
                    assert!(
                        end.unsigned_abs() >= number.unsigned_abs(),
                        "{number} {end}"
                    );
                    let off = end.unsigned_abs() - number.unsigned_abs();
                    assert!(off <= number.unsigned_abs() / 64, "{number} {end}");
                    assert_eq!(bucket(end), bucket(number));
                }
            }
        }
        bucket(i64::MIN);
        assert_eq!(outer_end(bucket(i64::MAX)), i64::MAX);
    }

    #[test]
    fn order_holds_across_zero() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        for number in [-5000, -3, 0, 7, 9_000_000] {
            histogram.record(number);
        }
        assert_eq!(histogram.percentile(50), Some(0));
        assert_eq!(histogram.percentile(40), Some(-3));
        assert_eq!(histogram.percentile(99), Some(9_000_000));
        assert_eq!(histogram.count(), 5);
    }
}
