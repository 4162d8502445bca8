//! The file that a log grows in, one per segment: frames, each bound to its log, its segment and its place by a checksum.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `AJF1` |
//! | 1 | kind: head, record, checkpoint |
//! | 1 | 1 where the record's chain does not wait for syncs |
//! | 2 | zero |
//! | 4 | length of the body, big endian |
//! | 8 | how much of this file is known to be on disk, big endian |
//! | 8 | checksum over log, segment, place, the fields before, and the SHA-256 of the body |
//! | … | body |
//!
//! The first frame that is not whole ends the file: zeros that lie ahead of what will be written, or what a crash cut off. But if a whole frame after it says that
//! this place was on disk, it is damage, and the file is refused: cutting there would lose what was acknowledged.

use std::io;
use std::path::Path;

use aegis_model::caps;

use super::disk::Disk;
use crate::hash::Hash;
use crate::record::{Chain, Encoded};

const MAGIC: [u8; 4] = *b"AJF1";
/// Bytes before a body.
pub(super) const HEADER_BYTES: usize = 28;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first frame: which segment this is, and how every chain stood before it.
    Head,
    /// The canonical bytes of a record.
    Record,
    /// A signed checkpoint.
    Checkpoint,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Head, Self::Record, Self::Checkpoint];

    fn byte(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Record => 2,
            Self::Checkpoint => 3,
        }
    }
}

/// Which file the frames stand in.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The hash of the log's origin and the number of the segment.
    of: Hash,
}

impl Place {
    pub(super) fn new(origin: &str, segment: u64) -> Self {
        Self { of: Hash::of_parts(&[b"aegis/frame/v1", origin.as_bytes(), &segment.to_be_bytes()]) }
    }

    fn checksum(&self, offset: u64, fields: &[u8], body: &Hash) -> [u8; 8] {
        let mut bytes = [0; 32 + 8 + 20 + 32];
        bytes[..32].copy_from_slice(&self.of.0);
        bytes[32..40].copy_from_slice(&offset.to_be_bytes());
        bytes[40..60].copy_from_slice(fields);
        bytes[60..].copy_from_slice(&body.0);
        *Hash::of(&bytes).0.first_chunk().expect("a hash is longer")
    }

    /// Appends a frame to `out`, which will stand at `offset` of the file as a whole. `synced` says how much of the file is
    /// on disk.
    pub(super) fn put(&self, out: &mut Vec<u8>, offset: u64, synced: u64, new: &New<'_>) {
        let place = offset + out.len() as u64;
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&MAGIC);
        (header[4], header[5]) = (new.kind.byte(), u8::from(new.relaxed));
        let length = u32::try_from(new.body.len()).expect("records and checkpoints are bounded far below");
        header[8..12].copy_from_slice(&length.to_be_bytes());
        header[12..20].copy_from_slice(&synced.to_be_bytes());
        let sum = self.checksum(place, &header[..20], &new.hash);
        header[20..].copy_from_slice(&sum);
        out.extend_from_slice(&header);
        out.extend_from_slice(new.body);
    }

    /// The frame at `at`, if a whole one stands there.
    fn frame<'b>(&self, file: &'b [u8], at: usize) -> Option<Frame<'b>> {
        self.first(file.get(at..)?, at as u64)
    }

    /// The frame that `bytes` begin with, which stand at `place` of the file, if it is whole.
    pub(super) fn first<'b>(&self, bytes: &'b [u8], place: u64) -> Option<Frame<'b>> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        if header[..4] != MAGIC || header[5] > 1 || header[6..8] != [0, 0] {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.byte() == header[4])?;
        let length = u32::from_be_bytes(*header[8..].first_chunk()?) as usize;
        let body = rest.get(..length)?;
        let synced = u64::from_be_bytes(*header[12..].first_chunk()?);
        let hash = Hash::of(body);
        let sound = self.checksum(place, &header[..20], &hash) == header[20..];
        sound.then_some(Frame { kind, relaxed: header[5] == 1, synced, body, hash })
    }

    /// Every whole frame from the start, and where they end.
    ///
    /// # Errors
    /// [`Damage`]
    pub(super) fn read<'b>(&self, file: &'b [u8]) -> Result<(Vec<Frame<'b>>, usize), Damage> {
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some(frame) = self.frame(file, at) {
            at += frame.bytes();
            frames.push(frame);
        }
        let beyond = (at + 1..file.len().saturating_sub(HEADER_BYTES - 1))
            .filter(|place| file[*place..].starts_with(&MAGIC))
            .filter_map(|place| self.frame(file, place));
        if beyond.map(|frame| frame.synced).any(|synced| synced > at as u64) {
            return Err(Damage);
        }
        Ok((frames, at))
    }
}

