//! Interfering, rule by rule: each test is one that `INTERPOSE.md` names, or one
//! that a real peer taught.

use std::time::Duration;

use etcdtap::etcd::verdict::{
    Close, Loss, Portion, Refusal, RequestFate, ResponseFate, Sees, Verdict,
};
use etcdtap::etcd::{Ending, Event, SessionOptions};
use etcdtap::grpc::Code;
use etcdtap::http2::hpack::{Encoder, Indexing};
use etcdtap::http2::{ErrorCode, Side, frame_encoder};
use etcdtap::relay::{EndOfBytes, HoldBudget, Transmit};

use super::script::{PUT, RANGE, WATCH, id};
use super::stand::Stand;

fn milliseconds(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn refusal() -> Refusal {
    Refusal {
        code: Code::UNAVAILABLE,
        message: "etcdserver: no leader".into(),
    }
}

/// A stand whose judge says so about every Put, and nothing about the rest.
fn puts(verdict: impl Fn() -> Verdict + Send + 'static) -> Stand {
    Stand::new(move |call| (call.name.method == "Put").then(&verdict))
}

fn request(fate: RequestFate) -> Verdict {
    Verdict {
        request: fate,
        ..Verdict::default()
    }
}

fn response(fate: ResponseFate) -> Verdict {
    Verdict {
        response: fate,
        ..Verdict::default()
    }
}

fn delay(request: u64, response: u64) -> Verdict {
    Verdict {
        request_delay: milliseconds(request),
        response_delay: milliseconds(response),
        ..Verdict::default()
    }
}

const NO_LEADER: &str = "HEADERS 1 :status=200 content-type=application/grpc grpc-status=14 \
                         grpc-message=etcdserver: no leader END";

#[test]
fn armed_and_nothing_matches_the_bytes_are_identical() {
    for step in [1, 2, 7, 100] {
        let mut stand = Stand::new(|_| None);
        let before = stand.left(Side::Client).len();
        let mut bytes = Vec::new();
        frame_encoder::headers(&mut bytes, id(1), b"\x83\x86\x44\x01/", false, 16384);
        frame_encoder::padded_data(&mut bytes, id(1), &[0; 5], Some(9), false);
        frame_encoder::ping(&mut bytes, false, *b"12345678");
        frame_encoder::raw(
            &mut bytes,
            etcdtap::http2::FrameType(0xbb),
            etcdtap::http2::Flags::NONE,
            id(1),
            &[7; 30],
        );
        frame_encoder::data(&mut bytes, id(1), &[0; 300], true);
        for chunk in bytes.chunks(step) {
            stand.send(Side::Client, chunk);
        }
        assert_eq!(&stand.left(Side::Client)[before..], bytes);
    }
}

#[test]
fn a_run_of_frames_ends_where_one_is_struck() {
    let call = |stream: u32, path: &str, out: &mut Vec<u8>| {
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":path", path),
            ("content-type", "application/grpc"),
        ] {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            Encoder::new().field(name, value, Indexing::Without, &mut block);
        }
        frame_encoder::headers(out, id(stream), &block, false, 16384);
        let untouched = out.len();
        let message = super::script::prefixed(&[0x7a; 10], false);
        frame_encoder::data(out, id(stream), &message, true);
        untouched
    };
    for unknown in [0, 30] {
        let mut bytes = Vec::new();
        call(1, RANGE, &mut bytes);
        frame_encoder::ping(&mut bytes, false, *b"12345678");
        frame_encoder::raw(
            &mut bytes,
            etcdtap::http2::FrameType(0xbb),
            etcdtap::http2::Flags::NONE,
            id(1),
            &vec![7; unknown],
        );
        let untouched = call(3, PUT, &mut bytes);
        call(5, RANGE, &mut bytes);
        for step in [1, 3, 50, 100, 150, bytes.len() - 1, bytes.len()] {
            let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
            let before = stand.left(Side::Client).len();
            for chunk in bytes.chunks(step) {
                stand.send(Side::Client, chunk);
            }
            let left = &stand.left(Side::Client)[before..];
            assert_eq!(left[..untouched], bytes[..untouched], "{step} at a time");
            // DATA may come in pieces, but none of the call that is refused.
            let of_others = ["HEADERS", "DATA 1 ", "DATA 5 "];
            let got: Vec<_> = (stand.server_got().into_iter())
                .filter(|frame| !of_others.iter().any(|other| frame.starts_with(other)))
                .collect();
            let unknown = format!("UNKNOWN {unknown}");
            let expected = ["PING", &unknown, "RST 3 CANCEL"];
            assert_eq!(got, expected, "{step} at a time");
            stand.answer(5, 10);
            assert_eq!(stand.calls().len(), 2, "{step} at a time");
        }
    }
}

