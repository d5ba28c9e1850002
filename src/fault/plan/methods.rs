//! The services and methods that etcd is known to have.

use std::sync::LazyLock;

use crate::etcd::schema::descriptor_pool;
use crate::etcd::{Method, MethodName};

/// A method that etcd has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The service with its package.
    pub service: String,
    pub method: String,
}

impl Known {
    /// The service without its package.
    pub fn short_service(&self) -> &str {
        self.service.rsplit('.').next().unwrap_or(&self.service)
    }

    /// Whether the message that it begins with names a key.
    pub fn has_key(&self) -> bool {
        match self.short_service() {
            "KV" => self.method != "Compact",
            "Lease" | "Cluster" | "Maintenance" | "Health" => false,
            _ => true,
        }
    }

    /// Its two names, as the wire has them.
    pub fn name(&self) -> (Method, MethodName) {
        MethodName::parse(format!("/{}/{}", self.service, self.method).as_bytes())
    }
}

/// Whether a stream lives as long as its client wants: it has no answer that is
/// whole.
pub(in crate::fault) fn lives_on(name: &MethodName) -> bool {
    matches!(
        (&*name.service, &*name.method),
        ("etcdserverpb.Watch", "Watch")
            | ("etcdserverpb.Lease", "LeaseKeepAlive")
            | ("v3electionpb.Election", "Observe")
            | ("grpc.health.v1.Health", "Watch")
    )
}

/// Whether the client may send more than one message. etcd's own methods are
/// known; any other one may.
pub(in crate::fault) fn may_have_later_requests(name: &MethodName) -> bool {
    let is_known = |known: &Known| known.service == name.service && known.method == name.method;
    match &*name.method {
        "Watch" | "LeaseKeepAlive" => true,
        _ => !all().iter().any(is_known),
    }
}

/// The methods with numbers of their own, and their names.
pub(in crate::fault) fn known_methods() -> impl Iterator<Item = (Method, MethodName)> {
    let named = all().iter().map(Known::name);
    named.filter(|(method, _)| *method != Method::Other)
}

/// Every method that etcd is known to have.
pub(super) fn all() -> &'static [Known] {
    static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for service in descriptor_pool().services() {
            all.extend(service.methods().map(|method| Known {
                service: service.full_name().to_owned(),
                method: method.name().to_owned(),
            }));
        }
        all
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_those_of_the_schema() {
        for service in descriptor_pool().services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let (_, name) = MethodName::parse(path.as_bytes());
                assert!(all().iter().any(|known| known.name().1 == name), "{path}");
                if method.is_client_streaming() {
                    assert!(lives_on(&name) && may_have_later_requests(&name), "{path}");
                }
                // These end by themselves.
                let ends = ["RangeStream", "Snapshot"].contains(&method.name());
                let streams = method.is_client_streaming() || method.is_server_streaming();
                assert_eq!(lives_on(&name), streams && !ends, "{path}");
            }
        }
    }
}
