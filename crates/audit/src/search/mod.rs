//! Decisions of one tenant in the logs of a node, the newest first and page by page. Nothing is verified, and nothing changed.
//!
//! The order is that of the logs: by life and then by index, both downwards. A clock may be set back, and a place in a log never
//! changes; so a page goes on exactly where the one before ended, whatever is written meanwhile.
//!
//! Segments are read whole, one after the other, until the page is full, or as much was read as may be. What was learned of the
//! times in a sealed segment is kept in [`Sketches`], so that the next question about other times leaves it out unread.

mod copies;
mod filter;
mod shelf;
mod sketch;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;

pub use copies::{Copies, CopyShelf, Known, Lack};
pub use filter::Filter;
use filter::{Matcher, Seen};
pub use shelf::{Folder, Shelf};
pub use sketch::Sketches;

use crate::hash::Hash;
use crate::journal::{Disk, grown_bytes, grown_numbers, grown_records};
use crate::record::{Chain, RecordId};
use crate::{segment, tree};

/// The logs of a node, as far as they may be searched.
pub struct Logs<'l> {
    /// Where sealed segments lie: the first one that has a segment gives it.
    pub shelves: &'l [&'l dyn Shelf],
    /// The log that grows, if one does.
    pub growing: Option<Growing<'l>>,
}

/// A log that grows.
pub struct Growing<'l> {
    /// The file system that it is on.
    pub disk: &'l dyn Disk,
    /// Its folder.
    pub folder: &'l Path,
    /// Its name.
    pub origin: &'l str,
    /// Whose it is: an incarnation.
    pub life: u64,
    /// How many entries of it are known to be on disk, as its newest checkpoint says: others are not shown.
    pub synced: u64,
}

/// A place in the logs of a node: everything below it is still to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The life whose log it is.
    pub life: u64,
    /// The segment.
    pub segment: u64,
    /// Records with a lower index follow; `u64::MAX`: all of the segment.
    pub below: u64,
}

/// How much one question may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most decisions in the answer.
    pub hits: usize,
    /// After so many bytes of records, the answer ends.
    pub hit_bytes: usize,
    /// After so many bytes of files, the answer ends.
    pub read_bytes: u64,
}

/// A decision that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The life, and with it the log.
    pub life: u64,
    /// The segment that it is in.
    pub segment: u64,
    /// Its index in the log.
    pub index: u64,
    /// Its moment.
    pub at: UnixNanos,
    /// The record: its canonical bytes.
    pub record: Vec<u8>,
    /// Records that name it, the newest first.
    pub links: Vec<Linked>,
    /// Whether there may be more of those: newer segments were not looked at for them.
    pub links_partial: bool,
}

/// A record that names a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// `completion` or `shadow`.
    pub kind: &'static str,
    /// Its index, in the same log.
    pub index: u64,
    /// The hash of its leaf.
    pub leaf: Hash,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The decisions, the newest first.
    pub hits: Vec<Hit>,
    /// Where to go on; nothing: everything was looked at.
    pub rest: Option<Position>,
    /// The moment of the last record that was looked at.
    pub reached: Option<UnixNanos>,
    /// Bytes of files that were read.
    pub read_bytes: u64,
}

impl Hit {
    /// The hash of its leaf.
    pub fn leaf(&self) -> Hash {
        leaf(&self.record)
    }
}

fn leaf(record: &[u8]) -> Hash {
    tree::leaf(&Hash::of(record).0)
}

/// Searches the decisions of `chain` that `filter` lets through, from `from` downwards; without it, from the newest one.
///
/// `go_on` is asked every now and then; once it says no, the answer ends where it is. Some records were looked at in any case,
/// so that whoever asks again with [`Found::rest`] comes to an end.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] for a file that is damaged.
pub fn search(
    logs: &Logs<'_>,
    chain: &Chain,
    filter: &Filter,
    from: Option<Position>,
    limits: Limits,
    sketches: &mut Sketches,
    go_on: impl FnMut() -> bool,
) -> io::Result<Found> {
    let matcher = Matcher::new(filter);
    let found = Found { hits: Vec::new(), rest: None, reached: None, read_bytes: 0 };
    let mut walk = Walk {
        logs,
        chain,
        chain_name: chain.to_string(),
        matcher,
        limits,
        sketches,
        go_on,
        found,
        hit_bytes: 0,
        looked_at: 0,
    };
    let mut lives = BTreeSet::new();
    for shelf in logs.shelves {
        lives.extend(shelf.lives()?);
    }
    lives.extend(logs.growing.as_ref().map(|growing| growing.life));
    let lives = lives.into_iter().rev().filter(|life| from.is_none_or(|from| *life <= from.life));
    for (place, life) in lives.enumerate() {
        // One life is looked at in any case.
        if place > 0 && !(walk.go_on)() {
            walk.found.rest = Some(Position { life, segment: u64::MAX, below: u64::MAX });
            break;
        }
        let from = from.filter(|from| from.life == life);
        if let Some(rest) = walk.life(life, from)? {
            walk.found.rest = Some(rest);
            break;
        }
    }
    Ok(walk.found)
}

/// A question on its way.
struct Walk<'w, 'l, G> {
    logs: &'w Logs<'l>,
    chain: &'w Chain,
    chain_name: String,
    matcher: Matcher<'w>,
    limits: Limits,
    sketches: &'w mut Sketches,
    go_on: G,
    found: Found,
    hit_bytes: usize,
    /// How many records were looked at.
    looked_at: u64,
}

/// What one life has been asked so far.
#[derive(Default)]
struct OfLife {
    /// Records that name decisions, by the ids of those.
    links: HashMap<RecordId, Vec<Linked>>,
    /// Whether newer segments were left out.
    partial: bool,
}

