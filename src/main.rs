//! The `etcdtap` program; everything it does is in the library's `cli`.

use std::process::ExitCode;

/// Calls are allocated by the threads that relay and freed by the one that logs
/// them, which the C library's allocator takes badly (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    etcdtap::cli::run()
}
