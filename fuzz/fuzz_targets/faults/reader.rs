//! One direction as its receiver reads it, and what its sender has granted and
//! announced in it.

use std::collections::BTreeMap;

use etcdtap::http2::hpack::Decoder;
use etcdtap::http2::{
    DEFAULT_HEADER_TABLE_SIZE, DEFAULT_INITIAL_WINDOW_SIZE, DEFAULT_MAX_FRAME_SIZE, Deframer,
    Piece, SettingId, Side,
};

/// DATA spent, or credit given: on the connection (stream 0) and on streams.
type Account = BTreeMap<u32, i64>;

pub struct Reader {
    deframer: Deframer,
    decoder: Decoder,
    /// It cannot be read any more.
    pub broken: bool,
    spent: Account,
    credit: Account,
    /// The largest that its sender ever announced.
    announced: Announced,
}

#[derive(Clone, Copy)]
pub struct Announced {
    frame: u32,
    table: u32,
    window: u32,
}

impl Reader {
    pub fn new(sender: Side) -> Reader {
        Reader {
            deframer: Deframer::new(sender),
            decoder: Decoder::new(),
            broken: false,
            spent: Account::new(),
            credit: Account::new(),
            announced: Announced {
                frame: DEFAULT_MAX_FRAME_SIZE,
                table: DEFAULT_HEADER_TABLE_SIZE,
                window: DEFAULT_INITIAL_WINDOW_SIZE,
            },
        }
    }

    /// Reads on, until that fails: once, and in words.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !self.broken {
            match self.piece(&mut bytes) {
                Ok(true) => {}
                Ok(false) => break,
                Err(words) => {
                    self.broken = true;
                    return Err(words);
                }
            }
        }
        Ok(())
    }

    fn piece(&mut self, bytes: &mut &[u8]) -> Result<bool, String> {
        let piece = self.deframer.next(bytes).map_err(|e| e.to_string())?;
        match piece {
            None => return Ok(false),
            Some(Piece::Data {
                stream,
                flow_controlled,
                ..
            }) => {
                for id in [0, stream.number()] {
                    *self.spent.entry(id).or_default() += i64::from(flow_controlled);
                }
            }
            Some(Piece::HeaderBlock { block, .. }) => {
                self.decoder
                    .decode(block, |_| {})
                    .map_err(|error| error.to_string())?;
            }
            Some(Piece::WindowUpdate { stream, increment }) => {
                *self.credit.entry(stream.number()).or_default() += i64::from(increment);
            }
            Some(Piece::Settings(frame)) if !frame.is_ack() => {
                for (id, value) in frame.iter() {
                    let most = match id {
                        SettingId::MAX_FRAME_SIZE => &mut self.announced.frame,
                        SettingId::HEADER_TABLE_SIZE => &mut self.announced.table,
                        SettingId::INITIAL_WINDOW_SIZE => &mut self.announced.window,
                        _ => continue,
                    };
                    *most = value.max(*most);
                }
            }
            Some(_) => {}
        }
        Ok(true)
    }

    /// What the receiver has announced.
    pub fn announced(&self) -> Announced {
        self.announced
    }

    /// Goes by what the receiver has announced.
    pub fn go_by(&mut self, announced: Announced) {
        self.deframer.set_max_frame_size(announced.frame);
        self.decoder.set_max_table_size(announced.table);
    }

    /// What was spent beyond what `receiver` has granted.
    pub fn overrun(&self, receiver: &Reader, announced: Announced) -> Option<String> {
        let granted = |id: u32| {
            let initial = match id {
                0 => DEFAULT_INITIAL_WINDOW_SIZE,
                _ => announced.window,
            };
            i64::from(initial) + receiver.credit.get(&id).copied().unwrap_or(0)
        };
        let over = |(id, spent): (&u32, &i64)| {
            (*spent > granted(*id)).then(|| format!("stream {id}: {spent} of {}", granted(*id)))
        };
        self.spent.iter().find_map(over)
    }
}
