//! Recordings in other people's formats: whatever lines, header blocks and messages
//! say, every format is written to its end.

#![no_main]

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use etcdtap::http2::Side;
use etcdtap::record::container::Times;
use etcdtap::record::export::csv::Csv;
use etcdtap::record::export::mcap::Mcap;
use etcdtap::record::export::ndjson::Ndjson;
use etcdtap::record::export::pcapng::Pcapng;
use etcdtap::record::export::robustness::Robustness;
use etcdtap::record::export::{Exporter, Passed};
use etcdtap::record::reader::Line;
use etcdtap::record::schema::Channels;
use etcdtap::record::schema::v1::{Headers, LogLine, Meta};
use libfuzzer_sys::fuzz_target;
use prost::Message;

const PATHS: [&str; 6] = [
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.KV/Put",
    "/etcdserverpb.KV/Txn",
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseGrant",
    "/some.Other/Method",
];

fuzz_target!(|input: &[u8]| {
    let mut formats: [Box<dyn Exporter>; 5] = [
        Box::new(Ndjson::new(Vec::new(), Instant::now())),
        Box::new(Csv::new(Vec::new())),
        Box::new(Mcap::new(Vec::new(), &BTreeMap::new()).expect("a Vec takes all")),
        Box::new(Pcapng::new(Vec::new())),
        Box::new(Robustness::new()),
    ];
    let mut rest = input;
    let mut at = 1_700_000_000_000_000_000_u64;
    while let Some(([kind, later, length], behind)) = rest.split_first_chunk::<3>() {
        let (record, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = behind;
        at += u64::from(*later) * 1000;
        for format in &mut formats {
            match kind & 3 {
                0 => {
                    if let Ok(line) = LogLine::decode(record) {
                        format.line(&Line { at, line }).expect("a Vec takes all");
                    }
                }
                1 => {
                    if let Ok(headers) = Headers::decode(record) {
                        format.headers(at, &headers).expect("a Vec takes all");
                    }
                }
                _ => {
                    let size = usize::from(kind >> 5) * 4;
                    let (meta, data) = record.split_at(size.min(record.len()));
                    let Ok(meta) = Meta::decode(meta) else {
                        continue;
                    };
                    let path = PATHS[usize::from(kind >> 2) % PATHS.len()];
                    let (service, method) = path[1..].split_once('/').expect("a path");
                    let side = meta.from().side().unwrap_or(Side::Client);
                    let passed = Passed {
                        times: Times {
                            whole: at,
                            began: at,
                        },
                        meta: &meta,
                        path,
                        channel: Channels::all().of_method(service, method, side),
                        offset: 0,
                        data: &Bytes::copy_from_slice(data),
                        last: true,
                    };
                    format.passed(&passed).expect("a Vec takes all");
                }
            }
            format.take(false);
        }
    }
    for format in &mut formats {
        format.finish().expect("a Vec takes all");
        format.take(true);
        format.left_out();
    }
});
