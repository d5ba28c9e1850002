use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn lines(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn a_full_disk_costs_lines_and_they_are_counted() {
    let mut output = Output::open(Destination::File("/dev/full".into())).expect("it opens");
    output.write(&mut lines("one\ntwo\n"));
    output.write(&mut lines("three\n"));
    assert_eq!(output.lost, 3);
    assert_eq!(output.state, State::Failing);
    assert!(!output.is_closed());
    // Room again.
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    output.file = open_file(&path).expect("it opens");
    output.write(&mut lines("four\n"));
    assert_eq!((output.lost, output.state), (3, State::Fine));
    assert_eq!(std::fs::read_to_string(path).expect("written"), "four\n");
}

#[test]
fn a_torn_line_is_closed_before_the_next() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    let mut output = Output::open(Destination::File(path.clone())).expect("it opens");
    output.write(&mut lines("one\ntw"));
    assert!(output.torn);
    output.write(&mut lines("three\n"));
    assert!(!output.torn);
    let text = std::fs::read_to_string(path).expect("written");
    assert_eq!(text, "one\ntw\nthree\n");
    // The closing of a torn line is no line of its own.
    output.torn = true;
    output.file = open_file(Path::new("/dev/full")).expect("it opens");
    output.write(&mut lines("four\n"));
    assert_eq!((output.lost, output.torn), (1, true));
}

#[test]
fn a_closed_standard_output_ends_the_log() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let file = File::from(OwnedFd::from(writer));
    let mut output = Output::from_file(Destination::Stdout, file);
    output.write(&mut lines("one\n"));
    assert!(!output.is_closed());
    drop(reader);
    output.write(&mut lines("two\nthree\n"));
    assert!(output.is_closed());
    assert_eq!(output.lost, 2);
}

#[test]
fn a_moved_file_is_opened_anew_and_kept_from_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    let moved = dir.path().join("log.1");
    let mut output = Output::open(Destination::File(path.clone())).expect("it opens");
    let mode = path.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o007, 0, "nobody else reads keys");
    output.write(&mut lines("one\n"));
    std::fs::rename(&path, &moved).expect("moved");
    output.write(&mut lines("two\n"));
    output.reopen();
    output.write(&mut lines("three\n"));
    let read = |path| std::fs::read_to_string(path).expect("written");
    assert_eq!(
        (read(&moved), read(&path)),
        ("one\ntwo\n".into(), "three\n".into())
    );
    // Where that fails, the old one goes on.
    drop(dir);
    output.reopen();
    output.write(&mut lines("four\n"));
    assert_eq!((output.lost, output.state), (0, State::Fine));
}

#[test]
fn a_destination_that_does_not_wait_is_waited_for() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let file = File::from(OwnedFd::from(writer));
    rustix::io::ioctl_fionbio(&file, true).expect("it can be made non-blocking");
    let mut output = Output::from_file(Destination::Stdout, file);
    let long = "x".repeat(200_000) + "\n";
    let writer = std::thread::spawn(move || {
        output.write(&mut lines(&long));
        output.lost
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    assert_eq!(text.len(), 200_001);
    assert_eq!(writer.join().expect("it ends"), 0);
}
