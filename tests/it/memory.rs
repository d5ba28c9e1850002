//! How much memory the commands take that read files: it does not grow with them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use etcdtap::http2::Side;
use etcdtap::record::container::{Container, ContainerOptions, Times};
use etcdtap::record::index::About;
use etcdtap::record::schema::Channels;
use etcdtap::record::schema::v1::log_line::Form;
use etcdtap::record::schema::v1::{LogLine, Meta};
use prost::Message;

use crate::import::packets::{Talk, plain_pcap};
use crate::pcap::APISERVER_0_36;

const MIB: u64 = 1 << 20;

/// Runs a command and gives the most memory that it had at once, in bytes.
///
/// Python waits for it, because Rust's own library does not tell.
fn most_memory(arguments: &[&str]) -> u64 {
    let script = "import resource, subprocess, sys\n\
        code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n\
        print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let output = Command::new("python3")
        .args(["-c", script, env!("CARGO_BIN_EXE_etcdtap")])
        .args(arguments)
        .output()
        .expect("python3 runs");
    let told = String::from_utf8(output.stdout).unwrap();
    let told: Vec<u64> = told
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let [code, kibibytes] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
    kibibytes * 1024
}

/// A recording whose records have `size` bytes: lines, and an answer of a mebibyte
/// now and then.
fn recording(path: &Path, size: u64) {
    let options = ContainerOptions {
        compression: Some(1),
        about: [("values".to_owned(), "all".to_owned())].into(),
    };
    let mut container = Container::new(&options).unwrap();
    let channel = Channels::all()
        .of_method("etcdserverpb.KV", "Range", Side::Server)
        .unwrap();
    let mut file = BufWriter::new(File::create(path).unwrap());
    let (mut written, mut n) = (0, 0_u64);
    let great = vec![b'x'; MIB as usize];
    while written < size {
        n += 1;
        let at = 1_700_000_000_000_000_000 + n * 1_000_000;
        if n.is_multiple_of(300) {
            let meta = Meta {
                connection: 1,
                stream: (2 * n + 1) as u32,
                from: 2,
                size: great.len() as u64,
                ..Meta::default()
            };
            let mut record = Vec::new();
            prost::encoding::message::encode(1, &meta, &mut record);
            prost::encoding::bytes::encode(2, &great, &mut record);
            let times = Times {
                whole: at,
                began: at,
            };
            container.add(channel, times, &record).unwrap();
            written += record.len() as u64;
        }
        let line = LogLine {
            event: "call".to_owned(),
            conn: n % 50 + 1,
            stream: Some((2 * n + 1) as u32),
            client: "10.0.0.7:4000".to_owned(),
            upstream: "10.0.0.5:2379".to_owned(),
            service: Some("etcdserverpb.KV".to_owned()),
            method: Some("Range".to_owned()),
            verb: Some("get".to_owned()),
            // Few calls have a key to themselves, for that costs a place among the top.
            key: Some(
                format!("/registry/pods/lab/web-{}", n % 5000)
                    .into_bytes()
                    .into(),
            ),
            status: Some("OK".to_owned()),
            duration_us: Some(n % 777),
            revision: Some(n as i64),
            asked: Form::Range.into(),
            answered: Form::Range.into(),
            ..LogLine::default()
        };
        let data = line.encode_to_vec();
        container.add_line(at, &About::line(&line), &data).unwrap();
        written += data.len() as u64;
        let mut bytes = Vec::new();
        container.take(&mut bytes);
        file.write_all(&bytes).unwrap();
    }
    container.finish().unwrap();
    let mut bytes = Vec::new();
    container.take(&mut bytes);
    file.write_all(&bytes).unwrap();
    file.flush().unwrap();
}

#[test]
fn a_great_recording_is_read_with_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("great.mcap");
    let size = 150 * MIB;
    recording(&path, size);
    let file = path.to_str().unwrap();
    let packets = folder.path().join("great.pcapng");
    let packets = packets.to_str().unwrap();
    let mebibytes = |most| most / MIB;
    for arguments in [
        &["stats", file][..],
        &["show", file, "--log", "json"],
        &["export", file, "--to", "csv", "-o", "-"],
    ] {
        let most = mebibytes(most_memory(arguments));
        assert!(most < 75, "{arguments:?} took {most} MiB");
    }
    // What waits for an earlier call's packets has room for 64 MiB.
    let most = mebibytes(most_memory(&[
        "export", file, "--to", "pcapng", "-o", packets,
    ]));
    assert!(most < 75 + 64, "packets took {most} MiB");
}

#[test]
fn a_great_capture_is_imported_with_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("great.pcap");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let greatest = APISERVER_0_36
        .iter()
        .max_by_key(|connection| connection.bytes_from(Side::Server))
        .expect("the capture has connections");
    // It comes again and again, each time from a port of its own.
    let (mut written, mut n) = (0, 0_u16);
    let size = 200 * MIB;
    while written < size {
        let talk = Talk {
            client: SocketAddr::from(([10, 0, (n >> 8) as u8, 7], 10_000 + n)),
            start: Duration::from_secs(1_793_693_132 + 100 * u64::from(n)),
            ..Talk::default()
        };
        let bytes = plain_pcap(&talk.packets(&greatest.segments));
        // Of the head there is one.
        let head = if n == 0 { 0 } else { 24 };
        file.write_all(&bytes[head..]).unwrap();
        written += bytes.len() as u64;
        n += 1;
    }
    file.flush().unwrap();
    let imported = folder.path().join("great.mcap");
    let most = most_memory(&[
        "import",
        path.to_str().unwrap(),
        "-o",
        imported.to_str().unwrap(),
    ]);
    // The way to the recorder has room for 64 MiB.
    assert!(most < size / 3 * 2, "the import took {} MiB", most / MIB);
}
