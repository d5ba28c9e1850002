use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::super::fixtures::{Time, a_little_of_everything, create, event, write};
use super::*;
use crate::etcd::Event;

fn json() -> Options {
    Options {
        summary: true,
        ..Options::new(Format::Json)
    }
}

fn to_file(path: &Path) -> Handle {
    start(json(), Destination::File(path.into()), Vec::new()).expect("it starts")
}

fn lines_of(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn soon(what: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < patience, "it did not come");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn everything_is_written_before_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    let handle = to_file(&path);
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let sender = handle.sender();
            thread::spawn(move || {
                for _ in 0..100 {
                    for event in a_little_of_everything(Time::new()) {
                        sender.send(event);
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("it ends");
    }
    let finished = handle.finish();
    let events = 4 * 100 * 18;
    assert_eq!(lines_of(&path), events);
    assert_eq!((finished.lines, finished.dropped), (events as u64, 0));
    assert_eq!(finished.tracing_stopped, 400);
    let summary = finished.summary.expect("asked for");
    let calls: u64 = summary.calls().iter().map(|row| row.calls).sum();
    assert_eq!(calls, 4 * 100 * 8);
}

#[test]
fn lines_come_without_being_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    let handle = to_file(&path);
    let time = Time::new();
    handle.sender().send(Event::Call(create(time)));
    soon(|| lines_of(&path) == 1);
    // This one waits for its write, which comes.
    let mut early = event(time, 7, 20_000, 0);
    early.at = Instant::now();
    handle.sender().send(Event::Watch(early));
    handle.sender().send(Event::Call(write(time, 7, 20_000, 1)));
    soon(|| lines_of(&path) == 3);
    // And this one for nothing.
    let mut early = event(time, 7, 20_001, 0);
    early.at = Instant::now();
    handle.sender().send(Event::Watch(early));
    soon(|| lines_of(&path) == 4);
    assert_eq!(handle.finish().lines, 4);
}

#[test]
fn a_moved_file_is_opened_anew_even_when_nothing_happens() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    let moved = dir.path().join("log.1");
    let handle = to_file(&path);
    handle.sender().send(Event::Call(create(Time::new())));
    soon(|| lines_of(&path) == 1);
    std::fs::rename(&path, &moved).expect("moved");
    handle.reopen();
    soon(|| path.exists());
    handle.sender().send(Event::Call(create(Time::new())));
    handle.finish();
    assert_eq!((lines_of(&moved), lines_of(&path)), (1, 1));
}

#[test]
fn a_full_disk_is_counted_at_the_end() {
    let handle = to_file(Path::new("/dev/full"));
    for _ in 0..1000 {
        handle.sender().send(Event::Call(create(Time::new())));
    }
    let finished = handle.finish();
    assert_eq!((finished.lines, finished.dropped), (0, 1000));
}

fn into_pipe() -> (io::PipeReader, Handle) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let file = File::from(OwnedFd::from(writer));
    let output = Output::from_file(Destination::Stdout, file);
    let handle = start_into(Some(output), json(), Vec::new(), Vec::new()).expect("it starts");
    (reader, handle)
}

#[test]
fn a_closed_pipe_ends_the_log_and_lines_are_still_counted() {
    let (reader, handle) = into_pipe();
    drop(reader);
    for round in 1..=3 {
        handle.sender().send(Event::Call(create(Time::new())));
        soon(|| handle.shared.lost.load(Ordering::Relaxed) == round);
    }
    let finished = handle.finish();
    assert_eq!((finished.lines, finished.dropped), (0, 3));
    assert!(finished.summary.is_some());
}

#[test]
fn a_blocked_pipe_blocks_nobody_but_the_log() {
    let (mut reader, handle) = into_pipe();
    let sender = handle.sender();
    let begin = Instant::now();
    let sent = QUEUE as u64 + 20_000;
    for _ in 0..sent {
        sender.send(Event::Call(create(Time::new())));
    }
    assert!(begin.elapsed() < Duration::from_secs(20));
    let dropped = handle.shared.dropped.load(Ordering::Relaxed);
    assert!(dropped > 0);
    // Once somebody reads, the rest comes.
    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        text.lines().count() as u64
    });
    soon(|| handle.shared.lines.load(Ordering::Relaxed) + dropped == sent);
    let finished = handle.finish();
    assert_eq!(reading.join().expect("it ends"), finished.lines);
    assert_eq!(finished.lines + finished.dropped, sent);
}

#[test]
fn a_pipe_that_stays_blocked_does_not_hold_up_the_end() {
    let (reader, handle) = into_pipe();
    for _ in 0..2000 {
        handle.sender().send(Event::Call(create(Time::new())));
    }
    let begin = Instant::now();
    let finished = handle.finish();
    assert!(begin.elapsed() < FINISH_PATIENCE + Duration::from_secs(5));
    assert!(finished.summary.is_none());
    drop(reader);
}

#[test]
fn with_the_log_off_only_warnings_are_looked_at() {
    let nowhere = Destination::File("/nonexistent/log".into());
    let handle = start(Options::new(Format::Off), nowhere.clone(), Vec::new()).expect("it starts");
    for event in a_little_of_everything(Time::new()) {
        handle.sender().send(event);
    }
    let finished = handle.finish();
    assert_eq!((finished.lines, finished.tracing_stopped), (0, 1));

    let summary = Options {
        summary: true,
        ..Options::new(Format::Off)
    };
    let handle = start(summary, nowhere, Vec::new()).expect("it starts");
    handle.sender().send(Event::Call(create(Time::new())));
    let summary = handle.finish().summary.expect("asked for");
    assert_eq!(summary.calls().len(), 1);
}

#[test]
fn a_place_that_cannot_be_opened_is_said_at_once() {
    let nowhere = Destination::File("/nonexistent/log".into());
    assert!(start(json(), nowhere, Vec::new()).is_err());
}

#[test]
fn a_discarding_sender_takes_everything() {
    Sender::discarding().send(Event::Call(create(Time::new())));
}
