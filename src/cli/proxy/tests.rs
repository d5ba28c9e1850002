//! What is refused and in which words; which place wins.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Command};

use super::{ProxyArgs, ProxyFlags, resolve};
use crate::cli::Failure;
use crate::cli::settings::{Layers, from_environment, from_file, from_flags, variable};

const ROUTE: [&str; 4] = [
    "--listen",
    "127.0.0.1:12379",
    "--upstream",
    "http://127.0.0.1:2379",
];
const HTTPS: [&str; 4] = [
    "--listen",
    "127.0.0.1:12379",
    "--upstream",
    "https://127.0.0.1:2379",
];

fn command() -> Command {
    ProxyFlags::augment_args(Command::new("proxy"))
}

fn layers(flags: &[&str], variables: &[(&str, &str)], file: Option<&Path>) -> Layers {
    let command = command();
    let line = std::iter::once("proxy").chain(flags.iter().copied());
    let matches = command.clone().try_get_matches_from(line).unwrap();
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let mut layers = Layers::new([
        from_flags(&command, &matches),
        from_environment(&command, &|name| variables.get(name).map(OsString::from)),
    ]);
    if let Some(path) = file {
        layers.push_weaker(from_file(path).unwrap());
    }
    layers
}

fn resolved(flags: &[&str]) -> Result<ProxyArgs, Failure> {
    resolve(&layers(flags, &[], None))
}

/// The sentence about a good route with `more` flags.
fn refused(route: &[&str], more: &[&str]) -> String {
    let flags: Vec<&str> = route.iter().chain(more).copied().collect();
    match resolved(&flags) {
        Err(Failure::Asked(sentence)) => sentence,
        other => panic!("{flags:?} gave {other:?}"),
    }
}

