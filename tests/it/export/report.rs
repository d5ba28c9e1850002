//! The report of etcd's robustness tests: its fields are those of etcd's Go
//! types, what the checkers assume holds, and etcd's model comes to the same
//! answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::recorded::{Recorded, export};
use crate::pcap;

/// A client's folder: its operations and its watches.
pub(super) struct Client {
    pub operations: Vec<Value>,
    pub watches: Vec<Value>,
}

fn report(capture: &[pcap::Connection]) -> (Recorded, Vec<Client>, String) {
    let recorded = Recorded::of(capture);
    let (clients, left_out) = report_of(recorded.folder.path(), &recorded.path());
    (recorded, clients, left_out)
}

/// The report of a recording, written to a folder, and what was left out.
pub(super) fn report_of(folder: &Path, recording: &Path) -> (Vec<Client>, String) {
    let folder = folder.join("report");
    let ran = export(&[
        recording.to_str().unwrap(),
        "--to",
        "robustness",
        "-o",
        folder.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read(folder.join("traffic.json")).unwrap(), b"{}\n");
    let mut clients = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(number) = name.strip_prefix("client-") else {
            assert_eq!(name, "traffic.json");
            continue;
        };
        // `LoadClientReports` reads a number there.
        number.parse::<u32>().unwrap();
        clients.push(Client {
            operations: objects(&path.join("operations.json")),
            watches: objects(&path.join("watch.json")),
        });
    }
    (clients, ran.stderr)
}

