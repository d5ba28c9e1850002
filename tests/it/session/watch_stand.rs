//! A Watch stream between two scripted peers, and a judge who is told what strikes
//! its watches.

use etcdtap::etcd::schema::etcdserverpb::watch_request::RequestUnion;
use etcdtap::etcd::schema::etcdserverpb::{
    ResponseHeader, WatchCancelRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use etcdtap::etcd::schema::mvccpb::{Event as KeyEvent, KeyValue};
use etcdtap::etcd::watch_verdict::{Moment, WatchAct};
use etcdtap::etcd::{Event, SessionOptions, WatchNote};
use etcdtap::http2::Side;
use prost::Message;

use super::script::prefixed;
use super::stand::Stand;

pub const WATCH: &str = "/etcdserverpb.Watch/Watch";

pub fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: 7,
        member_id: 8,
        revision,
        raft_term: 2,
    })
}

pub fn created(watch_id: i64) -> WatchResponse {
    WatchResponse {
        header: header(10),
        watch_id,
        created: true,
        ..WatchResponse::default()
    }
}

pub fn progress(watch_id: i64, revision: i64) -> WatchResponse {
    WatchResponse {
        header: header(revision),
        watch_id,
        ..WatchResponse::default()
    }
}

pub fn events(watch_id: i64, revision: i64, keys: &[&str]) -> WatchResponse {
    let event = |key: &&str| KeyEvent {
        r#type: i32::from(key.starts_with('-')),
        kv: Some(KeyValue {
            key: key.trim_start_matches('-').to_owned().into(),
            create_revision: 1,
            mod_revision: revision,
            version: 1,
            ..KeyValue::default()
        }),
        prev_kv: None,
    };
    WatchResponse {
        header: header(revision),
        watch_id,
        events: keys.iter().map(event).collect(),
        ..WatchResponse::default()
    }
}

pub fn create(key: &str) -> WatchRequest {
    let create = WatchCreateRequest {
        key: key.to_owned().into(),
        range_end: b"\0".to_vec().into(),
        start_revision: 5,
        ..WatchCreateRequest::default()
    };
    WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    }
}

pub fn cancel(watch_id: i64) -> WatchRequest {
    WatchRequest {
        request_union: Some(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })),
    }
}

/// What a peer got of the stream, message by message.
#[derive(Debug, Default)]
struct Heard(usize);

pub struct Watches {
    pub stand: Stand,
    client: Heard,
    server: Heard,
}

impl Watches {
    /// A stream that is touched from its beginning.
    pub fn touched(say: impl FnMut(i64, Moment<'_>) -> Vec<WatchAct> + Send + 'static) -> Watches {
        let mut watches = Watches::with(SessionOptions::default());
        watches.touch(say);
        watches.open();
        watches
    }

    pub fn with(options: SessionOptions) -> Watches {
        Watches {
            stand: Stand::with(options, |_| None),
            client: Heard::default(),
            server: Heard::default(),
        }
    }

    pub fn touch(
        &mut self,
        mut say: impl FnMut(i64, Moment<'_>) -> Vec<WatchAct> + Send + 'static,
    ) {
        self.stand.bench.lock().unwrap().watches = Some(Box::new(move |watch, moment| {
            say(watch.watch_id.unwrap_or(-1), moment)
        }));
    }

    pub fn open(&mut self) {
        self.stand.open(1, WATCH);
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        self.stand.headers(Side::Server, 1, &head, false);
    }

    pub fn ask(&mut self, request: &WatchRequest) {
        let bytes = prefixed(&request.encode_to_vec(), false);
        self.stand.data(Side::Client, 1, &bytes, false);
    }

    pub fn say(&mut self, response: &WatchResponse) {
        let bytes = prefixed(&response.encode_to_vec(), false);
        self.stand.data(Side::Server, 1, &bytes, false);
    }

    /// Asks for a watch, and has etcd create it.
    pub fn watch(&mut self, id: i64, key: &str) {
        self.ask(&create(key));
        self.say(&created(id));
    }

    pub fn content(&self, from: Side) -> Vec<u8> {
        self.stand.content(from, 1)
    }

    /// What the client got since it was asked last.
    pub fn client_got(&mut self) -> Vec<WatchResponse> {
        let content = self.content(Side::Server);
        let messages = messages(&content[self.client.0..]);
        self.client.0 = content.len();
        let read = |body: &Vec<u8>| WatchResponse::decode(&**body).expect("a WatchResponse");
        messages.iter().map(read).collect()
    }

    /// The same, in short.
    pub fn client_heard(&mut self) -> Vec<String> {
        self.client_got().iter().map(in_short).collect()
    }

    pub fn server_got(&mut self) -> Vec<WatchRequest> {
        let content = self.content(Side::Client);
        let messages = messages(&content[self.server.0..]);
        self.server.0 = content.len();
        let read = |body: &Vec<u8>| WatchRequest::decode(&**body).expect("a WatchRequest");
        messages.iter().map(read).collect()
    }

    pub fn notes(&self) -> Vec<&WatchNote> {
        let notes = self.stand.events.iter().filter_map(|event| match event {
            Event::Watch(note) => Some(&**note),
            _ => None,
        });
        notes.collect()
    }
}

pub fn messages(mut content: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = content.split_at_checked(5) {
        let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
        messages.push(rest[..length].to_vec());
        content = &rest[length..];
    }
    assert!(content.is_empty(), "half a prefix: {content:?}");
    messages
}

pub fn in_short(response: &WatchResponse) -> String {
    let id = response.watch_id;
    let revision = response.header.as_ref().map_or(0, |header| header.revision);
    let fragment = if response.fragment { "…" } else { "" };
    match (response.created, response.canceled) {
        (true, true) => format!("{id} refused {}", response.cancel_reason),
        (true, false) => format!("{id} created"),
        (false, true) => format!("{id} canceled {}", response.compact_revision),
        _ if response.events.is_empty() => format!("{id} up to {revision}"),
        _ => {
            let key = |event: &KeyEvent| {
                let kv = event.kv.as_ref().expect("a key");
                String::from_utf8(kv.key.to_vec()).unwrap()
            };
            let keys: Vec<_> = response.events.iter().map(key).collect();
            format!("{id} {}@{revision}{fragment}", keys.join(","))
        }
    }
}
