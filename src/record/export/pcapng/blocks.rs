//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).

use std::io::{self, Write};
use std::net::IpAddr;

use rustc_hash::FxHashSet;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;

/// By this a reader knows in which order our numbers' bytes stand.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// LINKTYPE_RAW: IPv4 or IPv6, by the first half byte.
const RAW_IP: u16 = 101;

/// Options: the program, the unit of time.
const OPTION_APPLICATION: u16 = 4;
const OPTION_RESOLUTION: u16 = 9;
/// 10 to the power of -9 seconds.
const NANOSECONDS: u8 = 9;

/// Name records.
const RECORD_IPV4: u16 = 1;
const RECORD_IPV6: u16 = 2;

/// Writes blocks.
#[derive(Debug)]
pub(super) struct Blocks<W: Write> {
    out: W,
    begun: bool,
    named: FxHashSet<IpAddr>,
    body: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    pub fn new(out: W) -> Blocks<W> {
        Blocks {
            out,
            begun: false,
            named: FxHashSet::default(),
            body: Vec::new(),
        }
    }

    /// What it was written to.
    #[cfg(test)]
    pub fn into_inner(self) -> W {
        self.out
    }

    /// A packet.
    pub fn packet(&mut self, at: u64, packet: &[u8]) -> io::Result<()> {
        self.begin()?;
        // A packet of IP is never longer than 64 KiB.
        let length = packet.len() as u32;
        let body = &mut self.body;
        body.clear();
        body.extend_from_slice(&0u32.to_le_bytes());
        body.extend_from_slice(&((at >> 32) as u32).to_le_bytes());
        body.extend_from_slice(&(at as u32).to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(packet);
        self.block(ENHANCED_PACKET)
    }

    /// Says which name an address stands for; once.
    pub fn name(&mut self, address: IpAddr, name: &str) -> io::Result<()> {
        self.begin()?;
        let length = address_length(address) + name.len() + 1;
        let Ok(length) = u16::try_from(length) else {
            return Ok(());
        };
        if !self.named.insert(address) {
            return Ok(());
        }
        let body = &mut self.body;
        body.clear();
        let kind = match address {
            IpAddr::V4(_) => RECORD_IPV4,
            IpAddr::V6(_) => RECORD_IPV6,
        };
        body.extend_from_slice(&kind.to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        match address {
            IpAddr::V4(address) => body.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => body.extend_from_slice(&address.octets()),
        }
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        pad(body);
        // The end of the records.
        body.extend_from_slice(&[0; 4]);
        self.block(NAME_RESOLUTION)
    }

    /// A recording without a packet is a file all the same.
    pub fn finish(&mut self) -> io::Result<()> {
        self.begin()?;
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let body = &mut self.body;
        body.clear();
        body.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        body.extend_from_slice(&1u16.to_le_bytes());
        body.extend_from_slice(&0u16.to_le_bytes());
        // How long the section is: not said.
        body.extend_from_slice(&u64::MAX.to_le_bytes());
        let program = concat!("etcdtap ", env!("CARGO_PKG_VERSION"));
        option(body, OPTION_APPLICATION, program.as_bytes());
        option(body, 0, &[]);
        self.block(SECTION_HEADER)?;
        let body = &mut self.body;
        body.clear();
        body.extend_from_slice(&RAW_IP.to_le_bytes());
        body.extend_from_slice(&[0; 2]);
        // No limit to a packet's length.
        body.extend_from_slice(&0u32.to_le_bytes());
        option(body, OPTION_RESOLUTION, &[NANOSECONDS]);
        option(body, 0, &[]);
        self.block(INTERFACE)
    }

    /// Writes the body at hand as a block.
    fn block(&mut self, kind: u32) -> io::Result<()> {
        pad(&mut self.body);
        let length = self.body.len() as u32 + 12;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.body)?;
        self.out.write_all(&length.to_le_bytes())
    }
}

fn address_length(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend_from_slice(&code.to_le_bytes());
    // Our own values, which are short.
    body.extend_from_slice(&(value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

/// To the next multiple of four.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
