//! Strict JSON by properties: against `serde_json`, against plain oracles, and under mutation.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

use aegis_model::json::{Build, Items, JsonErrorKind, Limits, Members, canonical, read, read_with};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization;

const INTEGER_MAX: i64 = 1 << 53;

/// A value as we read it: integers within ±2^53, doubles that are not integral, keys in NFC.
fn readable() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-INTEGER_MAX..=INTEGER_MAX).prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        fraction().prop_map(Value::from),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = any::<String>().prop_map(|key| key.nfc().collect::<String>());
        let members = prop::collection::vec((key, inner.clone()), 0..24);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// A finite double with a fraction, of any magnitude that has fractions.
fn fraction() -> impl Strategy<Value = f64> {
    any::<f64>()
        .prop_map(|float| if float.abs() < 4e15 { float } else { float.to_bits() as f64 / 3e4 })
        .prop_filter("integral", |float| float.is_finite() && float.fract() != 0.0)
}

/// The value with each integral double as the integer that it is: how we read what `serde_json` reads.
fn with_one_form_of_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() <= INTEGER_MAX as f64 => json!(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(with_one_form_of_numbers).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, member)| (key, with_one_form_of_numbers(member))).collect()
        }
        other => other,
    }
}

/// Whatever we accept, `serde_json` accepts as well and with the same value. Says whether we did.
fn agrees_with_serde_json(text: &[u8]) -> Result<bool, TestCaseError> {
    let Ok(ours) = read(text, Limits::default()) else { return Ok(false) };
    let theirs: Value = serde_json::from_slice(text)
        .map_err(|error| TestCaseError::fail(format!("serde_json refuses what we accept: {error}")))?;
    prop_assert_eq!(ours, with_one_form_of_numbers(theirs));
    Ok(true)
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_back(value in readable()) {
        for text in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
            prop_assert_eq!(read(&text, Limits::default()), Ok(value.clone()));
        }
    }

    #[test]
    fn canonical_text_is_read_back_and_is_one_per_value(value in readable()) {
        let text = canonical(&value);
        let again = read(&text, Limits::default());
        prop_assert_eq!(again.as_ref(), Ok(&value));
        prop_assert_eq!(canonical(&again.unwrap()), text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde_json(&bytes)?;
    }

    #[test]
    fn escaping_does_not_change_a_string(text in any::<String>()) {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        prop_assert_eq!(read(format!("\"{escaped}\"").as_bytes(), Limits::default()), Ok(json!(text)));
    }

    #[test]
    fn an_object_is_accepted_iff_its_keys_differ_in_nfc(keys in prop::collection::vec(key(), 0..24)) {
        let members: Vec<_> = keys.iter().map(|key| format!("{}:0", json!(key))).collect();
        let outcome = read(format!("{{{}}}", members.join(",")).as_bytes(), Limits::default());
        let (mut seen, mut forms) = (HashSet::new(), HashSet::new());
        let expected = keys.iter().find_map(|key| match (seen.insert(key), forms.insert(key.nfc().to_string())) {
            (false, _) => Some(JsonErrorKind::DuplicateKey),
            (true, false) => Some(JsonErrorKind::TwinKey),
            (true, true) => None,
        });
        prop_assert_eq!(outcome.err().map(|error| error.kind()), expected);
    }

    #[test]
    fn a_number_is_read_iff_it_is_held_exactly(text in number_text()) {
        let outcome = read(text.as_bytes(), Limits::default()).map_err(|error| error.kind());
        prop_assert_eq!(outcome, expected_number(&text), "{}", text);
    }

    #[test]
    fn every_fraction_is_read_in_each_of_its_texts(float in fraction()) {
        let text = json!(float).to_string();
        let (digits, exponent) = significant(&text);
        let sign = if float < 0.0 { "-" } else { "" };
        let more_zeros = if text.contains('e') { text.replace('e', "E") } else { format!("{text}000") };
        for text in [text, more_zeros, format!("{sign}{digits}e{exponent}"), format!("{sign}0.{digits}E{}", exponent + digits.len() as i64)] {
            prop_assert_eq!(read(text.as_bytes(), Limits::default()), Ok(json!(float)), "{}", text);
        }
    }
}

/// Few letters, so that keys meet often; some of them are twins of others.
const LETTERS: &[&str] =
    &["a", "b", "\u{e9}", "e\u{301}", "e", "\u{301}", "K", "\u{212a}", "q\u{307}\u{323}", "q\u{323}\u{307}"];

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(LETTERS), 0..4).prop_map(|letters| letters.concat())
}

/// A number of RFC 8259, with a preference for the edges of what a double holds.
fn number_text() -> impl Strategy<Value = String> {
    let whole = prop_oneof!["0", "[1-9][0-9]{0,18}", "[1-9]0{0,20}", "90071992547409(89|9[0-4])"];
    let fraction = prop_oneof![Just(String::new()), r"\.[0-9]{1,18}", r"\.0{0,20}[1-9]0{0,5}", r"\.0{1,5}"];
    let exponent = prop_oneof![Just(String::new()), "[eE][+-]?[0-9]{1,2}", "[eE][+-]?[0-9]{3,4}"];
    ("-?", whole, fraction, exponent)
        .prop_map(|(sign, whole, fraction, exponent)| format!("{sign}{whole}{fraction}{exponent}"))
}

