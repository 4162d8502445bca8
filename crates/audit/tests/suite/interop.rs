//! Others read what we write: the crates `tlog_tiles` and `signed_note`, independent of ours.

use std::collections::HashMap;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::keys::KeyKind;
use aegis_audit::tiles::{Maker, Tile, Tiles};
use aegis_audit::tree;
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::{Hash as TheirHash, HashReader, TileHashReader, TileReader};

use crate::samples::*;

const ORIGIN: &str = "prod.example/n1/7";
const SIZE: u64 = 66_000;

/// Our files, for their reader. Their paths hold the height of a tile, ours do not.
struct Files(HashMap<String, Vec<u8>>);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }
    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles.iter().map(|tile| self.0[&path(tile)].clone()).collect())
    }
    fn save_tiles(&self, _tiles: &[tlog_tiles::Tile], _data: &[Vec<u8>]) {}
}

fn files() -> HashMap<String, Vec<u8>> {
    let (mut files, mut maker) = (HashMap::new(), Maker::default());
    for number in 0..SIZE {
        maker
            .push(Hash::of(&number.to_be_bytes()), |tile, bytes| drop(files.insert(tile.to_string(), bytes)));
    }
    files.extend(maker.parts().into_iter().map(|(tile, bytes)| (tile.to_string(), bytes)));
    files
}

#[test]
fn their_readers_verify_our_tiles_and_their_proofs_are_ours() {
    let files = files();
    let ours = Tiles::new(SIZE, |tile: &Tile| Ok(files[&tile.to_string()].clone()));
    let root = tree::root_at(&ours, SIZE).unwrap();
    let their_files = Files(files.clone());
    // Their reader checks every tile that it reads against the root.
    let theirs = TileHashReader::new(SIZE, TheirHash(root.0), &their_files);
    assert_eq!(tlog_tiles::tree_hash(SIZE, &theirs).unwrap().0, root.0);
    for index in [0, 255, 256, 40_000, 65_535, SIZE - 1] {
        let proof = tlog_tiles::prove_record(SIZE, index, &theirs).unwrap();
        let own = tree::inclusion(&ours, index, SIZE).unwrap();
        assert_eq!(
            proof.iter().map(|hash| hash.0).collect::<Vec<_>>(),
            own.iter().map(|it| it.0).collect::<Vec<_>>()
        );
        let leaf = tlog_tiles::record_hash(&Hash::of(&index.to_be_bytes()).0);
        tlog_tiles::check_record(&proof, SIZE, TheirHash(root.0), index, leaf).unwrap();
    }
    for old in [1, 256, 12_345, 65_536, SIZE - 1] {
        let own = tree::consistency(&ours, old, SIZE).unwrap();
        let proof: tlog_tiles::TreeProof = own.iter().map(|hash| TheirHash(hash.0)).collect();
        let old_root = TheirHash(tree::root_at(&ours, old).unwrap().0);
        tlog_tiles::check_tree(&proof, SIZE, TheirHash(root.0), old, old_root).unwrap();
    }
    let _: &dyn HashReader = &theirs;
}

#[test]
fn their_reader_verifies_our_checkpoint_and_ours_theirs() {
    let own = key(ORIGIN, KeyKind::Note);
    let checkpoint = Checkpoint { origin: ORIGIN.parse().unwrap(), size: SIZE, root: Hash::of(b"root") };
    let note = Note::from_bytes(&checkpoint.sign(&own).to_bytes()).unwrap();
    let verifier = StandardVerifier::new(&own.verifying_key().to_string()).unwrap();
    assert_eq!(verifier.key_id().to_be_bytes(), own.verifying_key().id());
    let (right, rest) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((right.len(), rest.len()), (1, 0));
    let theirs = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (ORIGIN, SIZE, checkpoint.root.0));

    // The key of the example in the documentation of signed notes.
    let signer =
        StandardSigner::new("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz");
    let signer = signer.unwrap();
    let verifier: aegis_audit::keys::VerifyingKey =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let text = format!("PeterNeumann\n7\n{}\n", Hash::of(b"root").to_base64());
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    assert_eq!(signer.name(), "PeterNeumann");
    assert_eq!(Checkpoint::open(&note.to_bytes(), &verifier).unwrap().size, 7);
}