/// What was on disk has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage;

/// A frame to be written.
pub(super) struct New<'b> {
    kind: Kind,
    relaxed: bool,
    body: &'b [u8],
    hash: Hash,
}

impl<'b> New<'b> {
    /// A frame of the journal's own.
    pub(super) fn own(kind: Kind, body: &'b [u8]) -> Self {
        Self { kind, relaxed: false, body, hash: Hash::of(body) }
    }

    /// The frame of a record.
    pub(super) fn record(record: &'b Encoded, relaxed: bool) -> Self {
        Self { kind: Kind::Record, relaxed, body: &record.bytes, hash: record.entry }
    }
}

/// A whole frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'b> {
    pub(super) kind: Kind,
    pub(super) relaxed: bool,
    synced: u64,
    pub(super) body: &'b [u8],
    /// The SHA-256 of the body; of a record, its entry.
    pub(super) hash: Hash,
}

/// The body of the first frame of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) segment: u64,
    /// The index of its first record.
    pub(super) start: u64,
    /// How every chain stood before it.
    pub(super) chains: Vec<(Chain, Standing)>,
}

/// How a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// The number of its newest record.
    pub(super) seq: u64,
    /// The hash of that record.
    pub(super) entry: Hash,
    /// Whether some of its records were acknowledged before they were synced.
    pub(super) relaxed: bool,
}

impl Standing {
    /// The chain after one more record.
    pub(super) fn after(before: Option<Self>, entry: Hash, relaxed: bool) -> Self {
        let (seq, was) = before.map_or((0, false), |before| (before.seq, before.relaxed));
        Self { seq: seq + 1, entry, relaxed: was || relaxed }
    }
}

impl Frame<'_> {
    /// What it says if it is the first of its file.
    pub(super) fn head(&self) -> Option<Head> {
        let text = std::str::from_utf8(self.body).ok().filter(|_| self.kind == Kind::Head);
        text.and_then(Head::read)
    }

    /// Bytes that it takes in its file.
    pub(super) fn bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }
}

/// Goes through the frames of a file, a part of it in memory at a time.
pub(super) struct Frames<'d> {
    disk: &'d dyn Disk,
    path: &'d Path,
    place: Place,
    /// A part of the file.
    bytes: Vec<u8>,
    /// Where it begins in the file.
    offset: u64,
    /// How much of it was given.
    at: usize,
    /// Whether the file may go on behind it.
    more: bool,
}

/// Bytes that [`Frames`] reads at once.
const PART_BYTES: usize = 256 << 10;

impl<'d> Frames<'d> {
    pub(super) fn new(disk: &'d dyn Disk, path: &'d Path, place: Place) -> Self {
        Self { disk, path, place, bytes: Vec::new(), offset: 0, at: 0, more: true }
    }

    /// The next frame; nothing where none that is whole follows.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        while self.more && self.bytes.len() - self.at < self.wanted() {
            self.read()?;
        }
        let place = self.offset + self.at as u64;
        let frame = self.place.first(&self.bytes[self.at..], place);
        self.at += frame.as_ref().map_or(0, Frame::bytes);
        Ok(frame)
    }

    /// Bytes that the next frame takes, as far as it says so by now.
    fn wanted(&self) -> usize {
        let Some((header, _)) = self.bytes[self.at..].split_first_chunk::<HEADER_BYTES>() else {
            return HEADER_BYTES;
        };
        let length = header[8..12].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        // What claims to be longer is no frame.
        HEADER_BYTES + length.min(caps::AUDIT_SEGMENT_BYTES as usize)
    }

    /// Reads on.
    fn read(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.at);
        self.offset += self.at as u64;
        self.at = 0;
        let known = self.bytes.len();
        self.disk.read_part(self.path, self.offset + known as u64, PART_BYTES, &mut self.bytes)?;
        self.more = self.bytes.len() == known + PART_BYTES;
        Ok(())
    }

    /// Whether nothing but zeros follows, which lie ahead of what was to be written.
    pub(super) fn ends(mut self) -> io::Result<bool> {
        loop {
            if self.bytes[self.at..].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if !self.more {
                return Ok(true);
            }
            self.at = self.bytes.len();
            self.read()?;
        }
    }
}