#[test]
fn a_refused_request_never_reaches_etcd_whole() {
    let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
    stand.ask(1, PUT);
    assert_eq!(stand.client_got(), [NO_LEADER, "CREDIT 0 15"]);
    let server = stand.server_got();
    assert!(
        server[0].starts_with("HEADERS 1 :method=POST"),
        "{server:?}"
    );
    assert_eq!(server[1..], ["RST 1 CANCEL"]);
    let [call] = stand.calls()[..] else { panic!() };
    assert_eq!(call.status.code, Code::UNAVAILABLE);
    assert_eq!(call.status.ending, Ending::Injected);
    assert_eq!(&*call.faults[0].name, "told");
    // What crosses the reset harms nobody.
    stand.answer(1, 10);
    assert_eq!(stand.client_got(), Vec::<String>::new());
    // Its bytes are given back to the server.
    assert_eq!(stand.server_got(), ["CREDIT 0 15"]);
}

#[test]
fn a_refused_upload_is_swallowed_and_credited() {
    let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
    stand.open(1, PUT);
    let message = super::script::prefixed(&[0; 40_000], false);
    let (first, rest) = message.split_at(16_000);
    stand.data(Side::Client, 1, first, false);
    assert_eq!(
        stand.server_got().len(),
        2,
        "it passes while it is not whole"
    );
    stand.data(Side::Client, 1, &rest[..16_000], false);
    stand.data(Side::Client, 1, &rest[16_000..], false);
    assert_eq!(stand.server_got(), ["DATA 1 16000", "RST 1 CANCEL"]);
    assert_eq!(
        stand.client_got(),
        [NO_LEADER, "CREDIT 1 8005", "CREDIT 0 8005"]
    );
    // The client goes on sending; then it resets, as grpc-go does.
    stand.data(Side::Client, 1, &[0; 100], false);
    assert_eq!(stand.client_got(), ["CREDIT 1 100", "CREDIT 0 100"]);
    stand.frames(Side::Client, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::NO_ERROR);
    });
    assert_eq!(stand.server_got(), Vec::<String>::new());
    assert_eq!(stand.session.open_calls(), 0);
}

#[test]
fn the_neighbours_of_a_fault_pass_as_they_came() {
    let mut stand = puts(|| delay(0, 1_000));
    stand.ask(1, PUT);
    stand.answer(1, 100);
    assert_eq!(
        stand.client_got(),
        Vec::<String>::new(),
        "the answer is held"
    );
    let before = stand.left(Side::Server).len();
    stand.ask(3, RANGE);
    stand.answer(3, 50);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 3 :status=200",
            "DATA 3 55",
            "HEADERS 3 grpc-status=0 END"
        ]
    );
    assert!(stand.left(Side::Server).len() > before);
    stand.wait(999);
    assert_eq!(stand.client_got(), Vec::<String>::new());
    stand.wait(1);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 1 :status=200",
            "DATA 1 105",
            "HEADERS 1 grpc-status=0 END"
        ]
    );
    let took: Vec<_> = stand
        .calls()
        .iter()
        .map(|call| (call.name.method.to_string(), call.ended - call.started))
        .collect();
    assert_eq!(took[0], ("Range".to_owned(), Duration::ZERO));
    assert_eq!(took[1], ("Put".to_owned(), milliseconds(1_000)));
}

#[test]
fn held_bytes_are_credited_on_the_connection_at_once_and_on_the_stream_never() {
    let mut stand = puts(|| delay(0, 1_000));
    stand.ask(1, PUT);
    stand.server_got();
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.data(Side::Server, 1, &[0; 10_000], false);
    assert_eq!(stand.server_got(), ["CREDIT 0 10000"]);
    stand.wait(1_000);
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200", "DATA 1 10000"]
    );
    // The client's credit for them is not passed on: the server has it already.
    stand.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(0), 10_000);
        frame_encoder::window_update(out, id(1), 10_000);
    });
    assert_eq!(stand.server_got(), ["CREDIT 1 10000"]);
}