/// What a number is to be read as, by means as plain as possible: digits as text.
fn expected_number(text: &str) -> Result<Value, JsonErrorKind> {
    let (digits, exponent) = significant(text);
    let negative = text.starts_with('-');
    if digits.is_empty() {
        return Ok(json!(0));
    }
    if exponent >= 0 {
        let written_out = if exponent > 20 { None } else { Some(digits + &"0".repeat(exponent as usize)) };
        let integer = written_out.and_then(|digits| digits.parse::<i128>().ok());
        let integer = integer.filter(|&integer| integer <= i128::from(INTEGER_MAX));
        let integer = integer.ok_or(JsonErrorKind::IntegerRange)? as i64;
        return Ok(json!(if negative { -integer } else { integer }));
    }
    let float: f64 = text.parse().expect("a number of RFC 8259 is one of Rust's");
    let same = significant(&json!(float).to_string()) == (digits, exponent);
    if same { Ok(json!(float)) } else { Err(JsonErrorKind::DecimalPrecision) }
}

/// The digits of a number without leading and trailing zeros, and the power of ten of the last one.
fn significant(text: &str) -> (String, i64) {
    let text = text.trim_start_matches('-').to_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let trimmed = all.trim_end_matches('0');
    let zeros = (all.len() - trimmed.len()) as i64;
    let exponent: i64 = exponent.parse().expect("an exponent of few digits");
    (trimmed.trim_start_matches('0').to_owned(), exponent - fraction.len() as i64 + zeros)
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    " ",
    "\n",
    "\"a\"",
    "\"b\\u00e9\"",
    "\"\\ud800\"",
    "\"",
    "\\",
    "1",
    "-0",
    "1.5",
    "5e3",
    "1e-3",
    "0.1",
    "-",
    "e5",
    "9007199254740993",
    "true",
    "null",
    "{\"a\":",
    "[1,",
    "\u{feff}",
];

/// Tokens in any order, and sound texts with a few bytes changed: most of the ways to be almost right.
#[test]
fn mutations_never_panic_and_what_is_accepted_agrees_with_serde_json() {
    let soup = prop::collection::vec(prop::sample::select(TOKENS), 0..12).prop_map(|tokens| tokens.concat());
    let edit = (
        any::<prop::sample::Index>(),
        prop::sample::select(&b"{}[]:,\"\\u0019.eE+- \n\x00\x7f\xc3\xa9\xff"[..]),
        0..3,
    );
    let edits = prop::collection::vec(edit, 0..4);
    let mutated = (readable(), edits).prop_map(|(value, edits)| {
        let mut text = serde_json::to_vec(&value).unwrap();
        for (place, byte, operation) in edits {
            let place = place.index(text.len() + 1);
            match operation {
                0 => text.insert(place, byte),
                1 if place < text.len() => text[place] = byte,
                _ => text.truncate(place.max(1)),
            }
        }
        text
    });
    let accepted = Cell::new(0);
    let texts = prop_oneof![soup.prop_map(String::into_bytes), mutated];
    let mut runner = TestRunner::new(Config { cases: 2_000, ..Config::default() });
    let outcome = runner.run(&texts, |text| {
        accepted.set(accepted.get() + u32::from(agrees_with_serde_json(&text)?));
        Ok(())
    });
    outcome.unwrap();
    assert!(
        (100..1_900).contains(&accepted.get()),
        "{} of 2000 accepted: one side is not tested",
        accepted.get()
    );
}

/// A builder that shows what it was given, in order.
struct Show;

impl Build for Show {
    type Value = String;

    fn null(&mut self) -> String {
        "null".to_owned()
    }
    fn boolean(&mut self, value: bool) -> String {
        value.to_string()
    }
    fn integer(&mut self, value: i64) -> String {
        format!("i{value}")
    }
    fn float(&mut self, value: f64) -> String {
        format!("f{value}")
    }
    fn string(&mut self, value: Cow<'_, str>) -> String {
        value.into_owned()
    }
    fn array(&mut self, items: Items<'_, String>) -> String {
        format!("[{}]", items.collect::<Vec<_>>().join(" "))
    }
    fn object(&mut self, members: Members<'_, '_, String>) -> String {
        let members: Vec<_> = members.map(|(key, value)| format!("{key}={value}")).collect();
        format!("{{{}}}", members.join(" "))
    }
}

/// A builder that takes nothing out of its iterators.
struct Ignore;

impl Build for Ignore {
    type Value = ();

    fn null(&mut self) {}
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: i64) {}
    fn float(&mut self, _: f64) {}
    fn string(&mut self, _: Cow<'_, str>) {}
    fn array(&mut self, _: Items<'_, ()>) {}
    fn object(&mut self, _: Members<'_, '_, ()>) {}
}

#[test]
fn another_value_type_is_built_in_the_order_of_the_text() {
    let text = br#"{"b":[1,2.5,{}],"a":{"z":"x\ty","y":[]},"c":[null,true,[[false]]]}"#;
    let shown = read_with(text, Limits::default(), &mut Show).unwrap();
    assert_eq!(shown, "{b=[i1 f2.5 {}] a={z=x\ty y=[]} c=[null true [[false]]]}");
    assert_eq!(read_with(text, Limits::default(), &mut Ignore), Ok(()));
    let error = read_with(br#"[{"a":[0]},{"b":1,"b":2}]"#, Limits::default(), &mut Ignore).unwrap_err();
    assert_eq!((error.kind(), error.pointer()), (JsonErrorKind::DuplicateKey, Some("/1/b")));
}
