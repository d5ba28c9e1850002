//! etcd's wire contract as the build made it from `proto/`: types, clients and
//! descriptors.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Every file of `proto/`, as an encoded `FileDescriptorSet`.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema.bin"));

/// The descriptors of everything in this module.
pub fn descriptor_pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(DESCRIPTOR_SET).expect("the build wrote a descriptor set")
    });
    &POOL
}

/// The store's API: keys, watches, leases, members, upkeep, users.
#[allow(missing_docs, clippy::all)]
pub mod etcdserverpb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}

/// A key with its value, and a change of it.
#[allow(missing_docs, clippy::all)]
pub mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}

/// Users, roles and permissions.
#[allow(missing_docs, clippy::all)]
pub mod authpb {
    include!(concat!(env!("OUT_DIR"), "/authpb.rs"));
}

/// The lock service.
#[allow(missing_docs, clippy::all)]
pub mod v3lockpb {
    include!(concat!(env!("OUT_DIR"), "/v3lockpb.rs"));
}

/// The election service.
#[allow(missing_docs, clippy::all)]
pub mod v3electionpb {
    include!(concat!(env!("OUT_DIR"), "/v3electionpb.rs"));
}

/// gRPC's health service (`grpc.health.v1`).
#[allow(missing_docs, clippy::all)]
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::*;

    #[test]
    fn the_pool_knows_every_service_by_its_name_on_the_wire() {
        let mut services: Vec<_> = descriptor_pool()
            .services()
            .map(|service| format!("{}:{}", service.full_name(), service.methods().len()))
            .collect();
        services.sort();
        assert_eq!(
            services,
            [
                "etcdserverpb.Auth:17",
                "etcdserverpb.Cluster:5",
                "etcdserverpb.KV:6",
                "etcdserverpb.Lease:5",
                "etcdserverpb.Maintenance:8",
                "etcdserverpb.Watch:1",
                "grpc.health.v1.Health:3",
                "v3electionpb.Election:5",
                "v3lockpb.Lock:2",
            ]
        );
    }

    #[test]
    fn bytes_fields_share_the_buffer_they_were_read_from() {
        let message = Bytes::from_static(b"\x0a\x03key\x12\x05value");
        let put = etcdserverpb::PutRequest::decode(message.clone()).expect("a valid message");
        assert_eq!(put.value.as_ptr(), message[7..].as_ptr());
    }
}
