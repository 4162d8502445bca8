//! A witness accepts what follows from what it knows, and nothing else (AUD-1).

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::keys::KeyKind;
use aegis_audit::note::NoteError;
use aegis_audit::tree;
use aegis_audit::witness::{Refusal, Request, cosigned_at, judge};

use crate::samples::*;

const ORIGIN: &str = "prod.example/n1/7";

fn leaves(branch: u8) -> Vec<Hash> {
    (0..40_u8).map(|n| tree::leaf(&[n, if n < 20 { 0 } else { branch }])).collect()
}

fn head(leaves: &[Hash], size: u64) -> Checkpoint {
    let Ok(root) = tree::root_at(leaves, size);
    Checkpoint { origin: ORIGIN.parse().unwrap(), size, root }
}

fn request(leaves: &[Hash], old: u64, new: u64) -> Request {
    let Ok(proof) = tree::consistency(leaves, old, new);
    Request { old_size: old, proof, note: head(leaves, new).sign(&key(ORIGIN, KeyKind::Note)) }
}

#[test]
fn forks_and_rollbacks_are_refused() {
    let (honest, forked) = (leaves(0), leaves(1));
    let own = key(ORIGIN, KeyKind::Note);
    let judged = |known: Option<&Checkpoint>, request: &Request| {
        judge(known, request, own.verifying_key()).map(|it| it.checkpoint().size)
    };
    let known = head(&honest, 30);
    assert_eq!(judged(None, &request(&honest, 0, 30)), Ok(30));
    assert_eq!(judged(Some(&known), &request(&honest, 30, 40)), Ok(40));
    assert_eq!(judged(Some(&known), &request(&honest, 30, 30)), Ok(30));
    // Branches that part after 20 entries.
    assert_eq!(judged(Some(&known), &request(&forked, 30, 40)), Err(Refusal::Inconsistent));
    assert_eq!(judged(Some(&known), &request(&forked, 30, 30)), Err(Refusal::Forked(30)));
    assert_eq!(judged(Some(&known), &request(&forked, 25, 40)), Err(Refusal::Stale(30)));
    // Rolled back.
    assert_eq!(judged(Some(&known), &request(&honest, 20, 25)), Err(Refusal::Stale(30)));
    let mut back = request(&honest, 20, 25);
    back.old_size = 30;
    assert_eq!(judged(Some(&known), &back), Err(Refusal::Malformed));
    // A proof from nothing, and a first checkpoint that claims to be none.
    let mut first = request(&honest, 0, 30);
    first.proof.push(Hash::of(b"x"));
    assert_eq!(judged(None, &first), Err(Refusal::Inconsistent));
    let odd = Checkpoint { size: 0, ..head(&honest, 3) };
    let odd = Request { old_size: 0, proof: Vec::new(), note: odd.sign(&own) };
    assert_eq!(judged(None, &odd), Err(Refusal::Inconsistent));
    // Signed by somebody else.
    let stranger =
        aegis_audit::keys::SigningKey::generate(ORIGIN.parse().unwrap(), KeyKind::Note, &mut rng(5));
    let unsigned = Request { note: head(&honest, 40).sign(&stranger), ..request(&honest, 30, 40) };
    assert_eq!(judged(Some(&known), &unsigned), Err(Refusal::Unsigned));
}

#[test]
fn a_cosignature_says_when_and_over_what() {
    let honest = leaves(0);
    let (log, witness) = (key(ORIGIN, KeyKind::Note), key("witness.example/w1", KeyKind::Cosignature));
    let request = request(&honest, 30, 40);
    let accepted = judge(Some(&head(&honest, 30)), &request, log.verifying_key()).unwrap();
    let mut note = request.note.clone();
    note.add(accepted.cosign(&witness, 1_679_315_147));
    assert_eq!(cosigned_at(&note, witness.verifying_key()), Ok(1_679_315_147));
    assert_eq!(cosigned_at(&request.note, witness.verifying_key()), Err(NoteError::Unsigned));
    let mut other = head(&honest, 39).sign(&log);
    other.add(accepted.cosign(&witness, 1_679_315_147));
    assert_eq!(cosigned_at(&other, witness.verifying_key()), Err(NoteError::Signature));
}

#[test]
fn requests_are_read_as_they_are_written() {
    let request = request(&leaves(0), 30, 40);
    assert_eq!(Request::read(&request.to_bytes()), Ok(request.clone()));
    let text = String::from_utf8(request.to_bytes()).unwrap();
    for (from, to) in
        [("old 30", "old 030"), ("old 30", "size 30"), ("\n\n", "\n"), ("old 30\n", "old 30\nx\n")]
    {
        assert_eq!(Request::read(text.replacen(from, to, 1).as_bytes()), Err(Refusal::Malformed), "{from:?}");
    }
}
