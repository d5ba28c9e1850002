//! A watch and keepalives at the target.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::etcd::schema::etcdserverpb as pb;
use crate::etcd::schema::mvccpb::Event;
use crate::record::container::Times;
use crate::record::traffic::{Condition, Said, Shape};
use crate::replay::free::program::Streaming;
use crate::replay::free::report::Watches;
use crate::replay::free::streams::Live;
use crate::replay::numbering::Numbering;
use crate::replay::watches::Expectation;
use pb::watch_request::RequestUnion;

fn said(message: &impl prost::Message) -> Said {
    let data: Bytes = message.encode_to_vec().into();
    Said {
        times: Times { whole: 1, began: 1 },
        size: data.len() as u64,
        data,
        hidden: Vec::new(),
        more_hidden: 0,
        condition: Condition::Whole,
    }
}

fn request(union: RequestUnion) -> pb::WatchRequest {
    pb::WatchRequest {
        request_union: Some(union),
    }
}

fn create(start_revision: i64) -> pb::WatchRequest {
    request(RequestUnion::CreateRequest(pb::WatchCreateRequest {
        key: "/a".into(),
        start_revision,
        ..pb::WatchCreateRequest::default()
    }))
}

fn cancel(watch_id: i64) -> pb::WatchRequest {
    request(RequestUnion::CancelRequest(pb::WatchCancelRequest {
        watch_id,
    }))
}

fn streaming(shape: Shape, events: u64) -> Streaming {
    Streaming {
        place: 0,
        connection: 0,
        path: 0,
        shape,
        events,
        watches: 1,
    }
}

#[test]
fn a_watch_is_given_up_by_the_number_that_the_target_gave_it() {
    let (mut live, mut watches) = (Live::default(), Watches::default());
    let streaming = streaming(Shape::Watch, 2);
    let expected = [Expectation {
        watch_id: Some(5),
        ..Expectation::default()
    }];
    let mut numbers = Numbering::new(1, None);
    numbers.wrote(100, 7);
    let say = |live: &mut Live, watches: &mut Watches, message: &pb::WatchRequest| {
        let sent = live.say(&streaming, &said(message), &expected, &numbers, watches)?;
        Some(pb::WatchRequest::decode(sent).unwrap())
    };
    assert_eq!(say(&mut live, &mut watches, &create(101)), Some(create(8)));
    // Nobody knows its number yet.
    assert_eq!(say(&mut live, &mut watches, &cancel(5)), None);
    assert!(!live.has_all(&streaming));
    let created = pb::WatchResponse {
        created: true,
        watch_id: 900,
        ..pb::WatchResponse::default()
    };
    let created: Bytes = created.encode_to_vec().into();
    let sent = live.watched(&created, &mut watches).unwrap();
    assert_eq!(pb::WatchRequest::decode(sent).unwrap(), cancel(900));
    assert_eq!(say(&mut live, &mut watches, &cancel(5)), Some(cancel(900)));
    assert!(!live.has_all(&streaming));
    let brought = pb::WatchResponse {
        events: vec![Event::default(), Event::default()],
        ..pb::WatchResponse::default()
    };
    let brought: Bytes = brought.encode_to_vec().into();
    assert_eq!(live.watched(&brought, &mut watches), None);
    assert!(live.has_all(&streaming));
    assert_eq!((watches.asked, watches.created, watches.events), (1, 1, 2));
}

#[test]
fn keepalives_are_of_the_targets_lease_and_their_stream_ends_with_the_last_answer() {
    let (mut live, mut watches) = (Live::default(), Watches::default());
    let streaming = streaming(Shape::KeepAlive, 0);
    let mut numbers = Numbering::new(1, None);
    numbers.granted(3, 33);
    let ask = |id| pb::LeaseKeepAliveRequest { id };
    let sent = live.say(&streaming, &said(&ask(3)), &[], &numbers, &mut watches);
    assert_eq!(
        pb::LeaseKeepAliveRequest::decode(sent.unwrap()),
        Ok(ask(33))
    );
    live.asked.push_back(Duration::ZERO);
    assert!(!live.has_all(&streaming));
    live.asked.pop_front();
    assert!(live.has_all(&streaming));
}
