//! A stand-in for the core: it ends both connections itself, with the models' own
//! endpoints, and carries verdicts out in the simplest way. It shows that the
//! referee is content with somebody who does what was decided, and only then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcdtap::etcd::verdict::{
    Asked, Close, Judge, Loss, Portion, Refusal, RequestFate, ResponseFate, Suspicion, Verdict,
};
use etcdtap::etcd::{MethodName, Request};
use etcdtap::http2::{Both, Side, StreamId};

use super::client::CANCEL;
use super::endpoint::{ENABLE_PUSH, Endpoint, Heard, Taste};
use super::frame;
use super::hpack::Field;
use super::random::Random;
use super::said::Said;
use super::stream::Piece;
use super::wire::{Wire, peers};

/// One direction of a call.
#[derive(Debug, Default)]
struct Way {
    head: bool,
    /// Bytes of DATA that were passed on.
    passed: usize,
    messages: usize,
    /// When the next message may pass, once asked.
    next: Option<Instant>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Middle {
    judged: Option<Instant>,
    verdict: Option<Box<Verdict>>,
    request: Way,
    response: Way,
    over: bool,
}

/// What a stand-in does wrong, to see that it is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Slip {
    #[default]
    None,
    /// It does not wait.
    Hasty,
    /// It answers etcd's request, too.
    ForwardsRefused,
    /// It lets all of the response through.
    NothingIsLost,
    /// Every code is CANCEL.
    OtherCodes,
}

#[derive(Debug)]
pub struct StandIn<J: Judge> {
    ends: Both<Endpoint>,
    judge: J,
    slip: Slip,
    calls: BTreeMap<u32, Middle>,
    waiting: Vec<u32>,
    timers: Vec<Instant>,
    wrong: Option<String>,
}

const PLAIN: Taste = Taste {
    oddities: 0,
    window_target: 1 << 20,
    window_step: 1,
    stream_share: 0,
    bandwidth: false,
    appetite: 100,
    restless: 0,
    limits_streams: false,
    sip: false,
    late_credit: false,
};

impl<J: Judge> StandIn<J> {
    pub fn new(judge: J, slip: Slip, now: Instant) -> StandIn<J> {
        let mut server = Endpoint::new(Side::Client, PLAIN, Random::new(1), now);
        server.out.extend_from_slice(frame::PREFACE);
        server.send_settings(&[(ENABLE_PUSH, 0)]);
        let mut client = Endpoint::new(Side::Server, PLAIN, Random::new(2), now);
        client.send_settings(&[]);
        StandIn {
            ends: Both { client, server },
            judge,
            slip,
            calls: BTreeMap::new(),
            waiting: Vec::new(),
            timers: Vec::new(),
            wrong: None,
        }
    }

