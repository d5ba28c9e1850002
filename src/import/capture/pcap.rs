//! pcap: a header of 24 bytes, then records, each with a header of 16
//! (draft-ietf-opsawg-pcap).

use super::{CaptureError, Found, MAX_RECORD, Order, Step};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// What the file's header says of its records.
#[derive(Debug)]
pub(super) struct Header {
    order: Order,
    /// Nanoseconds in a unit of a record's time.
    unit: u64,
    /// How long a record's header is.
    record_header: usize,
    /// The link type, once the header has come.
    link: Option<u16>,
}

impl Header {
    /// A header that begins so.
    pub fn of(magic: [u8; 4]) -> Option<Header> {
        let big = u32::from_be_bytes(magic);
        let (order, number) = match big >> 24 {
            0xa1 => (Order::Big, big),
            _ => (Order::Little, big.swap_bytes()),
        };
        let (unit, record_header) = match number {
            0xa1b2_c3d4 => (1000, RECORD_HEADER),
            0xa1b2_3c4d => (1, RECORD_HEADER),
            // The "modified" format has eight bytes more, about the interface.
            0xa1b2_cd34 => (1000, RECORD_HEADER + 8),
            _ => return None,
        };
        Some(Header {
            order,
            unit,
            record_header,
            link: None,
        })
    }

    /// Whether it has come as a whole.
    pub fn is_read(&self) -> bool {
        self.link.is_some()
    }

    pub fn step(&mut self, record: &[u8], place: u64) -> Result<Step, CaptureError> {
        let Some(link) = self.link else {
            return self.begin(record);
        };
        let numbers = (
            self.order.u32(record, 0),
            self.order.u32(record, 4),
            self.order.u32(record, 8),
        );
        let (Some(seconds), Some(fraction), Some(kept)) = numbers else {
            return Ok(Step::More);
        };
        let kept = kept as usize;
        if kept > MAX_RECORD {
            let what = format!("a packet there would have {kept} bytes");
            return Err(CaptureError::damaged(place, what));
        }
        let end = self.record_header + kept;
        if record.len() < end {
            return Ok(Step::More);
        }
        let at = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit;
        let bytes = self.record_header..end;
        Ok(Step::Record(end, Some(Found::Packet { at, link, bytes })))
    }

    fn begin(&mut self, header: &[u8]) -> Result<Step, CaptureError> {
        let (Some(major), Some(minor), Some(link)) = (
            self.order.u16(header, 4),
            self.order.u16(header, 6),
            self.order.u32(header, 20),
        ) else {
            return Ok(Step::More);
        };
        if major != 2 {
            let version = format!("pcap {major}.{minor}");
            return Err(CaptureError::Version { version });
        }
        // The upper half tells of checksums behind the packets, which their own
        // lengths leave out.
        self.link = Some((link & 0xffff) as u16);
        Ok(Step::Record(FILE_HEADER, None))
    }
}
