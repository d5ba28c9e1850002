//! Faults out of bytes: three for each, and so most inputs give faults that
//! load.

use etcdtap::fault::plan::FaultSpec;

use super::input::Input;

const MATCHES: [&str; 12] = [
    "{}",
    "{service: KV}",
    "{method: Range}",
    "{verb: [get, list]}",
    "{method: Txn}",
    "{verb: watch}",
    "{method: LeaseKeepAlive}",
    "{key_prefix: /registry/pods/}",
    "{method: Put}",
    "{request_size: {min: 100}}",
    "{resource: pods, namespace: a}",
    "{verb: [create, update, delete]}",
];

const ACTIONS: [&str; 44] = [
    "{delay: {request: 20ms}}",
    "{delay: {response: 20ms}}",
    "{delay: {each_request_message: 30ms}}",
    "{delay: {each_response_message: 30ms}}",
    "{delay: {request: 1s, response: {uniform: {from: 1ms, to: 3s}}}}",
    "{delay: {each_response_message: {exponential: {mean: 20ms}}, response: 100ms}}",
    "{delay: {request: {pareto: {at_least: 5ms, shape: 1.5}}, each_request_message: 5ms}}",
    "{rate: {calls_per_second: 0.5}}",
    "{rate: {calls_per_second: 100}}",
    "{rate: {bytes_per_second: 1}}",
    "{rate: {bytes_per_second: 1000}}",
    "{rate: {bytes_per_second: 1MiB}}",
    "error",
    "{error: no-leader}",
    "{error: {code: RESOURCE_EXHAUSTED, message: \"100 % full\"}}",
    "lose_reply",
    "{lose_reply: {reset: INTERNAL_ERROR}}",
    "{lose_reply: {silence: true}}",
    "{lose_reply: {reset: REFUSED_STREAM, lying_server: true}}",
    "hang",
    "{reset: {at: request}}",
    "{reset: {at: head}}",
    "{reset: {at: message, after: 50%}}",
    "{reset: {at: message, after: 3, code: CANCEL}}",
    "withhold_trailers",
    "{cut_short: {after: 50%}}",
    "{cut_short: {after: 1, end: end-stream}}",
    "{cut_short: {after: 0, end: trailers}}",
    "{duplicate: {client_sees: first}}",
    "{duplicate: {client_sees: second}}",
    "{watch: drop_stream}",
    "{watch: {drop_stream: {answer: no-leader}}}",
    "{watch: cancel}",
    "{watch: {cancel: {as: requested}}}",
    "{watch: refuse}",
    "{watch: stall}",
    "{watch: {stall: {for: 100ms}}}",
    "{watch: {delay_events: 30ms}}",
    "{watch: drop_events}",
    "{watch: duplicate_events}",
    "{watch: reorder_events}",
    "{watch: {delay_progress: 50ms}}",
    "{watch: {falsify_progress: {ahead: 1000, at_once: true}}}",
    "{watch: fragment}",
];

const TERMS: [&str; 8] = [
    "",
    ", probability: 0.5",
    ", first: 1",
    ", every: 2",
    ", at_most: 1",
    ", start: 50ms",
    ", duration: 1s",
    ", start: 10ms, duration: 100ms, repeat: 1s",
];

pub const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Up to four faults.
pub fn faults(input: &mut Input<'_>) -> Vec<FaultSpec> {
    let count = usize::from(input.byte().unwrap_or(0)) % (NAMES.len() + 1);
    NAMES[..count]
        .iter()
        .filter_map(|name| fault(name, input))
        .collect()
}

/// One; none where its parts do not go together.
pub fn fault(name: &str, input: &mut Input<'_>) -> Option<FaultSpec> {
    let matches = input.pick(&MATCHES)?;
    let action = input.pick(&ACTIONS)?;
    let term = input.pick(&TERMS)?;
    let text = format!("{{name: {name}, match: {matches}, action: {action}{term}}}");
    FaultSpec::from_yaml("input", &text).ok()
}
