//! pcapng: blocks, each with its length at either end
//! (draft-ietf-opsawg-pcapng).

use std::ops::Range;

use super::{CaptureError, Found, MAX_RECORD, Order, Step};

/// A Section Header Block's type, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;

/// "TLSK", a key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Type and length in front, the length once more behind.
const FRONT: usize = 8;
const FRAME: usize = 12;

/// Interfaces of a section; a machine with many pods has hundreds.
const MAX_INTERFACES: usize = 65_536;

/// The section that is being read.
#[derive(Debug, Default)]
pub(super) struct Section {
    order: Order,
    begun: bool,
    interfaces: Vec<Interface>,
    /// The time of the last packet: a Simple Packet Block has none of its own.
    last: u64,
    /// Drops that earlier sections told of.
    dropped_before: u64,
    broken: u64,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u16,
    /// Bytes that are kept of a packet; 0 for all.
    snap: u32,
    clock: Clock,
    dropped: u64,
}

impl Section {
    /// Whether the first section's header has come as a whole.
    pub fn is_read(&self) -> bool {
        self.begun
    }

    pub fn dropped(&self) -> u64 {
        let here = self.interfaces.iter().map(|one| one.dropped);
        here.fold(self.dropped_before, u64::saturating_add)
    }

    pub fn broken(&self) -> u64 {
        self.broken
    }

    pub fn step(&mut self, block: &[u8], place: u64) -> Result<Step, CaptureError> {
        let Some(front) = block.first_chunk::<FRAME>() else {
            return Ok(Step::More);
        };
        if front.starts_with(&MAGIC) {
            // Its order comes before its length can be read.
            self.order = match (Order::Little.u32(front, 8), Order::Big.u32(front, 8)) {
                (Some(BYTE_ORDER), _) => Order::Little,
                (_, Some(BYTE_ORDER)) => Order::Big,
                _ => {
                    let what = "a section begins there without saying its byte order";
                    return Err(CaptureError::damaged(place, what));
                }
            };
        }
        let (Some(kind), Some(length)) = (self.order.u32(front, 0), self.order.u32(front, 4))
        else {
            return Ok(Step::More);
        };
        // Blocks are padded to four bytes, and some writers leave that out of the
        // length.
        let padded = u64::from(length).next_multiple_of(4);
        let whole = match usize::try_from(padded) {
            Ok(whole) if (FRAME..=MAX_RECORD).contains(&whole) => whole,
            Ok(whole) if whole >= FRAME && !matters(kind) => return Ok(Step::Skip(padded)),
            _ => {
                let what = format!("a block there would have {length} bytes");
                return Err(CaptureError::damaged(place, what));
            }
        };
        if block.len() < whole {
            return Ok(Step::More);
        }
        let again = self.order.u32(block, whole - 4);
        if again != Some(length) {
            let again = again.unwrap_or_default();
            let what = format!("a block begins with the length {length} and ends with {again}");
            return Err(CaptureError::damaged(place, what));
        }
        let body = FRONT..whole - 4;
        let found = match kind {
            SECTION_HEADER => self.begin(&block[body], place)?,
            INTERFACE_DESCRIPTION => self.describe(&block[body], place)?,
            INTERFACE_STATISTICS => self.count_drops(&block[body]),
            _ => self.content(kind, block, body),
        };
        Ok(Step::Record(whole, found))
    }

    fn begin(&mut self, body: &[u8], place: u64) -> Result<Option<Found>, CaptureError> {
        let major = self.order.u16(body, 4).unwrap_or_default();
        let minor = self.order.u16(body, 6).unwrap_or_default();
        if major != 1 {
            let version = format!("pcapng {major}.{minor}");
            return Err(match self.begun {
                false => CaptureError::Version { version },
                true => {
                    CaptureError::damaged(place, format!("a section of {version} begins there"))
                }
            });
        }
        self.dropped_before = self.dropped();
        self.interfaces = Vec::new();
        self.begun = true;
        Ok(None)
    }

    fn describe(&mut self, body: &[u8], place: u64) -> Result<Option<Found>, CaptureError> {
        let link = self.order.u16(body, 0);
        let (Some(link), Some(snap)) = (link, self.order.u32(body, 4)) else {
            let what = "an interface is described there in too few bytes";
            return Err(CaptureError::damaged(place, what));
        };
        if self.interfaces.len() == MAX_INTERFACES {
            let what = format!("there are more than {MAX_INTERFACES} interfaces");
            return Err(CaptureError::damaged(place, what));
        }
        let mut clock = Clock::default();
        for (code, value) in options(self.order, body.get(8..).unwrap_or_default()) {
            match (code, value) {
                (9, [resolution, ..]) => clock.resolution = *resolution,
                (14, value) => {
                    let offset = self.order.u64(value, 0).unwrap_or_default();
                    clock.offset = offset.cast_signed();
                }
                _ => {}
            }
        }
        self.interfaces.push(Interface {
            link,
            snap,
            clock,
            dropped: 0,
        });
        Ok(None)
    }

