//! A WatchRequest as it stands on the wire.

use bytes::{Bytes, BytesMut};

use super::response::{begin, end, put_bytes, put_varint};

/// `WatchRequest.cancel_request`.
const CANCEL: u32 = 2;

/// The client's word that it does not want a watch any more, as a gRPC message.
pub(super) fn cancel(watch_id: i64) -> Bytes {
    let mut request = BytesMut::new();
    put_varint(&mut request, 1, watch_id as u64);
    let mut out = begin();
    put_bytes(&mut out, CANCEL, &request);
    end(out)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::etcd::schema::etcdserverpb::WatchRequest;
    use crate::etcd::schema::etcdserverpb::watch_request::RequestUnion;
    use crate::grpc::PREFIX_LEN;

    #[test]
    fn a_cancel_names_its_watch() {
        for id in [0, 5, 1 << 40] {
            let message = cancel(id);
            let request = WatchRequest::decode(&message[PREFIX_LEN..]).expect("a request");
            let Some(RequestUnion::CancelRequest(cancel)) = request.request_union else {
                panic!("no cancel: {request:?}");
            };
            assert_eq!(cancel.watch_id, id);
        }
    }
}
