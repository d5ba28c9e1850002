//! One file of a recording.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek};
use std::ops::Range;

use bytes::Bytes;
use mcap::records::{Channel, Header, Metadata, Record, op};
use rustc_hash::FxHashMap;

use super::item::{self, Item};
use super::query::Query;
use super::refusal::{Refusal, looks};
use super::unpack::{self, Packed, Records};
use super::walk::{Found, FoundChunk, Walk};
use super::wholeness::{Missing, Wholeness};
use super::window::Window;
use crate::record::container::ABOUT;
use crate::record::schema::{ChannelId, Channels, PROFILE, VERSION};

/// Where a recording is read from.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// What a recording says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// What its writer noted down: which values are hidden, when it began, which
    /// part of how many it is.
    pub notes: BTreeMap<String, String>,
    /// Who wrote it: `etcdtap 0.1.0`.
    pub library: String,
}

/// How much was done to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Chunks that were found.
    pub chunks: u64,
    /// Of them, those that were unpacked.
    pub unpacked: u64,
}

/// One file of a recording, being read.
pub struct Recording {
    name: Box<str>,
    about: About,
    walk: Walk<Box<dyn Source>>,
    chunk: Option<OpenChunk>,
    /// Channels whose numbers are not ours: another tool has rewritten the file.
    renumbered: FxHashMap<u16, Option<ChannelId>>,
    wholeness: Wholeness,
    /// Where the file ended when it was last looked at.
    tail: Option<Range<u64>>,
    /// The earliest and the latest time that was seen.
    earliest: Option<u64>,
    latest: Option<u64>,
    figures: Figures,
}