impl Head {
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{} {}\n", self.segment, self.start);
        for (chain, standing) in &self.chains {
            let Standing { seq, entry, relaxed } = standing;
            text.push_str(&format!("{chain} {seq} {entry} {}\n", u8::from(*relaxed)));
        }
        text
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (segment, start) = lines.next()?.split_once(' ')?;
        let chain = |line: &str| {
            let parts: Vec<&str> = line.split(' ').collect();
            let [chain, seq, entry, relaxed] = parts[..] else { return None };
            let standing =
                Standing { seq: seq.parse().ok()?, entry: entry.parse().ok()?, relaxed: relaxed == "1" };
            Some((chain.parse().ok()?, standing))
        };
        let chains: Option<Vec<_>> = lines.map(chain).collect();
        Some(Self { segment: segment.parse().ok()?, start: start.parse().ok()?, chains: chains? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(place: &Place) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, body) in [&b"head"[..], b"one", b"", b"AJF1 in a body"].iter().enumerate() {
            let synced = out.len() as u64;
            place.put(
                &mut out,
                0,
                synced,
                &New { relaxed: number == 2, ..New::own(Kind::ALL[number.min(1)], body) },
            );
        }
        out
    }

    #[test]
    fn a_cut_anywhere_leaves_the_whole_frames_before_it() {
        let place = Place::new("c/n/1", 0);
        let whole = file(&place);
        let (frames, end) = place.read(&whole).unwrap();
        assert_eq!((frames.len(), end), (4, whole.len()));
        assert!(frames[2].relaxed && !frames[1].relaxed);
        for cut in 0..whole.len() {
            let (frames, end) = place.read(&whole[..cut]).unwrap();
            assert!(end <= cut && frames.len() < 4);
            let padded = [&whole[..cut], &[0; 100]].concat();
            assert_eq!(place.read(&padded).unwrap().1, end);
        }
    }

    #[test]
    fn a_change_in_what_was_synced_is_damage_and_never_a_shorter_file() {
        let place = Place::new("c/n/1", 0);
        let whole = file(&place);
        let last = whole.len() - HEADER_BYTES - 14;
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let read = place.read(&changed).map(|(frames, _)| frames.len());
            // The last frame is the one that nothing after it vouches for.
            if bit / 8 < last {
                assert_eq!(read, Err(Damage), "bit {bit}");
            } else {
                assert_eq!(read, Ok(3), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_frame_of_another_log_segment_or_place_is_none() {
        let whole = file(&Place::new("c/n/1", 0));
        assert_eq!(Place::new("c/n/2", 0).read(&whole).unwrap().1, 0);
        assert_eq!(Place::new("c/n/1", 1).read(&whole).unwrap().1, 0);
        assert_eq!(Place::new("c/n/1", 0).read(&whole[32..]).unwrap().1, 0);
    }

    proptest::proptest! {
        #[test]
        fn the_readers_take_anything(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "([0-9]{1,3} [0-9]{1,3}\n)?\\PC*\n?") {
            let place = Place::new("c/n/1", 0);
            let whole = file(&place);
            let _ = place.read(&bytes);
            let _ = place.read(&[&MAGIC[..], &bytes].concat());
            // What follows whole frames changes nothing about them.
            let followed = [&whole[..], &bytes].concat();
            proptest::prop_assert_eq!(place.read(&followed).unwrap().1, whole.len());
            if let Some(head) = Head::read(&text) {
                proptest::prop_assert_eq!(Head::read(&head.to_text()), Some(head));
            }
        }
    }
}