    fn count_drops(&mut self, body: &[u8]) -> Option<Found> {
        let index = self.order.u32(body, 0)? as usize;
        let interface = self.interfaces.get_mut(index)?;
        let drops = options(self.order, body.get(12..)?).filter(|(code, _)| matches!(code, 5 | 7));
        let drops = drops.filter_map(|(_, value)| self.order.u64(value, 0));
        // The numbers go on counting: the last ones have it all.
        interface.dropped = drops.fold(0, u64::saturating_add);
        None
    }

    /// A packet or secrets; nothing where the block says what cannot be.
    fn content(&mut self, kind: u32, block: &[u8], body: Range<usize>) -> Option<Found> {
        let inner = &block[body.clone()];
        if kind == DECRYPTION_SECRETS {
            let length = self.order.u32(inner, 4)? as usize;
            let log = self.order.u32(inner, 0)? == TLS_KEY_LOG && length <= inner.len() - 8;
            let begin = body.start + 8;
            return log.then(|| Found::Secrets(begin..begin + length));
        }
        if !matches!(kind, PACKET | SIMPLE_PACKET | ENHANCED_PACKET) {
            return None;
        }
        let found = self.packet(kind, inner, body.start);
        self.broken += u64::from(found.is_none());
        found
    }

    fn packet(&mut self, kind: u32, inner: &[u8], begin: usize) -> Option<Found> {
        let number = |at: usize| self.order.u32(inner, at);
        let (interface, header, kept) = match kind {
            SIMPLE_PACKET => {
                let interface = self.interfaces.first()?;
                let whole = number(0)?;
                let kept = match interface.snap {
                    0 => whole,
                    snap => whole.min(snap),
                };
                (interface, 4, kept)
            }
            // The obsolete block counts drops in the second half of this number.
            PACKET => {
                let index = self.order.u16(inner, 0)?;
                (self.interfaces.get(usize::from(index))?, 20, number(12)?)
            }
            _ => (self.interfaces.get(number(0)? as usize)?, 20, number(12)?),
        };
        let (link, clock) = (interface.link, interface.clock);
        if kind != SIMPLE_PACKET {
            let units = u64::from(number(4)?) << 32 | u64::from(number(8)?);
            self.last = clock.nanoseconds(units);
        }
        let kept = kept as usize;
        if kept > inner.len().checked_sub(header)? {
            return None;
        }
        let begin = begin + header;
        Some(Found::Packet {
            at: self.last,
            link,
            bytes: begin..begin + kept,
        })
    }
}

/// Whether a block of this type has anything to tell.
fn matters(kind: u32) -> bool {
    matches!(
        kind,
        SECTION_HEADER
            | INTERFACE_DESCRIPTION
            | PACKET
            | SIMPLE_PACKET
            | INTERFACE_STATISTICS
            | ENHANCED_PACKET
            | DECRYPTION_SECRETS
    )
}

/// How an interface tells time.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// `if_tsresol`: a negative power of ten, or of two with the upper bit set.
    resolution: u8,
    /// `if_tsoffset`: seconds to be added.
    offset: i64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            resolution: 6,
            offset: 0,
        }
    }
}

impl Clock {
    /// A time of the interface in nanoseconds since 1970, as near as that can be
    /// said.
    fn nanoseconds(self, units: u64) -> u64 {
        let units = u128::from(units);
        let power = u32::from(self.resolution & 0x7f);
        let nanoseconds = match (self.resolution & 0x80 != 0, power) {
            (true, _) => (units * 1_000_000_000) >> power,
            (false, 0..=9) => units * 10u128.pow(9 - power),
            (false, 10..=38) => units / 10u128.pow(power - 9),
            (false, _) => 0,
        };
        let offset = i128::from(self.offset) * 1_000_000_000;
        // Below 2^64 units of a second each there is room in an i128.
        let shifted = i128::try_from(nanoseconds)
            .unwrap_or(i128::MAX)
            .saturating_add(offset);
        u64::try_from(shifted.max(0)).unwrap_or(u64::MAX)
    }
}

/// The options in `rest`, as far as they are whole.
fn options(order: Order, mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let code = order.u16(rest, 0).filter(|code| *code != 0)?;
        let length = usize::from(order.u16(rest, 2)?);
        let value = rest.get(4..4 + length)?;
        rest = rest
            .get(4 + length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some((code, value))
    })
}
