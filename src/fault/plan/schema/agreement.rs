//! The schema and the reader agree: what the reader takes the schema takes, and
//! both refuse unknown keys and wrong types.

use serde_json::Value;

use super::check::is_valid;
use crate::fault::plan::{Plan, SCHEMA, tests::GOOD};

/// A plan in YAML as the JSON that an editor's schema check sees.
fn as_json(yaml: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(yaml, options).expect("YAML")
}

fn schema_takes(value: &Value) -> bool {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    is_valid(&schema, &schema, value)
}

fn reader_takes(value: &Value) -> bool {
    Plan::from_json(&value.to_string()).is_ok()
}

#[test]
fn good_plans_are_good_to_both() {
    for (name, yaml) in GOOD {
        let value = as_json(yaml);
        assert!(reader_takes(&value), "{name}");
        assert!(schema_takes(&value), "{name}");
        let plan = Plan::from_yaml(name, yaml).unwrap_or_else(|errors| panic!("{errors}"));
        let written = serde_json::to_value(&plan).expect("JSON");
        assert!(schema_takes(&written), "{name}: {written}");
    }
    for fault in [
        "{name: a, action: hang}",
        "{name: a, match: {}, action: withhold_trailers}",
        "{name: a, action: {hang: {}}, start: \"0\", duration: 1h30m, repeat: 2h}",
        "{name: a, action: {lose_reply: {}}}",
        "{name: a, action: {lose_reply: {lying_server: true, reset: REFUSED_STREAM}}}",
        "{name: a, action: {cut_short: {after: 0}}}",
        "{name: a, action: {cut_short: {after: 99%}}}",
        "{name: a, action: {cut_short: {after: 07%}}}",
        "{name: a, action: {error: {code: ABORTED}}}",
        "{name: a, action: {rate: {calls_per_second: 0.5}}}",
        "{name: a, action: {rate: {bytes_per_second: 10}}}",
        "{name: a, action: {delay: {request: 1.5s, response: {exponential: {mean: 1us}, at_most: 5µs}}}}",
        "{name: a, match: {request_size: {max: 5MB}}, action: hang, probability: 1}",
        "{name: a, match: {group: \"\"}, action: hang, first: 1, every: 1, at_most: 1}",
        "{name: a, match: {method: my.own.Service/Do}, action: duplicate}",
        "{name: a, action: {connection: goaway}}",
        "{name: a, action: {connection: {goaway: {}}}}",
        "{name: a, action: {connection: {close: {after: 1s}}}}",
        "{name: a, action: {connection: {latency: {fixed: 1s}}}}",
        "{name: a, action: {connection: {ping: {delay: 1s}}}}",
        "{name: a, action: {connection: {max_concurrent_streams: 0}}}",
    ] {
        let value = as_json(&format!("faults: [{fault}]"));
        assert!(reader_takes(&value), "{fault}");
        assert!(schema_takes(&value), "{fault}");
    }
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_by_both() {
    for plan in [
        "{sed: 5}",
        "{seed: -1}",
        "{seed: five}",
        "{faults: {}}",
        "{faults: [5]}",
        "[]",
    ] {
        let value = as_json(plan);
        assert!(!reader_takes(&value), "{plan}");
        assert!(!schema_takes(&value), "{plan}");
    }
    for rest in [
        "",
        "action: 5",
        "action: null",
        "action: []",
        "action: hagn",
        "action: delay",
        "action: {}",
        "action: {hang: {}, error: no-leader}",
        "action: {hang: {for: 5s}}",
        "action: {hang: null}",
        "action: {delay: 5s}",
        "action: {delay: {}}",
        "action: {delay: {request: 5}}",
        "action: {delay: {request: fast}}",
        "action: {delay: {each: 5s}}",
        "action: {delay: {request: {uniform: {from: 1s}}}}",
        "action: {delay: {request: {normal: {mean: 1s, deviation: 1}}}}",
        "action: {delay: {request: {pareto: {at_least: 1s, shape: 0}}}}",
        "action: {delay: {request: {gamma: {}}}}",
        "action: {rate: {calls_per_second: five}}",
        "action: {rate: {calls_per_second: 0}}",
        "action: {rate: {calls_per_second: 1, bytes_per_second: 1}}",
        "action: {error: no-laeder}",
        "action: {error: {code: 14}}",
        "action: {error: {code: OK}}",
        "action: {error: {message: away}}",
        "action: {lose_reply: {silence: false}}",
        "action: {lose_reply: {reset: 8}}",
        "action: {lose_reply: {lying_server: 1}}",
        "action: {reset: {}}",
        "action: {reset: {at: end}}",
        "action: {reset: {at: head, code: CANCELLED}}",
        "action: {cut_short: {after: 100%}}",
        "action: {cut_short: {after: 0%}}",
        "action: {cut_short: {after: half}}",
        "action: {cut_short: {end: reset}}",
        "action: {duplicate: {client_sees: third}}",
        "action: connection",
        "action: {connection: {}}",
        "action: {connection: ping}",
        "action: {connection: rset}",
        "action: {connection: {refuse: {after: 1s}}}",
        "action: {connection: {close: {when: 1s}}}",
        "action: {connection: {goaway: {code: 5}}}",
        "action: {connection: {goaway: {graceful: 1}}}",
        "action: {connection: {half_open: {}}}",
        "action: {connection: {half_open: {dead: both}}}",
        "action: {connection: {bandwidth: {direction: both}}}",
        "action: {connection: {latency: {direction: up}}}",
        "action: {connection: {latency: 5}}",
        "action: {connection: {ping: late}}",
        "action: {connection: {max_concurrent_streams: -1}}",
        "action: {connection: {max_concurrent_streams: 4294967296}}",
        "action: {connection: {tls: broken}}",
        "action: hang, probability: 0",
        "action: hang, probability: 1.1",
        "action: hang, probability: often",
        "action: hang, first: 0",
        "action: hang, every: 1.5",
        "action: hang, at_most: '5'",
        "action: hang, start: 5",
        "action: hang, duration: long",
        "action: hang, until: 5s",
        "action: hang, match: null",
        "action: hang, match: []",
        "action: hang, match: {verb: lst}",
        "action: hang, match: {verb: conflict}",
        "action: hang, match: {verb: []}",
        "action: hang, match: {verbs: list}",
        "action: hang, match: {name: 5}",
        "action: hang, match: {name: ''}",
        "action: hang, match: {key_range: {from: /a}}",
        "action: hang, match: {request_size: {}}",
        "action: hang, match: {request_size: {min: few}}",
        "action: hang, match: {client: 10}",
    ] {
        let fault = format!("{{name: a, {rest}}}");
        let value = as_json(&format!("faults: [{fault}]"));
        assert!(!reader_takes(&value), "{fault}");
        assert!(!schema_takes(&value), "{fault}");
    }
    for name in ["A", "''", "5"] {
        let value = as_json(&format!("faults: [{{name: {name}, action: hang}}]"));
        assert!(!reader_takes(&value) && !schema_takes(&value), "{name}");
    }
}
