//! Signed notes, checkpoints, origins, keys and receipts: one spelling, and nothing trusted without its signature.

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::keys::{KeyError, KeyKind, VerifyingKey};
use aegis_audit::note::{Note, NoteError};
use aegis_audit::origin::Origin;
use aegis_audit::receipt::Receipt;
use proptest::prelude::*;

use crate::samples::*;

const ORIGIN: &str = "prod.example/n1/7";

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.parse().unwrap(), size: 41, root: Hash::of(b"root") }
}

#[test]
fn a_checkpoint_opens_under_its_own_key_only() {
    let own = key(ORIGIN, KeyKind::Note);
    let bytes = checkpoint().sign(&own).to_bytes();
    assert_eq!(Checkpoint::open(&bytes, own.verifying_key()), Ok(checkpoint()));
    // The same key under another name, another key under the same name, and the same key for another purpose.
    let renamed = key("prod.example/n1/8", KeyKind::Note);
    let stranger =
        aegis_audit::keys::SigningKey::generate(ORIGIN.parse().unwrap(), KeyKind::Note, &mut rng(99));
    let witness = key(ORIGIN, KeyKind::Cosignature);
    for other in [&renamed, &stranger, &witness] {
        assert_eq!(Checkpoint::open(&bytes, other.verifying_key()), Err(NoteError::Unsigned));
    }
    // A log may not sign for another log.
    let foreign = Checkpoint { origin: "prod.example/n2/1".parse().unwrap(), ..checkpoint() };
    let signed = foreign.sign(&own).to_bytes();
    assert_eq!(Checkpoint::open(&signed, own.verifying_key()), Err(NoteError::Unsigned));
}

#[test]
fn no_change_of_a_byte_is_accepted() {
    let own = key(ORIGIN, KeyKind::Note);
    let bytes = checkpoint().sign(&own).to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(Checkpoint::open(&changed, own.verifying_key()).is_err(), "byte {at}, bit {bit}");
        }
        assert!(Checkpoint::open(&bytes[..at], own.verifying_key()).is_err(), "cut at {at}");
    }
}

#[test]
fn odd_forms_of_checkpoints_are_refused() {
    let root = Hash::of(b"root").to_base64();
    let good = format!("o\n41\n{root}\n");
    assert!(Checkpoint::read_text(&good).is_ok());
    for bad in [
        format!("o\n041\n{root}\n"),
        format!("o\n+41\n{root}\n"),
        format!("o\n41\n{root}"),
        format!("o\n41\n{root}\nextension\n"),
        format!("\n41\n{root}\n"),
        format!("o o\n41\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n41\n{}\n", &root[..43]),
        "o\n41\n".to_owned(),
    ] {
        assert_eq!(Checkpoint::read_text(&bad), Err(NoteError::Malformed), "{bad:?}");
    }
}

#[test]
fn keys_and_origins_have_one_spelling() {
    let public = key(ORIGIN, KeyKind::Note).verifying_key().clone();
    let text = public.to_string();
    assert_eq!(text.parse(), Ok(public.clone()));
    assert_eq!(text.replacen("n1", "n2", 1).parse::<VerifyingKey>(), Err(KeyError::Id));
    assert_eq!("x".parse::<VerifyingKey>(), Err(KeyError::Form));
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = VerifyingKey::from_bytes(public.name().clone(), KeyKind::Note, &identity);
    assert_eq!(weak, Err(KeyError::Point));

    assert_eq!(ORIGIN.parse::<Origin>().unwrap().to_string(), ORIGIN);
    for bad in ["", "c/n", "c/n/07", "c/n/+7", "c/n/7/8", "c/n n/7", "C/n/7", "c//7", "c/n/-1"] {
        assert!(bad.parse::<Origin>().is_err(), "{bad}");
    }
}

#[test]
fn a_receipt_is_of_one_log_one_place_and_one_moment() {
    let own = key(ORIGIN, KeyKind::Note);
    let receipt = Receipt { origin: ORIGIN.parse().unwrap(), index: 4, leaf: Hash::of(b"l"), at: moment(1) };
    let signature = receipt.sign(&own);
    assert!(receipt.verifies(&signature, own.verifying_key()));
    for other in [
        Receipt { index: 5, ..receipt.clone() },
        Receipt { leaf: Hash::of(b"m"), ..receipt.clone() },
        Receipt { at: moment(2), ..receipt.clone() },
        Receipt { origin: "prod.example/n1/8".parse().unwrap(), ..receipt.clone() },
    ] {
        assert!(!other.verifies(&signature, own.verifying_key()));
    }
}

proptest! {
    #[test]
    fn the_readers_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
        let _ = Note::read(&bytes);
        let _ = Checkpoint::read_text(&text);
        let _ = text.parse::<VerifyingKey>();
        let _ = text.parse::<Origin>();
        let _ = aegis_audit::witness::Request::read(&bytes);
    }

    #[test]
    fn the_reader_of_segments_takes_anything_after_a_sound_first_line(
        lines in proptest::collection::vec("(head )?[0-9a-f ,]{0,80}|[0-9]{1,20} \\PC*", 0..5),
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let text = format!("aegis-segment/v1 {ORIGIN} 7 tenant/acme\n{}\n", lines.join("\n"));
        if let Some(segment) = aegis_audit::segment::read(text.as_bytes()) {
            prop_assert!(segment.records.len() <= lines.len());
        }
        let _ = aegis_audit::segment::read(&bytes);
        let _ = aegis_audit::segment::read(&[text.as_bytes(), &bytes].concat());
    }

    #[test]
    fn a_note_that_is_read_is_written_alike(text in "[ -~\n]{0,40}", name in "[a-z/.]{1,9}") {
        let note = Note::new(format!("{text}\n")).unwrap().sign(&key(&name, KeyKind::Note));
        prop_assert_eq!(Note::read(&note.to_bytes()).unwrap(), note);
    }
}
