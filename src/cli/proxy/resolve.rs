//! From what was given to what is meant, or one sentence about why not.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use super::address::{parse_listen, reaches};
use super::faults::faults;
use super::recording::record;
use super::resolved::{FilterArgs, Log, ProxyArgs, Route};
use crate::cli::Failure;
use crate::cli::call_log::Format;
use crate::cli::settings::{Given, Layers};
use crate::etcd::DEFAULT_CAPTURE_BYTES;
use crate::filter::Filter;
use crate::net::{
    BindError, ClientAuth, KeyPair, ListenerTls, Pki, ProxyConfig, Upstream, UpstreamTls,
};
use crate::notation::nearest;
use crate::notation::parse_duration;
use crate::notation::parse_size;

/// The API server's own default.
pub const DEFAULT_ETCD_PREFIX: &str = "/registry";

/// Reads all settings and holds them against each other.
///
/// # Errors
/// One sentence for the first that is wrong.
pub fn resolve(given: &Layers) -> Result<ProxyArgs, Failure> {
    let routes = routes(given)?;
    let any_https = routes.iter().any(|route| route.upstream.tls);
    let pki = pki(given)?;
    Ok(ProxyArgs {
        listener_tls: listener_tls(given, pki.as_ref())?,
        upstream_tls: upstream_tls(given, pki.as_ref(), any_https)?,
        routes,
        log: log(given)?,
        filter: filter(given)?,
        drain: given
            .parse("drain", parse_duration)?
            .unwrap_or(ProxyConfig::DRAIN),
        capture_bytes: given
            .parse("capture-bytes", parse_capture)?
            .unwrap_or(DEFAULT_CAPTURE_BYTES),
        etcd_prefix: given
            .parse("etcd-prefix", parse_prefix)?
            .unwrap_or_else(|| DEFAULT_ETCD_PREFIX.to_owned()),
        descriptor_set: given.path("descriptor-set")?,
        threads: given.parse("threads", parse_threads)?,
        scheduling: given.parse("scheduling", str::parse)?.unwrap_or_default(),
        summary: given.switch("summary")?,
        faults: faults(given)?,
        record: record(given)?,
    })
}

/// A sentence about `flag`, which names where it was given.
pub(super) fn refuse(given: &Layers, flag: &str, why: &str) -> Failure {
    match given.one(flag) {
        Some(value) => value.wrong(why),
        None => Failure::asked(format!("--{flag}: {why}")),
    }
}

fn routes(given: &Layers) -> Result<Vec<Route>, Failure> {
    let (listen, upstream) = (given.all("listen"), given.all("upstream"));
    match (listen, upstream) {
        ([], []) => {
            return Err(Failure::asked(
                "nothing to relay: say where to listen and which etcd is behind, \
                 such as --listen 127.0.0.1:12379 --upstream http://127.0.0.1:2379",
            ));
        }
        ([], [first, ..]) => {
            return Err(first
                .wrong("there is no --listen for it; add one, such as --listen 127.0.0.1:12379"));
        }
        ([first, ..], []) => {
            return Err(first.wrong(
                "there is no --upstream behind it; add one, such as --upstream http://127.0.0.1:2379",
            ));
        }
        _ if listen.len() != upstream.len() => {
            return Err(Failure::asked(format!(
                "{} listen and {} upstream: they are paired in order, so give as many of one \
                 as of the other (first ones: {} and {})",
                listen.len(),
                upstream.len(),
                listen[0].origin,
                upstream[0].origin
            )));
        }
        _ => {}
    }
    let mut routes: Vec<Route> = Vec::with_capacity(listen.len());
    for (at, to) in listen.iter().zip(upstream) {
        let listen = at.parse(parse_listen)?;
        if let Some(other) = routes.iter().find(|other| overlap(other.listen, listen)) {
            return Err(at.wrong(&format!(
                "{listen} is taken by the listener on {} of this same command; \
                 give every listener its own port",
                other.listen
            )));
        }
        let upstream = to.parse(|text| Upstream::parse(text).map_err(|error| error.to_string()))?;
        routes.push(Route { listen, upstream });
    }
    for (to, route) in upstream.iter().zip(&routes) {
        if let Some(own) = routes
            .iter()
            .find(|own| reaches(&route.upstream, own.listen))
        {
            return Err(to.wrong(&format!(
                "{} is where etcdtap itself listens ({}), which would be a loop; name etcd's address",
                route.upstream, own.listen
            )));
        }
    }
    Ok(routes)
}

