//! The services and methods that etcd is known to have.

use std::sync::LazyLock;

use crate::etcd::schema::descriptor_pool;

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

    /// Whether its stream lives as long as its client wants: it has no answer
    /// that is whole.
    pub fn lives_on(&self) -> bool {
        matches!(
            (self.short_service(), self.method.as_str()),
            ("Watch", "Watch")
                | ("Lease", "LeaseKeepAlive")
                | ("Election", "Observe")
                | ("Health", "Watch")
        )
    }

    /// Whether the client may send more than one message.
    pub fn has_later_requests(&self) -> bool {
        matches!(
            (self.short_service(), self.method.as_str()),
            ("Watch", "Watch") | ("Lease", "LeaseKeepAlive")
        )
    }
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
