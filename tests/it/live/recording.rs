//! Recordings, live: `etcdtap proxy --record` in front of real etcd servers, with
//! disks that fill, processes that are killed, files that follow one another. Each
//! test reads the files with the reader that `etcdtap show` uses.

// The harness.
mod tape;

// The tests.
mod disk;
mod kills;
mod secrets;
mod struck;
mod turns;
