//! An HTTP/2 connection as the relay follows it: frames, streams and windows of
//! both directions from byte 0 on.

use std::collections::VecDeque;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::half::{Goaway, Half, MOST_UNACKNOWLEDGED, Resets};
use super::pings::RoundTrips;
use super::stalls::{FlowStalls, Stall};
use super::tap::{StreamEnd, Tap};
use crate::http2::{
    Both, DEFAULT_INITIAL_WINDOW_SIZE, ErrorCode, Offence, Piece, Settings, Side, StreamId, Window,
};

/// Streams that are followed at once on one connection. etcd sets no limit of
/// its own; beyond this a client is not one that we know how to follow.
pub const MAX_OPEN_STREAMS: usize = 100_000;

/// Follows one HTTP/2 connection and shows its streams to a [`Tap`].
#[derive(Debug)]
pub struct Connection<T: Tap> {
    tap: T,
    client: Half,
    server: Half,
    streams: FxHashMap<StreamId, Slot<T::Stream>>,
    last_client_stream: StreamId,
    opened: u64,
    following: bool,
}

#[derive(Debug)]
struct Slot<S> {
    /// By the sender of the DATA.
    windows: Both<Window>,
    stalls: Both<Stall>,
    /// Who sent END_STREAM.
    closed: Both<bool>,
    state: S,
}

/// What a side did on the connection, streams apart.
#[derive(Debug, Clone, Default)]
pub struct SideReport {
    /// What it announced last; `None` if it sent no SETTINGS.
    pub settings: Option<Settings>,
    /// PINGs it sent.
    pub pings: u64,
    /// Their round trips.
    pub round_trips: RoundTrips,
    /// Its last GOAWAY.
    pub goaway: Option<Goaway>,
    /// Its RST_STREAM frames.
    pub resets: Resets,
    /// How long its sending was stopped by flow control.
    pub stalls: FlowStalls,
}

impl<T: Tap> Connection<T> {
    /// A connection of which nothing has been seen yet.
    pub fn new(tap: T) -> Connection<T> {
        Connection {
            tap,
            client: Half::new(Side::Client),
            server: Half::new(Side::Server),
            streams: FxHashMap::default(),
            last_client_stream: StreamId::CONNECTION,
            opened: 0,
            following: true,
        }
    }

    /// Reads what `from` sent. It never fails: when the bytes cannot be
    /// followed, the tap is told once and the rest is ignored.
    pub fn handle_bytes(&mut self, from: Side, bytes: &[u8], now: Instant) {
        let mut input = bytes;
        while self.following {
            match self.step(from, &mut input, now) {
                Ok(true) => {}
                Ok(false) => return,
                Err(offence) => self.stop(offence, now),
            }
        }
    }

    /// Both ends are gone; `by` went first.
    pub fn handle_loss(&mut self, by: Side, now: Instant) {
        self.end_all(StreamEnd::ConnectionLost { by }, now);
    }

    /// Gives up following the connection because of `offence`.
    pub fn stop(&mut self, offence: Offence, now: Instant) {
        if !self.following {
            return;
        }
        self.following = false;
        self.end_all(StreamEnd::TracingStopped, now);
        self.streams = FxHashMap::default();
        for side in [Side::Client, Side::Server] {
            // What was buffered of a frame or a table is of no more use.
            let fresh = Half::new(side);
            let half = self.half(side);
            half.deframer = fresh.deframer;
            half.decoder = fresh.decoder;
        }
        self.tap.stopped(offence, now);
    }

    /// Whether the connection is still followed.
    pub fn is_following(&self) -> bool {
        self.following
    }

