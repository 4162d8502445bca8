//! Tiles (C2SP tlog-tiles): the tree cut into files of 256 hashes that never change, and the entries in bundles of 256.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;
use crate::tree::{self, Nodes};

/// Hashes in a whole tile, and entries in a whole bundle.
pub const WIDTH: u64 = 256;
/// Levels of the tree that one tile spans.
const HEIGHT: u32 = 8;
/// Levels of tiles that a size of 64 bits can have.
const LEVELS: u32 = 8;

/// Which tile, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Its level of tiles; nothing for a bundle of entries.
    pub level: Option<u8>,
    /// Its place on that level.
    pub index: u64,
    /// How many hashes or entries it has: 1 to 256.
    pub width: u16,
}

/// Not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile or of a bundle of entries")]
pub struct BadPath;

impl Tile {
    /// Every tile and bundle of a log of `size` entries that a log of `old_size` does not have in the same form, in the
    /// order in which they can be made.
    pub fn between(old_size: u64, size: u64) -> Vec<Self> {
        let mut tiles = row(None, old_size, size);
        for level in 0..LEVELS {
            let step = level * HEIGHT;
            tiles.extend(row(Some(level as u8), old_size >> step, size >> step));
        }
        tiles
    }

    /// Whether a log of `size` entries has it in this form.
    pub fn is_of(&self, size: u64) -> bool {
        let hashes = match self.level {
            None => size,
            Some(level) => size.checked_shr(u32::from(level) * HEIGHT).unwrap_or(0),
        };
        let (last, part) = (hashes / WIDTH, hashes % WIDTH);
        if self.is_whole() { self.index < last } else { self.index == last && u64::from(self.width) == part }
    }

    /// Whether it will never change.
    pub fn is_whole(&self) -> bool {
        u64::from(self.width) == WIDTH
    }
}

fn row(level: Option<u8>, old: u64, new: u64) -> Vec<Tile> {
    if old == new {
        return Vec::new();
    }
    let whole = (old / WIDTH..new / WIDTH).map(|index| Tile { level, index, width: WIDTH as u16 });
    let part = (new % WIDTH) as u16;
    let part = (part > 0).then_some(Tile { level, index: new / WIDTH, width: part });
    whole.chain(part).collect()
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            None => f.write_str("tile/entries/")?,
            Some(level) => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1_000];
        let mut rest = self.index / 1_000;
        while rest > 0 {
            groups.push(rest % 1_000);
            rest /= 1_000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 { write!(f, "x{group:03}/")? } else { write!(f, "{group:03}")? }
        }
        if self.is_whole() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = BadPath;
    /// Reads exactly what `Display` writes.
    fn from_str(path: &str) -> Result<Self, BadPath> {
        let tile = parse(path).ok_or(BadPath)?;
        if tile.to_string() == path { Ok(tile) } else { Err(BadPath) }
    }
}

fn parse(path: &str) -> Option<Tile> {
    let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
    let level = if level == "entries" { None } else { Some(level.parse().ok().filter(|level| *level < 64)?) };
    let (place, width) = match place.split_once(".p/") {
        Some((place, width)) => (place, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (place, WIDTH as u16),
    };
    let mut index = 0_u64;
    for group in place.split('/') {
        let group = group.strip_prefix('x').unwrap_or(group);
        index = index.checked_mul(1_000)?.checked_add(group.parse().ok().filter(|group| *group < 1_000)?)?;
    }
    Some(Tile { level, index, width })
}

/// The bytes of a tile.
pub fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads a tile of so many hashes; nothing if it has another length.
pub fn read_tile(bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == usize::from(width))
        .then(|| hashes.iter().map(|it| Hash(*it)).collect())
}

/// The bytes of a bundle: each entry, a hash of 32 bytes, behind its length.
pub fn bundle_bytes(entries: &[Hash]) -> Vec<u8> {
    entries.iter().flat_map(|entry| [0, 32].into_iter().chain(entry.0)).collect()
}

/// Reads a bundle of so many entries; nothing if it has another length, or an entry that is no hash.
pub fn read_bundle(bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (entries, rest) = bytes.as_chunks::<34>();
    if !rest.is_empty() || entries.len() != usize::from(width) {
        return None;
    }
    let hash = |entry: &[u8; 34]| {
        let (length, hash) = entry.split_first_chunk::<2>()?;
        (*length == [0, 32]).then(|| hash.try_into().ok().map(Hash)).flatten()
    };
    entries.iter().map(hash).collect()
}

/// A log as its tiles: any hash of the tree of `size` entries, read from whatever holds the files.
pub struct Tiles<F> {
    size: u64,
    read: F,
}

/// A tile is missing, unreadable, or has the wrong length.
#[derive(Debug, thiserror::Error)]
#[error("the tile `{tile}` cannot be read")]
pub struct NoTile {
    /// Which.
    pub tile: Tile,
    /// What the system says, if it was asked.
    pub source: Option<std::io::Error>,
}

impl<F: Fn(&Tile) -> std::io::Result<Vec<u8>>> Tiles<F> {
    /// The log of `size` entries whose files `read` gives.
    pub fn new(size: u64, read: F) -> Self {
        Self { size, read }
    }

