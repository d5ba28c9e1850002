//! Registry keys: which object, or which list, a key of etcd stands for.
//!
//! The API server stores an object under
//! `<prefix>/<resource>/[<namespace>/]<name>`, and one whose group is part of
//! the key (custom resources, CRDs, APIServices) under
//! `<prefix>/<group>/<resource>/[<namespace>/]<name>`. A group in a key always
//! has a dot, a built-in resource's name never has one.

use std::fmt;

use super::builtin::{self, Builtin, Scope};

/// The key that all API servers of a cluster share to agree on compaction. It
/// stands outside the prefix; its value is the last revision compacted to.
pub const COMPACT_REV_KEY: &str = "compact_rev_key";

/// The part of etcd that belongs to one API server: everything below its
/// `--etcd-prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpace {
    /// With one slash before and one after.
    prefix: String,
}

impl Default for KeySpace {
    /// The API server's own default, `/registry`.
    fn default() -> Self {
        KeySpace::new("/registry")
    }
}

impl KeySpace {
    /// A key space for the value of the API server's `--etcd-prefix`. Slashes
    /// may be missing or doubled: the API server cleans the path, too.
    pub fn new(prefix: &str) -> Self {
        let mut clean = String::with_capacity(prefix.len() + 2);
        clean.push('/');
        for segment in prefix.split('/').filter(|segment| !segment.is_empty()) {
            clean.push_str(segment);
            clean.push('/');
        }
        KeySpace { prefix: clean }
    }

    /// The prefix as the API server uses it, with one slash at each end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What a single key stands for; `None` if it is not the API server's.
    pub fn parse<'k>(&self, key: &'k [u8]) -> Option<ResourceKey<'k>> {
        let key = str::from_utf8(key).ok()?;
        if key == COMPACT_REV_KEY {
            return Some(ResourceKey {
                group: None,
                resource: key,
                namespace: None,
                name: None,
                internal: true,
                extent: Extent::One,
            });
        }
        Some(parse_path(key.strip_prefix(self.prefix.as_str())?)?.0)
    }

    /// What the keys from `key` to `range_end` stand for, in the forms of
    /// etcd's RangeRequest and WatchCreateRequest: an empty `range_end` is the
    /// one key, `\0` is everything from `key` on. `None` if the range is not
    /// within one resource.
    pub fn parse_range<'k>(&self, key: &'k [u8], range_end: &[u8]) -> Option<ResourceKey<'k>> {
        if range_end.is_empty() {
            return self.parse(key);
        }
        if range_end == b"\0" {
            let first = self.parse(key)?;
            return Some(ResourceKey {
                extent: Extent::Onward,
                ..first
            });
        }
        let shared = match range_end.split_last() {
            Some((last, head))
                if key.starts_with(head) && successor(key.get(head.len()), *last) =>
            {
                range_end.len()
            }
            _ => {
                let shared = key
                    .iter()
                    .zip(range_end)
                    .take_while(|(a, b)| a == b)
                    .count();
                let collection = key[..shared].iter().rposition(|byte| *byte == b'/')?;
                return self.list(str::from_utf8(&key[..=collection]).ok()?, |_| {
                    Extent::Between
                });
            }
        };
        let (prefix, rest) = key.split_at(shared);
        let prefix = str::from_utf8(prefix).ok()?;
        if rest.is_empty() {
            return self.list(prefix, |partial| match partial {
                Some(partial) => Extent::Beginning(partial),
                None => Extent::All,
            });
        }
        // A page after the first one starts right behind the last key it saw:
        // the API server appends a zero byte to that key.
        let after = str::from_utf8(rest).ok()?.strip_suffix('\0');
        self.list(prefix, |_| after.map_or(Extent::Between, Extent::After))
    }

    /// A range of all keys that begin with `prefix`. A last segment that is
    /// not closed by a slash is only the beginning of names.
    fn list<'k>(
        &self,
        prefix: &'k str,
        extent: impl FnOnce(Option<&'k str>) -> Extent<'k>,
    ) -> Option<ResourceKey<'k>> {
        let path = prefix.strip_prefix(self.prefix.as_str())?;
        let (parsed, depth) = parse_path(path)?;
        let open = path.rsplit('/').next().filter(|open| !open.is_empty());
        // `get --prefix /registry/pods`, as people type it, means the pods;
        // but `/registry/po` may be the beginning of several resources.
        if depth == 0 && open.is_some_and(|open| open == path && builtin::stored_at(open).is_none())
        {
            return None;
        }
        let open = open.filter(|_| depth > 0);
        let whole = match open {
            Some(open) => parse_path(&path[..path.len() - open.len()])?.0,
            None => parsed,
        };
        Some(ResourceKey {
            extent: extent(open),
            ..whole
        })
    }
}