    /// Whether the client's preface was whole.
    pub fn preface_seen(&self) -> bool {
        self.client.deframer.preface_seen()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams that the client has opened.
    pub fn opened_streams(&self) -> u64 {
        self.opened
    }

    /// What `side` did on the connection.
    pub fn report(&self, side: Side) -> SideReport {
        let half = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        SideReport {
            settings: half.announced.clone(),
            pings: half.pings.sent,
            round_trips: half.pings.round_trips,
            goaway: half.goaway.clone(),
            resets: half.resets,
            stalls: half.stalls,
        }
    }

    /// The layer above.
    pub fn tap(&mut self) -> &mut T {
        &mut self.tap
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn end_all(&mut self, how: StreamEnd, now: Instant) {
        let mut slots: Vec<_> = self.streams.drain().collect();
        // In the order of their opening, so that the same bytes give the same
        // events.
        slots.sort_unstable_by_key(|(id, _)| *id);
        for (_, mut slot) in slots {
            slot.stalls.client.over(&mut self.client.stalls, now);
            slot.stalls.server.over(&mut self.server.stalls, now);
            self.tap.ended(slot.state, how, now);
        }
        self.client.stall.over(&mut self.client.stalls, now);
        self.server.stall.over(&mut self.server.stalls, now);
    }

    /// Handles one piece of `input`; false when it is used up.
    fn step(&mut self, from: Side, input: &mut &[u8], now: Instant) -> Result<bool, Offence> {
        let Connection {
            tap,
            client,
            server,
            streams,
            last_client_stream,
            opened,
            ..
        } = self;
        let (half, peer) = match from {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        let Some(piece) = half.deframer.next(input)? else {
            return Ok(false);
        };
        match piece {
            Piece::Data {
                stream,
                chunk,
                flow_controlled,
                end_stream,
                ..
            } => {
                half.window.spend(flow_controlled);
                let left = half.window.available(DEFAULT_INITIAL_WINDOW_SIZE);
                // An empty frame needs no window, not even one that SETTINGS made
                // negative (RFC 9113, section 6.9.1).
                let spends = flow_controlled > 0;
                if spends && left < 0 {
                    return Err(overrun(from, StreamId::CONNECTION, -left));
                }
                half.stall.spent(left, &mut half.stalls, now);
                let Some(slot) = streams.get_mut(&stream) else {
                    return closed_or_idle(from, stream, *last_client_stream, "DATA")
                        .map(|()| true);
                };
                if slot.closed[from] {
                    return Err(after_end(from, stream, "DATA"));
                }
                slot.windows[from].spend(flow_controlled);
                let left = slot.windows[from].available(half.allowed.initial_window.most);
                if spends && left < 0 {
                    return Err(overrun(from, stream, -left));
                }
                if !end_stream {
                    slot.stalls[from].spent(left, &mut half.stalls, now);
                }
                tap.data(from, &mut slot.state, chunk, end_stream, now);
                if end_stream {
                    close(tap, streams, &mut half.stalls, from, stream, now);
                }
            }
            Piece::HeaderBlock {
                stream,
                block,
                end_stream,
                promised,
                ..
            } => {
                if promised.is_some() {
                    // A pushed stream carries no call; its block carries table
                    // state all the same.
                    half.decoder
                        .decode(block, |_| {})
                        .map_err(|error| Offence::field_block(from, stream, &error))?;
                    return Ok(true);
                }
                if from == Side::Client && stream > *last_client_stream {
                    if stream.initiator() != Some(Side::Client) {
                        return Err(Offence::new(
                            from,
                            ErrorCode::PROTOCOL_ERROR,
                            stream,
                            "RFC 9113 section 5.1.1",
                            format!("opened stream {stream}, an even number"),
                        ));
                    }
                    if streams.len() >= MAX_OPEN_STREAMS {
                        return Err(Offence::new(
                            from,
                            ErrorCode::ENHANCE_YOUR_CALM,
                            stream,
                            "a bound of etcdtap",
                            format!("holds more than {MAX_OPEN_STREAMS} streams open"),
                        ));
                    }
                    *last_client_stream = stream;
                    *opened += 1;
                    streams.insert(
                        stream,
                        Slot {
                            windows: Both::default(),
                            stalls: Both::default(),
                            closed: Both::default(),
                            state: tap.opened(stream, now),
                        },
                    );
                }
                let Some(slot) = streams.get_mut(&stream) else {
                    half.decoder
                        .decode(block, |_| {})
                        .map_err(|error| Offence::field_block(from, stream, &error))?;
                    return closed_or_idle(from, stream, *last_client_stream, "HEADERS")
                        .map(|()| true);
                };
                let state = &mut slot.state;
                half.decoder
                    .decode(block, |field| {
                        tap.field(from, state, field.name, field.value);
                    })
                    .map_err(|error| Offence::field_block(from, stream, &error))?;
                if slot.closed[from] {
                    return Err(after_end(from, stream, "HEADERS"));
                }
                tap.headers(from, state, end_stream, now);
                if end_stream {
                    close(tap, streams, &mut half.stalls, from, stream, now);
                }
            }
            Piece::RstStream { stream, code } => {
                half.resets.count += 1;
                half.resets.last = Some(code);
                match streams.remove(&stream) {
                    Some(mut slot) => {
                        slot.stalls[from].over(&mut half.stalls, now);
                        slot.stalls[from.peer()].over(&mut peer.stalls, now);
                        tap.ended(slot.state, StreamEnd::Reset { by: from, code }, now);
                    }
                    None => closed_or_idle(from, stream, *last_client_stream, "RST_STREAM")?,
                }
            }
            Piece::Settings(frame) if frame.is_ack() => acknowledged(half, peer),
            Piece::Settings(frame) => {
                let mut settings = half.announced.clone().unwrap_or_default();
                for (id, value) in frame.iter() {
                    settings.apply(id, value);
                }
                announced(settings, from, half, peer)?;
            }
            Piece::Ping { ack, payload } => {
                if ack {
                    peer.pings.acknowledged(payload, now);
                } else {
                    half.pings.sent(payload, now);
                }
            }
            Piece::GoAway {
                last_stream,
                code,
                debug,
            } => {
                half.goaway = Some(Goaway {
                    last_stream,
                    code,
                    debug: String::from_utf8_lossy(debug).into(),
                });
            }
            Piece::WindowUpdate { stream, increment } => {
                // It credits what the other side may send.
                let sender = from.peer();
                if stream.is_connection() {
                    peer.window
                        .credit(increment, DEFAULT_INITIAL_WINDOW_SIZE)
                        .map_err(|error| overflow(from, stream, &error))?;
                    let left = peer.window.available(DEFAULT_INITIAL_WINDOW_SIZE);
                    peer.stall.credited(left, &mut peer.stalls, now);
                } else if let Some(slot) = streams.get_mut(&stream) {
                    let initial = peer.allowed.initial_window;
                    slot.windows[sender]
                        .credit(increment, initial.least)
                        .map_err(|error| overflow(from, stream, &error))?;
                    let left = slot.windows[sender].available(initial.most);
                    slot.stalls[sender].credited(left, &mut peer.stalls, now);
                } else {
                    closed_or_idle(from, stream, *last_client_stream, "WINDOW_UPDATE")?;
                }
            }
            Piece::Preface | Piece::Priority { .. } | Piece::Unknown { .. } => {}
        }
        Ok(true)
    }
}

/// `half`'s sender acknowledged the oldest of the other side's SETTINGS. One too
/// many means nothing and harms nothing.
fn acknowledged(half: &mut Half, peer: &mut Half) {
    if let Some(settings) = peer.unacknowledged.pop_front() {
        half.must_go_by(&settings, peer.unacknowledged.iter());
    }
    if peer.unacknowledged.is_empty() {
        peer.unacknowledged = VecDeque::new();
    }
}

/// `from`, whose half is `half`, announced `settings`.
fn announced(
    settings: Settings,
    from: Side,
    half: &mut Half,
    peer: &mut Half,
) -> Result<(), Offence> {
    if half.unacknowledged.len() == MOST_UNACKNOWLEDGED {
        return Err(Offence::new(
            from,
            ErrorCode::ENHANCE_YOUR_CALM,
            StreamId::CONNECTION,
            "a bound of etcdtap",
            format!("sent more than {MOST_UNACKNOWLEDGED} SETTINGS without an acknowledgement"),
        ));
    }
    peer.may_go_by(&settings);
    half.announced = Some(settings.clone());
    half.unacknowledged.push_back(settings);
    Ok(())
}

/// `from` sent END_STREAM; when both have, the stream is over.
fn close<T: Tap>(
    tap: &mut T,
    streams: &mut FxHashMap<StreamId, Slot<T::Stream>>,
    stalls: &mut FlowStalls,
    from: Side,
    stream: StreamId,
    now: Instant,
) {
    let Some(slot) = streams.get_mut(&stream) else {
        return;
    };
    slot.closed[from] = true;
    slot.stalls[from].over(stalls, now);
    if slot.closed[from.peer()]
        && let Some(slot) = streams.remove(&stream)
    {
        tap.ended(slot.state, StreamEnd::Complete, now);
    }
}

/// A frame on a stream that is not open. Frames that cross a reset or an end
/// are legal leftovers (RFC 9113, section 5.1, "closed"); on a stream that
/// nobody has opened they are not ("idle").
fn closed_or_idle(
    from: Side,
    stream: StreamId,
    last_client_stream: StreamId,
    frame: &str,
) -> Result<(), Offence> {
    // Pushed streams (even numbers) are not followed.
    if stream.initiator() == Some(Side::Server) || stream <= last_client_stream {
        return Ok(());
    }
    Err(Offence::new(
        from,
        ErrorCode::PROTOCOL_ERROR,
        stream,
        "RFC 9113 section 5.1",
        format!("sent {frame} on stream {stream}, which nobody has opened"),
    ))
}

fn after_end(from: Side, stream: StreamId, frame: &str) -> Offence {
    Offence::new(
        from,
        ErrorCode::STREAM_CLOSED,
        stream,
        "RFC 9113 section 5.1",
        format!("sent {frame} on stream {stream} after END_STREAM"),
    )
}

fn overrun(from: Side, stream: StreamId, by: i64) -> Offence {
    let place = if stream.is_connection() {
        "the connection's window".to_owned()
    } else {
        format!("the window of stream {stream}")
    };
    Offence::new(
        from,
        ErrorCode::FLOW_CONTROL_ERROR,
        stream,
        "RFC 9113 section 6.9.1",
        format!("sent {by} bytes more DATA than {place} allowed"),
    )
}

fn overflow(from: Side, stream: StreamId, error: &crate::http2::Overflow) -> Offence {
    Offence::new(
        from,
        ErrorCode::FLOW_CONTROL_ERROR,
        stream,
        "RFC 9113 section 6.9.1",
        format!("sent a WINDOW_UPDATE on stream {stream} that {error}"),
    )
}