    /// The hashes of a tile on a level of tiles.
    ///
    /// # Errors
    /// [`NoTile`]
    pub fn tile(&self, level: u8, index: u64) -> Result<Vec<Hash>, NoTile> {
        let hashes = self.size >> (u32::from(level) * HEIGHT);
        let width = hashes.saturating_sub(index * WIDTH).min(WIDTH) as u16;
        let tile = Tile { level: Some(level), index, width };
        match (self.read)(&tile) {
            Ok(bytes) => read_tile(&bytes, width).ok_or(NoTile { tile, source: None }),
            Err(error) => Err(NoTile { tile, source: Some(error) }),
        }
    }
}

impl<F: Fn(&Tile) -> std::io::Result<Vec<u8>>> Nodes for Tiles<F> {
    type Error = NoTile;
    fn node(&self, level: u32, index: u64) -> Result<Hash, NoTile> {
        let (of_tiles, within) = (level / HEIGHT, level % HEIGHT);
        let first = index << within;
        let hashes = self.tile(of_tiles as u8, first / WIDTH)?;
        let from = (first % WIDTH) as usize;
        match hashes.get(from..from + (1 << within)) {
            Some(part) => Ok(tree::root_of(part.iter().copied())),
            None => Err(NoTile {
                tile: Tile { level: Some(of_tiles as u8), index: first / WIDTH, width: 0 },
                source: None,
            }),
        }
    }
}

/// Makes tiles and bundles as a log grows: holds the tile of each level that is not whole yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maker {
    size: u64,
    entries: Vec<Hash>,
    levels: Vec<Vec<Hash>>,
}

impl Maker {
    /// A maker that goes on after the first `size` entries, whose parts of tiles and bundles `read` gives.
    ///
    /// # Errors
    /// [`NoTile`]
    pub fn resume(size: u64, read: impl Fn(&Tile) -> std::io::Result<Vec<u8>>) -> Result<Self, NoTile> {
        let load = |level, hashes: u64| {
            let tile = Tile { level, index: hashes / WIDTH, width: (hashes % WIDTH) as u16 };
            if tile.width == 0 {
                return Ok(Vec::new());
            }
            let parse = if level.is_some() { read_tile } else { read_bundle };
            match read(&tile) {
                Ok(bytes) => parse(&bytes, tile.width).ok_or(NoTile { tile, source: None }),
                Err(error) => Err(NoTile { tile, source: Some(error) }),
            }
        };
        let levels = (0..LEVELS).take_while(|level| size >> (level * HEIGHT) > 0);
        let levels: Result<Vec<_>, _> =
            levels.map(|level| load(Some(level as u8), size >> (level * HEIGHT))).collect();
        Ok(Self { size, entries: load(None, size)?, levels: levels? })
    }

    /// How many entries it has seen.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next entry, and gives what became whole with it.
    pub fn push(&mut self, entry: Hash, mut whole: impl FnMut(Tile, Vec<u8>)) {
        self.entries.push(entry);
        let bundle = self.size / WIDTH;
        self.size += 1;
        if self.entries.len() as u64 == WIDTH {
            whole(Tile { level: None, index: bundle, width: WIDTH as u16 }, bundle_bytes(&self.entries));
            self.entries.clear();
        }
        let mut hash = tree::leaf(&entry.0);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            if (row.len() as u64) < WIDTH {
                return;
            }
            let row = std::mem::take(row);
            let index = (self.size >> (HEIGHT * (level as u32 + 1))) - 1;
            whole(Tile { level: Some(level as u8), index, width: WIDTH as u16 }, tile_bytes(&row));
            hash = tree::root_of(row);
        }
    }

    /// What is not whole yet: the files that a checkpoint of this size needs besides the whole ones.
    pub fn parts(&self) -> Vec<(Tile, Vec<u8>)> {
        let part = |level: Option<u8>, hashes: &[Hash]| {
            let step = level.map_or(0, |level| u32::from(level) * HEIGHT);
            Tile { level, index: (self.size >> step) / WIDTH, width: hashes.len() as u16 }
        };
        let mut parts = Vec::new();
        if !self.entries.is_empty() {
            parts.push((part(None, &self.entries), bundle_bytes(&self.entries)));
        }
        for (level, row) in self.levels.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            parts.push((part(Some(level as u8), row), tile_bytes(row)));
        }
        parts
    }

    /// The compact tree over what it has seen.
    pub fn compact(&self) -> tree::Compact {
        let mut roots = Vec::new();
        for row in self.levels.iter().rev() {
            // Within a row, each set bit of its length is a complete subtree.
            let (mut rest, mut from) = (row.len(), 0);
            while rest > 0 {
                let part = 1_usize << rest.ilog2();
                roots.push(tree::root_of(row[from..from + part].iter().copied()));
                (rest, from) = (rest - part, from + part);
            }
        }
        tree::Compact::from_roots(self.size, roots)
            .expect("a row has as many hashes as its bits of the size say")
    }
}
