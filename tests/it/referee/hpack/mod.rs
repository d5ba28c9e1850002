//! HPACK (RFC 7541), strict, and independent of the house's own.

mod decoder;
mod encoder;
mod huffman;
mod table;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
    /// It came, or is to be sent, as a literal that is never indexed.
    pub never: bool,
}

impl Field {
    pub fn new(name: &str, value: &str) -> Field {
        Field {
            name: name.into(),
            value: value.into(),
            never: false,
        }
    }

    pub fn never(name: &str, value: &str) -> Field {
        Field {
            never: true,
            ..Field::new(name, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::super::violation::Rule;
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for _ in 0..20 {
                if random.chance(20) {
                    let limit = random.pick(&[0, 40, 100, 4096, 9000]);
                    encoder.allow(limit);
                    decoder.allow(limit);
                }
                let fields: Vec<Field> = (0..random.below(8))
                    .map(|_| Field {
                        name: format!("n{}", random.below(6)).into(),
                        value: {
                            let n = random.below(30);
                            random.bytes(n)
                        },
                        never: random.chance(20),
                    })
                    .collect();
                let block = encoder.encode(&fields, &mut random);
                assert_eq!(decoder.decode(&block).unwrap(), fields, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_reduction_that_is_not_signalled_is_found() {
        let mut decoder = Decoder::new();
        decoder.allow(100);
        decoder.allow(4096);
        assert_eq!(decoder.decode(&[0x88]).unwrap_err().0, Rule::TableSize);
        let mut decoder = Decoder::new();
        decoder.allow(100);
        decoder.allow(4096);
        // 31 + 69 = 100, then 4096.
        let block = [0x3f, 69, 0x3f, 0xe1, 0x1f, 0x88];
        assert_eq!(
            decoder.decode(&block).unwrap(),
            [Field::new(":status", "200")]
        );
        assert_eq!(
            decoder.decode(&[0x88, 0x20]).unwrap_err().0,
            Rule::TableSize
        );
        assert_eq!(decoder.decode(&[0x80]).unwrap_err().0, Rule::Compression);
        assert_eq!(decoder.decode(&[0xbe]).unwrap_err().0, Rule::Compression);
    }

    #[test]
    fn the_responses_of_appendix_c_6() {
        let mut decoder = Decoder::new();
        decoder.allow(256);
        let block = [
            0x3f, 0xe1, 0x01, 0x48, 0x82, 0x64, 0x02, 0x58, 0x85, 0xae, 0xc3, 0x77, 0x1a, 0x4b,
        ];
        let fields = decoder.decode(&block).unwrap();
        let expected = [
            Field::new(":status", "302"),
            Field::new("cache-control", "private"),
        ];
        assert_eq!(fields, expected);
    }
}
