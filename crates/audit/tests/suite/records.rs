//! Records have one spelling: RFC 8785, without decimals.

use aegis_audit::hash::Hash;
use aegis_audit::record::*;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::json::{self, Limits};
use proptest::prelude::*;

use crate::samples::*;

fn encode(what: &What, seq: u64, prev: Option<Hash>) -> Encoded {
    let chain = "tenant/acme".parse().unwrap();
    Draft::new(moment(seq), chain, RecordId([3; 16]), what).unwrap().complete(seq, prev)
}

/// What the house's writer of RFC 8785 makes of the same value.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    let limits = Limits { bytes_max: caps::AUDIT_RECORD_BYTES_MAX, ..Limits::default() };
    json::canonical(&json::read(bytes, limits).unwrap())
}

#[test]
fn every_kind_is_canonical_and_read_back() {
    for what in every_kind() {
        for prev in [None, Some(Hash::of(b"before"))] {
            let encoded = encode(&what, 7, prev);
            assert_eq!(encoded.bytes, canonical(&encoded.bytes));
            assert_eq!(encoded.entry, Hash::of(&encoded.bytes));
            let record = Record::read(&encoded.bytes).unwrap();
            assert_eq!((&record.what, record.seq, record.prev), (&what, 7, prev));
            assert_eq!(record.encode().unwrap(), encoded);
            let seen = envelope(&encoded.bytes).unwrap();
            assert_eq!((seen.chain, seen.seq, seen.prev), ("tenant/acme", 7, prev));
        }
    }
}

/// The form itself: a change of it would void every log there is.
#[test]
fn the_form_is_pinned() {
    let gap = What::Gap(Gap { after: 9, cause: GapCause::PowerLoss });
    let encoded = encode(&gap, 10, Some(Hash([0xab; 32])));
    let expected = format!(
        "{{\"at\":\"2026-11-27T01:00:00.000000010Z\",\"chain\":\"tenant/acme\",\"id\":\"{}\",\"prev\":\"{}\",\"seq\":10,\"v\":1,\
         \"what\":{{\"gap\":{{\"after\":9,\"cause\":\"power_loss\"}}}}}}",
        "03".repeat(16),
        "ab".repeat(32)
    );
    assert_eq!(String::from_utf8(encoded.bytes).unwrap(), expected);
}

#[test]
fn every_other_spelling_is_refused() {
    let text = String::from_utf8(encode(&full_decision(), 7, Some(Hash::of(b"p"))).bytes).unwrap();
    let changes: &[(&str, &str)] = &[
        ("{\"at\"", "{ \"at\""),
        ("{\"at\"", "\u{feff}{\"at\""),
        ("\"seq\":7", "\"seq\":07"),
        ("\"seq\":7", "\"seq\":7.0"),
        ("\"seq\":7", "\"seq\":0"),
        ("\"seq\":7", "\"seq\":7,\"seq\":7"),
        ("\"seq\":7", "\"seq\":18446744073709551615"),
        ("\"seq\":7", "\"extra\":1,\"seq\":7"),
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\":1 "),
        ("tenant/acme", "tenant/ac me"),
        ("tenant/acme", "tenant\\/acme"),
        ("\"prev\":\"", "\"prev\":null,\"x\":\""),
        ("-27T", "-31T"),
        ("-11-27T", "-02-30T"),
        ("\"dry_run\":true", "\"dry_run\":false"),
        ("\"left_out\":1", "\"left_out\":0"),
        ("\"before\":\"10\"", "\"before\":\"10.0\""),
        ("\\t", "\\u0009"),
        ("\u{2028}", "\\u2028"),
        ("\\u0001", "\\u0001\\u0000\u{0}"),
        ("hmac-sha256:", "HMAC-SHA256:"),
        ("\"unverified\":[\"purpose\"]", "\"unverified\":[\"purpose\",]"),
        ("]}}}", "]}}}\n"),
    ];
    for (from, to) in changes {
        let changed = text.replacen(from, to, 1);
        assert_ne!(&changed, &text, "{from:?} does not occur");
        assert!(Record::read(changed.as_bytes()).is_err(), "{from:?} -> {to:?} was read");
        // The scanner does not know the fields of a kind, and so not which of them may be left out.
        let about_fields = ["dry_run", "left_out", "before", "hmac"].iter().any(|it| from.contains(it));
        assert_eq!(envelope(changed.as_bytes()).is_ok(), about_fields, "{from:?} -> {to:?}");
    }
}