struct OpenChunk {
    records: Records,
    place: Range<u64>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("name", &self.name)
            .field("figures", &self.figures)
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// Opens a recording; `name` is what it is called in sentences.
    ///
    /// # Errors
    /// If it is none, or a later program's.
    pub fn open(source: impl Source + 'static, name: &str) -> Result<Recording, Refusal> {
        let unreadable = |error| Refusal::Unreadable {
            file: name.into(),
            error,
        };
        let mut window: Window<Box<dyn Source>> = Window::new(Box::new(source));
        let about = recognise(&mut window, name).map_err(unreadable).flatten()?;
        Ok(Recording {
            name: name.into(),
            about,
            walk: Walk::new(window, mcap::MAGIC.len() as u64),
            chunk: None,
            renumbered: FxHashMap::default(),
            wholeness: Wholeness::default(),
            tail: None,
            earliest: None,
            latest: None,
            figures: Figures::default(),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How much has been done.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// What is missing, as far as it was read.
    pub fn wholeness(&self) -> Wholeness {
        let mut wholeness = self.wholeness.clone();
        match &self.tail {
            Some(tail) if !tail.is_empty() => wholeness.add_missing(Missing {
                file: self.name.clone(),
                bytes: tail.clone(),
                is_end: true,
                what: "no whole record".into(),
                after: self.latest,
                before: None,
            }),
            _ => {}
        }
        wholeness
    }

    /// The next thing that is asked for; always by the same query. `None` at the
    /// file's end: where it has grown since, there may be more.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    pub fn next(&mut self, query: &Query) -> io::Result<Option<Item>> {
        loop {
            if let Some(item) = self.next_in_chunk(query) {
                return Ok(Some(item));
            }
            match self.walk.next()? {
                Found::Chunk(chunk) => self.open_chunk(&chunk, query)?,
                Found::Metadata(metadata) => self.note(metadata),
                Found::Channel(channel) => self.renumber(&channel),
                Found::Message { header, data } => {
                    if let Some(channel) = self.wanted(header.channel_id, header.log_time, query)
                        && let Some(item) = self.read(channel, &header, data.into())
                    {
                        return Ok(Some(item));
                    }
                }
                Found::Lost(bytes) => self.lost(bytes, "no record begins there"),
                Found::Tail { from, len } => {
                    self.tail = Some(from..len);
                    return Ok(None);
                }
                Found::Finished => {
                    self.tail = None;
                    self.wholeness.finished = true;
                    return Ok(None);
                }
            }
        }
    }

    fn next_in_chunk(&mut self, query: &Query) -> Option<Item> {
        loop {
            let open = self.chunk.as_mut()?;
            let renumbered = &self.renumbered;
            let wanted = |header: &mcap::records::MessageHeader| {
                is_wanted(renumbered, header.channel_id, header.log_time, query).is_some()
            };
            match open.records.next(wanted) {
                Some(Ok(Packed::Message { header, data })) => {
                    if let Some(channel) = self.wanted(header.channel_id, header.log_time, query)
                        && let Some(item) = self.read(channel, &header, data)
                    {
                        return Some(item);
                    }
                }
                Some(Ok(Packed::Channel(channel))) => self.renumber(&channel),
                Some(Err(unpack::Senseless)) => {
                    let place = open.place.clone();
                    self.lost(place, "its records make no sense from some point on");
                }
                None => {
                    self.chunk = None;
                    return None;
                }
            }
        }
    }

    fn open_chunk(&mut self, chunk: &FoundChunk, query: &Query) -> io::Result<()> {
        self.figures.chunks += 1;
        if let Some(index) = &chunk.index {
            self.wholeness.before(index.from_ns);
            self.begins_by(index.from_ns);
            if !query.may_want(index) {
                self.latest = self.latest.max(Some(index.to_ns));
                return Ok(());
            }
        }
        let place = chunk.body..chunk.body + chunk.length;
        // The walk found it in the file, and no longer than a chunk may be.
        let Some(body) = self
            .walk
            .window()
            .take(chunk.body, usize::try_from(chunk.length).unwrap_or(0))?
        else {
            self.lost(place, "a chunk that is gone");
            return Ok(());
        };
        self.figures.unpacked += 1;
        match unpack::unpack(&body) {
            Ok(bytes) => {
                let latest = chunk.index.as_ref().map(|index| index.to_ns);
                self.latest = self.latest.max(latest);
                self.chunk = Some(OpenChunk {
                    records: Records::of(bytes),
                    place,
                });
            }
            Err(why) => self.lost(place, &format!("a chunk of which {why}")),
        }
        Ok(())
    }

    fn read(
        &mut self,
        channel: ChannelId,
        header: &mcap::records::MessageHeader,
        data: Bytes,
    ) -> Option<Item> {
        self.wholeness.before(header.log_time);
        self.begins_by(header.log_time);
        self.latest = self.latest.max(Some(header.log_time));
        let item = item::read(channel, header, data);
        match &item {
            None => self.wholeness.unreadable += 1,
            Some(Item::Loss { loss, .. }) => self.wholeness.add_loss(loss),
            Some(_) => {}
        }
        item
    }

    fn begins_by(&mut self, at: u64) {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// From when to when it reaches, as far as it was passed.
    pub fn span(&self) -> Option<(u64, u64)> {
        Some((self.earliest?, self.latest?))
    }

    fn wanted(&self, id: u16, at: u64, query: &Query) -> Option<ChannelId> {
        is_wanted(&self.renumbered, id, at, query)
    }

    /// Takes note of a channel that does not have our number.
    fn renumber(&mut self, channel: &Channel) {
        let ours = Channels::all();
        let id = ChannelId(channel.id);
        if ours
            .channel(id)
            .is_some_and(|ours| *ours.topic == *channel.topic)
        {
            self.renumbered.remove(&channel.id);
            return;
        }
        let meant = ours.iter().find(|ours| *ours.topic == *channel.topic);
        self.renumbered
            .insert(channel.id, meant.map(|channel| channel.id));
    }

    fn note(&mut self, metadata: Metadata) {
        if metadata.name == ABOUT {
            self.about.notes.extend(metadata.metadata);
        }
    }

    fn lost(&mut self, bytes: Range<u64>, what: &str) {
        self.wholeness.add_missing(Missing {
            file: self.name.clone(),
            bytes,
            is_end: false,
            what: what.into(),
            after: self.latest,
            before: None,
        });
    }

    /// The time of its first record, as its index or its chunk says.
    pub(super) fn begins(&mut self) -> io::Result<Option<u64>> {
        loop {
            match self.walk.next()? {
                Found::Chunk(chunk) => {
                    if let Some(index) = chunk.index {
                        return Ok(Some(index.from_ns));
                    }
                    let head = self.walk.window().at(chunk.body, 8)?;
                    return Ok(head.first_chunk().map(|at| u64::from_le_bytes(*at)));
                }
                Found::Message { header, .. } => return Ok(Some(header.log_time)),
                Found::Finished | Found::Tail { .. } => return Ok(None),
                Found::Metadata(_) | Found::Channel(_) | Found::Lost(_) => {}
            }
        }
    }
}

/// What stands on a channel, if that is asked for.
fn is_wanted(
    renumbered: &FxHashMap<u16, Option<ChannelId>>,
    id: u16,
    at: u64,
    query: &Query,
) -> Option<ChannelId> {
    let channel = match renumbered.get(&id) {
        Some(meant) => (*meant)?,
        None => ChannelId(id),
    };
    let wants = match channel {
        ChannelId::LOG => query.wants.lines,
        ChannelId::HEADERS => query.wants.headers,
        ChannelId::PARTS | ChannelId::CONTENTS => query.wants.messages,
        ChannelId::LOSSES => true,
        other => query.wants.messages && Channels::all().channel(other).is_some(),
    };
    (wants && query.asks_for(at)).then_some(channel)
}

/// Holds a file's beginning against what a recording begins with.
fn recognise(
    window: &mut Window<Box<dyn Source>>,
    name: &str,
) -> io::Result<Result<About, Refusal>> {
    const HEAD: usize = 512;
    /// More than any header, or note of a recording about itself, has.
    const MOST: u64 = 1024 * 1024;
    let len = window.file_len()?;
    let head = window.at(0, HEAD)?.to_vec();
    let file = Box::from(name);
    if head.is_empty() {
        return Ok(Err(Refusal::Empty { file }));
    }
    let magic = mcap::MAGIC;
    let has_magic = head.starts_with(magic);
    if !has_magic && magic.starts_with(&head) {
        return Ok(Err(Refusal::TooShort { file, len }));
    }
    let mut about = About::default();
    let mut profile = None;
    let mut is_ours = false;
    let mut at = magic.len() as u64;
    // The header, and behind it what the recording says about itself.
    for _ in 0..2 {
        let prefix = window.at(at, 9)?.to_vec();
        let (Some(opcode), Some(length)) = (
            prefix.first().copied(),
            prefix.get(1..).and_then(|rest| rest.first_chunk::<8>()),
        ) else {
            break;
        };
        let length = u64::from_le_bytes(*length);
        if length > MOST || at + 9 + length > len {
            break;
        }
        let Some(body) = window.take(at + 9, length as usize)? else {
            break;
        };
        at += 9 + length;
        if !matches!(opcode, op::HEADER | op::METADATA) {
            continue;
        }
        match mcap::parse_record(opcode, &body) {
            Ok(Record::Header(header)) => {
                let Header {
                    profile: named,
                    library,
                } = header;
                is_ours |= named == PROFILE;
                profile = Some(named);
                about.library = library;
            }
            Ok(Record::Metadata(metadata)) if metadata.name == ABOUT => {
                is_ours = true;
                about.notes = metadata.metadata;
            }
            _ => {}
        }
    }
    window.forget();
    let version = about
        .notes
        .get("version")
        .and_then(|text| text.parse().ok());
    Ok(match (is_ours, has_magic, profile) {
        (true, ..) => match version {
            Some(version) if version > VERSION => Err(Refusal::Newer { file, version }),
            _ => Ok(about),
        },
        (false, true, Some(profile)) => Err(Refusal::Foreign {
            file,
            profile: profile.into(),
        }),
        // Nothing whole is in it, or its header is damaged.
        (false, true, None) if len < 64 => Err(Refusal::TooShort { file, len }),
        (false, true, None) => Ok(about),
        (false, false, _) => Err(Refusal::Other {
            file,
            looks: looks(&head),
        }),
    })
}
