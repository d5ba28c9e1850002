//! TLS with a key log: the same conversation in the clear and sealed, by a real
//! implementation, gives the same events.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcdtap::http2::Side;
use etcdtap::import::Options;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, KeyLog, RootCertStore, ServerConfig,
    ServerConnection, SideData, SupportedCipherSuite, SupportedProtocolVersion, version,
};

use super::gist::{Gist, gists};
use super::import;
use super::packets::{Link, Order, Pcapng, Talk, plain_pcap, small};
use crate::pcap::Segment;

/// A key log in memory.
#[derive(Debug, Default)]
struct Log(Mutex<String>);

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        self.0.lock().unwrap().push_str(&line);
    }
}

type Version = &'static SupportedProtocolVersion;

/// Both configurations, with a certificate on either side.
fn configurations(
    suite: SupportedCipherSuite,
    version: Version,
    log: &Arc<Log>,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &issuer).unwrap().der().clone();
        (
            certificate,
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    };
    let mut roots = RootCertStore::empty();
    roots.add(ca_certificate.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![suite],
        ..ring::default_provider()
    });
    let (certificate, key) = signed("etcd-0.example");
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let (certificate, key) = signed("kube-apiserver-etcd-client");
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    client.key_log = log.clone();
    (Arc::new(client), Arc::new(server))
}

/// Moves what one side has to send to the other, and returns it.
fn pass<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Vec<u8> {
    let mut sealed = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut sealed).unwrap();
    }
    let mut rest = &sealed[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets().unwrap();
        let mut heard = Vec::new();
        // Nothing more for now is an error of its own kind.
        let _ = to.reader().read_to_end(&mut heard);
    }
    sealed
}

/// The conversation as it would be on the wire.
fn sealed(
    script: &[Segment],
    suite: SupportedCipherSuite,
    version: Version,
    update: bool,
) -> (Vec<Segment>, String) {
    let log = Arc::new(Log::default());
    let (client, server) = configurations(suite, version, &log);
    let name = "etcd-0.example".try_into().unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    client.set_buffer_limit(None);
    server.set_buffer_limit(None);
    let mut out = Vec::new();
    let mut say = |side, at, bytes: Vec<u8>| {
        if !bytes.is_empty() {
            out.push(Segment { side, at, bytes });
        }
    };
    while client.is_handshaking() || server.is_handshaking() {
        say(Side::Client, Duration::ZERO, pass(&mut client, &mut server));
        say(Side::Server, Duration::ZERO, pass(&mut server, &mut client));
    }
    for (n, segment) in script.iter().enumerate() {
        let at = segment.at;
        if update && n % 11 == 10 {
            client.refresh_traffic_keys().unwrap();
            say(Side::Client, at, pass(&mut client, &mut server));
        }
        if update && n % 13 == 12 {
            server.refresh_traffic_keys().unwrap();
            say(Side::Server, at, pass(&mut server, &mut client));
        }
        match segment.side {
            Side::Client => {
                client.writer().write_all(&segment.bytes).unwrap();
                say(Side::Client, at, pass(&mut client, &mut server));
            }
            Side::Server => {
                server.writer().write_all(&segment.bytes).unwrap();
                say(Side::Server, at, pass(&mut server, &mut client));
            }
        }
    }
    let at = script.last().unwrap().at;
    client.send_close_notify();
    say(Side::Client, at, pass(&mut client, &mut server));
    let log = log.0.lock().unwrap().clone();
    (out, log)
}

fn only(file: &[u8], keys: &str) -> Gist {
    let (report, given) = import(file, &Options::default(), keys.as_bytes(), 5000).unwrap();
    assert!(report.is_whole(), "{report:?}");
    let mut gists = gists(&given.events).into_values();
    let gist = gists.next().expect("a connection");
    assert_eq!(gists.next(), None);
    gist
}

fn in_the_clear() -> Gist {
    only(&plain_pcap(&Talk::default().packets(&small().segments)), "")
}

/// Without what TLS adds.
fn stripped(gist: Gist) -> Gist {
    Gist { tls: None, ..gist }
}

fn suites() -> [(SupportedCipherSuite, Version); 6] {
    use ring::cipher_suite::*;
    [
        (TLS13_AES_128_GCM_SHA256, &version::TLS13),
        (TLS13_AES_256_GCM_SHA384, &version::TLS13),
        (TLS13_CHACHA20_POLY1305_SHA256, &version::TLS13),
        (TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &version::TLS12),
        (TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, &version::TLS12),
        (
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            &version::TLS12,
        ),
    ]
}