#[test]
fn what_is_released_waits_for_the_windows_of_its_receiver() {
    let mut stand = puts(|| delay(0, 1_000));
    stand.ask(1, PUT);
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    for _ in 0..4 {
        stand.data(Side::Server, 1, &[0; 16_000], false);
    }
    // Meanwhile a neighbour uses the window that the client has.
    stand.ask(3, RANGE);
    stand.headers(Side::Server, 3, &[(":status", "200")], false);
    for _ in 0..3 {
        stand.data(Side::Server, 3, &[0; 16_000], false);
    }
    stand.client_got();
    stand.wait(1_000);
    // 65,535 less the neighbour's 48,000.
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200", "DATA 1 16000", "DATA 1 1535"]
    );
    // The neighbour has to wait now, and is not forgotten.
    stand.data(Side::Server, 3, &[0; 500], false);
    assert_eq!(stand.client_got(), Vec::<String>::new());
    stand.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(0), 60_000)
    });
    let got = stand.client_got();
    assert_eq!(
        got.last().map(String::as_str),
        Some("DATA 3 500"),
        "{got:?}"
    );
    let bytes: u32 = got
        .iter()
        .filter_map(|line| line.strip_prefix("DATA 1 "))
        .map(|n| n.parse::<u32>().unwrap())
        .sum();
    assert_eq!(bytes, 64_000 - 17_535);
}

#[test]
fn a_lost_reply_is_executed_and_answered_by_us() {
    let mut stand = puts(|| response(ResponseFate::Lose(Loss::Refuse(refusal()))));
    stand.ask(1, PUT);
    assert_eq!(stand.server_got().len(), 2, "etcd has the whole request");
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.message(Side::Server, 1, 30, false);
    assert_eq!(
        stand.client_got(),
        Vec::<String>::new(),
        "not before it is whole"
    );
    stand.headers(Side::Server, 1, &[("grpc-status", "0")], true);
    assert_eq!(stand.client_got(), [NO_LEADER]);
    assert_eq!(stand.server_got(), ["CREDIT 1 35", "CREDIT 0 35"]);
    assert_eq!(stand.session.open_calls(), 0);
}

#[test]
fn a_reply_can_be_lost_in_silence() {
    let mut stand = puts(|| response(ResponseFate::Lose(Loss::Silence)));
    stand.ask(1, PUT);
    stand.answer(1, 30);
    stand.wait(60_000);
    assert_eq!(stand.client_got(), Vec::<String>::new());
    stand.server_got();
    // The client's patience ends; for etcd the call is long over.
    stand.frames(Side::Client, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::CANCEL);
    });
    assert_eq!(stand.server_got(), Vec::<String>::new());
    assert_eq!(stand.calls()[0].status.code, Code::CANCELLED);
}

#[test]
fn resets_come_where_they_were_asked_for() {
    let code = ErrorCode::INTERNAL_ERROR;
    let mut stand = puts(move || request(RequestFate::Reset(ErrorCode::REFUSED_STREAM)));
    stand.ask(1, PUT);
    assert_eq!(stand.client_got(), ["RST 1 REFUSED_STREAM", "CREDIT 0 15"]);
    assert_eq!(stand.server_got()[1..], ["RST 1 CANCEL"]);

    let mut stand = puts(move || response(ResponseFate::ResetAfterHead(code)));
    stand.ask(1, PUT);
    stand.server_got();
    stand.answer(1, 30);
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200", "RST 1 INTERNAL_ERROR"]
    );
    assert_eq!(stand.server_got(), ["RST 1 CANCEL", "CREDIT 0 35"]);

    let half = Portion::Percent(50);
    let mut stand = puts(move || response(ResponseFate::ResetInMessage(code, half)));
    stand.ask(1, PUT);
    stand.answer(1, 95);
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200", "DATA 1 50", "RST 1 INTERNAL_ERROR"]
    );
}

#[test]
fn endings_are_cut_and_withheld() {
    let ten = Portion::Bytes(10);
    let mut stand = puts(move || response(ResponseFate::CutShort(ten, Close::Trailers)));
    stand.ask(1, PUT);
    stand.answer(1, 95);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 1 :status=200",
            "DATA 1 10",
            "HEADERS 1 grpc-status=0 END"
        ]
    );

    let mut stand = puts(move || response(ResponseFate::CutShort(ten, Close::EndStream)));
    stand.ask(1, PUT);
    stand.answer(1, 95);
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200", "DATA 1 10", "DATA 1 0 END"]
    );

    let mut stand = puts(|| response(ResponseFate::WithholdTrailers));
    stand.ask(1, PUT);
    stand.answer(1, 95);
    stand.wait(60_000);
    assert_eq!(stand.client_got(), ["HEADERS 1 :status=200", "DATA 1 100"]);
}