    fn work(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        for side in [Side::Client, Side::Server] {
            self.ends[side].now = now;
            while let Some(heard) = self.ends[side].heard.pop_front() {
                match heard {
                    Heard::Head(id) if side == Side::Client => self.waiting.push(id),
                    Heard::Goaway { last, code } => self.ends.client.send_goaway(last, code, b""),
                    _ => {}
                }
            }
        }
        // A GOAWAY may have come meanwhile: what is not above it still passes.
        while let Some(id) = self.waiting.first().copied() {
            let server = &mut self.ends.server;
            if server.open_streams() >= server.theirs.max_streams as usize {
                break;
            }
            self.waiting.remove(0);
            let head = self.ends.client.streams[&id].received.head.clone();
            let opened = server.open_stream(head.unwrap_or_default());
            assert_eq!(opened, id);
            self.calls.insert(id, Middle::default());
        }
        self.timers.clear();
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            for side in [Side::Client, Side::Server] {
                if self.ends[side].streams[&id].may_receive() {
                    self.ends[side].read(id, now);
                }
            }
            self.go_on(id, now);
        }
        for side in [Side::Client, Side::Server] {
            self.ends[side].flush(100_000, now);
            to[side].append(&mut self.ends[side].out);
        }
    }

    fn go_on(&mut self, id: u32, now: Instant) {
        let mut call = self.calls.remove(&id).unwrap_or_default();
        let said = Both {
            client: self.ends.client.streams[&id].received.clone(),
            server: self.ends.server.streams[&id].received.clone(),
        };
        if let Some((code, _)) = said.client.reset {
            self.ends.server.reset(id, code);
            call.over = true;
        }
        if !call.over && call.judged.is_none() && !said.client.whole.is_empty() {
            call.judged = Some(now);
            call.verdict = self.ask(id, &said.client, now);
        }
        if !call.over && call.judged.is_some() {
            let mut verdict = call.verdict.take().unwrap_or_default();
            if self.request(id, &said, &mut call, &mut verdict, now) {
                self.response(id, &said, &mut call, &mut verdict, now);
            }
            call.verdict = Some(verdict);
        }
        self.calls.insert(id, call);
    }

    fn ask(&mut self, id: u32, said: &Said, now: Instant) -> Option<Box<Verdict>> {
        let head = said.head.as_ref()?;
        let path = head.iter().find(|field| field.name == b":path")?;
        let (method, name) = MethodName::parse(&path.value);
        let asked = Asked {
            peers: &peers(),
            stream: StreamId::from_bits(id),
            user_agent: None,
            method,
            name: &name,
            request: &Request::Unread,
            request_bytes: 0,
        };
        self.judge.refresh(now);
        if self.judge.suspects(&asked, now) == Suspicion::None {
            return None;
        }
        let mut verdict = self.judge.judge(&asked, now)?;
        if self.slip == Slip::Hasty {
            verdict.request_delay = Duration::ZERO;
            verdict.response_delay = Duration::ZERO;
        }
        Some(verdict)
    }

    /// Whether `at` has come; else it is waited for.
    fn is_time(&mut self, at: Instant, now: Instant) -> bool {
        if at > now {
            self.timers.push(at);
        }
        at <= now
    }

    fn give_up(&mut self, id: u32, call: &mut Middle) {
        call.over = true;
        self.ends.server.reset(id, CANCEL);
    }

    fn reset(&mut self, id: u32, code: u32, call: &mut Middle) {
        let code = if self.slip == Slip::OtherCodes {
            CANCEL
        } else {
            code
        };
        self.ends.client.reset(id, code);
        self.give_up(id, call);
    }

    fn refuse(&mut self, id: u32, refusal: &Refusal, call: &mut Middle) {
        let encode = |byte: u8| match byte {
            b'%' | 0..0x20 | 0x7f.. => format!("%{byte:02X}"),
            _ => char::from(byte).to_string(),
        };
        let message: String = refusal.message.bytes().map(encode).collect();
        let head = vec![
            Field::new(":status", "200"),
            Field::new("content-type", "application/grpc"),
            Field::new("grpc-status", &refusal.code.0.to_string()),
            Field::new("grpc-message", &message),
        ];
        self.ends.client.queue(id, Piece::Head(head));
        self.ends.client.queue(id, Piece::End);
        self.give_up(id, call);
    }

    /// The request's way; whether it goes to the server at all.
    fn request(
        &mut self,
        id: u32,
        said: &Both<Said>,
        call: &mut Middle,
        verdict: &mut Verdict,
        now: Instant,
    ) -> bool {
        let Some(judged) = call
            .judged
            .filter(|at| self.is_time(*at + verdict.request_delay, now))
        else {
            return false;
        };
        let forwards = self.slip == Slip::ForwardsRefused;
        match &verdict.request {
            RequestFate::Refuse(refusal) if !forwards => {
                self.refuse(id, refusal, call);
                return false;
            }
            RequestFate::Reset(code) if !forwards => {
                self.reset(id, code.0, call);
                return false;
            }
            RequestFate::Hang => match verdict.until {
                Some(until) if self.is_time(until.max(judged), now) => {}
                _ => return false,
            },
            _ => {}
        }
        let said = &said.client;
        while let Some((end, whole)) = said.whole.get(call.request.messages) {
            if call.request.messages > 0 {
                let drawer = verdict.request_messages.as_mut();
                let next = call
                    .request
                    .next
                    .get_or_insert_with(|| drawer.map_or(now, |drawer| *whole + drawer.next()));
                let next = *next;
                if !self.is_time(next, now) {
                    return true;
                }
            }
            let bytes = said.data[call.request.passed..*end].to_vec();
            self.ends.server.queue(id, Piece::Data(bytes, 0));
            call.request.passed = *end;
            call.request.messages += 1;
            call.request.next = None;
        }
        if said.ended.is_some() && !call.request.ended {
            call.request.ended = true;
            self.ends.server.queue(id, Piece::End);
        }
        true
    }

    fn response(
        &mut self,
        id: u32,
        said: &Both<Said>,
        call: &mut Middle,
        verdict: &mut Verdict,
        now: Instant,
    ) {
        let said = &said.server;
        if let ResponseFate::Lose(loss) = &verdict.response
            && self.slip != Slip::NothingIsLost
        {
            if !said.is_over() {
                return;
            }
            match loss {
                Loss::Refuse(refusal) => self.refuse(id, refusal, call),
                Loss::Reset(code) => self.reset(id, code.0, call),
                Loss::Silence => {
                    if verdict.until.is_some_and(|until| self.is_time(until, now)) {
                        self.reset(id, CANCEL, call);
                    }
                }
            }
            return;
        }
        let Some(at) = said.head_at.or(said.reset.map(|(_, at)| at)) else {
            return;
        };
        let own_reset = said.reset.filter(|_| said.ended.is_none());
        if let (Some((code, _)), false) = (own_reset, verdict.hits.is_empty()) {
            // What is held for it goes with it.
            self.ends.client.reset(id, code);
            call.over = true;
            return;
        }
        if own_reset.is_none() && !self.is_time(at + verdict.response_delay, now) {
            return;
        }
        let client = &mut self.ends.client;
        if let (false, Some(head)) = (call.response.head, &said.head) {
            call.response.head = true;
            client.queue(id, Piece::Head(head.clone()));
            client.flush(1000, now);
        }
        let headed = (said.head.is_some() && !said.is_over()) || !said.data.is_empty();
        if let (true, ResponseFate::ResetAfterHead(code)) = (headed, &verdict.response) {
            return self.reset(id, code.0, call);
        }
        let (portion, reset) = match &verdict.response {
            ResponseFate::ResetInMessage(code, portion) => (Some(*portion), Some(*code)),
            ResponseFate::CutShort(portion, _) => (Some(*portion), None),
            _ => (None, None),
        };
        if let (Some(portion), Some((whole, _))) = (portion, said.whole.first()) {
            let n = match portion {
                Portion::Bytes(n) => (n as usize).min(whole - 1),
                Portion::Percent(percent) => whole * usize::from(percent) / 100,
            };
            if n > call.response.passed {
                client.queue(id, Piece::Data(said.data[..n].to_vec(), 0));
                call.response.passed = n;
            }
            client.flush(100_000, now);
            if !client.streams[&id].waiting.is_empty() {
                return;
            }
            match (reset, &verdict.response) {
                (Some(code), _) => self.reset(id, code.0, call),
                (_, ResponseFate::CutShort(_, Close::Trailers)) => {
                    let trailers = vec![Field::new("grpc-status", "0")];
                    client.queue(id, Piece::Trailers(trailers));
                    self.give_up(id, call);
                }
                _ => {
                    client.queue(id, Piece::End);
                    self.give_up(id, call);
                }
            }
            return;
        }
        if portion.is_some() && !said.is_over() {
            return;
        }
        while let Some((end, whole)) = said.whole.get(call.response.messages).copied() {
            if own_reset.is_none() {
                let n = (end - call.response.passed) as u64;
                let next = call.response.next.get_or_insert_with(|| {
                    let drawer = verdict.response_messages.as_mut();
                    let at = drawer.map_or(now, |drawer| whole + drawer.next());
                    let pace = verdict.pace.as_ref();
                    pace.map_or(at, |pace| at.max(pace.reserve(n, now)))
                });
                let next = *next;
                if !self.is_time(next, now) {
                    return;
                }
            }
            let bytes = said.data[call.response.passed..end].to_vec();
            self.ends.client.queue(id, Piece::Data(bytes, 0));
            call.response.passed = end;
            call.response.messages += 1;
            call.response.next = None;
        }
        let client = &mut self.ends.client;
        if let Some((code, _)) = own_reset {
            let rest = said.data[call.response.passed..].to_vec();
            if !rest.is_empty() {
                client.queue(id, Piece::Data(rest, 0));
            }
            client.queue(id, Piece::Reset(code));
            call.over = true;
            return;
        }
        if said.ended.is_none() {
            return;
        }
        if matches!(verdict.response, ResponseFate::WithholdTrailers)
            && !said.data.is_empty()
            && !verdict.until.is_some_and(|until| self.is_time(until, now))
        {
            return;
        }
        let client = &mut self.ends.client;
        match &said.trailers {
            Some(trailers) => client.queue(id, Piece::Trailers(trailers.clone())),
            None => client.queue(id, Piece::End),
        }
        // What comes behind the end is at most a reset that says so.
        if let Some((code, _)) = said.reset {
            client.queue(id, Piece::Reset(code));
        }
        call.over = true;
    }
}

impl<J: Judge> Wire for StandIn<J> {
    fn bytes(&mut self, from: Side, bytes: &[u8], now: Instant, to: &mut Both<Vec<u8>>) {
        if let Err(violation) = self.ends[from].receive(bytes, now) {
            self.wrong = Some(format!("the stand-in: {violation}"));
        }
        self.work(now, to);
    }

    fn timeout(&self) -> Option<Instant> {
        self.timers.iter().min().copied()
    }

    fn fire(&mut self, now: Instant, to: &mut Both<Vec<u8>>) {
        self.work(now, to);
    }

    fn inner(&self) -> Option<Both<&Endpoint>> {
        Some(Both {
            client: &self.ends.client,
            server: &self.ends.server,
        })
    }

    fn complaint(&mut self) -> Option<String> {
        self.wrong.take()
    }
}