fn config(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tap.yaml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn a_route_is_enough() {
    let args = resolved(&ROUTE).unwrap();
    assert_eq!(args.routes.len(), 1);
    assert_eq!(args.drain, Duration::from_secs(5));
    assert_eq!(args.capture_bytes, 65_536);
    assert_eq!(args.etcd_prefix, "/registry");
    assert_eq!(args.threads, None);
    assert!(args.listener_tls.is_none());
    assert!(!args.summary && !args.filter.errors_only);
}

#[test]
fn routes_are_paired_in_order() {
    let args = resolved(&[
        "--listen",
        "127.0.0.1:1",
        "--listen",
        "127.0.0.1:2",
        "--upstream",
        "http://a:1",
        "--upstream",
        "http://b:2",
    ])
    .unwrap();
    let routes: Vec<String> = args
        .routes
        .iter()
        .map(|route| format!("{} {}", route.listen, route.upstream))
        .collect();
    assert_eq!(routes, ["127.0.0.1:1 http://a:1", "127.0.0.1:2 http://b:2"]);
}

#[test]
fn routes_that_make_no_sense_are_refused() {
    for (flags, sentence) in [
        (
            &[][..],
            "nothing to relay: say where to listen and which etcd is behind, \
             such as --listen 127.0.0.1:12379 --upstream http://127.0.0.1:2379",
        ),
        (
            &ROUTE[..2],
            "--listen: there is no --upstream behind it; add one, such as --upstream http://127.0.0.1:2379",
        ),
        (
            &ROUTE[2..],
            "--upstream: there is no --listen for it; add one, such as --listen 127.0.0.1:12379",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:1",
                "--listen",
                "127.0.0.1:2",
                "--upstream",
                "http://a:1",
            ],
            "2 listen and 1 upstream: they are paired in order, so give as many of one as of the \
             other (first ones: --listen and --upstream)",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:1",
                "--upstream",
                "http://a:1",
                "--listen",
                "0.0.0.0:1",
                "--upstream",
                "http://b:1",
            ],
            "--listen: 0.0.0.0:1 is taken by the listener on 127.0.0.1:1 of this same command; \
             give every listener its own port",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:2379",
                "--upstream",
                "http://localhost:2379",
            ],
            "--upstream: http://localhost:2379 is where etcdtap itself listens (127.0.0.1:2379), \
             which would be a loop; name etcd's address",
        ),
    ] {
        assert_eq!(refused(flags, &[]), sentence);
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (flag, value, sentence) in [
        (
            "--drain",
            "5",
            "--drain: \"5\" has a number without a unit; write a duration such as 250us, 100ms, 5s or 1m30s",
        ),
        (
            "--slow",
            "fast",
            "--slow: \"fast\" is no duration; write a duration such as 250us, 100ms, 5s or 1m30s",
        ),
        (
            "--capture-bytes",
            "64K",
            "--capture-bytes: \"64K\" has the unit \"K\", which is unknown; write a number of bytes such as 65536, 64KiB or 1MiB",
        ),
        (
            "--capture-bytes",
            "2GiB",
            "--capture-bytes: \"2GiB\" is more than 1GiB; write less, such as 64KiB",
        ),
        (
            "--capture-bytes",
            "4095",
            "--capture-bytes: \"4095\" is less than 4KiB, too little to read messages by; write more, such as 64KiB",
        ),
        (
            "--log",
            "jsn",
            "--log: \"jsn\" is not known; did you mean json?",
        ),
        (
            "--log",
            "xml",
            "--log: \"xml\" is not known; write pretty, json or off",
        ),
        (
            "--threads",
            "0",
            "--threads: \"0\" is no number of threads; write one from 1 to 1024",
        ),
        (
            "--etcd-prefix",
            "/",
            "--etcd-prefix: \"/\" is no prefix; write the API server's --etcd-prefix, such as /registry",
        ),
        (
            "--verb",
            "",
            "--verb: the value is empty; write one, or leave the filter out",
        ),
        (
            "--log-file",
            "",
            "--log-file: the path is empty; name a file or leave the setting out",
        ),
        (
            "--pki",
            "/nonexistent",
            "--pki: /nonexistent is no folder; name kubeadm's, which is /etc/kubernetes/pki",
        ),
        (
            "--tls-client-auth",
            "always",
            "--tls-client-auth: \"always\" is not known; write require, optional or none",
        ),
    ] {
        assert_eq!(refused(&ROUTE, &[flag, value]), sentence);
    }
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    for (route, more, sentence) in [
        (
            ROUTE,
            &["--tls-cert", "a"][..],
            "--tls-cert: a certificate needs its private key; add --tls-key FILE",
        ),
        (
            ROUTE,
            &["--tls-key", "a"],
            "--tls-key: a private key needs its certificate; add --tls-cert FILE",
        ),
        (
            ROUTE,
            &["--tls-client-ca", "a"],
            "--tls-client-ca: clients show certificates only over TLS; add --tls-cert and --tls-key, or --pki",
        ),
        (
            ROUTE,
            &["--tls-client-auth", "optional"],
            "--tls-client-auth: clients show certificates only over TLS; add --tls-cert and --tls-key, or --pki",
        ),
        (
            ROUTE,
            &[
                "--tls-cert",
                "a",
                "--tls-key",
                "b",
                "--tls-client-auth",
                "require",
            ],
            "--tls-client-auth: clients' certificates are checked against an authority; add --tls-client-ca FILE, or --pki",
        ),
        (
            ROUTE,
            &[
                "--tls-cert",
                "a",
                "--tls-key",
                "b",
                "--tls-client-auth",
                "none",
                "--tls-client-ca",
                "c",
            ],
            "--tls-client-ca: it would not be used, as --tls-client-auth is none; leave one of them out",
        ),
        (
            HTTPS,
            &[],
            "--upstream: etcd's certificate is checked against an authority; add --upstream-ca FILE, or --pki",
        ),
        (
            HTTPS,
            &["--upstream-ca", "a", "--upstream-cert", "b"],
            "--upstream-cert: a certificate needs its private key; add --upstream-key FILE",
        ),
        (
            HTTPS,
            &["--upstream-ca", "a", "--upstream-key", "b"],
            "--upstream-key: a private key needs its certificate; add --upstream-cert FILE",
        ),
        (
            ROUTE,
            &["--upstream-ca", "a"],
            "--upstream-ca: no upstream speaks TLS; write its URL as https://, or leave this out",
        ),
        (
            ROUTE,
            &["--upstream-server-name", "a"],
            "--upstream-server-name: no upstream speaks TLS; write its URL as https://, or leave this out",
        ),
        (
            ROUTE,
            &["--log", "off", "--log-file", "a"],
            "--log-file: there is nothing to write, the log is off; leave the file out or choose --log json",
        ),
    ] {
        assert_eq!(refused(&route, more), sentence);
    }
}

