//! Who may ask: what a request's head must show before anything is done.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;

use super::reply::Reply;
use super::token::Token;

/// Where a connection was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Through {
    /// Our own end of a TCP connection.
    Tcp {
        /// Our address in it.
        own: SocketAddr,
        /// Whether it is encrypted.
        tls: bool,
    },
    /// The Unix socket, whose mode says who may come.
    Unix,
}

/// Checks a request's head, but not the token.
///
/// A browser on this machine can be led here by any web page: by a form, which
/// shows in `Origin`, or by a name of the page's own domain that resolves to a
/// loopback address, which shows in `Host`. Neither gets in.
pub(super) fn check_head(
    through: Through,
    target: Option<&Authority>,
    headers: &HeaderMap,
) -> Result<(), Reply> {
    let Through::Tcp { own, tls } = through else {
        return match headers.contains_key(ORIGIN) {
            true => Err(foreign_origin()),
            false => Ok(()),
        };
    };
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(foreign_host(own));
    };
    let named = |host: &Authority| names(host, own, tls);
    let host = Authority::try_from(host.as_bytes()).ok().filter(named);
    if host.is_none() || target.is_some_and(|target| !named(target)) {
        return Err(foreign_host(own));
    }
    let scheme = if tls { "https://" } else { "http://" };
    for origin in headers.get_all(ORIGIN) {
        let same = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix(scheme))
            .and_then(|origin| origin.parse::<Authority>().ok());
        if same.is_none() || same != host {
            return Err(foreign_origin());
        }
    }
    Ok(())
}

/// Checks that the token is shown, where there is one.
pub(super) fn check_token(token: Option<&Token>, headers: &HeaderMap) -> Result<(), Reply> {
    let Some(token) = token else { return Ok(()) };
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    match (shown.next(), shown.next()) {
        (Some(shown), None) if token.is_shown_by(shown.as_bytes()) => Ok(()),
        (None, _) => Err(unauthorized("a token is needed")),
        _ => Err(unauthorized("this is not the token")),
    }
}

/// Whether `host` is our own address, or a name that cannot be anybody else's.
fn names(host: &Authority, own: SocketAddr, tls: bool) -> bool {
    let usual = if tls { 443 } else { 80 };
    // `as_str` still has the user's name before an @, which belongs nowhere here.
    if host.as_str().contains('@') || host.port_u16().unwrap_or(usual) != own.port() {
        return false;
    }
    let name = host.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip.to_canonical() == own.ip().to_canonical(),
        Err(_) => false,
    }
}

fn foreign_host(own: SocketAddr) -> Reply {
    Reply::refused(
        StatusCode::FORBIDDEN,
        "the Host header does not name this server",
        format!("ask it as {own} or localhost:{}", own.port()),
    )
}

fn foreign_origin() -> Reply {
    Reply::refused(
        StatusCode::FORBIDDEN,
        "the request comes from a web page of another origin",
        "use `etcdtap fault`, or another client that is no browser",
    )
}

fn unauthorized(what: &str) -> Reply {
    Reply::refused(
        StatusCode::UNAUTHORIZED,
        what,
        "send the one that the proxy's --admin-token-file holds, as `Authorization: Bearer TOKEN`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn head(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = hyper::header::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    fn passes(own: &str, tls: bool, pairs: &[(&'static str, &'static str)]) -> bool {
        let own = own.parse().expect("an address");
        check_head(Through::Tcp { own, tls }, None, &head(pairs)).is_ok()
    }

    #[test]
    fn only_our_own_names_are_hosts() {
        for (own, host, passing) in [
            ("127.0.0.1:12382", "127.0.0.1:12382", true),
            ("127.0.0.1:12382", "localhost:12382", true),
            ("127.0.0.1:12382", "LOCALHOST:12382", true),
            ("127.0.0.1:12382", "[::1]:12382", true),
            ("10.0.0.5:12382", "10.0.0.5:12382", true),
            ("10.0.0.5:12382", "localhost:12382", true),
            ("127.0.0.1:80", "localhost", true),
            ("127.0.0.1:12382", "localhost", false),
            ("127.0.0.1:12382", "localhost:1", false),
            ("127.0.0.1:12382", "10.0.0.5:12382", false),
            ("127.0.0.1:12382", "evil.example:12382", false),
            ("127.0.0.1:12382", "localhost.evil.example:12382", false),
            ("127.0.0.1:12382", "x@localhost:12382", false),
            ("127.0.0.1:12382", "", false),
        ] {
            assert_eq!(passes(own, false, &[("host", host)]), passing, "{host}");
        }
        assert!(!passes("127.0.0.1:1", false, &[]));
    }

    #[test]
    fn only_our_own_origin_is_let_in() {
        let with = |tls, origin| {
            passes(
                "127.0.0.1:1",
                tls,
                &[("host", "localhost:1"), ("origin", origin)],
            )
        };
        assert!(with(false, "http://localhost:1"));
        assert!(with(true, "https://localhost:1"));
        for foreign in [
            "https://localhost:1",
            "http://localhost:2",
            "http://127.0.0.1:1",
            "http://evil.example",
            "null",
            "",
        ] {
            assert!(!with(false, foreign), "{foreign}");
        }
        let unix = |pairs| check_head(Through::Unix, None, &head(pairs)).is_ok();
        assert!(unix(&[]));
        assert!(unix(&[("host", "whatever")]));
        assert!(!unix(&[("origin", "http://evil.example")]));
    }

    #[test]
    fn the_target_counts_too() {
        let own = Through::Tcp {
            own: "127.0.0.1:1".parse().expect("an address"),
            tls: false,
        };
        let headers = head(&[("host", "localhost:1")]);
        let target = |text| Authority::from_static(text);
        assert!(check_head(own, Some(&target("127.0.0.1:1")), &headers).is_ok());
        assert!(check_head(own, Some(&target("evil.example:1")), &headers).is_err());
    }
}
