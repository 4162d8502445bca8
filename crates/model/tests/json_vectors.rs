//! The public JSON test suite: what must be refused is, what must be accepted is, and the rest is pinned.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use aegis_model::json::{JsonErrorKind, Limits, read};

/// `y_` files that we refuse on purpose, each with the reason.
const REFUSED_ON_PURPOSE: &[(&str, JsonErrorKind)] = &[
    ("y_object_duplicated_key.json", JsonErrorKind::DuplicateKey),
    ("y_object_duplicated_key_and_value.json", JsonErrorKind::DuplicateKey),
    // Integers beyond ±2^53, in other words than digits.
    ("y_number.json", JsonErrorKind::IntegerRange),
    ("y_number_real_capital_e.json", JsonErrorKind::IntegerRange),
    ("y_number_real_exponent.json", JsonErrorKind::IntegerRange),
    ("y_number_real_fraction_exponent.json", JsonErrorKind::IntegerRange),
    ("y_object_extreme_numbers.json", JsonErrorKind::IntegerRange),
];

/// What we do with the files on which readers may differ: refuse, all of them.
const PINNED: &[(&str, JsonErrorKind)] = &[
    ("i_number_double_huge_neg_exp.json", JsonErrorKind::DecimalPrecision),
    ("i_number_huge_exp.json", JsonErrorKind::IntegerRange),
    ("i_number_neg_int_huge_exp.json", JsonErrorKind::IntegerRange),
    ("i_number_pos_double_huge_exp.json", JsonErrorKind::IntegerRange),
    ("i_number_real_neg_overflow.json", JsonErrorKind::IntegerRange),
    ("i_number_real_pos_overflow.json", JsonErrorKind::IntegerRange),
    ("i_number_real_underflow.json", JsonErrorKind::DecimalPrecision),
    ("i_number_too_big_neg_int.json", JsonErrorKind::IntegerRange),
    ("i_number_too_big_pos_int.json", JsonErrorKind::IntegerRange),
    ("i_number_very_big_negative_int.json", JsonErrorKind::IntegerRange),
    ("i_object_key_lone_2nd_surrogate.json", JsonErrorKind::LoneSurrogate),
    ("i_string_1st_surrogate_but_2nd_missing.json", JsonErrorKind::LoneSurrogate),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", JsonErrorKind::LoneSurrogate),
    ("i_string_UTF-16LE_with_BOM.json", JsonErrorKind::ByteOrderMark),
    ("i_string_UTF-8_invalid_sequence.json", JsonErrorKind::InvalidUtf8),
    ("i_string_UTF8_surrogate_U+D800.json", JsonErrorKind::InvalidUtf8),
    ("i_string_incomplete_surrogate_and_escape_valid.json", JsonErrorKind::LoneSurrogate),
    ("i_string_incomplete_surrogate_pair.json", JsonErrorKind::LoneSurrogate),
    ("i_string_incomplete_surrogates_escape_valid.json", JsonErrorKind::LoneSurrogate),
    ("i_string_invalid_lonely_surrogate.json", JsonErrorKind::LoneSurrogate),
    ("i_string_invalid_surrogate.json", JsonErrorKind::LoneSurrogate),
    ("i_string_invalid_utf-8.json", JsonErrorKind::InvalidUtf8),
    ("i_string_inverted_surrogates_U+1D11E.json", JsonErrorKind::LoneSurrogate),
    ("i_string_iso_latin_1.json", JsonErrorKind::InvalidUtf8),
    ("i_string_lone_second_surrogate.json", JsonErrorKind::LoneSurrogate),
    ("i_string_lone_utf8_continuation_byte.json", JsonErrorKind::InvalidUtf8),
    ("i_string_not_in_unicode_range.json", JsonErrorKind::InvalidUtf8),
    ("i_string_overlong_sequence_2_bytes.json", JsonErrorKind::InvalidUtf8),
    ("i_string_overlong_sequence_6_bytes.json", JsonErrorKind::InvalidUtf8),
    ("i_string_overlong_sequence_6_bytes_null.json", JsonErrorKind::InvalidUtf8),
    ("i_string_truncated-utf-8.json", JsonErrorKind::InvalidUtf8),
    // UTF-16 without a mark: a NUL where a value should begin, or where the string should go on.
    ("i_string_utf16BE_no_BOM.json", JsonErrorKind::Unexpected { expected: "a value" }),
    ("i_string_utf16LE_no_BOM.json", JsonErrorKind::Unexpected { expected: "a value" }),
    ("i_structure_500_nested_arrays.json", JsonErrorKind::TooDeep { depth_max: 64 }),
    ("i_structure_UTF-8_BOM_empty_object.json", JsonErrorKind::ByteOrderMark),
];