/// Whether two listeners cannot both be had. Port 0 is a free one each time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip()
            || a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()))
}

fn log(given: &Layers) -> Result<Log, Failure> {
    let format = given.parse("log", parse_format)?;
    let file = given.path("log-file")?;
    if let (Some(Format::Off), Some(_)) = (format, &file) {
        return Err(refuse(
            given,
            "log-file",
            "there is nothing to write, the log is off; leave the file out or choose --log json",
        ));
    }
    Ok(Log {
        format,
        file,
        slow: given.parse("slow", parse_duration)?,
    })
}

fn filter(given: &Layers) -> Result<FilterArgs, Failure> {
    let texts = |flag| -> Result<Vec<String>, Failure> {
        given
            .all(flag)
            .iter()
            .map(|value| {
                value.parse(|text| match text {
                    "" => Err("the value is empty; write one, or leave the filter out".to_owned()),
                    text => Ok(text.to_owned()),
                })
            })
            .collect()
    };
    Ok(FilterArgs {
        methods: texts("method")?,
        verbs: texts("verb")?,
        resources: texts("resource")?,
        namespaces: texts("namespace")?,
        key_prefixes: texts("key-prefix")?,
        min_duration: given.parse("min-duration", parse_duration)?,
        errors_only: given.switch("errors-only")?,
        expression: given.parse("filter", |text| {
            text.parse::<Filter>().map_err(|mistake| mistake.drawn())
        })?,
    })
}

/// Kubeadm's folder, where one was given. It fills what is given nowhere else,
/// and only the files that are needed for that have to be there.
fn pki(given: &Layers) -> Result<Option<Pki>, Failure> {
    let Some(dir) = given.path("pki")? else {
        return Ok(None);
    };
    if !dir.is_dir() {
        let dir = dir.display();
        let why = format!("{dir} is no folder; name kubeadm's, which is /etc/kubernetes/pki");
        return Err(refuse(given, "pki", &why));
    }
    Ok(Some(Pki::in_dir(&dir)))
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Failure {
        match error.is_configuration() {
            true => Failure::asked(error.to_string()),
            false => Failure::failed(error.to_string()),
        }
    }
}

