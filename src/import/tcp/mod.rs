//! TCP put back together: what each side's reader was given, in an order that can
//! have been.

mod half;
mod opening;
mod reassembly;

pub(super) use opening::{Begin, Opening};
pub(super) use reassembly::{Reassembly, Told};

/// Bytes that one connection may hold while a segment is missing: more than the
/// windows between an API server and etcd ever are.
pub const MAX_HELD: usize = 16 << 20;

/// Packets of a connection that may follow after a byte was acknowledged that was
/// not seen. Nobody sends it again, so it can only be late in the file.
pub const PATIENCE: u64 = 256;

/// How far ahead of its turn a segment may be. What is further away belongs to
/// another connection, or more was lost than any window holds.
pub const MAX_AHEAD: u32 = 64 << 20;

/// Segments of one direction in a row that are too far ahead, after which so much
/// was lost.
const STRAYS: u32 = 16;

/// What a held segment takes beside its bytes.
const OVERHEAD: usize = 96;