#[test]
fn what_breaks_a_bound_is_not_written() {
    let What::Decision(whole) = full_decision() else { unreachable!() };
    let draft = |change: &dyn Fn(&mut Decision)| {
        let mut decision = whole.clone();
        change(&mut decision);
        Draft::new(UnixNanos(0), Chain::Node, RecordId([0; 16]), &What::Decision(decision)).map(drop)
    };
    assert_eq!(draft(&|_| ()), Ok(()));
    assert_eq!(draft(&|it| it.rules = vec![String::new(); 65]), Err(RecordError::TooMany));
    assert_eq!(draft(&|it| it.snapshot = (1 << 53) + 1), Err(RecordError::TooLarge));
    assert_eq!(draft(&|it| it.charged[0].ledger = Some((1 << 53) + 1)), Err(RecordError::TooLarge));
    let mut completion = every_kind().swap_remove(2);
    let What::Completion(it) = &mut completion else { unreachable!("{completion:?}") };
    it.settled[0].ledger = Some((1 << 53) + 1);
    let settled = Draft::new(UnixNanos(0), Chain::Node, RecordId([0; 16]), &completion).map(drop);
    assert_eq!(settled, Err(RecordError::TooLarge));
    assert_eq!(
        draft(&|it| it.params = Some("x".repeat(caps::AUDIT_RECORD_BYTES_MAX))),
        Err(RecordError::TooLong)
    );
    // The largest body fits, all of it escaped once.
    assert_eq!(draft(&|it| it.params = Some("\"".repeat(caps::BODY_BYTES_MAX))), Ok(()));
    // A key that is written with an escape, which no verifier takes.
    for key in ["auth\rize", "auth\"rize", "\u{e4}"] {
        let written = draft(&|it| _ = it.latency_ns.insert(key.into(), 1));
        assert_eq!(written, Err(RecordError::Malformed), "{key:?}");
    }
}

/// Each byte of a record as each byte that means something in JSON.
#[test]
fn the_scanner_takes_what_the_reader_takes() {
    let bytes = encode(&full_decision(), 7, Some(Hash::of(b"p"))).bytes;
    for at in 0..bytes.len() {
        for byte in *b"\\\"{}[],:0 _rA\n\x80" {
            let mut changed = bytes.clone();
            changed[at] = byte;
            assert_scanned_if_read(&changed);
        }
    }
}

/// What the scanner takes is canonical; what the reader takes, the scanner takes.
fn assert_scanned_if_read(bytes: &[u8]) {
    let scanned = envelope(bytes).is_ok();
    assert!(!scanned || canonical(bytes) == bytes, "{}", String::from_utf8_lossy(bytes));
    let read = Record::read(bytes).ok();
    assert!(scanned || read.is_none(), "{}", String::from_utf8_lossy(bytes));
    assert!(read.is_none_or(|record| record.encode().unwrap().bytes == bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_written_as_rfc_8785_has_it(text in any::<String>(), other in "\\PC*", at in any::<u64>()) {
        let What::Decision(mut decision) = full_decision() else { unreachable!() };
        decision.params = Some(text);
        decision.surface = other;
        let what = What::Decision(decision);
        let encoded = Draft::new(UnixNanos(at), Chain::Node, RecordId([0; 16]), &what).unwrap().complete(1, None);
        prop_assert_eq!(&encoded.bytes, &canonical(&encoded.bytes));
        prop_assert!(envelope(&encoded.bytes).is_ok());
        prop_assert_eq!(Record::read(&encoded.bytes).unwrap().what, what);
    }

    #[test]
    fn the_reader_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::read(&bytes).is_err() && envelope(&bytes).is_err());
    }

    /// What is read after any change of a byte is that other text exactly: nothing is overlooked.
    #[test]
    fn a_changed_byte_is_another_record_or_none(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&full_decision(), 7, Some(Hash::of(b"p"))).bytes;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        assert_scanned_if_read(&bytes);
    }
}
