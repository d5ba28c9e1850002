//! Several files, folders, and files that are being written.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;

fn lines(reading: &mut Reading) -> Vec<u64> {
    let items: Vec<Item> = reading.collect::<Result<_, _>>().unwrap();
    numbers(&items)
}

fn write(folder: &Path, name: &str, first: u64) -> PathBuf {
    let mut container = container(Some(1));
    add_line(&mut container, first);
    add_line(&mut container, first + 1);
    container.finish().unwrap();
    let path = folder.join(name);
    fs::write(&path, bytes_of(&mut container)).unwrap();
    path
}

#[test]
fn a_folder_is_read_in_the_order_of_time_and_a_name_stands_for_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "b.mcap", 20);
    write(at, "calls.0002.mcap", 40);
    write(at, "calls.0001.mcap", 30);
    write(at, "a.mcap", 50);
    fs::write(at.join("notes.txt"), "nothing").unwrap();
    fs::write(at.join("begun.mcap"), "").unwrap();

    let all = Recordings::open(&[at.to_owned()]).unwrap();
    let mut reading = all.read(Query::all(Wants::LINES));
    assert_eq!(lines(&mut reading), [20, 21, 30, 31, 40, 41, 50, 51]);
    assert!(reading.wholeness().is_whole() && reading.wholeness().finished);
    assert_eq!(reading.figures().chunks, 4);

    write(at, "calls.mcap", 25);
    write(at, "calls.0003.mcap.partial", 60);
    write(at, "calls-of-others.0004.mcap", 70);
    let rotated = Recordings::open(&[at.join("calls.mcap")]).unwrap();
    assert_eq!(rotated.files().len(), 4);
    let mut reading = rotated.read(Query::all(Wants::LINES));
    assert_eq!(lines(&mut reading), [25, 26, 30, 31, 40, 41, 60, 61]);
    let one = Recordings::open(&[at.join("calls.0001.mcap")]).unwrap();
    assert_eq!(lines(&mut one.read(Query::all(Wants::LINES))), [30, 31]);

    // As a shell makes of `calls*.mcap*`.
    let glob = ["calls.0001.mcap", "calls.0003.mcap.partial", "calls.mcap"];
    let glob = Recordings::open(&glob.map(|name| at.join(name))).unwrap();
    assert_eq!(glob.files(), rotated.files());

    let named = Recordings::open(&[at.join("a.mcap"), at.join("b.mcap")]).unwrap();
    let mut reading = named.read(Query::all(Wants::LINES));
    assert_eq!(lines(&mut reading), [50, 51, 20, 21]);

    // Its writer was killed between two files.
    fs::write(at.join("calls.0004.mcap.partial"), "").unwrap();
    let killed = Recordings::open(&[at.join("calls.mcap")]).unwrap();
    let mut reading = killed.read(Query::all(Wants::LINES));
    assert_eq!(lines(&mut reading), [25, 26, 30, 31, 40, 41, 60, 61]);
    assert!(reading.wholeness().is_whole() && !reading.wholeness().finished);
    let refusal = Recordings::open(&[at.join("calls.0004.mcap.partial")]).unwrap_err();
    assert!(refusal.to_string().contains("is empty"));

    let empty = tempfile::tempdir().unwrap();
    let refusal = Recordings::open(&[empty.path().to_owned()]).unwrap_err();
    assert!(refusal.to_string().starts_with("there is no recording"));
    let refusal = Recordings::open(&[at.join("other.mcap")]).unwrap_err();
    assert!(refusal.to_string().contains("other.mcap cannot be read"));
}

#[test]
fn a_file_that_grows_is_followed_into_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.mcap.partial");
    let mut file = fs::File::create(&path).unwrap();
    let mut container = container(Some(1));
    add_line(&mut container, 1);
    container.end_chunk().unwrap();
    file.write_all(&bytes_of(&mut container)).unwrap();

    let recordings = Recordings::open(std::slice::from_ref(&path)).unwrap();
    let mut reading = recordings.read(Query::all(Wants::LINES));
    reading.follow();
    assert_eq!(lines(&mut reading), [1]);
    assert_eq!(lines(&mut reading), [0; 0]);

    // A half of a chunk is none.
    add_line(&mut container, 2);
    container.end_chunk().unwrap();
    let bytes = bytes_of(&mut container);
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head).unwrap();
    assert_eq!(lines(&mut reading), [0; 0]);
    assert!(!reading.wholeness().is_whole());
    file.write_all(tail).unwrap();
    assert_eq!(lines(&mut reading), [2]);
    assert!(reading.wholeness().is_whole());

    add_line(&mut container, 3);
    container.finish().unwrap();
    file.write_all(&bytes_of(&mut container)).unwrap();
    fs::rename(&path, folder.path().join("calls.mcap")).unwrap();
    write(folder.path(), "calls.0001.mcap", 4);
    write(folder.path(), "calls.0002.mcap.partial", 6);
    assert_eq!(lines(&mut reading), [3, 4, 5, 6, 7]);
    write(folder.path(), "calls.0003.mcap.partial", 8);
    assert_eq!(lines(&mut reading), [8, 9]);
    assert!(reading.wholeness().finished);
}