/// A certificate and its key, which make sense only together.
pub(super) fn pair(given: &Layers, cert: &str, key: &str) -> Result<Option<KeyPair>, Failure> {
    match (given.path(cert)?, given.path(key)?) {
        (Some(cert), Some(key)) => Ok(Some(KeyPair { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(refuse(
            given,
            cert,
            &format!("a certificate needs its private key; add --{key} FILE"),
        )),
        (None, Some(_)) => Err(refuse(
            given,
            key,
            &format!("a private key needs its certificate; add --{cert} FILE"),
        )),
    }
}

/// What was given by itself, or else kubeadm's.
fn own_or<T>(
    own: Option<T>,
    pki: Option<&Pki>,
    find: impl FnOnce(&Pki) -> Result<T, BindError>,
) -> Result<Option<T>, Failure> {
    match (own, pki) {
        (None, Some(pki)) => Ok(Some(find(pki)?)),
        (own, _) => Ok(own),
    }
}

fn listener_tls(given: &Layers, pki: Option<&Pki>) -> Result<Option<ListenerTls>, Failure> {
    let own_pair = pair(given, "tls-cert", "tls-key")?;
    let own_ca = given.path("tls-client-ca")?;
    let mode = given.parse("tls-client-auth", parse_client_auth)?;
    let Some(identity) = own_or(own_pair, pki, Pki::server)? else {
        for flag in ["tls-client-ca", "tls-client-auth"] {
            if given.one(flag).is_some() && mode != Some(ClientAuth::None) {
                return Err(refuse(
                    given,
                    flag,
                    "clients show certificates only over TLS; add --tls-cert and --tls-key, or --pki",
                ));
            }
        }
        return Ok(None);
    };
    if mode == Some(ClientAuth::None) && own_ca.is_some() {
        return Err(refuse(
            given,
            "tls-client-ca",
            "it would not be used, as --tls-client-auth is none; leave one of them out",
        ));
    }
    let client_ca = match mode {
        Some(ClientAuth::None) => None,
        _ => own_or(own_ca, pki, Pki::ca)?,
    };
    let client_auth = match (mode, &client_ca) {
        (Some(ClientAuth::Require | ClientAuth::Optional), None) => {
            return Err(refuse(
                given,
                "tls-client-auth",
                "clients' certificates are checked against an authority; \
                 add --tls-client-ca FILE, or --pki",
            ));
        }
        (Some(mode), _) => mode,
        (None, Some(_)) => ClientAuth::Require,
        (None, None) => ClientAuth::None,
    };
    Ok(Some(ListenerTls {
        identity,
        client_ca,
        client_auth,
    }))
}

fn upstream_tls(
    given: &Layers,
    pki: Option<&Pki>,
    any_https: bool,
) -> Result<UpstreamTls, Failure> {
    const FLAGS: [&str; 4] = [
        "upstream-ca",
        "upstream-cert",
        "upstream-key",
        "upstream-server-name",
    ];
    let own_pair = pair(given, "upstream-cert", "upstream-key")?;
    if !any_https {
        return match FLAGS.into_iter().find(|flag| given.one(flag).is_some()) {
            Some(flag) => Err(refuse(
                given,
                flag,
                "no upstream speaks TLS; write its URL as https://, or leave this out",
            )),
            None => Ok(UpstreamTls::default()),
        };
    }
    let Some(ca) = own_or(given.path("upstream-ca")?, pki, Pki::ca)? else {
        let https: Option<&Given> = given
            .all("upstream")
            .iter()
            .find(|url| url.value.to_string_lossy().starts_with("https"));
        let why =
            "etcd's certificate is checked against an authority; add --upstream-ca FILE, or --pki";
        return Err(match https {
            Some(url) => url.wrong(why),
            None => refuse(given, "upstream", why),
        });
    };
    let server_name = given.parse("upstream-server-name", |text| match text {
        "" => Err("the name is empty; write the name that etcd's certificate carries".to_owned()),
        text => Ok(text.to_owned()),
    })?;
    Ok(UpstreamTls {
        ca: Some(ca),
        identity: own_or(own_pair, pki, Pki::client)?,
        server_name,
    })
}

/// Reads one word out of a list of known ones.
fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Err(match nearest(text, names.iter().copied()) {
        Some(meant) => format!("\"{text}\" is not known; did you mean {meant}?"),
        None => {
            let (last, first) = names.split_last().unwrap_or((&"", &[]));
            format!(
                "\"{text}\" is not known; write {} or {last}",
                first.join(", ")
            )
        }
    })
}

fn parse_client_auth(text: &str) -> Result<ClientAuth, String> {
    word(
        text,
        &[
            ("require", ClientAuth::Require),
            ("optional", ClientAuth::Optional),
            ("none", ClientAuth::None),
        ],
    )
}

/// Reads the name of a log format.
///
/// # Errors
/// The rest of a sentence that begins with the place the text was given at.
pub fn parse_format(text: &str) -> Result<Format, String> {
    word(
        text,
        &[
            ("pretty", Format::Pretty),
            ("json", Format::Json),
            ("off", Format::Off),
        ],
    )
}

fn parse_capture(text: &str) -> Result<usize, String> {
    // Less than this leaves of most messages nothing that could be read.
    const LEAST: usize = 4 << 10;
    // The largest is far beyond etcd's request limit, and keeps a slip of the
    // unit from eating the machine.
    const MOST: usize = 1 << 30;
    match parse_size(text)? {
        bytes if bytes < LEAST => Err(format!(
            "\"{text}\" is less than 4KiB, too little to read messages by; write more, such as 64KiB"
        )),
        bytes if bytes > MOST => Err(format!(
            "\"{text}\" is more than 1GiB; write less, such as 64KiB"
        )),
        bytes => Ok(bytes),
    }
}

fn parse_prefix(text: &str) -> Result<String, String> {
    match text.trim_end_matches('/') {
        "" => Err(format!(
            "\"{text}\" is no prefix; write the API server's --etcd-prefix, such as /registry"
        )),
        prefix if prefix.starts_with('/') => Ok(prefix.to_owned()),
        // The API server stores under the prefix with a slash put in front.
        prefix => Ok(format!("/{prefix}")),
    }
}

fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 1024;
    match text.parse::<NonZeroUsize>() {
        Ok(threads) if threads.get() <= MOST => Ok(threads),
        _ => Err(format!(
            "\"{text}\" is no number of threads; write one from 1 to {MOST}"
        )),
    }
}