#[test]
fn faults_that_make_no_sense_are_refused() {
    for (more, sentence) in [
        (
            &["--faults", "plan.yaml", "--no-faults"][..],
            "--faults: there can be no plan where --no-faults refuses all faults; leave one of them out",
        ),
        (
            &["--scenario", "no-space", "--no-faults"],
            "--scenario: nothing can happen where --no-faults refuses all faults; leave one of them out",
        ),
        (
            &["--scenario", "no-space", "--faults", "plan.yaml"],
            "--scenario: a scenario brings faults of its own, and there is a plan of faults already; \
             leave one of them out, or let the scenario begin later with --admin and `etcdtap scenario run`",
        ),
        (
            &["--set", "for=5s"],
            "--set: there is no scenario whose parameter this could be; add --scenario NAME, or leave it out",
        ),
        (
            &["--scenario", "no-space", "--set", "for"],
            "--set: \"for\" sets nothing; write it such as for=10s",
        ),
        (
            &["--admin", "0.0.0.0:1"],
            "--admin: 0.0.0.0:1 would obey everybody who can reach it; add --admin-token-file FILE, \
             or --admin-tls-cert, --admin-tls-key and --admin-client-ca, or choose 127.0.0.1:12382",
        ),
        (
            &["--admin", "12382"],
            "--admin: \"12382\" is no address of an admin API; add the address: 127.0.0.1:12382",
        ),
        (
            &["--admin-token-file", "a"],
            "--admin-token-file: there is no admin API; add --admin ADDR, or leave this out",
        ),
        (
            &["--admin", "--admin-tls-cert", "a"],
            "--admin-tls-cert: a certificate needs its private key; add --admin-tls-key FILE",
        ),
        (
            &["--admin", "--admin-client-ca", "a"],
            "--admin-client-ca: clients show certificates only over TLS; add --admin-tls-cert and --admin-tls-key",
        ),
        (
            &[
                "--admin",
                "unix:/a",
                "--admin-tls-cert",
                "a",
                "--admin-tls-key",
                "b",
            ],
            "--admin-tls-cert: a Unix socket has no TLS, its file's mode keeps others out; \
             leave this out, or choose a TCP port",
        ),
        (
            &["--fault-hold-bytes", "1KiB"],
            "--fault-hold-bytes: \"1KiB\" is less than 64KiB, too little to hold an answer; \
             write more, such as 16MiB",
        ),
    ] {
        assert_eq!(refused(&ROUTE, more), sentence);
    }
}

#[test]
fn faults_and_who_may_change_them() {
    let args = resolved(&ROUTE).unwrap().faults;
    assert!(args.allowed && args.plan.is_none() && args.admin.is_none());
    assert_eq!(args.hold_bytes, 16 << 20);
    // Without a value it is the usual address, whatever follows.
    let args = resolved(&[&["--admin"], &ROUTE[..]].concat())
        .unwrap()
        .faults;
    let admin = args.admin.unwrap();
    assert_eq!(admin.address.to_string(), "127.0.0.1:12382");
    assert!(admin.adding);
    let more = [
        "--admin",
        "0.0.0.0:5",
        "--admin-token-file",
        "t",
        "--no-faults",
    ];
    let args = resolved(&[&ROUTE[..], &more].concat()).unwrap().faults;
    let admin = args.admin.unwrap();
    assert!(!args.allowed && !admin.adding);
    assert_eq!(admin.token_file, Some(PathBuf::from("t")));
}

