//! Compiles `proto/` into prost types, tonic's clients and servers, and a descriptor set,
//! without a system `protoc` (protox).

use std::path::{Path, PathBuf};
use std::{env, error, fs};

use prost::Message;

/// The files that stand for a package; what they import comes along.
const ROOTS: &[&str] = &[
    "etcdserverpb/auth.proto",
    "etcdserverpb/cluster.proto",
    "etcdserverpb/kv.proto",
    "etcdserverpb/lease.proto",
    "etcdserverpb/maintenance.proto",
    "etcdserverpb/watch.proto",
    "etcdtap/v1/log.proto",
    "etcdtap/v1/message.proto",
    "grpc/health/v1/health.proto",
    "v3electionpb/v3election.proto",
    "v3lockpb/v3lock.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    // Of a folder cargo looks at every file in it.
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");

    let proto = Path::new("proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for a build script")?);
    let mut files = protox::compile(ROOTS, [proto])?;

    tonic_prost_build::configure()
        .build_server(true)
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(&out)
        .compile_fds(files.clone())?;

    // The comments have become rustdoc; the program need not carry them.
    for file in &mut files.file {
        file.source_code_info = None;
    }
    fs::write(out.join("schema.bin"), files.encode_to_vec())?;
    Ok(())
}