#[test]
fn a_hung_request_waits_for_the_client_or_for_the_fault_to_be_taken_away() {
    let mut stand = puts(|| request(RequestFate::Hang));
    stand.ask(1, PUT);
    stand.ask(3, PUT);
    let server = stand.server_got();
    assert_eq!(server.len(), 2, "two heads and no message: {server:?}");
    stand.wait(3_600_000);
    stand.frames(Side::Client, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::CANCEL);
    });
    assert_eq!(stand.server_got(), ["RST 1 CANCEL"]);
    stand.bench.lock().unwrap().lifted = true;
    stand.change();
    assert_eq!(stand.server_got(), ["DATA 3 15 END"]);
}

#[test]
fn a_deadline_of_etcds_own_ends_what_is_held() {
    let mut stand = puts(|| delay(10_000, 0));
    stand.ask(1, PUT);
    assert_eq!(stand.client_got(), ["CREDIT 0 15"]);
    // etcd's timer began with the head: it answers before it has the request.
    stand.headers(
        Side::Server,
        1,
        &[(":status", "200"), ("grpc-status", "4")],
        true,
    );
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200 grpc-status=4 END"]
    );
    assert_eq!(
        stand.calls()[0].status.code.name(),
        Some("DEADLINE_EXCEEDED")
    );
    assert_eq!(stand.server_got()[1..], ["RST 1 CANCEL"]);
    stand.frames(Side::Server, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::NO_ERROR);
    });
    stand.wait(20_000);
    assert_eq!(stand.session.open_calls(), 0);
}

#[test]
fn a_reset_does_not_overtake_the_answer_that_it_follows() {
    let mut stand = puts(|| delay(0, 100));
    stand.open(1, PUT);
    stand.message(Side::Client, 1, 10, false);
    stand.answer(1, 20);
    // The server wants no more of the request.
    stand.frames(Side::Server, |out| {
        frame_encoder::rst_stream(out, id(1), ErrorCode::NO_ERROR);
    });
    assert_eq!(stand.client_got(), Vec::<String>::new());
    stand.wait(100);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 1 :status=200",
            "DATA 1 25",
            "HEADERS 1 grpc-status=0 END",
            "RST 1 NO_ERROR"
        ]
    );
    assert_eq!(stand.session.open_calls(), 0);
}

#[test]
fn a_lost_block_that_changed_the_table_makes_the_direction_stateless() {
    let mut stand = puts(|| response(ResponseFate::Lose(Loss::Reset(ErrorCode::INTERNAL_ERROR))));
    let indexed = |stand: &mut Stand, stream, fields: &[(&str, &str)], end| {
        stand.headers_as(Side::Server, stream, fields, end, Indexing::Incremental);
    };
    stand.ask(1, PUT);
    indexed(&mut stand, 1, &[(":status", "200"), ("x-a", "b")], false);
    indexed(&mut stand, 1, &[("grpc-status", "0")], true);
    assert_eq!(stand.client_got(), ["RST 1 INTERNAL_ERROR"]);
    // The next answer refers to what the client never saw.
    stand.ask(3, RANGE);
    indexed(&mut stand, 3, &[(":status", "200"), ("x-a", "b")], false);
    stand.headers_as(
        Side::Server,
        3,
        &[("grpc-status", "0"), ("x-secret", "c")],
        true,
        Indexing::Never,
    );
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 3 :status=200 x-a=b",
            "HEADERS 3 grpc-status=0! x-secret=c! END"
        ]
    );
}

#[test]
fn a_block_of_ours_carries_the_size_update_that_is_owed() {
    let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
    stand.frames(Side::Client, |out| {
        frame_encoder::settings(out, &[(etcdtap::http2::SettingId::HEADER_TABLE_SIZE, 0)]);
    });
    stand.frames(Side::Server, frame_encoder::settings_ack);
    stand.client_got();
    let before = stand.left(Side::Server).len();
    stand.ask(1, PUT);
    assert_eq!(stand.client_got()[0], NO_LEADER);
    // RFC 7541, section 4.2: the first octet of the block is a size update to 0.
    assert_eq!(stand.left(Side::Server)[before + 9], 0x20);
}

