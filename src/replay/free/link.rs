//! A connection and its socket.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::drive::Who;
use super::heads::Origin;
use super::program::Cue;
use super::wire::{Told, Wire};
use super::woken::Bells;
use crate::replay::reach::{Dialing, Duplex};

/// A connection that does not take what is written is not read beyond that.
const MOST_UNWRITTEN: usize = 4 << 20;

/// A connection.
pub(super) struct Link {
    socket: Socket,
    pub wire: Wire<Who>,
    bells: Bells,
    /// Since when it is as it is.
    pub since: Duration,
    /// It stands in the list of those that have something to write.
    pub is_dirty: bool,
    /// What its streams said before it was open, or had room.
    pub held: Vec<Cue>,
    /// Its calls, in the order in which they were made; those at the front that are
    /// over are forgotten.
    pub made: VecDeque<u32>,
}

enum Socket {
    /// It is not there yet.
    None,
    Connecting(Dialing),
    Open(Box<dyn Duplex>),
    Closed,
}

impl Link {
    /// One that is not there yet. `bells` wake it.
    pub fn new(origin: Origin, bells: Bells) -> Link {
        Link {
            socket: Socket::None,
            wire: Wire::new(origin),
            bells,
            since: Duration::ZERO,
            is_dirty: false,
            held: Vec::new(),
            made: VecDeque::new(),
        }
    }

    /// Begins to connect.
    pub fn connect(&mut self, dialing: Dialing, now: Duration) {
        self.socket = Socket::Connecting(dialing);
        self.since = now;
    }

    /// Goes on connecting; whether it is open since now. Pending, too, if it is not to
    /// be there.
    pub fn poll_connect(&mut self, now: Duration) -> Poll<io::Result<bool>> {
        match &mut self.socket {
            Socket::None | Socket::Closed => Poll::Pending,
            Socket::Open(_) => Poll::Ready(Ok(false)),
            Socket::Connecting(connecting) => {
                let mut context = Context::from_waker(self.bells.waker());
                let Poll::Ready(connected) = connecting.as_mut().poll(&mut context) else {
                    return Poll::Pending;
                };
                self.socket = Socket::Open(connected?);
                self.since = now;
                Poll::Ready(Ok(true))
            }
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        matches!(self.socket, Socket::Open(_))
    }

    /// Whether it waits for the target to take it.
    pub fn is_connecting(&self) -> bool {
        matches!(self.socket, Socket::Connecting(_))
    }

    /// Closes it.
    pub fn close(&mut self) {
        self.socket = Socket::Closed;
    }

    /// Reads once, and tells what that brought; pending when there is no more.
    ///
    /// # Errors
    /// In words, if the connection is of no use any more.
    pub fn poll_take(
        &mut self,
        buffer: &mut [u8],
        tell: impl FnMut(Told<Who>),
    ) -> Poll<Result<(), String>> {
        let Socket::Open(socket) = &mut self.socket else {
            return Poll::Pending;
        };
        if self.wire.transmit().len() > MOST_UNWRITTEN {
            return Poll::Pending;
        }
        let mut context = Context::from_waker(self.bells.waker());
        let mut buffer = ReadBuf::new(buffer);
        let Poll::Ready(read) = Pin::new(socket).poll_read(&mut context, &mut buffer) else {
            return Poll::Pending;
        };
        Poll::Ready(match read {
            Err(error) => Err(error.to_string()),
            Ok(()) if buffer.filled().is_empty() => Err("it closed a connection".to_owned()),
            Ok(()) => {
                let taken = self.wire.take(buffer.filled(), tell);
                taken.map_err(|broken| broken.to_string())
            }
        })
    }

    /// Writes what there is, as far as it goes; the rest when it is woken.
    pub fn write(&mut self) -> io::Result<()> {
        let Socket::Open(socket) = &mut self.socket else {
            return Ok(());
        };
        while !self.wire.transmit().is_empty() {
            let mut context = Context::from_waker(self.bells.waker());
            match Pin::new(&mut *socket).poll_write(&mut context, self.wire.transmit()) {
                Poll::Pending => break,
                Poll::Ready(written) => self.wire.written(written?),
            }
        }
        Ok(())
    }
}
