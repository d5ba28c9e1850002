//! Header blocks that come again are not decoded again: what they are taken for is held
//! against what they are, on everything that API servers sent.

use std::time::Instant;

use etcdtap::http2::{Both, Offence, Side, StreamId};
use etcdtap::relay::{
    BlockNumber, Connection as Relayed, Data, HoldAccount, HoldBudget, Order, StreamEnd, Tap,
};

use crate::pcap::{self, Connection};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes down every block, by memory where it may.
#[derive(Default)]
struct Reader {
    remembers: bool,
    remembered: Both<Vec<Fields>>,
    block: Fields,
    blocks: Vec<(Side, Fields)>,
    again: usize,
}

impl Tap for Reader {
    type Stream = ();

    fn opened(&mut self, _: StreamId, _: bool, _: Instant) {}

    fn field(&mut self, _: Side, (): &mut (), name: &[u8], value: &[u8]) {
        self.block.push((name.into(), value.into()));
    }

    fn remember(&mut self, from: Side, (): &mut (), number: BlockNumber) {
        let known = &mut self.remembered[from];
        known.resize(known.len().max(number.index() + 1), Fields::new());
        known[number.index()].clone_from(&self.block);
    }

    fn again(&mut self, from: Side, (): &mut (), number: BlockNumber) -> bool {
        if self.remembers {
            self.block
                .clone_from(&self.remembered[from][number.index()]);
            self.again += 1;
        }
        self.remembers
    }

    fn headers(&mut self, from: Side, (): &mut (), _: bool, _: &mut Vec<Order>, _: Instant) {
        self.blocks.push((from, std::mem::take(&mut self.block)));
    }

    fn data(&mut self, (): &mut (), _: Data<'_>, _: &mut Vec<Order>) {}

    fn may_decide(&self, _: Side, (): &()) -> bool {
        false
    }

    fn passed(&mut self, _: Side, (): &mut (), _: Instant) {}

    fn let_go(&mut self, (): &mut ()) {}

    fn nudged(&mut self, (): &mut (), _: Both<bool>, _: &mut Vec<Order>, _: Instant) {}

    fn is_involved(&self) -> bool {
        false
    }

    fn ended(&mut self, (): (), _: StreamEnd, _: Instant) {}

    fn stopped(&mut self, offence: Offence, _: Instant) {
        panic!("{offence}");
    }
}

/// What stands in the blocks of a connection, and how many came again.
fn blocks(connection: &Connection, remembers: bool) -> (Vec<(Side, Fields)>, usize) {
    let reader = Reader {
        remembers,
        ..Reader::default()
    };
    let start = Instant::now();
    let mut relayed = Relayed::new(reader, HoldAccount::new(HoldBudget::default()));
    for segment in &connection.segments {
        relayed.handle_bytes(segment.side, &segment.bytes, start + segment.at);
        while relayed.poll_transmit(segment.side).is_some() {}
    }
    let reader = relayed.tap();
    (std::mem::take(&mut reader.blocks), reader.again)
}

fn are_what_they_are_taken_for(capture: &[Connection], least: f64) {
    let (mut all, mut again) = (0, 0);
    for connection in capture {
        let (decoded, _) = blocks(connection, false);
        let (told, by_memory) = blocks(connection, true);
        assert_eq!(told, decoded);
        all += told.len();
        again += by_memory;
    }
    assert!(again as f64 > least * all as f64, "{again} of {all}");
}

#[test]
fn the_older_api_servers_blocks_are_what_they_are_taken_for() {
    are_what_they_are_taken_for(&pcap::APISERVER_1_20, 0.5);
}

#[test]
fn the_newer_api_servers_blocks_are_what_they_are_taken_for() {
    are_what_they_are_taken_for(&pcap::APISERVER_0_36, 0.5);
}
