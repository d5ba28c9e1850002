use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::etcd::verdict::{
    Asked, Loss, Portion, Refreshed, RequestFate, ResponseFate, Sees, Suspicion, Verdict,
};
use crate::etcd::{Compare, CompareTarget, Method, MethodName, Op, RangeAsked, Request, TxnAsked};
use crate::fault::plan::FaultSpec;
use crate::http2::{ErrorCode, StreamId};
use crate::relay::{ConnectionId, Peers, TlsSeen};

mod changing;
mod composing;
mod connections;
mod counting;
mod matching;
mod when;

/// A call as a test asks it.
struct Question {
    path: &'static str,
    user_agent: Option<&'static str>,
    request: Request,
    bytes: u64,
}

fn list(prefix: &str) -> Question {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix") += 1;
    let asked = RangeAsked {
        key: prefix.as_bytes().into(),
        range_end: end.into(),
        ..RangeAsked::default()
    };
    question("/etcdserverpb.KV/Range", Request::Range(asked))
}

fn get(key: &str) -> Question {
    let asked = RangeAsked {
        key: key.as_bytes().into(),
        ..RangeAsked::default()
    };
    question("/etcdserverpb.KV/Range", Request::Range(asked))
}

fn create(key: &str) -> Question {
    let key: Box<[u8]> = key.as_bytes().into();
    let asked = TxnAsked {
        compares: vec![Compare {
            target: CompareTarget::ModRevision,
            key: key.clone(),
            number: 0,
        }],
        success: vec![Op::Put {
            key,
            value: crate::etcd::Value::default(),
            lease: 0,
        }],
        ..TxnAsked::default()
    };
    question("/etcdserverpb.KV/Txn", Request::Txn(asked))
}

fn watch(key: &str) -> Question {
    let request = Request::Watch {
        key: key.as_bytes().into(),
        range_end: Box::default(),
        start_revision: 0,
    };
    question("/etcdserverpb.Watch/Watch", request)
}

fn question(path: &'static str, request: Request) -> Question {
    Question {
        path,
        user_agent: Some("kube-apiserver/v1.33.1 (linux/amd64)"),
        request,
        bytes: 100,
    }
}

fn peers() -> Arc<Peers> {
    let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
    Arc::new(Peers {
        id: ConnectionId(1),
        client: address("10.1.2.3:40000"),
        listener: address("127.0.0.1:12379"),
        upstream: "127.0.0.1:2379".into(),
        tls: Some(TlsSeen {
            sni: Some("node1.etcd.svc".into()),
            identity: Some("apiserver-etcd-client".into()),
            ..TlsSeen::default()
        }),
    })
}

/// An armory, one connection's judge, and a clock that the test turns.
struct Stand {
    armory: Arc<Armory>,
    judge: Box<dyn Judge>,
    peers: Arc<Peers>,
    began: Instant,
    now: Instant,
}

impl Stand {
    fn new() -> Stand {
        let now = Instant::now();
        let armory = Armory::new(0, now);
        let peers = peers();
        let judge = armory.judge(&peers, KeySpace::default());
        Stand {
            armory,
            judge,
            peers,
            began: now,
            now,
        }
    }

    /// With the faults of a plan.
    fn with(faults: &str) -> Stand {
        let stand = Stand::new();
        stand.load(faults);
        stand
    }

    fn load(&self, faults: &str) {
        let text = format!("faults:\n{faults}");
        let plan = Plan::from_yaml("p", &text).unwrap_or_else(|errors| panic!("{errors}"));
        self.armory.load(plan, self.now).expect("loaded");
    }

    fn at(&mut self, millis: u64) -> &mut Stand {
        self.now = self.began + Duration::from_millis(millis);
        self
    }

    fn refresh(&mut self) -> Refreshed {
        self.judge.refresh(self.now)
    }

    fn armed(&mut self) -> bool {
        self.refresh().armed
    }

    /// Asks as a session does: first the rules, then by the head, then by the
    /// whole request.
    fn verdict(&mut self, question: &Question) -> Option<Box<Verdict>> {
        if !self.armed() || self.suspicion(question) == Suspicion::None {
            return None;
        }
        let (method, name) = MethodName::parse(question.path.as_bytes());
        self.judge.judge(
            &asked(&self.peers, question, method, &name, &question.request),
            self.now,
        )
    }

    fn suspicion(&mut self, question: &Question) -> Suspicion {
        let (method, name) = MethodName::parse(question.path.as_bytes());
        let head = asked(&self.peers, question, method, &name, &Request::Unread);
        self.judge.suspects(&head, self.now)
    }

    /// What was done to the call, fault by fault.
    fn did(&mut self, question: &Question) -> Vec<String> {
        let Some(verdict) = self.verdict(question) else {
            return Vec::new();
        };
        verdict
            .hits
            .iter()
            .map(|hit| format!("{}: {}", hit.name, hit.did))
            .collect()
    }

    fn strikes(&mut self, question: &Question) -> bool {
        self.verdict(question).is_some()
    }

    fn status(&self) -> FaultStatus {
        let mut listed = self.armory.list(self.now);
        assert_eq!(listed.len(), 1);
        listed.remove(0)
    }
}

fn asked<'a>(
    peers: &'a Peers,
    question: &'a Question,
    method: Method,
    name: &'a MethodName,
    request: &'a Request,
) -> Asked<'a> {
    Asked {
        peers,
        stream: StreamId::from_bits(1),
        user_agent: question.user_agent,
        method,
        name,
        request,
        request_bytes: match request {
            Request::Unread => 0,
            _ => question.bytes,
        },
    }
}

fn spec(text: &str) -> FaultSpec {
    FaultSpec::from_yaml("p", text).unwrap_or_else(|errors| panic!("{errors}"))
}