/// Whether `last`, as the last byte of a range's end, follows `byte` directly:
/// this is how etcd's clients spell "all keys with this prefix".
fn successor(byte: Option<&u8>, last: u8) -> bool {
    byte.and_then(|byte| byte.checked_add(1)) == Some(last)
}

/// Reads a path below the prefix. Also says how many segments follow the
/// resource.
fn parse_path(path: &str) -> Option<(ResourceKey<'_>, usize)> {
    let (first, rest) = split_segment(path);
    if first.is_empty() {
        return None;
    }
    if first.contains('.') {
        let (resource, rest) = split_segment(rest);
        if resource.is_empty() {
            return None;
        }
        return Some(place(Some(first), resource, None, rest));
    }
    let Some(mut row) = builtin::stored_at(first) else {
        return Some(place(None, first, None, rest));
    };
    let mut rest = rest;
    if first == "services" {
        let (segment, below) = split_segment(rest);
        if let Some(under) = builtin::stored_under_services(segment) {
            (row, rest) = (under, below);
        }
    }
    Some(place(row.group, row.resource, Some(row), rest))
}

fn place<'k>(
    group: Option<&'k str>,
    resource: &'k str,
    row: Option<&'static Builtin>,
    rest: &'k str,
) -> (ResourceKey<'k>, usize) {
    let closed = rest.ends_with('/');
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let some = |text: &'k str| Some(text).filter(|text| !text.is_empty());
    let (namespace, name, depth) = match (row.map(|row| row.scope), rest.split_once('/')) {
        (Some(Scope::Cluster), _) => (None, some(rest), usize::from(!rest.is_empty())),
        (_, Some((namespace, name))) => (some(namespace), some(name), 2),
        (Some(Scope::Namespaced), None) => (some(rest), None, usize::from(!rest.is_empty())),
        // An unknown resource: one segment closed by a slash can only be a
        // namespace, an open one is taken for a name.
        (None, None) if closed => (some(rest), None, 1),
        (None, None) => (None, some(rest), usize::from(!rest.is_empty())),
    };
    let internal = row.is_some_and(|row| row.internal);
    let key = ResourceKey {
        group,
        resource,
        namespace,
        name,
        internal,
        extent: Extent::One,
    };
    (key, depth)
}

/// The text up to the first slash, and what follows it.
fn split_segment(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

/// What a key, or a range of keys, means to Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceKey<'k> {
    /// The API group; `None` for the core group and for what is no API
    /// resource.
    pub group: Option<&'k str>,
    /// The resource's plural name in the API, also where it is stored under
    /// another one (`minions` are `nodes`).
    pub resource: &'k str,
    /// The namespace; `None` for a cluster-scoped object, or for a list over
    /// all namespaces.
    pub namespace: Option<&'k str>,
    /// The object's name; `None` for a list.
    pub name: Option<&'k str>,
    /// The API server's own bookkeeping (`compact_rev_key`, `health`,
    /// `masterleases`, `peerserverleases`, `ranges`): no API resource.
    pub internal: bool,
    /// Which keys of that resource are meant.
    pub extent: Extent<'k>,
}

