//! Tests of the translation of regular expressions.

use super::*;

#[test]
fn classes_are_spelled_out() {
    for (pattern, printed) in [
        (r"\d", "[0-9]"),
        (r"\w", "[0-9A-Z_a-z]"),
        (r"\s", r"[\x{9}\x{A}\x{C}\x{D} ]"),
        (r"[\d.-]", r"[\-\.0-9]"),
        (r"[[:alpha:]]", "[A-Za-z]"),
        (r"(?i)ab1", "[Aa][Bb]1"),
        (r"(?i)[a-c]|x(?-i)y", "[A-Ca-c]|[Xx]y"),
        (r"(?P<year>\d{4})", "(?:(?:[0-9]){4})"),
        (r"(?s).", "(?s:.)"),
        (r"(?m)^a$", "(?m:^)a(?m:$)"),
        (r"a.b", "a.b"),
        (r"a\.b", r"a\.b"),
        (r"é", r"\x{E9}"),
        (r"a**", "(?:(?:a)*)*"),
        (r"[^\D]", r"[^\x{0}-\/:-\x{10FFFF}]"),
    ] {
        match translate(pattern) {
            Ok(actual) => {
                assert_eq!(actual.replace(r"\/", "/"), printed.replace(r"\/", "/"), "{pattern}")
            }
            Err(why) => panic!("{pattern}: {why:?}"),
        }
    }
}

#[test]
fn what_differs_is_refused() {
    let long = "a".repeat(REGEX_BYTES_MAX + 1);
    for pattern in [
        r"\bword\b",
        r"\B",
        r"\<a\>",
        r"\pL",
        r"\p{Greek}",
        r"\P{L}",
        r"[\p{L}]",
        r"(?x)a b",
        r"(?U)a*",
        r"(?u)a",
        r"(?-u)a",
        r"(?R)a$",
        r"[a&&b]",
        r"[a--b]",
        r"[a~~b]",
        r"[a[b]]",
        r"a{1001}",
        r"(?:a{100}){100}",
        r"(a{2}){501}",
        r"(?=a)",
        r"(?<!a)b",
        r"(a)\1",
        r"\u0041",
        r"\u{41}",
        r"(?i)ä",
        r"(?i)[а-я]",
        r"(?i)ſ",
        r"[",
        r"a{",
        r"*",
        r"(",
        r"\Z",
        r"\Qa\E",
        r"\C",
        "",
        r"[^\x{0}-\x{10FFFF}]",
        r"(?:[^a]{1000}){1}[^b]{900}.{1000}.{1000}",
        &long,
    ] {
        assert!(translate(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn the_dollar_is_the_end_of_the_text() {
    let whole = translate_whole("a|b").expect("a pattern");
    assert_eq!(whole, "^(?:a|b)$");
    let regex = regex::Regex::new(&whole).expect("a pattern");
    assert!(regex.is_match("a") && !regex.is_match("a\n") && !regex.is_match("xb"));
    let lines = regex::Regex::new(&translate(r"(?m)^b$").expect("a pattern")).expect("a pattern");
    assert!(lines.is_match("a\nb\nc") && !lines.is_match("ab"));
}

#[test]
fn the_printed_pattern_means_what_the_pattern_means_on_ascii() {
    let texts = [
        "", "a", "A", "k", "K", "s", "ab", "a b", "1", "_", "-", "a\nb", "\t", "\u{b}", "[", "]", "^", "a-b",
        "\\", "&", "~",
    ];
    for pattern in [
        r"(?i)k",
        r"(?i)[^k]",
        r"\W",
        r"[^\w]",
        r"[\W\d]",
        r"\S",
        r"^$",
        r"a|^b$",
        r"[a\-b]",
        r"[]]",
        r"[\[\]\\^&~-]",
        r"(?i)a(?-i)b",
        r"(a|(?i)b)a?",
        r"\x41",
        r"\x{61}",
        r"(?s)a.b",
        r"a.b",
        r"[[:^alpha:]]",
        r"(?i)[[:upper:]]",
        r"a{2,}|-",
        r"a??",
    ] {
        // The flag that makes Rust's own classes those of ASCII.
        let own = regex::Regex::new(&format!("(?-u:{})", pattern.replace(r"\x{61}", "a")));
        let printed =
            regex::Regex::new(&translate(pattern).unwrap_or_else(|why| panic!("{pattern}: {why:?}")))
                .expect("printed");
        for text in texts {
            // Perl's space has the vertical tab in Rust, but not in RE2.
            let expected = match &own {
                Ok(own) if !(text == "\u{b}" && pattern.contains('S')) => own.is_match(text),
                _ => continue,
            };
            assert_eq!(printed.is_match(text), expected, "{pattern} on {text:?}");
        }
    }
}
