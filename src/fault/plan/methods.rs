//! The services and methods that etcd is known to have.

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
pub(super) fn all() -> Vec<Known> {
    descriptor_pool()
        .services()
        .flat_map(|service| {
            let name = service.full_name().to_owned();
            let methods: Vec<_> = service
                .methods()
                .map(|method| Known {
                    service: name.clone(),
                    method: method.name().to_owned(),
                })
                .collect();
            methods
        })
        .collect()
}
