//! The tree of a folder: entries, tiles and checkpoint have to agree in every byte.

use std::collections::BTreeMap;
use std::path::Path;

use super::problem::{Problem, ProblemKind};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::journal::Disk;
use crate::tiles::{Maker, Tile, WIDTH, read_bundle, read_tile};
use crate::tree;

/// The sealed entries of the log, once it is certain that they are those that were signed. While it is `growing`, there may be
/// tiles of a segment that is just being sealed.
pub(super) fn entries(
    disk: &dyn Disk,
    folder: &Path,
    checkpoint: &Checkpoint,
    trusted: Option<&Checkpoint>,
    growing: bool,
) -> Result<Vec<Hash>, Problem> {
    let entries = read_entries(disk, folder, checkpoint.size)?;
    let (mut maker, mut wanted) = (Maker::default(), BTreeMap::new());
    for entry in &entries {
        maker.push(*entry, |tile, bytes| drop(wanted.insert(tile, bytes)));
    }
    wanted.extend(maker.parts());
    if maker.compact().root() != checkpoint.root {
        return Err(blame(disk, folder, &entries));
    }
    if trusted.is_some_and(|trusted| trusted.root != root_at(&maker, &entries, trusted.size)) {
        return Err(Problem { kind: ProblemKind::Forked, index: None, file: None });
    }
    check_tiles(disk, folder, &entries, &wanted, growing)?;
    Ok(entries)
}

/// The root of the first `size` entries.
fn root_at(maker: &Maker, entries: &[Hash], size: u64) -> Hash {
    if size == maker.size() {
        return maker.compact().root();
    }
    let first = usize::try_from(size).unwrap_or(usize::MAX);
    tree::root_of(entries.iter().take(first).map(|entry| tree::leaf(&entry.0)))
}

fn read_entries(disk: &dyn Disk, folder: &Path, size: u64) -> Result<Vec<Hash>, Problem> {
    let mut entries = Vec::new();
    for index in 0..size.div_ceil(WIDTH) {
        let width = (size - index * WIDTH).min(WIDTH) as u16;
        let tile = Tile { level: None, index, width };
        let problem = |kind| Problem::at(kind, index * WIDTH).in_file(tile.to_string());
        let bytes =
            disk.read(&folder.join(tile.to_string())).map_err(|_reported| problem(ProblemKind::Missing))?;
        entries.extend(read_bundle(&bytes, width).ok_or_else(|| problem(ProblemKind::Tile))?);
    }
    Ok(entries)
}

/// The entries do not have the signed root. The tiles hold the same leaves once more: the first on which the two differ is
/// named. If they do not differ, both were made anew, and nobody can tell where.
fn blame(disk: &dyn Disk, folder: &Path, entries: &[Hash]) -> Problem {
    for (index, part) in (0..).zip(entries.chunks(WIDTH as usize)) {
        let tile = Tile { level: Some(0), index, width: part.len() as u16 };
        let leaves = disk.read(&folder.join(tile.to_string())).ok().and_then(|it| read_tile(&it, tile.width));
        let Some(leaves) = leaves else {
            return Problem::at(ProblemKind::Root, index * WIDTH).in_file(tile.to_string());
        };
        let differs = part.iter().zip(&leaves).position(|(entry, leaf)| tree::leaf(&entry.0) != *leaf);
        if let Some(place) = differs {
            return Problem::at(ProblemKind::Root, index * WIDTH + place as u64);
        }
    }
    Problem { kind: ProblemKind::Root, index: None, file: None }
}

/// Every tile is what the entries make of it, and there is no other. Parts of tiles of an earlier size may be left over
/// from a crash; they have to be the beginnings of what is there now.
fn check_tiles(
    disk: &dyn Disk,
    folder: &Path,
    entries: &[Hash],
    wanted: &BTreeMap<Tile, Vec<u8>>,
    growing: bool,
) -> Result<(), Problem> {
    for (tile, bytes) in wanted {
        let problem = |kind| {
            let first = tile.index.checked_mul(WIDTH).filter(|_| tile.level.is_none_or(|level| level == 0));
            Problem { kind, index: first, file: Some(tile.to_string()) }
        };
        match disk.read(&folder.join(tile.to_string())) {
            Err(_reported) => return Err(problem(ProblemKind::Missing)),
            Ok(found) if found != *bytes => return Err(problem(ProblemKind::Tile)),
            Ok(_) => {}
        }
    }
    match disk.list(&folder.join("tile")) {
        _ if growing => Ok(()),
        Ok(_) => check_names(disk, folder, "tile", wanted),
        Err(_) if entries.is_empty() => Ok(()),
        Err(_) => Err(Problem::of_file(ProblemKind::Missing, "tile")),
    }
}

fn check_names(
    disk: &dyn Disk,
    folder: &Path,
    below: &str,
    wanted: &BTreeMap<Tile, Vec<u8>>,
) -> Result<(), Problem> {
    let names = disk.list(&folder.join(below));
    for name in names.map_err(|_reported| Problem::of_file(ProblemKind::Missing, below))? {
        let path = format!("{below}/{name}");
        if disk.list(&folder.join(&path)).is_ok() {
            check_names(disk, folder, &path, wanted)?;
            continue;
        }
        let tile: Option<Tile> = path.parse().ok();
        if !tile.is_some_and(|tile| wanted.contains_key(&tile) || is_beginning(disk, folder, &tile, wanted)) {
            return Err(Problem::of_file(ProblemKind::Unexpected, path));
        }
    }
    Ok(())
}

fn is_beginning(disk: &dyn Disk, folder: &Path, part: &Tile, wanted: &BTreeMap<Tile, Vec<u8>>) -> bool {
    let whole = wanted.iter().find(|(tile, _)| (tile.level, tile.index) == (part.level, part.index));
    let found = disk.read(&folder.join(part.to_string()));
    match (whole, found) {
        (Some((tile, bytes)), Ok(found)) => part.width < tile.width && bytes.starts_with(&found),
        _ => false,
    }
}