#[test]
fn pings_that_etcd_would_punish_are_answered_here() {
    let mut stand = puts(|| delay(0, 60_000));
    let ping = |stand: &mut Stand| {
        stand.frames(Side::Client, |out| frame_encoder::ping(out, false, [2; 8]));
        (stand.client_got(), stand.server_got())
    };
    stand.ask(1, PUT);
    stand.answer(1, 10);
    stand.server_got();
    let (client, server) = ping(&mut stand);
    assert_eq!(
        (client.len(), server.as_slice()),
        (0, &["PING".to_owned()][..])
    );
    stand.frames(Side::Server, |out| frame_encoder::ping(out, true, [2; 8]));
    stand.client_got();
    stand.wait(150);
    // etcd has sent nothing since.
    let (client, server) = ping(&mut stand);
    assert_eq!(
        (client.as_slice(), server.len()),
        (&["PING ACK".to_owned()][..], 0)
    );
    stand.ask(3, RANGE);
    stand.answer(3, 10);
    stand.client_got();
    stand.server_got();
    let (client, server) = ping(&mut stand);
    assert_eq!(
        (client.len(), server.as_slice()),
        (0, &["PING".to_owned()][..])
    );
}

#[test]
fn an_interposed_connection_that_cannot_be_followed_ends() {
    let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
    stand.ask(1, PUT);
    stand.client_got();
    stand.server_got();
    // A frame that may not be: WINDOW_UPDATE of 0 on the connection.
    stand.frames(Side::Server, |out| {
        frame_encoder::window_update(out, id(0), 0)
    });
    assert_eq!(stand.client_got(), ["GOAWAY PROTOCOL_ERROR"]);
    assert_eq!(stand.server_got(), ["GOAWAY PROTOCOL_ERROR"]);
    assert!(stand.session.must_close());
    assert!(
        stand
            .events
            .iter()
            .any(|event| matches!(event, Event::TracingStopped { .. }))
    );
    stand.message(Side::Server, 1, 5, false);
    assert_eq!(stand.client_got(), Vec::<String>::new());
}

#[test]
fn an_armed_connection_that_cannot_be_followed_fails_open() {
    let mut stand = Stand::new(|_| None);
    let mut bytes = Vec::new();
    frame_encoder::window_update(&mut bytes, id(0), 0);
    bytes.extend(b"anything");
    let mut left = Vec::new();
    for byte in &bytes {
        stand
            .session
            .handle_bytes(Side::Server, &[*byte], stand.now);
        // Read by hand: it is no HTTP/2 any more.
        while let Some(transmit) = stand.session.poll_transmit(Side::Server) {
            match transmit {
                Transmit::AsCame(_) => left.push(*byte),
                Transmit::Own(own) => left.extend(own),
            }
        }
    }
    assert_eq!(left, bytes);
    assert!(!stand.session.must_close());
}

#[test]
fn beyond_the_bound_it_lets_go_and_says_so() {
    let options = SessionOptions {
        hold: HoldBudget::new(20_000, 1 << 20),
        ..SessionOptions::default()
    };
    let mut stand = Stand::with(options, |_| Some(delay(0, 60_000)));
    stand.ask(1, PUT);
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.data(Side::Server, 1, &[0; 15_000], false);
    assert_eq!(stand.client_got(), Vec::<String>::new());
    stand.data(Side::Server, 1, &[0; 15_000], false);
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200", "DATA 1 15000", "DATA 1 15000"]
    );
    assert_eq!(stand.bench.lock().unwrap().gave_up.len(), 1);
    stand.headers(Side::Server, 1, &[("grpc-status", "0")], true);
    assert!(stand.calls()[0].faults[0].did.contains("let go"));
}

#[test]
fn a_doubled_request_is_sent_again_whole() {
    let mut stand = puts(|| request(RequestFate::Duplicate(Sees::Second)));
    stand.ask(1, PUT);
    assert_eq!(stand.server_got().len(), 1, "the client's own waits");
    stand.answer_errand(Ok(()));
    assert_eq!(stand.server_got(), ["DATA 1 15 END"]);

    let mut stand = puts(|| request(RequestFate::Duplicate(Sees::First)));
    stand.ask(1, PUT);
    assert_eq!(stand.server_got().len(), 2);
    assert!(stand.session.poll_errand().is_none());
    stand.answer(1, 10);
    let errand = stand.session.poll_errand().expect("an errand");
    assert_eq!(errand.message, super::script::prefixed(&[0x7a; 10], false));
    assert_eq!(&*errand.fields[1].value, PUT.as_bytes());
}