#[test]
fn every_cipher_of_both_versions_gives_what_the_clear_gives() {
    let expected = in_the_clear();
    for (suite, version) in suites() {
        for update in [false, version == &version::TLS13] {
            let (segments, keys) = sealed(&small().segments, suite, version, update);
            let talk = Talk {
                most: 900,
                ..Talk::default()
            };
            let gist = only(&plain_pcap(&talk.packets(&segments)), &keys);
            let seen = gist.tls.clone().expect("TLS");
            for fact in ["etcd-0.example", "\"h2\"", "kube-apiserver-etcd-client"] {
                assert!(seen.contains(fact), "{suite:?}: {seen}");
            }
            let name = match version == &version::TLS13 {
                true => "TLSv1.3",
                false => "TLSv1.2",
            };
            assert!(seen.contains(name), "{seen}");
            assert_eq!(
                stripped(gist),
                expected,
                "{suite:?}, keys updated: {update}"
            );
        }
    }
}

#[test]
fn a_large_conversation_is_opened_too() {
    let all = crate::pcap::APISERVER_0_36.iter();
    let large = all
        .max_by_key(|connection| connection.bytes_from(Side::Server))
        .unwrap();
    let expected = only(&plain_pcap(&Talk::default().packets(&large.segments)), "");
    let (suite, version) = suites()[1];
    let (segments, keys) = sealed(&large.segments, suite, version, true);
    let gist = only(&plain_pcap(&Talk::default().packets(&segments)), &keys);
    assert!(gist.bytes.0 + gist.bytes.1 > 1_000_000);
    assert_eq!(stripped(gist), expected);
}

#[test]
fn the_traffic_secrets_are_enough() {
    let (suite, version) = suites()[0];
    let (segments, keys) = sealed(&small().segments, suite, version, false);
    let traffic: Vec<_> = keys
        .lines()
        .filter(|line| line.contains("TRAFFIC_SECRET_0"))
        .collect();
    assert_eq!(traffic.len(), 2);
    let file = plain_pcap(&Talk::default().packets(&segments));
    assert_eq!(stripped(only(&file, &traffic.join("\n"))), in_the_clear());
}

#[test]
fn a_capture_brings_its_key_log_along() {
    for big in [false, true] {
        let (suite, version) = suites()[2];
        let (segments, keys) = sealed(&small().segments, suite, version, false);
        let mut file = Pcapng::new(Order { big });
        file.key_log(keys.as_bytes());
        file.interface(Link::Ethernet, &[]);
        for packet in Talk::default().packets(&segments) {
            file.packet(
                0,
                packet.at.as_micros() as u64,
                &packet.frame(Link::Ethernet),
            );
        }
        assert_eq!(stripped(only(&file.file, "")), in_the_clear());
    }
}

#[test]
fn without_its_secrets_a_connection_is_told_to_be_encrypted() {
    for (suite, version) in suites() {
        let (segments, keys) = sealed(&small().segments, suite, version, false);
        let file = plain_pcap(&Talk::default().packets(&segments));
        let with = |keys: &str| {
            let options = Options::default();
            let (report, given) = import(&file, &options, keys.as_bytes(), 1000).unwrap();
            assert!(given.events.is_empty(), "{:?}", given.events);
            assert_eq!(report.encrypted, 1);
            assert!(!report.is_whole());
            report.notes[0].to_string()
        };
        assert!(with("").contains("no secret is known"), "{}", with(""));
        // Another connection's, and this one's with a secret that is wrong.
        let (_, others) = sealed(&small().segments, suite, version, false);
        assert!(with(&others).contains("no secret is known"));
        let wrong: String = keys
            .lines()
            .map(|line| {
                let (rest, secret) = line.rsplit_once(' ').unwrap();
                format!("{rest} {}\n", "5a".repeat(secret.len() / 2))
            })
            .collect();
        assert!(with(&wrong).contains("do not open"), "{}", with(&wrong));
    }
}

#[test]
fn a_gap_ends_what_can_be_opened() {
    let (suite, version) = suites()[0];
    let (segments, keys) = sealed(&small().segments, suite, version, false);
    let mut packets = Talk::default().packets(&segments);
    let middle = packets.len() / 2;
    let gone = middle
        + packets[middle..]
            .iter()
            .position(|p| !p.payload.is_empty())
            .unwrap();
    let gone = packets.remove(gone);
    let file = plain_pcap(&packets);
    let options = Options::default();
    let (report, given) = import(&file, &options, keys.as_bytes(), 1000).unwrap();
    assert_eq!(report.missing_bytes, gone.payload.len() as u64);
    assert_eq!((report.given_up, report.notes.len()), (1, 1));
    let expected = in_the_clear();
    let gist = gists(&given.events).into_values().next().unwrap();
    assert!(gist.calls.values().any(|(_, whole)| *whole));
    for (stream, (text, whole)) in &gist.calls {
        assert!(!whole || *text == expected.calls[stream].0);
    }
}
