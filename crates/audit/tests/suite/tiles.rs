//! Tiles: paths of the specification, and every proof from them equal to the one from the leaves.

use std::collections::HashMap;

use aegis_audit::hash::Hash;
use aegis_audit::tiles::{Maker, Tile, Tiles, bundle_bytes, read_bundle, read_tile, tile_bytes};
use aegis_audit::tree::{self, Compact};
use proptest::prelude::*;

type Files = HashMap<String, Vec<u8>>;

fn entry(number: u64) -> Hash {
    Hash::of(&number.to_be_bytes())
}

fn read(files: &Files) -> impl Fn(&Tile) -> std::io::Result<Vec<u8>> {
    |tile| files.get(&tile.to_string()).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// A log of `size` entries as files, made in steps of `step` with a restart after each.
fn files(size: u64, step: u64) -> (Files, Maker) {
    let mut files = Files::new();
    let mut maker = Maker::default();
    let mut grown = Compact::default();
    for number in 0..size {
        maker.push(entry(number), |tile, bytes| drop(files.insert(tile.to_string(), bytes)));
        grown.push(tree::leaf(&entry(number).0));
        if (number + 1).is_multiple_of(step) {
            files.extend(maker.parts().into_iter().map(|(tile, bytes)| (tile.to_string(), bytes)));
            maker = Maker::resume(number + 1, read(&files)).unwrap();
            assert_eq!(maker.compact(), grown);
        }
    }
    files.extend(maker.parts().into_iter().map(|(tile, bytes)| (tile.to_string(), bytes)));
    assert_eq!(maker.compact(), grown);
    (files, maker)
}

#[test]
fn paths_are_those_of_the_specification() {
    let whole = |level, index| Tile { level, index, width: 256 };
    assert_eq!(whole(Some(0), 1_234_067).to_string(), "tile/0/x001/x234/067");
    assert_eq!(Tile { level: Some(3), index: 5, width: 17 }.to_string(), "tile/3/005.p/17");
    assert_eq!(whole(None, 1_000).to_string(), "tile/entries/x001/000");
    for bad in [
        "tile/0/5",
        "tile/00/005",
        "tile/0/005.p/256",
        "tile/0/005.p/0",
        "tile/64/005",
        "tile/0/x005",
        "tile/0/x000/005",
    ] {
        assert!(bad.parse::<Tile>().is_err(), "{bad}");
    }
    // The example of the specification: 70,000 entries.
    let tiles = Tile::between(0, 70_000);
    let count = |level, whole| tiles.iter().filter(|it| it.level == level && it.is_whole() == whole).count();
    assert_eq!((count(Some(0), true), count(Some(1), true), count(Some(2), true)), (273, 1, 0));
    for (level, width) in [(0, 112), (1, 17), (2, 1)] {
        assert!(tiles.iter().any(|it| it.level == Some(level) && it.width == width), "level {level}");
    }
    assert_eq!(Tile::between(0, 256).last(), Some(&Tile { level: Some(1), index: 0, width: 1 }));
}

#[test]
fn the_files_are_those_that_the_size_asks_for() {
    for size in [0, 1, 255, 256, 257, 66_000] {
        let (files, _) = files(size, 70_001);
        let mut wanted: Vec<String> = Tile::between(0, size).iter().map(Tile::to_string).collect();
        let mut found: Vec<String> = files.into_keys().collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted, "{size}");
    }
}

#[test]
fn proofs_from_tiles_are_those_from_the_leaves() {
    let size = 66_000;
    let (files, _) = files(size, 997);
    let tiles = Tiles::new(size, read(&files));
    let leaves: Vec<Hash> = (0..size).map(|number| tree::leaf(&entry(number).0)).collect();
    assert_eq!(tree::root_at(&tiles, size).unwrap(), tree::root_of(leaves.iter().copied()));
    for (index, of) in
        [(0, 1), (0, 66_000), (65_535, 65_536), (65_536, 66_000), (300, 40_000), (65_999, 66_000)]
    {
        let proof = tree::inclusion(&tiles, index, of).unwrap();
        let root = tree::root_at(&tiles, of).unwrap();
        tree::verify_inclusion(index, of, &leaves[index as usize], &proof, &root).unwrap();
    }
    for (old, new) in [(1, 66_000), (256, 257), (65_536, 66_000), (12_345, 54_321)] {
        let proof = tree::consistency(&tiles, old, new).unwrap();
        let (before, after) = (tree::root_at(&tiles, old).unwrap(), tree::root_at(&tiles, new).unwrap());
        tree::verify_consistency(old, new, &proof, &before, &after).unwrap();
    }
    let bundle = &files["tile/entries/000"];
    assert_eq!(read_bundle(bundle, 256).unwrap(), (0..256).map(entry).collect::<Vec<_>>());
    assert_eq!(read_bundle(&bundle[1..], 256), None);
}

proptest! {
    #[test]
    fn a_path_that_is_read_is_written_alike(path in "tile/([0-9]{1,2}|entries)/(x[0-9]{3}/){0,7}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = path.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), path);
        }
    }

    #[test]
    fn the_readers_of_tiles_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), width in 0..300_u16) {
        if let Some(hashes) = read_tile(&bytes, width) {
            prop_assert_eq!(tile_bytes(&hashes), bytes.clone());
        }
        if let Some(entries) = read_bundle(&bytes, width) {
            prop_assert_eq!(bundle_bytes(&entries), bytes);
        }
    }

    #[test]
    fn the_reader_of_paths_takes_any_text(path in "\\PC*") {
        let _ = path.parse::<Tile>();
    }
}
