//! Every tree up to 70 leaves, against the definitions of RFC 6962.

use super::*;

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf(&index.to_be_bytes())).collect()
}

/// MTH of RFC 6962, word by word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => empty_root(),
        1 => leaves[0],
        n => {
            let k = n.next_power_of_two() / 2;
            node(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

#[test]
fn roots_and_inclusion_of_every_small_tree() {
    let all = leaves(70);
    let mut grown = Compact::default();
    for size in 0..=all.len() {
        let root = mth(&all[..size]);
        assert_eq!((grown.root(), grown.size()), (root, size as u64));
        assert_eq!(root_at(&all[..], size as u64), Ok(root));
        for index in 0..size as u64 {
            let Ok(proof) = inclusion(&all[..], index, size as u64);
            let leaf = &all[index as usize];
            verify_inclusion(index, size as u64, leaf, &proof, &root).unwrap();
            for other in (0..size as u64).filter(|other| *other != index) {
                assert!(verify_inclusion(other, size as u64, leaf, &proof, &root).is_err());
            }
        }
        if let Some(next) = all.get(size) {
            grown.push(*next);
        }
    }
}

#[test]
fn consistency_of_every_pair_of_small_trees() {
    let all = leaves(70);
    for new in 1..=all.len() {
        let new_root = mth(&all[..new]);
        for old in 1..=new {
            let old_root = mth(&all[..old]);
            let Ok(proof) = consistency(&all[..], old as u64, new as u64);
            let verify = |proof: &[Hash], old_root: &Hash, new_root: &Hash| {
                verify_consistency(old as u64, new as u64, proof, old_root, new_root)
            };
            verify(&proof, &old_root, &new_root).unwrap();
            assert!(verify(&proof, &leaf(b"fork"), &new_root).is_err());
            assert!(verify(&proof, &old_root, &leaf(b"fork")).is_err());
            for cut in 0..proof.len() {
                assert!(verify(&proof[..cut], &old_root, &new_root).is_err());
                let mut changed = proof.clone();
                changed[cut].0[7] ^= 4;
                assert!(verify(&changed, &old_root, &new_root).is_err());
            }
            let longer = [&proof[..], &[old_root]].concat();
            assert!(verify(&longer, &old_root, &new_root).is_err());
        }
    }
}