fn objects(path: &Path) -> Vec<Value> {
    let Ok(text) = fs::read_to_string(path) else {
        return Vec::new();
    };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// etcd's types (`model/types.go`, `model/watch.go`, `model/history.go` and
/// porcupine's `Operation`, as of etcd 3.6): fields with their kinds. What Go
/// leaves out when it is empty ends in `?`, what is a pointer or a slice and may
/// be null in `!`. An embedded struct's fields stand in the outer one.
const TYPES: &[(&str, &str)] = &[
    (
        "Operation",
        "ClientId int, Input EtcdRequest, Call int, Output MaybeEtcdResponse, Return int",
    ),
    (
        "EtcdRequest",
        "Type string, LeaseGrant! Lease, LeaseRevoke! Lease, Range! RangeRequest, Txn! TxnRequest, Defragment! Nothing, Compact! CompactRequest",
    ),
    ("Lease", "LeaseID int"),
    ("Nothing", ""),
    (
        "RangeRequest",
        "Start string, End string, Limit int, Revision int",
    ),
    ("RangeOptions", "Start string, End string, Limit int"),
    ("PutOptions", "Key string, Value ValueOrHash, LeaseID int"),
    ("DeleteOptions", "Key string"),
    (
        "TxnRequest",
        "Conditions! []EtcdCondition, OperationsOnSuccess! []EtcdOperation, OperationsOnFailure! []EtcdOperation",
    ),
    (
        "EtcdCondition",
        "Key string, ExpectedRevision int, ExpectedVersion int",
    ),
    (
        "EtcdOperation",
        "Type string, Range RangeOptions, Put PutOptions, Delete DeleteOptions",
    ),
    ("CompactRequest", "Revision int"),
    (
        "MaybeEtcdResponse",
        "Txn! TxnResponse, Range! RangeResponse, LeaseGrant! Lease, LeaseRevoke! Nothing, Defragment! Nothing, Compact! Nothing, ClientError string, Revision int, Persisted bool, PersistedRevision int, Error string",
    ),
    ("TxnResponse", "Failure bool, Results []EtcdOperationResult"),
    ("RangeResponse", "KVs []KeyValue, Count int"),
    (
        "EtcdOperationResult",
        "KVs! []KeyValue, Count int, Deleted int",
    ),
    (
        "KeyValue",
        "Key string, Value ValueOrHash, ModRevision? int, Version? int",
    ),
    (
        "ValueRevision",
        "Value ValueOrHash, ModRevision? int, Version? int",
    ),
    ("ValueOrHash", "Value? string, Hash? int"),
    (
        "WatchOperation",
        "Request WatchRequest, Responses []WatchResponse",
    ),
    (
        "WatchRequest",
        "Key string, Revision int, WithPrefix bool, WithProgressNotify bool, WithPrevKV bool",
    ),
    (
        "WatchResponse",
        "Events! []WatchEvent, IsProgressNotify bool, Revision int, Time int, Error string",
    ),
    (
        "WatchEvent",
        "Type string, Key string, Value ValueOrHash, Revision int, IsCreate bool, PrevValue! ValueRevision",
    ),
];

/// Holds a value against one of etcd's types.
fn is_of(kind: &str, value: &Value) {
    if let Some(kind) = kind.strip_prefix("[]") {
        for item in value.as_array().unwrap() {
            is_of(kind, item);
        }
        return;
    }
    match kind {
        "int" => assert!(value.is_i64(), "{value}"),
        "string" => assert!(value.is_string(), "{value}"),
        "bool" => assert!(value.is_boolean(), "{value}"),
        _ => {
            let (_, fields) = TYPES.iter().find(|(name, _)| *name == kind).unwrap();
            let object = value.as_object().unwrap();
            let mut known = BTreeSet::new();
            for field in fields.split(", ").filter(|field| !field.is_empty()) {
                let (name, of) = field.split_once(' ').unwrap();
                let bare = name.trim_end_matches(['?', '!']);
                known.insert(bare);
                match object.get(bare) {
                    None => assert!(name.ends_with('?'), "{kind}.{bare} is missing: {value}"),
                    Some(Value::Null) => assert!(name.ends_with('!'), "{kind}.{bare} is null"),
                    Some(inner) => is_of(of, inner),
                }
            }
            for name in object.keys() {
                assert!(known.contains(name.as_str()), "{kind} has no {name}");
            }
        }
    }
}

/// etcd's deterministic model, as `model/deterministic.go` describes it.
#[derive(Default)]
pub(super) struct Model {
    revision: i64,
    keys: BTreeMap<String, Value>,
    leases: BTreeMap<i64, BTreeSet<String>>,
    /// What watches are to be told, in order.
    history: Vec<Value>,
}

impl Model {
    fn read(&self, options: &Value) -> (Vec<Value>, usize) {
        let (start, end) = (options["Start"].as_str().unwrap(), &options["End"]);
        let limit = options["Limit"].as_u64().unwrap() as usize;
        let found: Vec<Value> = match end.as_str().unwrap() {
            "" => self.keys.get(start).into_iter().cloned().collect(),
            end if end <= start => Vec::new(),
            end => {
                let range = self.keys.range(start.to_owned()..end.to_owned());
                range.map(|(_, kv)| kv.clone()).collect()
            }
        };
        let count = found.len();
        let most = if limit == 0 { count } else { limit };
        (found.into_iter().take(most).collect(), count)
    }

    fn tell(&mut self, kind: &str, key: &str, value: &Value, created: bool) {
        self.history.push(json!({
            "Type": kind, "Key": key, "Value": value, "Revision": self.revision + 1,
            "IsCreate": created,
        }));
    }

    fn detach(&mut self, key: &str) {
        for keys in self.leases.values_mut() {
            keys.remove(key);
        }
    }

    /// What the model answers.
    fn step(&mut self, asked: &Value) -> Value {
        match asked["Type"].as_str().unwrap() {
            "range" => {
                let (kvs, count) = self.read(&asked["Range"]);
                json!({"Range": {"KVs": kvs, "Count": count}, "Revision": self.revision})
            }
            "leaseGrant" => {
                let lease = asked["LeaseGrant"]["LeaseID"].as_i64().unwrap();
                self.leases.insert(lease, BTreeSet::new());
                json!({"LeaseGrant": {"LeaseID": 0}, "Revision": self.revision})
            }
            "leaseRevoke" => {
                let lease = asked["LeaseRevoke"]["LeaseID"].as_i64().unwrap();
                let keys = self.leases.remove(&lease).unwrap_or_default();
                for key in &keys {
                    self.keys.remove(key);
                    self.tell("delete-operation", key, &json!({}), false);
                }
                self.revision += i64::from(!keys.is_empty());
                json!({"LeaseRevoke": {}, "Revision": self.revision})
            }
            "compact" => json!({"Compact": {}, "Revision": -1}),
            "txn" => self.txn(&asked["Txn"]),
            other => panic!("no recording of ours has {other}"),
        }
    }

    fn txn(&mut self, txn: &Value) -> Value {
        let mut conditions = txn["Conditions"].as_array().into_iter().flatten();
        let holds = conditions.all(|condition| {
            let kv = self.keys.get(condition["Key"].as_str().unwrap());
            let at = |field: &str| kv.map_or(0, |kv| kv[field].as_i64().unwrap());
            match condition["ExpectedVersion"].as_i64().unwrap() {
                0 => at("ModRevision") == condition["ExpectedRevision"].as_i64().unwrap(),
                version => at("Version") == version,
            }
        });
        let branch = if holds {
            "OperationsOnSuccess"
        } else {
            "OperationsOnFailure"
        };
        let (mut results, mut changed) = (Vec::new(), false);
        for operation in txn[branch].as_array().into_iter().flatten() {
            results.push(match operation["Type"].as_str().unwrap() {
                "range-operation" => {
                    let (kvs, count) = self.read(&operation["Range"]);
                    json!({"KVs": kvs, "Count": count, "Deleted": 0})
                }
                "put-operation" => {
                    let put = &operation["Put"];
                    let key = put["Key"].as_str().unwrap();
                    let lease = put["LeaseID"].as_i64().unwrap();
                    if lease == 0 || self.leases.contains_key(&lease) {
                        let before = self.keys.get(key);
                        let version = before.map_or(0, |kv| kv["Version"].as_i64().unwrap()) + 1;
                        self.tell("put-operation", key, &put["Value"], version == 1);
                        let kv = json!({
                            "Key": key, "Value": put["Value"],
                            "ModRevision": self.revision + 1, "Version": version,
                        });
                        self.keys.insert(key.to_owned(), kv);
                        self.detach(key);
                        if let Some(keys) = self.leases.get_mut(&lease) {
                            keys.insert(key.to_owned());
                        }
                        changed = true;
                    }
                    json!({"KVs": null, "Count": 0, "Deleted": 0})
                }
                "delete-operation" => {
                    let key = operation["Delete"]["Key"].as_str().unwrap();
                    let deleted = self.keys.remove(key).is_some();
                    if deleted {
                        self.detach(key);
                        self.tell("delete-operation", key, &json!({}), false);
                    }
                    changed |= deleted;
                    json!({"KVs": null, "Count": 0, "Deleted": u8::from(deleted)})
                }
                other => panic!("{other}"),
            });
        }
        self.revision += i64::from(changed);
        json!({"Txn": {"Failure": !holds, "Results": results}, "Revision": self.revision})
    }
}

/// All of it is of etcd's types.
pub(super) fn types_hold(clients: &[Client]) {
    for client in clients {
        client
            .operations
            .iter()
            .for_each(|one| is_of("Operation", one));
        client
            .watches
            .iter()
            .for_each(|one| is_of("WatchOperation", one));
    }
}

/// What the checkers assume (`validate/validate.go`).
pub(super) fn assumptions_hold(clients: &[Client]) {
    let mut last_return = BTreeMap::<i64, i64>::new();
    for operation in clients.iter().flat_map(|client| &client.operations) {
        let [client, call, returned] =
            ["ClientId", "Call", "Return"].map(|field| operation[field].as_i64().unwrap());
        assert!(returned > call, "{operation}");
        let before = last_return.insert(client, returned).unwrap_or(0);
        assert!(
            call > before,
            "{client} has concurrent requests: {operation}"
        );
    }
    let mut operations = clients.iter().flat_map(|client| &client.operations);
    assert!(
        operations.any(|operation| {
            operation["Input"]["Type"] == "range" && operation["Output"]["Revision"] == 1
        }),
        "the database was empty at the start"
    );
}

/// When a call took effect: the revision that it reads or makes; what makes it
/// comes first.
fn effect(operation: &Value) -> (i64, bool, i64) {
    let (asked, answer) = (&operation["Input"], &operation["Output"]);
    let of = match asked["Range"]["Revision"].as_i64() {
        Some(revision) if revision > 0 => revision,
        _ => answer["Revision"].as_i64().unwrap(),
    };
    let txn = &answer["Txn"];
    let branch = if txn["Failure"] == true {
        "OperationsOnFailure"
    } else {
        "OperationsOnSuccess"
    };
    let operations = asked["Txn"][branch].as_array().into_iter().flatten();
    let results = txn["Results"].as_array().into_iter().flatten();
    let writes = operations.zip(results).any(|(operation, result)| {
        // Who deletes what is not there changes nothing.
        operation["Type"] == "put-operation" || result["Deleted"] != 0
    });
    let writes = writes || !answer["LeaseRevoke"].is_null();
    (of, !writes, operation["Call"].as_i64().unwrap())
}

/// The model, driven by what was asked, answers what etcd answered.
pub(super) fn the_model_agrees(clients: &[Client]) -> Model {
    let operations = clients.iter().flat_map(|client| &client.operations);
    let mut operations: Vec<&Value> = operations
        .filter(|operation| operation["Input"]["Type"] != "compact")
        .collect();
    operations.sort_by_key(|operation| effect(operation));
    let mut model = Model {
        revision: 1,
        ..Model::default()
    };
    for operation in operations {
        assert_eq!(operation["Output"]["Error"], "", "{operation}");
        let told = model.step(&operation["Input"]);
        let answer = &operation["Output"];
        let fields = told.as_object().unwrap();
        let past =
            operation["Input"]["Range"]["Revision"] != 0 && operation["Input"]["Type"] == "range";
        for (field, value) in fields {
            if past && field == "Revision" {
                continue;
            }
            assert!(
                answer[field] == *value,
                "asked {}\ntold {}\nthe model has {value}",
                operation["Input"],
                answer[field]
            );
        }
    }
    model
}

/// Every watch was told what the model's history has for it, from its first event
/// to its last, in order and once.
pub(super) fn watches_agree(clients: &[Client], model: &Model) -> usize {
    let mut events = 0;
    for watch in clients.iter().flat_map(|client| &client.watches) {
        let request = &watch["Request"];
        let key = request["Key"].as_str().unwrap();
        let responses = watch["Responses"].as_array().unwrap();
        let told: Vec<Value> = responses
            .iter()
            .flat_map(|response| response["Events"].as_array().into_iter().flatten())
            .map(|event| {
                let mut event = event.clone();
                let prev = event.as_object_mut().unwrap().remove("PrevValue").unwrap();
                assert_eq!(
                    prev.is_null(),
                    event["IsCreate"] == true || request["WithPrevKV"] == false,
                    "{event}"
                );
                event
            })
            .collect();
        let (Some(first), Some(last)) = (told.first(), told.last()) else {
            continue;
        };
        let revision = |event: &Value| event["Revision"].as_i64().unwrap();
        let expected: Vec<&Value> = model
            .history
            .iter()
            .filter(|event| {
                let of = event["Key"].as_str().unwrap();
                let matches = match request["WithPrefix"] == true {
                    true => of.starts_with(key),
                    false => of == key,
                };
                matches && (revision(first)..=revision(last)).contains(&revision(event))
            })
            .collect();
        assert_eq!(told.iter().collect::<Vec<_>>(), expected, "{request}");
        assert!(revision(first) >= request["Revision"].as_i64().unwrap());
        events += told.len();
    }
    events
}

fn etcds_checkers_could_read_it(capture: &[pcap::Connection]) {
    let (recorded, clients, left_out) = report(capture);
    types_hold(&clients);
    assumptions_hold(&clients);
    // A connection's calls overlap, and its client is several.
    let numbers: BTreeSet<i64> = clients
        .iter()
        .flat_map(|client| &client.operations)
        .map(|operation| operation["ClientId"].as_i64().unwrap())
        .collect();
    assert!(numbers.len() > clients.len());

    // What is not there is said, with numbers; and that values are hidden, without.
    let left_out: Vec<&str> = left_out
        .lines()
        .map(|line| line.split_once("the format cannot tell: ").unwrap().1)
        .collect();
    let (counted, noted): (Vec<&str>, Vec<&str>) = left_out
        .iter()
        .partition(|what| what.starts_with(|first: char| first.is_ascii_digit()));
    assert!(
        noted.iter().all(|what| what.starts_with("hidden values")) && noted.len() <= 1,
        "{noted:?}"
    );
    let said: usize = counted
        .iter()
        .map(|what| what.split(' ').next().unwrap().parse::<usize>().unwrap())
        .sum();
    let of_the_model = [
        "Range",
        "Put",
        "DeleteRange",
        "Txn",
        "Compact",
        "LeaseGrant",
    ];
    let calls = recorded
        .lines()
        .into_iter()
        .filter(|line| line.line.event == "call" && of_the_model.contains(&line.line.method()))
        .count();
    let told: usize = clients.iter().map(|client| client.operations.len()).sum();
    assert_eq!(told + said, calls, "{counted:?}");

    let model = the_model_agrees(&clients);
    let events = watches_agree(&clients, &model);
    let logged = recorded.log.matches("\"event\":\"watch_event\"").count();
    assert_eq!(events, logged);
}

#[test]
fn the_report_of_the_older_capture_is_etcds() {
    etcds_checkers_could_read_it(&pcap::APISERVER_1_20);
}

#[test]
fn the_report_of_the_newer_capture_is_etcds() {
    etcds_checkers_could_read_it(&pcap::APISERVER_0_36);
}
