//! Where kube-apiserver keeps its built-in resources.
//!
//! A built-in resource's API group is not part of its key: the API server
//! prefixes its key with the plural name alone (`ResourcePrefix` of the
//! default storage factory), or with one of the historical names of
//! `SpecialDefaultResourcePrefixes`. Only custom resources, CRDs and
//! APIServices carry their group in the key. So the group of a built-in
//! resource has to come from a table.

/// Whether objects of a resource live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Cluster,
    Namespaced,
}

/// A resource whose place in the registry is known beforehand.
#[derive(Debug)]
pub(super) struct Builtin {
    /// The path under the prefix where its objects are stored.
    stored_at: &'static str,
    /// The plural name in the API.
    pub resource: &'static str,
    /// The API group; `None` is the core group, or no API resource at all.
    pub group: Option<&'static str>,
    pub scope: Scope,
    /// Bookkeeping of the API server itself that is no API resource.
    pub internal: bool,
}

impl Builtin {
    /// The first segment of the path where its objects are stored.
    pub fn first_segment(&self) -> &'static str {
        self.stored_at.split('/').next().unwrap_or(self.stored_at)
    }
}

const fn row(
    stored_at: &'static str,
    resource: &'static str,
    group: &'static str,
    scope: Scope,
) -> Builtin {
    let group = if group.is_empty() { None } else { Some(group) };
    Builtin {
        stored_at,
        resource,
        group,
        scope,
        internal: false,
    }
}

const fn cluster(resource: &'static str, group: &'static str) -> Builtin {
    row(resource, resource, group, Scope::Cluster)
}

const fn namespaced(resource: &'static str, group: &'static str) -> Builtin {
    row(resource, resource, group, Scope::Namespaced)
}