#[test]
fn a_scenario_is_named_with_what_is_set() {
    let text = "scenario: {name: mine.yaml, set: ['for=5s', 'resource=pods,secrets']}\n";
    let (dir, path) = config(text);
    let args = resolve(&layers(&ROUTE, &[], Some(&path))).unwrap();
    let scenario = args.faults.scenario.unwrap();
    assert_eq!(
        Path::new(&scenario.source),
        dir.path().join("mine.yaml"),
        "a path counts from the file's folder"
    );
    let set = [("for", "5s"), ("resource", "pods,secrets")];
    assert_eq!(
        scenario.settings,
        set.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );

    let variables = [
        ("ETCDTAP_SCENARIO", "no-space"),
        ("ETCDTAP_SET", "for=6s, worst=1s"),
    ];
    let args = resolve(&layers(&ROUTE, &variables, Some(&path))).unwrap();
    let scenario = args.faults.scenario.unwrap();
    assert_eq!(scenario.source, "no-space");
    let set = [("for", "6s"), ("worst", "1s")];
    assert_eq!(
        scenario.settings,
        set.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let (_dir, path) =
        config("drain: 1s\nlog: {slow: 1s}\nfilter: {min_duration: 1s, verb: [get]}\n");
    let args = resolve(&layers(
        &[&ROUTE[..], &["--drain", "3s"]].concat(),
        &[
            ("ETCDTAP_DRAIN", "2s"),
            ("ETCDTAP_SLOW", "2s"),
            ("ETCDTAP_VERB", "create, update"),
            ("ETCDTAP_ERRORS_ONLY", "true"),
            ("ETCDTAP_LOG_FILE", ""),
        ],
        Some(&path),
    ))
    .unwrap();
    assert_eq!(args.drain, Duration::from_secs(3));
    assert_eq!(args.log.slow, Some(Duration::from_secs(2)));
    assert_eq!(args.filter.min_duration, Some(Duration::from_secs(1)));
    assert_eq!(args.filter.verbs.len(), 2);
    assert_eq!(args.log.file, None, "an empty variable counts as absent");
    assert!(args.filter.errors_only);
}

#[test]
fn a_filter_comes_from_all_three_places_and_a_wrong_one_is_drawn() {
    let (_dir, path) = config("filter: {expression: 'slow || failed'}\n");
    let given = |flags: &[&str], variables: &[(&str, &str)]| {
        let layers = layers(&[&ROUTE[..], flags].concat(), variables, Some(&path));
        resolve(&layers).map(|args| args.filter.expression.map(|filter| filter.to_string()))
    };
    let text = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(given(&[], &[]), text("slow || failed"));
    // One value, whatever commas it has.
    let variable = ("ETCDTAP_FILTER", r#"verb in ["get", "list"]"#);
    assert_eq!(given(&[], &[variable]), text(variable.1));
    assert_eq!(
        given(&["--filter", "!failed"], &[variable]),
        text("!failed")
    );
    assert_eq!(
        given(&["--filter", "slow && durration > 1s"], &[]),
        Err(Failure::asked(
            "--filter: column 9: there is no name \"durration\"; did you mean duration?\n  \
             slow && durration > 1s\n          ^^^^^^^^^"
        ))
    );
}

#[test]
fn a_switch_can_be_turned_off_again() {
    let (_dir, path) = config("summary: true\n");
    let on = resolve(&layers(&ROUTE, &[], Some(&path))).unwrap();
    assert!(on.summary);
    let flags = [&ROUTE[..], &["--summary=false"]].concat();
    assert!(!resolve(&layers(&flags, &[], Some(&path))).unwrap().summary);
}

#[test]
fn a_sentence_names_where_the_value_stands() {
    let sentence = |variables: &[(&str, &str)], file| {
        resolve(&layers(&ROUTE, variables, file))
            .unwrap_err()
            .to_string()
    };
    assert!(sentence(&[("ETCDTAP_DRAIN", "x")], None).starts_with("ETCDTAP_DRAIN: \"x\""));
    let (_dir, path) = config("log:\n  slow: often\n");
    let expected = format!("{}:2:9: log.slow: \"often\"", path.display());
    assert!(sentence(&[], Some(&path)).starts_with(&expected));
}

#[test]
fn the_folder_of_kubeadm_fills_what_is_not_given() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etcd")).unwrap();
    for name in [
        "etcd/ca.crt",
        "etcd/server.crt",
        "etcd/server.key",
        "apiserver-etcd-client.crt",
        "apiserver-etcd-client.key",
    ] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let pki = dir.path().to_str().unwrap();
    let more = [
        "--pki",
        pki,
        "--tls-client-auth",
        "optional",
        "--upstream-ca",
        "other.crt",
    ];
    let args = resolved(&[&HTTPS[..], &more].concat()).unwrap();
    let tls = args.listener_tls.unwrap();
    assert_eq!(tls.identity.cert, dir.path().join("etcd/server.crt"));
    assert_eq!(tls.client_ca, Some(dir.path().join("etcd/ca.crt")));
    assert_eq!(args.upstream_tls.ca, Some(PathBuf::from("other.crt")));
    let identity = args.upstream_tls.identity.unwrap();
    assert_eq!(identity.key, dir.path().join("apiserver-etcd-client.key"));
}

#[test]
fn of_the_pki_folder_only_what_is_needed_has_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etcd")).unwrap();
    let pki = ["--pki", dir.path().to_str().unwrap()];
    let own = ["--tls-cert", "a", "--tls-key", "b", "--tls-client-ca", "c"];
    let upstream = ["--upstream-cert", "d", "--upstream-key", "e"];
    // Plain HTTP to etcd needs nothing for that side.
    resolved(&[&ROUTE[..], &pki, &own].concat()).unwrap();
    let https = [&HTTPS[..], &pki, &own, &upstream].concat();
    let missing = resolved(&https).unwrap_err().to_string();
    assert!(
        missing.ends_with("etcd/ca.crt: No such file or directory"),
        "{missing}"
    );
    fs::write(dir.path().join("etcd/ca.crt"), "").unwrap();
    let args = resolved(&https).unwrap();
    assert_eq!(args.upstream_tls.ca, Some(dir.path().join("etcd/ca.crt")));
    assert_eq!(args.upstream_tls.identity.unwrap().cert, PathBuf::from("d"));
}

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// The rows of the table: flag, repeatable, variable, key.
fn table() -> Vec<(String, bool, String, String)> {
    DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = |cell: &str| cell.split('`').nth(1).unwrap_or("").to_owned();
            let flag = code(cells[1]).trim_start_matches("--").to_owned();
            (
                flag,
                cells[1].contains("repeatable"),
                code(cells[2]),
                code(cells[3]),
            )
        })
        .collect()
}

