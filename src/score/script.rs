//! Logs for tests, as an API server and etcd would cause them.

use serde_json::{Value, json};

use super::{Meter, Options, Reader, Scorecard};

/// A log that is being written. Times are milliseconds after its zero.
#[derive(Default)]
pub(super) struct Script {
    lines: Vec<Value>,
}

pub(super) const PODS: (&str, &str) = ("/registry/pods/", "/registry/pods0");

impl Script {
    fn line(&mut self, millis: u64, event: &str, conn: u64, more: Value) -> &mut Script {
        let (seconds, rest) = (millis / 1000, millis % 1000);
        let mut line = json!({
            "ts": format!("2026-11-03T08:{:02}:{:02}.{rest:03}000Z", seconds / 60, seconds % 60),
            "event": event,
            "conn": conn,
            "client": format!("10.0.0.7:{}", 40_000 + conn),
        });
        if event != "connection" {
            line["user_agent"] = json!("grpc-go/1.81.0");
        }
        let into = line.as_object_mut().expect("an object");
        into.extend(more.as_object().expect("an object").clone());
        self.lines.push(line);
        self
    }

    /// Adds fields to the last line.
    pub fn with(&mut self, more: Value) -> &mut Script {
        let last = self.lines.last_mut().and_then(Value::as_object_mut);
        let fields = more.as_object().expect("an object").clone();
        last.expect("there is a line").extend(fields);
        self
    }

    /// A fault struck what the last line tells of.
    pub fn struck(&mut self, name: &str) -> &mut Script {
        self.with(json!({ "fault": [{ "name": name, "did": "something" }] }))
    }

    /// The last line tells of this stream instead of 3.
    pub fn on_stream(&mut self, stream: u32) -> &mut Script {
        self.with(json!({ "stream": stream }))
    }

    /// The client is not given what the last line tells of.
    pub fn undelivered(&mut self) -> &mut Script {
        self.with(json!({ "delivered": false }))
    }

    pub fn opened(&mut self, millis: u64, conn: u64) -> &mut Script {
        self.line(millis, "connection", conn, json!({ "state": "opened" }))
    }

    pub fn closed(&mut self, millis: u64, conn: u64, by: &str) -> &mut Script {
        let more = json!({ "state": "closed", "by": by, "user_agent": "grpc-go/1.81.0" });
        self.line(millis, "connection", conn, more)
    }

    pub fn failed(&mut self, millis: u64, conn: u64) -> &mut Script {
        self.line(millis, "connection", conn, json!({ "state": "failed" }))
    }

    pub fn fault(&mut self, millis: u64, conn: u64, name: &str) -> &mut Script {
        self.line(millis, "fault", conn, json!({})).struck(name)
    }

    /// A watch of pods on its own stream, 3.
    pub fn watch(&mut self, millis: u64, conn: u64, start: i64, revision: i64) -> &mut Script {
        let more = json!({ "stream": 3, "watch_id": 0, "key": PODS.0, "range_end": PODS.1,
            "method": "Watch", "verb": "watch", "start_revision": start, "revision": revision });
        self.line(millis, "watch_created", conn, more)
    }

    pub fn event(&mut self, millis: u64, conn: u64, name: &str, revision: i64) -> &mut Script {
        let more = json!({ "stream": 3, "watch_id": 0, "key": pod(name), "method": "Watch",
            "verb": "update", "type": "PUT", "revision": revision });
        self.line(millis, "watch_event", conn, more)
    }

    pub fn progress(&mut self, millis: u64, conn: u64, id: i64, revision: i64) -> &mut Script {
        let more = json!({ "stream": 3, "watch_id": id, "revision": revision });
        self.line(millis, "watch_progress", conn, more)
    }

    pub fn canceled(&mut self, millis: u64, conn: u64, cause: &str) -> &mut Script {
        let more = json!({ "stream": 3, "watch_id": 0, "cause": cause });
        self.line(millis, "watch_canceled", conn, more)
    }

    /// The end of the Watch stream.
    pub fn stream_end(&mut self, millis: u64, conn: u64, more: Value) -> &mut Script {
        let call = json!({ "stream": 3, "method": "Watch", "verb": "watch", "status": "CANCELLED",
            "duration_us": 1000 });
        self.line(millis, "call", conn, call).with(more)
    }

    /// An update of a pod that was committed and took a millisecond.
    pub fn update(&mut self, millis: u64, conn: u64, name: &str, revision: i64) -> &mut Script {
        let more = json!({ "stream": 5, "service": "etcdserverpb.KV", "method": "Txn",
            "verb": "update", "key": pod(name), "status": "OK", "duration_us": 1000,
            "response_bytes": 28, "revision": revision });
        self.line(millis, "call", conn, more)
    }

    /// A list of pods.
    pub fn list(&mut self, millis: u64, conn: u64, revision: i64, bytes: u64) -> &mut Script {
        let more = json!({ "stream": 7, "service": "etcdserverpb.KV", "method": "Range",
            "verb": "list", "key": PODS.0, "range_end": PODS.1, "status": "OK",
            "duration_us": 1000, "response_bytes": bytes, "revision": revision });
        self.line(millis, "call", conn, more)
    }

    /// A read of one pod.
    pub fn get(&mut self, millis: u64, conn: u64, name: &str, took_us: u64) -> &mut Script {
        let more = json!({ "stream": 9, "service": "etcdserverpb.KV", "method": "Range",
            "verb": "get", "key": pod(name), "status": "OK", "duration_us": took_us,
            "response_bytes": 100, "revision": 1 });
        self.line(millis, "call", conn, more)
    }

    /// Any other line.
    pub fn other(&mut self, text: &str) -> &mut Script {
        self.lines.push(Value::String(text.to_owned()));
        self
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Value::String(raw) => text.push_str(raw),
                line => text.push_str(&line.to_string()),
            }
            text.push('\n');
        }
        text
    }

    pub fn card(&self) -> Scorecard {
        self.card_with(Options::default())
    }

    pub fn card_with(&self, options: Options) -> Scorecard {
        let mut meter = Meter::new(options);
        let source = Reader::default()
            .read(self.text().as_bytes(), &mut meter)
            .expect("memory can be read");
        meter.card(None, source)
    }
}

pub(super) fn pod(name: &str) -> String {
    format!("/registry/pods/lab/{name}")
}