/// Index and bytes of records, in their order.
type Records<'b> = Vec<(u64, &'b [u8])>;

impl<G: FnMut() -> bool> Walk<'_, '_, G> {
    /// Looks through the log of one life; where to go on, if it did not come to its end.
    fn life(&mut self, life: u64, from: Option<Position>) -> io::Result<Option<Position>> {
        let growing = self.logs.growing.as_ref().filter(|growing| growing.life == life);
        let mut segments = BTreeSet::new();
        // First what grows: what is sealed meanwhile is there twice then, and never missing.
        if let Some(growing) = growing {
            segments.extend(grown_numbers(growing.disk, growing.folder)?);
        }
        let grown = segments.clone();
        for shelf in self.logs.shelves {
            match shelf.segments(life, self.chain) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Some(from.unwrap_or(Position { life, segment: u64::MAX, below: u64::MAX })));
                }
                numbers => segments.extend(numbers?),
            }
        }
        let mut of_life = OfLife::default();
        for number in segments.into_iter().rev() {
            if from.is_some_and(|from| number > from.segment) {
                of_life.partial = true;
                continue;
            }
            if !self.sketches.may_hold(self.chain, life, number, self.matcher.filter()) {
                of_life.partial = true;
                continue;
            }
            let here = from.filter(|from| from.segment == number);
            let below = here.map_or(u64::MAX, |from| from.below);
            if self.is_spent() {
                return Ok(Some(Position { life, segment: number, below }));
            }
            let bytes = match growing.filter(|_| grown.contains(&number)) {
                Some(growing) => grown_bytes(growing.disk, growing.folder, number)?,
                None => None,
            };
            let rest = match (bytes, growing) {
                (Some(bytes), Some(growing)) => {
                    self.found.read_bytes += bytes.len() as u64;
                    let records =
                        grown_records(&bytes, number, growing.origin, &self.chain_name, growing.synced);
                    let records = records.ok_or_else(|| damaged(life, number))?;
                    self.segment(&mut of_life, life, number, below.min(growing.synced), &records)?
                }
                // Sealed by now, or long ago.
                _ => self.sealed(&mut of_life, life, number, below)?,
            };
            if rest.is_some() {
                return Ok(rest);
            }
        }
        Ok(None)
    }

    fn sealed(
        &mut self,
        of_life: &mut OfLife,
        life: u64,
        number: u64,
        below: u64,
    ) -> io::Result<Option<Position>> {
        let bytes = match self.read(life, number) {
            // Something was read before, and a place that is slow has more time on the next page.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Ok(Some(Position { life, segment: number, below }));
            }
            bytes => bytes?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        self.found.read_bytes += bytes.len() as u64;
        let sealed = segment::read(&bytes).filter(|it| it.number == number && it.chain == *self.chain);
        let sealed = sealed.ok_or_else(|| damaged(life, number))?;
        let growing = self.logs.growing.as_ref().filter(|growing| growing.life == life);
        let synced = growing.map_or(u64::MAX, |growing| growing.synced);
        self.sketches.note(self.chain, life, number, &sealed.records);
        self.segment(of_life, life, number, below.min(synced), &sealed.records)
    }

    /// The file of a sealed segment; nothing if the chain has none there.
    fn read(&self, life: u64, number: u64) -> io::Result<Option<Vec<u8>>> {
        for shelf in self.logs.shelves {
            match shelf.read(life, number, self.chain) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                bytes => return bytes.map(Some),
            }
        }
        Ok(None)
    }

    /// Looks through the records of one segment, backwards.
    fn segment(
        &mut self,
        of_life: &mut OfLife,
        life: u64,
        number: u64,
        below: u64,
        records: &Records<'_>,
    ) -> io::Result<Option<Position>> {
        for (index, bytes) in records.iter().rev() {
            let seen = self.matcher.look(bytes).ok_or_else(|| damaged(life, number))?;
            if let Seen::Link { kind, decision } = seen {
                // Also those above: they name decisions below.
                let links = of_life.links.entry(decision).or_default();
                if links.len() < caps::SEARCH_LINKS_MAX {
                    links.push(Linked { kind, index: *index, leaf: leaf(bytes) });
                }
            }
            if *index >= below {
                continue;
            }
            self.looked_at += 1;
            self.found.reached = moment(bytes).or(self.found.reached);
            if let Seen::Decision { id, at } = seen {
                let (links, record) = (of_life.links.get(&id).cloned().unwrap_or_default(), bytes.to_vec());
                self.hit_bytes += record.len();
                let links_partial = of_life.partial;
                self.found.hits.push(Hit {
                    life,
                    segment: number,
                    index: *index,
                    at,
                    record,
                    links,
                    links_partial,
                });
            }
            let full = self.found.hits.len() >= self.limits.hits || self.hit_bytes >= self.limits.hit_bytes;
            if full || (self.looked_at.is_multiple_of(LOOK_UP_EVERY) && !(self.go_on)()) {
                return Ok(Some(Position { life, segment: number, below: *index }));
            }
        }
        Ok(None)
    }

    /// Whether no further file may be read.
    fn is_spent(&mut self) -> bool {
        self.found.read_bytes > 0 && (self.found.read_bytes >= self.limits.read_bytes || !(self.go_on)())
    }
}

/// Records between two looks at the clock.
const LOOK_UP_EVERY: u64 = 4_096;

/// The moment of a canonical record, from its fixed place.
fn moment(record: &[u8]) -> Option<UnixNanos> {
    let text = std::str::from_utf8(record.get(7..37)?).ok()?;
    crate::record::moment::parse(text)
}

fn damaged(life: u64, segment: u64) -> io::Error {
    let words = format!("segment {segment} of the log of life {life} is damaged");
    io::Error::new(io::ErrorKind::InvalidData, words)
}
