//! What has to hold of a stream that nobody touched.

use std::time::Instant;

use super::client::ClientModel;
use super::endpoint::Endpoint;
use super::server::ServerModel;
use super::violation::{Rule, Violation};

/// How exact the wire has to be about streams that were reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterReset {
    /// All that was in flight comes, as on a wire.
    Comes,
    /// It may be left out, and so may what the reset overtook where it was held.
    MayBeLeftOut,
}

/// One stream carried exactly what was said, both ways.
pub fn untouched(
    client: &ClientModel,
    server: &ServerModel,
    id: u32,
    after_reset: AfterReset,
) -> Result<(), Violation> {
    carried(&client.end, &server.end, id, after_reset)?;
    carried(&server.end, &client.end, id, after_reset)?;
    well_formed(&client.end, id)
}

/// What `from` said on the stream is what `to` got.
pub fn carried(
    from: &Endpoint,
    to: &Endpoint,
    id: u32,
    after_reset: AfterReset,
) -> Result<(), Violation> {
    let altered = |words: String| {
        let words = format!("what the {} said was altered: {words}", from.side);
        Err(to.wrong(Rule::Altered, id, 0, words))
    };
    let (said, got) = match (from.streams.get(&id), to.streams.get(&id)) {
        (Some(said), Some(got)) => (said, got),
        (Some(_), None) => return altered("the stream never came".into()),
        (None, _) => return altered("the stream was never opened".into()),
    };
    let (own, theirs) = (said.sent.reset, got.sent.reset);
    if after_reset == AfterReset::MayBeLeftOut && own.or(theirs).is_some() {
        // A stream that is over for its receiver needs no reset any more.
        let came = got.received.reset.map(code) == own.map(code) || got.is_closed();
        if own.is_some() && !came {
            return altered("its RST_STREAM did not come".into());
        }
        let difference = got.received.is_beginning_of(&said.sent);
        return difference.map_or(Ok(()), altered);
    }
    let difference = got.received.differs_from(&said.sent);
    difference.map_or(Ok(()), altered)
}

fn code(reset: (u32, Instant)) -> u32 {
    reset.0
}

/// A response that ended in order is a gRPC response: whole messages, a status.
pub fn well_formed(client: &Endpoint, id: u32) -> Result<(), Violation> {
    let stream = &client.streams[&id];
    let got = &stream.received;
    if got.ended.is_none() || stream.sent.reset.is_some() {
        return Ok(());
    }
    let wrong = |words: &str| Err(client.wrong(Rule::Grpc, id, 0, words));
    if got.is_torn() {
        return wrong("the response ends in the middle of a message");
    }
    if got.closing("grpc-status").is_none() {
        return wrong("the response has no grpc-status");
    }
    Ok(())
}