/// What becomes of the files that real readers transform: the value as text, or the refusal.
const TRANSFORMED: &[(&str, Result<&str, JsonErrorKind>)] = &[
    ("number_-9223372036854775808.json", Err(JsonErrorKind::IntegerRange)),
    ("number_-9223372036854775809.json", Err(JsonErrorKind::IntegerRange)),
    ("number_1.0.json", Ok("[1]")),
    ("number_1.000000000000000005.json", Err(JsonErrorKind::DecimalPrecision)),
    ("number_1000000000000000.json", Ok("[1000000000000000]")),
    ("number_10000000000000000999.json", Err(JsonErrorKind::IntegerRange)),
    ("number_1e-999.json", Err(JsonErrorKind::DecimalPrecision)),
    ("number_1e6.json", Ok("[1000000]")),
    ("number_9223372036854775807.json", Err(JsonErrorKind::IntegerRange)),
    ("number_9223372036854775808.json", Err(JsonErrorKind::IntegerRange)),
    ("object_key_nfc_nfd.json", Err(JsonErrorKind::TwinKey)),
    ("object_key_nfd_nfc.json", Err(JsonErrorKind::TwinKey)),
    ("object_same_key_different_values.json", Err(JsonErrorKind::DuplicateKey)),
    ("object_same_key_same_value.json", Err(JsonErrorKind::DuplicateKey)),
    ("object_same_key_unclear_values.json", Err(JsonErrorKind::DuplicateKey)),
    ("string_1_escaped_invalid_codepoint.json", Err(JsonErrorKind::LoneSurrogate)),
    ("string_1_invalid_codepoint.json", Err(JsonErrorKind::InvalidUtf8)),
    ("string_2_escaped_invalid_codepoints.json", Err(JsonErrorKind::LoneSurrogate)),
    ("string_2_invalid_codepoints.json", Err(JsonErrorKind::InvalidUtf8)),
    ("string_3_escaped_invalid_codepoints.json", Err(JsonErrorKind::LoneSurrogate)),
    ("string_3_invalid_codepoints.json", Err(JsonErrorKind::InvalidUtf8)),
    ("string_with_escaped_NULL.json", Ok(r#"["A\u0000B"]"#)),
];

/// The files of a folder of the suite by name, or `None` where the vectors are not present.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn vectors(folder: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !root.exists() {
        eprintln!("skipped: ../shared/vectors is not here");
        return None;
    }
    let entries = fs::read_dir(root.join("json").join(folder)).expect("the folder of the suite");
    let files = entries.map(|entry| {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().expect("a file name").to_string_lossy().into_owned();
        (name, fs::read(path).expect("a file of the suite"))
    });
    Some(files.collect())
}

fn parsing(prefix: &str, count: usize) -> Option<Vec<(String, Vec<u8>)>> {
    let files = vectors("test_parsing")?;
    let files: Vec<_> = files.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    assert_eq!(files.len(), count, "the suite has {count} files of the kind {prefix}");
    Some(files)
}

#[test]
fn every_n_file_is_refused() {
    for (name, bytes) in parsing("n_", 188).unwrap_or_default() {
        assert!(read(&bytes, Limits::default()).is_err(), "{name} was accepted");
    }
}

#[test]
fn every_y_file_is_accepted_but_those_refused_on_purpose() {
    for (name, bytes) in parsing("y_", 95).unwrap_or_default() {
        let expected = REFUSED_ON_PURPOSE.iter().find(|(refused, _)| *refused == name).map(|(_, kind)| *kind);
        let outcome = read(&bytes, Limits::default());
        assert_eq!(outcome.as_ref().err().map(|error| error.kind()), expected, "{name}: {outcome:?}");
    }
}

#[test]
fn every_i_file_is_pinned() {
    let Some(files) = parsing("i_", PINNED.len()) else { return };
    for ((name, bytes), (pinned, kind)) in files.into_iter().zip(PINNED) {
        assert_eq!(name, *pinned);
        assert_eq!(read(&bytes, Limits::default()).map_err(|error| error.kind()), Err(*kind), "{name}");
    }
}

#[test]
fn every_transform_file_is_pinned() {
    let Some(files) = vectors("test_transform") else { return };
    assert_eq!(files.len(), TRANSFORMED.len());
    for ((name, bytes), (pinned, expected)) in files.into_iter().zip(TRANSFORMED) {
        assert_eq!(name, *pinned);
        let outcome = read(&bytes, Limits::default());
        let outcome = outcome.map(|value| value.to_string()).map_err(|error| error.kind());
        assert_eq!(outcome, expected.map(str::to_owned), "{name}");
    }
}
