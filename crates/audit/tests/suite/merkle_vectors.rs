//! The public vectors of transparency-dev/merkle: every one judged as it says.

use std::path::PathBuf;

use aegis_audit::hash::Hash;
use aegis_audit::tree::{
    ProofError, verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};
use aegis_testkit::vectors_dir;
use serde_json::Value;

/// The vectors of a folder, or nothing where they are not there.
fn vectors(folder: &str) -> Option<Vec<(PathBuf, Value)>> {
    let root = vectors_dir()?;
    let mut found = Vec::new();
    let mut waiting = vec![root.join("merkle/testdata").join(folder)];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                found.push((path, value));
            }
        }
    }
    Some(found)
}

/// A hash; nothing where the vector has none or one of another length, which our types do not hold.
fn hash(value: &Value) -> Option<Hash> {
    Hash::from_base64(value.as_str()?).ok()
}

/// A root that is only compared with another one: some vectors have words where it would be, and a hash of them stands for them.
fn root(value: &Value) -> Option<Hash> {
    let words = value.as_str().filter(|words| !words.is_empty())?;
    hash(value).or_else(|| Some(Hash::of(words.as_bytes())))
}

fn hashes(value: &Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |items| items.iter().map(hash).collect())
}

fn check(folder: &str, count: usize, judge: impl Fn(&Value) -> Option<Result<(), ProofError>>) {
    let Some(vectors) = vectors(folder) else { return };
    assert_eq!(vectors.len(), count, "{folder}");
    for (path, vector) in vectors {
        let accepted = judge(&vector).is_some_and(|judged| judged.is_ok());
        assert_eq!(accepted, vector["wantErr"] == false, "{}: {}", path.display(), vector["desc"]);
    }
}

#[test]
fn inclusion() {
    check("inclusion", 98, |it| {
        let (index, size) = (it["leafIdx"].as_u64()?, it["treeSize"].as_u64()?);
        let (leaf, proof) = (hash(&it["leafHash"])?, hashes(&it["proof"])?);
        Some(verify_inclusion(index, size, &leaf, &proof, &hash(&it["root"])?))
    });
}

#[test]
fn consistency() {
    check("consistency", 98, |it| {
        let (old, new) = (it["size1"].as_u64()?, it["size2"].as_u64()?);
        let (old_root, new_root) = (root(&it["root1"])?, root(&it["root2"])?);
        Some(verify_consistency(old, new, &hashes(&it["proof"])?, &old_root, &new_root))
    });
}

#[test]
fn inclusion_in_subtrees() {
    check("subtreeinclusion", 204, |it| {
        let (index, start, end) = (it["leafIdx"].as_u64()?, it["start"].as_u64()?, it["end"].as_u64()?);
        let (leaf, proof) = (hash(&it["leafHash"])?, hashes(&it["proof"])?);
        Some(verify_subtree_inclusion(index, start, end, &leaf, &proof, &hash(&it["root"])?))
    });
}

#[test]
fn consistency_of_subtrees() {
    check("subtreeconsistency", 118, |it| {
        let (start, end, size) = (it["start"].as_u64()?, it["end"].as_u64()?, it["size"].as_u64()?);
        let (part, whole) = (root(&it["root1"])?, root(&it["root2"])?);
        Some(verify_subtree_consistency(start, end, size, &hashes(&it["proof"])?, &part, &whole))
    });
}