const fn internal(resource: &'static str) -> Builtin {
    Builtin {
        internal: true,
        ..row(resource, resource, "", Scope::Cluster)
    }
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const APPS: &str = "apps";
const AUTOSCALING: &str = "autoscaling";
const BATCH: &str = "batch";
const CERTIFICATES: &str = "certificates.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const CORE: &str = "";
const DISCOVERY: &str = "discovery.k8s.io";
const FLOWCONTROL: &str = "flowcontrol.apiserver.k8s.io";
const INTERNAL: &str = "internal.apiserver.k8s.io";
const MIGRATION: &str = "storagemigration.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const NODE: &str = "node.k8s.io";
const POLICY: &str = "policy";
const RBAC: &str = "rbac.authorization.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const SCHEDULING: &str = "scheduling.k8s.io";
const SETTINGS: &str = "settings.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// Sorted by `stored_at`, for the binary search.
static BUILTINS: &[Builtin] = &[
    cluster("certificatesigningrequests", CERTIFICATES),
    cluster("clusterrolebindings", RBAC),
    cluster("clusterroles", RBAC),
    cluster("clustertrustbundles", CERTIFICATES),
    namespaced("configmaps", CORE),
    namespaced("controllerrevisions", APPS),
    row(
        "controllers",
        "replicationcontrollers",
        CORE,
        Scope::Namespaced,
    ),
    namespaced("cronjobs", BATCH),
    cluster("csidrivers", STORAGE),
    cluster("csinodes", STORAGE),
    namespaced("csistoragecapacities", STORAGE),
    namespaced("daemonsets", APPS),
    namespaced("deployments", APPS),
    cluster("deviceclasses", RESOURCE),
    cluster("devicetaintrules", RESOURCE),
    namespaced("endpoints", CORE),
    namespaced("endpointslices", DISCOVERY),
    namespaced("events", CORE),
    cluster("flowschemas", FLOWCONTROL),
    internal("health"),
    namespaced("horizontalpodautoscalers", AUTOSCALING),
    row("ingress", "ingresses", NETWORKING, Scope::Namespaced),
    cluster("ingressclasses", NETWORKING),
    cluster("ipaddresses", NETWORKING),
    namespaced("jobs", BATCH),
    namespaced("leasecandidates", COORDINATION),
    namespaced("leases", COORDINATION),
    namespaced("limitranges", CORE),
    internal("masterleases"),
    row("minions", "nodes", CORE, Scope::Cluster),
    cluster("mutatingadmissionpolicies", ADMISSION),
    cluster("mutatingadmissionpolicybindings", ADMISSION),
    cluster("mutatingwebhookconfigurations", ADMISSION),
    cluster("namespaces", CORE),
    namespaced("networkpolicies", NETWORKING),
    cluster("nodes", CORE),
    internal("peerserverleases"),
    namespaced("persistentvolumeclaims", CORE),
    cluster("persistentvolumes", CORE),
    namespaced("podcertificaterequests", CERTIFICATES),
    namespaced("poddisruptionbudgets", POLICY),
    namespaced("podpresets", SETTINGS),
    namespaced("pods", CORE),
    namespaced("podschedulingcontexts", RESOURCE),
    row(
        "podsecuritypolicy",
        "podsecuritypolicies",
        POLICY,
        Scope::Cluster,
    ),
    namespaced("podtemplates", CORE),
    cluster("priorityclasses", SCHEDULING),
    cluster("prioritylevelconfigurations", FLOWCONTROL),
    internal("ranges"),
    namespaced("replicasets", APPS),
    namespaced("resourceclaimparameters", RESOURCE),
    namespaced("resourceclaims", RESOURCE),
    namespaced("resourceclaimtemplates", RESOURCE),
    cluster("resourceclasses", RESOURCE),
    namespaced("resourceclassparameters", RESOURCE),
    namespaced("resourcequotas", CORE),
    cluster("resourceslices", RESOURCE),
    namespaced("rolebindings", RBAC),
    namespaced("roles", RBAC),
    cluster("runtimeclasses", NODE),
    namespaced("secrets", CORE),
    namespaced("serviceaccounts", CORE),
    cluster("servicecidrs", NETWORKING),
    namespaced("services", CORE),
    namespaced("statefulsets", APPS),
    cluster("storageclasses", STORAGE),
    cluster("storageversionmigrations", MIGRATION),
    cluster("storageversions", INTERNAL),
    cluster("validatingadmissionpolicies", ADMISSION),
    cluster("validatingadmissionpolicybindings", ADMISSION),
    cluster("validatingwebhookconfigurations", ADMISSION),
    cluster("volumeattachments", STORAGE),
    cluster("volumeattributesclasses", STORAGE),
    namespaced("workloads", SCHEDULING),
];

static ENDPOINTS: Builtin = row("services/endpoints", "endpoints", CORE, Scope::Namespaced);
static SERVICES: Builtin = row("services/specs", "services", CORE, Scope::Namespaced);

/// The resource stored under this first segment of a key.
pub(super) fn stored_at(segment: &str) -> Option<&'static Builtin> {
    BUILTINS
        .binary_search_by(|row| row.stored_at.cmp(segment))
        .ok()
        .map(|at| &BUILTINS[at])
}

/// The resource stored under `services/<segment>`: Services and Endpoints
/// share their first segment.
pub(super) fn stored_under_services(segment: &str) -> Option<&'static Builtin> {
    match segment {
        "specs" => Some(&SERVICES),
        "endpoints" => Some(&ENDPOINTS),
        _ => None,
    }
}

/// Every row.
pub(super) fn all() -> impl Iterator<Item = &'static Builtin> {
    BUILTINS.iter().chain([&ENDPOINTS, &SERVICES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_row_is_found() {
        for pair in BUILTINS.windows(2) {
            assert!(pair[0].stored_at < pair[1].stored_at, "{:?}", pair[1]);
        }
        for row in BUILTINS {
            assert_eq!(
                stored_at(row.stored_at).map(|r| r.resource),
                Some(row.resource)
            );
        }
        assert!(stored_at("widgets").is_none());
    }
}
