//! What has to hold when all has come to rest.

use etcdtap::http2::Side;

use super::endpoint::Endpoint;
use super::violation::{Rule, Violation};

type Checked = Result<(), Violation>;

/// Nothing leaked, nothing is left unanswered, nothing hangs.
pub fn check(client: &Endpoint, server: &Endpoint) -> Checked {
    answered(client)?;
    answered(server)?;
    windows(client, server)?;
    windows(server, client)
}

fn answered(end: &Endpoint) -> Checked {
    if !end.pings.is_empty() {
        let words = format!("{} PINGs were not acknowledged", end.pings.len());
        return Err(end.wrong(Rule::Unanswered, 0, 0, words));
    }
    if !end.unacknowledged.is_empty() {
        let n = end.unacknowledged.len();
        let words = format!("{n} SETTINGS were not acknowledged");
        return Err(end.wrong(Rule::Unanswered, 0, 0, words));
    }
    if !end.cutter.rest().is_empty() || end.block.is_some() {
        return Err(end.wrong(
            Rule::HeaderBlock,
            0,
            end.cutter.position,
            "half a frame at the end",
        ));
    }
    Ok(())
}

/// What the sender believes it may send is what the receiver granted.
fn windows(sender: &Endpoint, receiver: &Endpoint) -> Checked {
    let direction = match sender.side {
        Side::Client => "client to server",
        Side::Server => "server to client",
    };
    // What was held is credited early; the receiver, which credits in steps, may
    // still owe as much on the connection.
    let owed = (receiver.taste.window_target - receiver.recv_window).max(0);
    let same = |what: &str, id: u32, believed: i64, granted: i64| {
        let early = if id == 0 { owed } else { 0 };
        if (granted..=granted + early).contains(&believed) {
            return Ok(());
        }
        let words = format!(
            "{direction}, {what}: {granted} are granted, {believed} are believed: {} leaked",
            granted - believed
        );
        Err(receiver.wrong(Rule::Leak, id, 0, words))
    };
    same("connection", 0, sender.send_window, receiver.recv_window)?;
    for (id, stream) in &sender.streams {
        let Some(other) = receiver.streams.get(id) else {
            continue;
        };
        if stream.may_send() && other.may_receive() {
            same("stream", *id, stream.send_window, other.recv_window)?;
        }
        if !stream.waiting.is_empty() {
            let words = format!(
                "{direction}: {} pieces wait for a window of {} on the stream and {} on the connection",
                stream.waiting.len(),
                stream.send_window,
                sender.send_window
            );
            return Err(sender.wrong(Rule::Stuck, *id, 0, words));
        }
    }
    Ok(())
}