#[test]
fn streams_that_were_open_before_the_fault_are_left_alone() {
    let mut stand = puts(|| delay(0, 100));
    stand.open(1, WATCH);
    stand.message(Side::Client, 1, 10, false);
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    stand.message(Side::Server, 1, 10, false);
    stand.ask(3, PUT);
    stand.answer(3, 10);
    stand.client_got();
    stand.message(Side::Server, 1, 77, false);
    assert_eq!(stand.client_got(), ["DATA 1 82"]);
    stand.wait(100);
    assert_eq!(stand.client_got().len(), 3);
}

#[test]
fn what_waits_for_a_window_is_given_though_its_server_has_left() {
    let mut stand = puts(|| delay(0, 1_000));
    stand.ask(1, PUT);
    stand.headers(Side::Server, 1, &[(":status", "200")], false);
    for _ in 0..4 {
        stand.data(Side::Server, 1, &[0; 16_000], false);
    }
    stand.wait(1_000);
    // What was released has used the client's window up.
    stand.ask(3, RANGE);
    stand.answer(3, 3_000);
    stand.end(Side::Server, EndOfBytes::Closed);
    assert!(stand.session.lingers());
    stand.client_got();
    stand.frames(Side::Client, |out| {
        frame_encoder::window_update(out, id(0), 60_000)
    });
    assert_eq!(
        stand.client_got(),
        ["DATA 3 1470", "HEADERS 3 grpc-status=0 END"]
    );
    assert!(!stand.session.lingers());
    assert_eq!(stand.calls()[0].status.code, Code::OK);
}

#[test]
fn a_lifted_loss_loses_nothing_and_a_lifted_double_is_executed_once() {
    let mut stand = puts(|| response(ResponseFate::Lose(Loss::Reset(ErrorCode::INTERNAL_ERROR))));
    stand.ask(1, PUT);
    stand.bench.lock().unwrap().lifted = true;
    stand.change();
    stand.answer(1, 20);
    assert_eq!(stand.client_got().len(), 3);
    let [call] = stand.calls()[..] else { panic!() };
    assert!(
        call.faults[0].did.ends_with("; let go"),
        "{:?}",
        call.faults
    );

    let mut stand = puts(|| request(RequestFate::Duplicate(Sees::First)));
    stand.ask(1, PUT);
    stand.bench.lock().unwrap().lifted = true;
    stand.change();
    stand.answer(1, 20);
    assert!(stand.session.poll_errand().is_none());
}

#[test]
fn a_cut_behind_a_delay_ends() {
    #[derive(Debug)]
    struct Tenth;
    impl etcdtap::etcd::verdict::Delays for Tenth {
        fn next(&mut self) -> Duration {
            milliseconds(100)
        }
    }
    let mut stand = puts(|| Verdict {
        response_messages: Some(Box::new(Tenth)),
        ..response(ResponseFate::CutShort(Portion::Bytes(10), Close::Trailers))
    });
    stand.ask(1, PUT);
    stand.answer(1, 95);
    stand.wait(100);
    assert_eq!(
        stand.client_got(),
        [
            "HEADERS 1 :status=200",
            "DATA 1 10",
            "HEADERS 1 grpc-status=0 END"
        ]
    );
}

#[test]
fn a_call_that_etcd_answered_early_is_not_judged() {
    let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
    stand.open(1, PUT);
    stand.data(Side::Client, 1, &[0, 0, 0, 0, 9, 1], false);
    stand.headers(
        Side::Server,
        1,
        &[(":status", "200"), ("grpc-status", "7")],
        true,
    );
    stand.data(Side::Client, 1, &[1; 8], true);
    assert_eq!(stand.bench.lock().unwrap().asked.len(), 0);
    assert_eq!(
        stand.client_got(),
        ["HEADERS 1 :status=200 grpc-status=7 END"]
    );
    assert_eq!(stand.server_got()[1..], ["DATA 1 6", "DATA 1 8 END"]);
}

#[test]
fn frames_of_pushed_streams_pass() {
    let mut stand = puts(|| request(RequestFate::Refuse(refusal())));
    stand.ask(1, PUT);
    stand.client_got();
    stand.server_got();
    stand.frames(Side::Server, |out| {
        frame_encoder::rst_stream(out, id(2), ErrorCode::CANCEL);
        frame_encoder::window_update(out, id(2), 5);
    });
    assert_eq!(stand.client_got(), ["RST 2 CANCEL", "CREDIT 2 5"]);
}
