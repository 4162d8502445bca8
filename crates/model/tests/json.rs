//! Strict JSON, row by row of the hostile input: each refusal has its kind and its place.

use aegis_model::json::{JsonError, JsonErrorKind, Limits, pointer_push, read, read_object};
use aegis_model::reason::ReasonCode;
use serde_json::{Value, json};

fn refusal(text: &[u8]) -> JsonError {
    read(text, Limits::default()).expect_err(&String::from_utf8_lossy(text))
}

/// Checks the kind, the offset and the pointer of a refusal.
fn check(text: impl AsRef<[u8]>, kind: JsonErrorKind, offset: usize, pointer: &str) {
    let text = text.as_ref();
    let error = refusal(text);
    let found = (error.kind(), error.offset(), error.pointer());
    assert_eq!(found, (kind, offset, Some(pointer)), "{}", String::from_utf8_lossy(text));
}

fn accepted(text: &str) -> Value {
    read(text.as_bytes(), Limits::default()).expect(text)
}

/// Checks that `text` is read as `expected`, to the type of its number.
fn check_number(text: &str, expected: Value) {
    assert_eq!(accepted(text), expected, "{text}");
}

#[test]
fn duplicate_keys_are_refused_at_any_depth() {
    check(r#"{"a":1,"a":2}"#, JsonErrorKind::DuplicateKey, 7, "/a");
    check(r#"{"a":1,"b":2,"a":1}"#, JsonErrorKind::DuplicateKey, 13, "/a");
    check(r#"{"p":[0,{"x":{"k":1,"k":2}}]}"#, JsonErrorKind::DuplicateKey, 20, "/p/1/x/k");
    check(r#"{"":1,"":2}"#, JsonErrorKind::DuplicateKey, 6, "/");
    assert_eq!(accepted(r#"[{"a":1},{"a":{"a":2}}]"#), json!([{"a": 1}, {"a": {"a": 2}}]));
}

#[test]
fn duplicate_keys_are_compared_after_unescaping() {
    check(r#"{"tool":1,"t\u006fol":2}"#, JsonErrorKind::DuplicateKey, 10, "/tool");
    check(r#"{"t\u006fol":1,"tool":2}"#, JsonErrorKind::DuplicateKey, 15, "/tool");
    check(r#"{"a\/b":1,"a/b":2}"#, JsonErrorKind::DuplicateKey, 10, "/a~1b");
    check(r#"{"\ud83d\ude00":1,"😀":2}"#, JsonErrorKind::DuplicateKey, 18, "/😀");
}

#[test]
fn duplicate_keys_are_found_among_many() {
    for many in [15, 16, 17, 18, 40] {
        for repeated in [0, many / 2, many - 1] {
            let members: Vec<_> = (0..many).map(|number| format!(r#""k{number}":{number}"#)).collect();
            let sound = format!("{{{}}}", members.join(","));
            assert_eq!(accepted(&sound).as_object().unwrap().len(), many);
            let doubled = format!(r#"{},"k{repeated}":0}}"#, sound.strip_suffix('}').unwrap());
            check(&doubled, JsonErrorKind::DuplicateKey, sound.len(), &format!("/k{repeated}"));
        }
    }
}

#[test]
fn nfc_and_nfd_twins_of_a_key_are_refused() {
    check("{\"\u{e9}\":1,\"e\u{301}\":2}", JsonErrorKind::TwinKey, 8, "/e\u{301}");
    check("{\"e\u{301}\":1,\"\u{e9}\":2}", JsonErrorKind::TwinKey, 9, "/\u{e9}");
    check(r#"{"é":1,"e\u0301":2}"#, JsonErrorKind::TwinKey, 8, "/e\u{301}");
    // Two keys that are both not in NFC: the same marks in another order.
    check("{\"q\u{307}\u{323}\":1,\"q\u{323}\u{307}\":2}", JsonErrorKind::TwinKey, 11, "/q\u{323}\u{307}");
    // The NFC form of a key may be ASCII: the Kelvin sign is a K.
    check("{\"K\":1,\"\u{212a}\":2}", JsonErrorKind::TwinKey, 7, "/\u{212a}");
    check("{\"\u{212a}\":1,\"K\":2}", JsonErrorKind::TwinKey, 9, "/K");
    check(r#"{"\u212a":1,"K":2}"#, JsonErrorKind::TwinKey, 12, "/K");
}

#[test]
fn twins_are_found_among_many_keys() {
    let others: Vec<_> = (0..30).map(|number| format!(r#""k{number}":{number}"#)).collect();
    for (first, second) in [("\u{e9}", "e\u{301}"), ("e\u{301}", "\u{e9}"), ("\u{212a}", "K")] {
        let text = format!(r#"{{"{first}":0,{},"{second}":1}}"#, others.join(","));
        assert_eq!(refusal(text.as_bytes()).kind(), JsonErrorKind::TwinKey, "{text}");
    }
}

/// Compared pair by pair, these would take minutes.
#[test]
fn a_body_full_of_keys_takes_no_time() {
    for prefix in ["k", "\u{e9}", "e\u{301}"] {
        let members: Vec<_> = (0..60_000).map(|number| format!(r#""{prefix}{number}":0"#)).collect();
        let sound = members.join(",");
        assert_eq!(accepted(&format!("{{{sound}}}")).as_object().unwrap().len(), members.len());
        let doubled = format!(r#"{{{sound},"{prefix}59999":1}}"#);
        assert_eq!(refusal(doubled.as_bytes()).kind(), JsonErrorKind::DuplicateKey);
    }
    // One key of half a million marks, in an order that normalization has to mend.
    let marks = "\u{307}\u{323}".repeat(200_000);
    assert_eq!(accepted(&format!(r#"{{"q{marks}":0}}"#)).as_object().unwrap().len(), 1);
}

#[test]
fn different_keys_beyond_ascii_are_accepted() {
    let text = "{\"e\u{301}\":1,\"e\u{300}\":2,\"e\":3,\"E\u{301}\":4,\"\u{212b}\":5}";
    assert_eq!(accepted(text).as_object().unwrap().len(), 5);
}

#[test]
fn lone_surrogates_are_refused() {
    check(r#"["\ud800"]"#, JsonErrorKind::LoneSurrogate, 2, "/0");
    check(r#"["a\udc00"]"#, JsonErrorKind::LoneSurrogate, 3, "/0");
    check(r#"["\ud800\ud800"]"#, JsonErrorKind::LoneSurrogate, 2, "/0");
    check(r#"["\ud800\u0041"]"#, JsonErrorKind::LoneSurrogate, 2, "/0");
    check(r#"["\ud800A"]"#, JsonErrorKind::LoneSurrogate, 2, "/0");
    check(r#"["\udc00\ud800"]"#, JsonErrorKind::LoneSurrogate, 2, "/0");
    check(r#"{"k":{"\udfff":1}}"#, JsonErrorKind::LoneSurrogate, 7, "/k");
    assert_eq!(accepted(r#"["\ud800\udc00\uDBFF\uDFFF"]"#), json!(["\u{10000}\u{10ffff}"]));
}

#[test]
fn invalid_utf8_is_refused() {
    check(b"{\"a\":[\"x\xff\"]}", JsonErrorKind::InvalidUtf8, 8, "/a/0");
    check(b"[\"\xed\xa0\x80\"]", JsonErrorKind::InvalidUtf8, 2, "/0");
    check(b"[\"\xc0\xaf\"]", JsonErrorKind::InvalidUtf8, 2, "/0");
    check(b"\"\xe2\x82", JsonErrorKind::InvalidUtf8, 1, "");
    check(b"{} \xff", JsonErrorKind::InvalidUtf8, 3, "");
    check(b"[1,\xff]", JsonErrorKind::InvalidUtf8, 3, "/1");
    // What is wrong before the bad byte is named first.
    check(b"{\"a\":1,\"a\":\"\xff\"}", JsonErrorKind::DuplicateKey, 7, "/a");
}

#[test]
fn nesting_beyond_64_is_refused() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    accepted(&nested(64));
    let kind = JsonErrorKind::TooDeep { depth_max: 64 };
    check(nested(65), kind, 64, &"/0".repeat(64));
    check("[".repeat(1_000_000), kind, 64, &"/0".repeat(64));
    check(r#"{"a":"#.repeat(100_000), kind, 5 * 64, &"/a".repeat(64));
    check(r#"[{"a":"#.repeat(100_000), kind, 6 * 32, &"/0/a".repeat(32));
    // Depth is not count: siblings do not add up.
    accepted(&format!("[{}[]]", "[],".repeat(1_000)));
    let scalars_only = Limits { depth_max: 0, ..Limits::default() };
    assert_eq!(read(b"1", scalars_only), Ok(json!(1)));
    assert!(read(b"[]", scalars_only).is_err());
}

#[test]
fn more_values_than_65_536_are_refused() {
    let list = |items: usize| format!("[{}{{}}]", "{},".repeat(items - 1));
    accepted(&list(65_535));
    let kind = JsonErrorKind::TooManyValues { values_max: 65_536 };
    check(list(65_536), kind, 1 + 3 * 65_535, "/65535");
    let limits = Limits { values_max: 3, ..Limits::default() };
    assert!(read(br#"{"a": [1]}"#, limits).is_ok());
    let error = read(br#"{"a": [1, 2]}"#, limits).unwrap_err();
    assert_eq!(
        (error.kind(), error.pointer()),
        (JsonErrorKind::TooManyValues { values_max: 3 }, Some("/a/1"))
    );
    assert!(error.help().contains("fewer"));
}

#[test]
fn a_text_beyond_its_size_is_refused() {
    let limits = Limits { bytes_max: 4, ..Limits::default() };
    assert_eq!(read(b"1234", limits), Ok(json!(1234)));
    let error = read(b"1234 ", limits).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (JsonErrorKind::TooLarge { bytes_max: 4 }, 4));
    assert_eq!(Limits::default().bytes_max, 1 << 20);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(refusal(long.as_bytes()).kind(), JsonErrorKind::TooLarge { bytes_max: 1 << 20 });
    accepted(&long[2..].replacen('x', "\"", 1));
}

#[test]
fn integers_up_to_2_53_are_read_exactly() {
    check_number("9007199254740992", json!(9_007_199_254_740_992_i64));
    check_number("-9007199254740992", json!(-9_007_199_254_740_992_i64));
    check_number("9007199254740991", json!(9_007_199_254_740_991_i64));
    check_number("9.007199254740991e15", json!(9_007_199_254_740_991_i64));
    check_number("90071992547409910000e-4", json!(9_007_199_254_740_991_i64));
}

#[test]
fn integers_beyond_2_53_are_refused_however_written() {
    let texts = [
        "9007199254740993",
        "-9007199254740993",
        "9007199254740993.0",
        "9007199254740993000e-3",
        "0.9007199254740993e16",
        "9223372036854775807",
        "18446744073709551616",
        "100000000000000000000000000000",
        "1e16",
        "1e300",
        "1e400",
        "-1e9999999999999999999999",
        "1e18446744073709551616",
        "1.7976931348623157e308",
    ];
    for text in texts {
        check(text, JsonErrorKind::IntegerRange, 0, "");
    }
    check(r#"{"params":{"amount":[1,1e300]}}"#, JsonErrorKind::IntegerRange, 23, "/params/amount/1");
}

#[test]
fn decimals_that_a_double_does_not_hold_are_refused() {
    let texts = [
        "0.1000000000000000055511151231257827",
        "0.10000000000000001",
        "1.000000000000000005",
        "123456789012345678.5",
        "4503599627370497.5",
        "9007199254740992.5",
        "0.30000000000000002",
        "1e-400",
        "-1e-400",
        "1e-99999999999999999999999",
        "4.9e-324",
        "2.2250738585072011e-308",
        "0.99999999999999999999",
        "3.141592653589793238",
        // The double is exactly this, and still every engine that writes it again writes `…206.2`.
        "1424953923781206.25",
        // As short and as near as `…206.2`; of two, the even one stands for the double.
        "1424953923781206.3",
    ];
    for text in texts {
        check(text, JsonErrorKind::DecimalPrecision, 0, "");
    }
}

#[test]
fn decimals_that_a_double_holds_are_read() {
    check_number("0.1", json!(0.1));
    check_number("1.10", json!(1.1));
    check_number("1e-3", json!(0.001));
    check_number("-0.5", json!(-0.5));
    check_number("123.456E-2", json!(1.23456));
    check_number("0.00000000000000000000000000000000012", json!(1.2e-34));
    check_number("12300000000000000000000000000000000000000e-42", json!(0.0123));
    check_number("5e-324", json!(5e-324));
    check_number("2.2250738585072014e-308", json!(f64::MIN_POSITIVE));
    check_number("0.30000000000000004", json!(0.1 + 0.2));
    check_number("1424953923781206.2", json!(f64::from_bits(0x4314_3ff3_c1cb_0959)));
    check_number("4503599627370495.5", json!(4_503_599_627_370_495.5));
}

#[test]
fn a_number_has_one_form_however_it_is_written() {
    for text in ["5000", "5000.0", "5e3", "5E+3", "0.5e4", "50000e-1", "5000.000e0", "0.005e6"] {
        let value = accepted(text);
        assert_eq!(value, json!(5000), "{text}");
        assert!(value.is_i64(), "{text} is an integer");
    }
    for text in ["0", "-0", "0.0", "-0.0", "0e5", "-0.000e-400", "0e99999999999999999999"] {
        assert_eq!(accepted(text).to_string(), "0", "{text}");
    }
    for text in ["0.25", "25e-2", "0.2500", "2.5E-1", "0.00025e3"] {
        assert_eq!(accepted(text), json!(0.25), "{text}");
    }
}

#[test]
fn a_number_of_a_million_digits_takes_no_time() {
    let zeros = "0".repeat(1_000_000);
    check_number(&format!("0.{zeros}1e1000001"), json!(1));
    check_number(&format!("1{zeros}e-1000000"), json!(1));
    check_number(&format!("1{zeros}e-1000001"), json!(0.1));
    check_number(&format!("1.{zeros}"), json!(1));
    check(format!("1{zeros}1e-1000001"), JsonErrorKind::DecimalPrecision, 0, "");
    check("9".repeat(1_000_000), JsonErrorKind::IntegerRange, 0, "");
    check(format!("1e{}", "9".repeat(1_000_000)), JsonErrorKind::IntegerRange, 0, "");
    check(format!("1e-{}", "9".repeat(1_000_000)), JsonErrorKind::DecimalPrecision, 0, "");
}

#[test]
fn nan_and_infinity_are_refused() {
    for text in ["NaN", "Infinity", "-Infinity", "-NaN"] {
        check(text, JsonErrorKind::NotFinite, 0, "");
        check(format!(r#"{{"a":{text}}}"#), JsonErrorKind::NotFinite, 5, "/a");
    }
    assert!(read(b"nan", Limits::default()).is_err() && read(b"inf", Limits::default()).is_err());
}

#[test]
fn a_byte_order_mark_is_refused() {
    for mark in [&b"\xEF\xBB\xBF"[..], b"\xFF\xFE", b"\xFE\xFF"] {
        let error = refusal(&[mark, b"{}"].concat());
        assert_eq!((error.kind(), error.offset(), error.pointer()), (JsonErrorKind::ByteOrderMark, 0, None));
    }
    // Within a string, U+FEFF is a character like others.
    assert_eq!(accepted("\"\u{feff}\""), json!("\u{feff}"));
}

#[test]
fn trailing_bytes_are_refused_and_white_space_is_not() {
    assert_eq!(accepted(" \t\r\n{\t}\r\n "), json!({}));
    for (text, offset) in [("{}{}", 2), ("{} x", 3), ("1 2", 2), ("[],", 2), ("null\0", 4), ("{}\u{a0}", 2)] {
        let error = refusal(text.as_bytes());
        let found = (error.kind(), error.offset(), error.pointer());
        assert_eq!(found, (JsonErrorKind::TrailingBytes, offset, None), "{text}");
    }
}

#[test]
fn control_characters_in_strings_are_refused() {
    for control in 0..0x20_u8 {
        // At each place of a word of eight bytes: the search takes eight at once.
        for before in 0..10 {
            let text = [b"[\"", &b"abcdefghij"[..before], &[control], b"abcdefghij\"]"].concat();
            check(text, JsonErrorKind::ControlCharacter, 2 + before, "/0");
        }
    }
    assert_eq!(accepted("\"\u{7f}\u{80}\u{9f}\""), json!("\u{7f}\u{80}\u{9f}"));
}

#[test]
fn strings_of_every_length_end_where_they_end() {
    for length in 0..40 {
        for special in [r#"\""#, r"\\", r"\n", "é", "€", "😀", "!", "~", "\u{7f}"] {
            for place in 0..=length {
                let text = format!("\"{}{special}{}\"", "a".repeat(place), "b".repeat(length - place));
                let expected: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(accepted(&text), expected);
            }
        }
    }
}

#[test]
fn escapes_are_those_of_the_rfc() {
    let text = r#""\"\\\/\b\f\n\r\t\u0000\u00e9\u00E9\u20aC""#;
    assert_eq!(accepted(text), json!("\"\\/\u{8}\u{c}\n\r\t\0éé€"));
    for bad in [r#""\a""#, r#""\x41""#, r#""\'""#, r#""\U0041""#, r#""\u004""#, r#""\u+041""#, r#""\é""#] {
        check(bad, JsonErrorKind::InvalidEscape, 1, "");
    }
}

#[test]
fn numbers_are_those_of_the_rfc() {
    for bad in ["01", "-01", "00", "+1", ".5", "-.5", "1.e3", "1.x", "1e+x", "1ex", "-x", "--1", "0123.5"] {
        assert_eq!(refusal(bad.as_bytes()).kind(), JsonErrorKind::InvalidNumber, "{bad}");
    }
    for cut in ["-", "1.", "1e", "1e+", "[1.5e-"] {
        assert_eq!(refusal(cut.as_bytes()).kind(), JsonErrorKind::UnexpectedEnd, "{cut}");
    }
    for (bad, offset) in [("0x10", 1), ("1_000", 1), ("1f", 1), ("١", 0)] {
        assert_eq!(refusal(bad.as_bytes()).offset(), offset, "{bad}");
    }
}

#[test]
fn grammar_is_that_of_the_rfc() {
    let unexpected = |expected| JsonErrorKind::Unexpected { expected };
    check("[1,]", unexpected("a value"), 3, "/1");
    check(r#"{"a":1,}"#, unexpected("a key in double quotes"), 7, "");
    check("{,}", unexpected("a key in double quotes"), 1, "");
    check("{a:1}", unexpected("a key in double quotes"), 1, "");
    check(r#"{"a" 1}"#, unexpected("`:`"), 5, "/a");
    check(r#"{"a":}"#, unexpected("a value"), 5, "/a");
    check("[1 2]", unexpected("`,` or `]`"), 3, "");
    check(r#"[[],{"a":1 "b"}]"#, unexpected("`,` or `}`"), 11, "/1");
    check("[}", unexpected("a value"), 1, "/0");
    check("[1}", unexpected("`,` or `]`"), 2, "");
    check(r#"{"a":1]"#, unexpected("`,` or `}`"), 6, "");
    check("[1,/*c*/2]", unexpected("a value"), 3, "/1");
    check("True", unexpected("a value"), 0, "");
    check("nul", unexpected("a value"), 0, "");
    check("'a'", unexpected("a value"), 0, "");
    check("\u{a0}1", unexpected("a value"), 0, "");
    check("\u{c}1", unexpected("a value"), 0, "");
}

#[test]
fn a_text_that_is_cut_is_refused_at_its_end() {
    let whole = r#"{"a":[1.5,"x\u00e9\ud83d\ude00",{"b":null}],"c":"#;
    for end in 0..=whole.len() {
        let error = refusal(&whole.as_bytes()[..end]);
        let cut_word = error.kind() == JsonErrorKind::Unexpected { expected: "a value" };
        let cut_pair = error.kind() == JsonErrorKind::LoneSurrogate;
        let cut = error.kind() == JsonErrorKind::UnexpectedEnd && error.offset() == end;
        assert!(cut || cut_word || cut_pair, "{}: {error}", &whole[..end]);
    }
    check("", JsonErrorKind::UnexpectedEnd, 0, "");
    check(" \n", JsonErrorKind::UnexpectedEnd, 2, "");
    check(r#"{"a":[1,"#, JsonErrorKind::UnexpectedEnd, 8, "/a/1");
}

#[test]
fn a_place_is_given_by_line_and_column_in_characters() {
    let error = refusal("{\n  \"é\": \"€\", \"x\": 1e300\r\n}".as_bytes());
    assert_eq!((error.line(), error.column(), error.pointer()), (2, 18, Some("/x")));
    let error = refusal(b"[");
    assert_eq!((error.line(), error.column()), (1, 2));
}

#[test]
fn messages_name_the_place_and_never_the_value() {
    let error = refusal(br#"{"card":"4242424242424242","pin":"9876\ud800"}"#);
    let shown = format!("{error} {error:?} {}", error.help());
    assert!(!shown.contains("4242") && !shown.contains("9876"), "{shown}");
    assert_eq!(error.to_string(), "invalid JSON: a lone surrogate at line 1, column 39, `/pin`");
    let error = refusal(br#"{"a":12345678901234567890}"#);
    assert!(!format!("{error} {error:?}").contains("1234"));
    assert_eq!(error.help(), "Send large integers as strings.");
    assert_eq!((error.code(), error.retryable()), (ReasonCode::InvalidRequest, false));
}

#[test]
fn a_hostile_key_neither_breaks_the_log_line_nor_fills_it() {
    let error = refusal("{\"a\\n\u{202e}\\u001b[31m\":1e300}".as_bytes());
    assert_eq!(error.pointer(), Some("/a\n\u{202e}\u{1b}[31m"));
    assert!(error.to_string().chars().all(|shown| !shown.is_control() && shown != '\u{202e}'), "{error}");
    let long = format!(r#"{{"short":{{"{}":1e300}}}}"#, "k".repeat(100_000));
    let error = refusal(long.as_bytes());
    assert_eq!(error.pointer(), Some("/short"), "an ancestor is named instead");
    let slashes = format!(r#"{{"short":{{"{}":1e300}}}}"#, "/".repeat(400));
    assert_eq!(refusal(slashes.as_bytes()).pointer(), Some("/short"), "escaping counts");
}

#[test]
fn only_an_object_is_read_as_an_object() {
    assert_eq!(read_object(b"{\"a\":1}", Limits::default()).unwrap().get("a"), Some(&json!(1)));
    for text in [" [{}]", " null", " 1", " \"{}\""] {
        let error = read_object(text.as_bytes(), Limits::default()).unwrap_err();
        let found = (error.kind(), error.offset(), error.pointer());
        assert_eq!(found, (JsonErrorKind::NotAnObject, 1, Some("")), "{text}");
    }
    let error = read_object(b"[", Limits::default()).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::UnexpectedEnd);
}

#[test]
fn pointers_escape_their_tokens() {
    let mut pointer = String::new();
    for token in ["a/b", "m~n", "~1", "", " "] {
        pointer_push(&mut pointer, token);
    }
    assert_eq!(pointer, "/a~1b/m~0n/~01// ");
    let parsed = json!({"a/b": {"m~n": {"~1": {"": {" ": 7}}}}});
    assert_eq!(parsed.pointer(&pointer), Some(&json!(7)));
}