/// Which keys a [`ResourceKey`] covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent<'k> {
    /// The one key.
    One,
    /// All keys of the list.
    All,
    /// The keys of the list behind this one, relative to the list: a further
    /// page (`name`, or `namespace/name` in a list over all namespaces).
    After(&'k str),
    /// The keys whose next segment begins so (`etcdctl get --prefix`).
    Beginning(&'k str),
    /// This key and all that follow, past the end of the resource.
    Onward,
    /// Some other part of the list.
    Between,
}

impl<'k> ResourceKey<'k> {
    /// Where a paginated list goes on: the last key of the page before,
    /// relative to the list.
    pub fn continue_after(&self) -> Option<&'k str> {
        match self.extent {
            Extent::After(key) => Some(key),
            _ => None,
        }
    }

    /// Whether the key is one object's (and not a list).
    pub fn is_one(&self) -> bool {
        self.extent == Extent::One
    }
}

impl fmt::Display for ResourceKey<'_> {
    /// `deployments.apps lab/web`, `pods lab/*`, `nodes *`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)?;
        if let Some(group) = self.group {
            write!(f, ".{group}")?;
        }
        let sep = if self.extent == Extent::One && self.namespace.is_none() && self.name.is_none() {
            ""
        } else {
            " "
        };
        f.write_str(sep)?;
        if let Some(namespace) = self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.name.unwrap_or_default())?;
        match self.extent {
            Extent::One => Ok(()),
            Extent::All => f.write_str("*"),
            Extent::After(key) => write!(f, "* after {key}"),
            Extent::Beginning(partial) => write!(f, "{partial}*"),
            Extent::Onward => f.write_str(" and all that follows"),
            Extent::Between => f.write_str("* in part"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(key: &str) -> Option<String> {
        KeySpace::default()
            .parse(key.as_bytes())
            .map(|key| key.to_string())
    }

    fn range(key: &str, end: &str) -> Option<String> {
        let space = KeySpace::default();
        space
            .parse_range(key.as_bytes(), end.as_bytes())
            .map(|key| key.to_string())
    }

    #[test]
    fn single_keys() {
        for (key, expected) in [
            ("/registry/pods/lab/web-0", "pods lab/web-0"),
            ("/registry/deployments/lab/web", "deployments.apps lab/web"),
            ("/registry/namespaces/lab", "namespaces lab"),
            ("/registry/minions/node-1", "nodes node-1"),
            (
                "/registry/controllers/lab/rc",
                "replicationcontrollers lab/rc",
            ),
            (
                "/registry/ingress/lab/web",
                "ingresses.networking.k8s.io lab/web",
            ),
            (
                "/registry/podsecuritypolicy/all",
                "podsecuritypolicies.policy all",
            ),
            ("/registry/services/specs/lab/web", "services lab/web"),
            ("/registry/services/endpoints/lab/web", "endpoints lab/web"),
            ("/registry/services/lab/web", "services lab/web"),
            (
                "/registry/clusterroles/system:node",
                "clusterroles.rbac.authorization.k8s.io system:node",
            ),
            (
                "/registry/leases/kube-system/ctl",
                "leases.coordination.k8s.io kube-system/ctl",
            ),
            (
                "/registry/apiregistration.k8s.io/apiservices/v1.apps",
                "apiservices.apiregistration.k8s.io v1.apps",
            ),
            (
                "/registry/example.com/widgets/lab/one",
                "widgets.example.com lab/one",
            ),
            (
                "/registry/example.com/clusterwidgets/one",
                "clusterwidgets.example.com one",
            ),
            ("/registry/widgets/lab/one", "widgets lab/one"),
            ("/registry/masterleases/10.0.0.1", "masterleases 10.0.0.1"),
            ("/registry/ranges/serviceips", "ranges serviceips"),
            ("/registry/health", "health"),
            ("compact_rev_key", "compact_rev_key"),
        ] {
            assert_eq!(shown(key).as_deref(), Some(expected), "{key}");
        }
        for key in [
            "",
            "/",
            "/registry",
            "/registry/",
            "/registry//x",
            "/registryx/pods/a/b",
            "foo",
        ] {
            assert_eq!(shown(key), None, "{key}");
        }
        assert_eq!(KeySpace::default().parse(b"/registry/pods/\xff/x"), None);
    }

    #[test]
    fn bookkeeping_is_no_api_resource() {
        let space = KeySpace::default();
        for key in [
            "compact_rev_key",
            "/registry/health",
            "/registry/masterleases/10.0.0.1",
        ] {
            assert!(
                space.parse(key.as_bytes()).is_some_and(|key| key.internal),
                "{key}"
            );
        }
        assert!(
            space
                .parse(b"/registry/leases/a/b")
                .is_some_and(|key| !key.internal)
        );
    }

    #[test]
    fn lists_and_pages() {
        for (key, end, expected) in [
            ("/registry/pods/", "/registry/pods0", "pods *"),
            ("/registry/pods", "/registry/podt", "pods *"),
            ("/registry/pods/lab/", "/registry/pods/lab0", "pods lab/*"),
            (
                "/registry/pods/lab/we",
                "/registry/pods/lab/wf",
                "pods lab/we*",
            ),
            ("/registry/pods/la", "/registry/pods/lb", "pods la*"),
            ("/registry/minions/", "/registry/minions0", "nodes *"),
            (
                "/registry/services/specs/",
                "/registry/services/specs0",
                "services *",
            ),
            (
                "/registry/services/endpoints/lab/",
                "/registry/services/endpoints/lab0",
                "endpoints lab/*",
            ),
            (
                "/registry/configmaps/lab/cm-0049\0",
                "/registry/configmaps/lab0",
                "configmaps lab/* after cm-0049",
            ),
            (
                "/registry/pods/default/web\0",
                "/registry/pods0",
                "pods * after default/web",
            ),
            (
                "/registry/example.com/widgets/",
                "/registry/example.com/widgets0",
                "widgets.example.com *",
            ),
            (
                "/registry/example.com/widgets/lab/",
                "/registry/example.com/widgets/lab0",
                "widgets.example.com lab/*",
            ),
            (
                "/registry/pods/lab/a",
                "/registry/pods/lab/c",
                "pods lab/* in part",
            ),
            (
                "/registry/pods/lab/a",
                "\0",
                "pods lab/a and all that follows",
            ),
            ("/registry/pods/lab/a", "", "pods lab/a"),
        ] {
            assert_eq!(
                range(key, end).as_deref(),
                Some(expected),
                "{key:?} {end:?}"
            );
        }
        for (key, end) in [
            ("/registry/", "/registry0"),
            ("/registry/po", "/registry/pp"),
            ("/registry/pods/", "/registry/secrets0"),
            ("\0", "\0"),
            ("a", "z"),
        ] {
            assert_eq!(range(key, end), None, "{key:?} {end:?}");
        }
    }

    #[test]
    fn a_page_says_where_it_goes_on() {
        let space = KeySpace::default();
        let page = space.parse_range(b"/registry/pods/lab/web\0", b"/registry/pods0");
        assert_eq!(page.and_then(|page| page.continue_after()), Some("lab/web"));
    }

    #[test]
    fn prefixes_are_cleaned() {
        for prefix in ["/registry", "registry", "/registry/", "//registry//"] {
            assert_eq!(KeySpace::new(prefix).prefix(), "/registry/", "{prefix}");
        }
        assert!(KeySpace::new("").parse(b"/pods/lab/web").is_some());
        assert!(
            KeySpace::new("/kubernetes.io")
                .parse(b"/kubernetes.io/pods/lab/web")
                .is_some()
        );
        assert!(KeySpace::new("a//b").parse(b"/a/b/pods/lab/web").is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            key in proptest::collection::vec(any::<u8>(), 0..40),
            end in proptest::collection::vec(any::<u8>(), 0..40),
            segments in "[a-z./\0]{0,30}",
        ) {
            let space = KeySpace::default();
            let _ = space.parse_range(&key, &end);
            let path = format!("/registry/{segments}");
            let shown = |key: Option<ResourceKey<'_>>| key.map(|key| key.to_string());
            shown(space.parse(path.as_bytes()));
            let mut after = path.clone().into_bytes();
            if let Some(last) = after.last_mut() {
                *last += 1;
            }
            shown(space.parse_range(path.as_bytes(), &after));
            shown(space.parse_range(path.as_bytes(), &end));
        }
    }
}