#[test]
fn the_documents_table_is_the_programs_list() {
    let documented: Vec<(String, bool, String)> = table()
        .into_iter()
        .map(|(flag, repeatable, variable, _)| (flag, repeatable, variable))
        .collect();
    let command = command();
    let mut known: Vec<(String, bool, String)> = command
        .get_arguments()
        .filter_map(|argument| {
            let flag = argument.get_long()?;
            let repeatable = matches!(argument.get_action(), clap::ArgAction::Append);
            Some((flag.to_owned(), repeatable, variable(flag)))
        })
        .filter(|(flag, ..)| flag != "help")
        .collect();
    let mut sorted = documented.clone();
    sorted.sort();
    known.sort();
    assert_eq!(sorted, known);
}

#[test]
fn the_documents_example_has_every_key() {
    let example = DOCUMENT
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let (_dir, path) = config(example);
    let layer = from_file(&path).unwrap();
    for (flag, _, _, key) in table() {
        if key.is_empty() {
            continue;
        }
        let given = layer
            .given(&flag)
            .unwrap_or_else(|| panic!("no {key} in the example"));
        assert!(
            given[0].origin.to_string().ends_with(&format!(": {key}")),
            "{key}"
        );
    }
    assert_eq!(layer.iter().count(), table().len() - 1, "all but --config");
}

#[test]
fn slips_of_variables_are_noticed() {
    use crate::cli::settings::suspicious;
    let command = command();
    for (name, meant) in [
        ("ETCDTAP_LISEN", Some("ETCDTAP_LISTEN")),
        ("ETCDTAP_UPSTREAMS", Some("ETCDTAP_UPSTREAM")),
        ("ETCDTAP_LISTEN", None),
        ("ETCDTAP_SERVICE_HOST", None),
        ("ETCDTAP_PORT_2379_TCP", None),
        ("ETCD_LISEN", None),
    ] {
        assert_eq!(suspicious(&command, name).as_deref(), meant, "{name}");
    }
}
