//! Values in disguise: they are found, and the place is that of the disguise.

use aegis_dlp::finding::{Unread, Via};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::support::{LENIENT, check, gzip};

#[test]
fn characters_in_disguise() {
    for text in [
        "SSN «１２３-４５-６７８９» there",
        "SSN «123\u{200B}-45-6789».",
        "SSN «1\u{202E}23-45-6789».",
        "SSN «123–45–6789» with dashes",
        "SSN «123\u{A0}45\u{A0}6789»",
        r"SSN «\u0031\u0032\u0033-45-6789» x",
        "SSN «%31%32%33-45-6789» x",
        r"SSN «\x31\x32\x33-45-6789» x",
        "SSN «٤٢٣-٤٥-٦٧٨٩» x",
        "SSN «1️⃣2️⃣3️⃣-45-6789» x",
        "ѕѕn «123456789»",
    ] {
        check(&LENIENT, "us_ssn", text);
    }
    check(&LENIENT, "email", "write «jane.doe%40example.com» now");
    check(&LENIENT, "email", r"write «jane\u0040example.com» now");
    check(&LENIENT, "email", "write «jane＠example.com» now");
    check(&LENIENT, "payment_card", "«４１１１ １１１１ １１１１ １１１１»");
    // Twice encoded, and each in another way.
    check(&LENIENT, "us_ssn", "SSN «%2531%2532%2533-45-6789» x");
    check(&LENIENT, "us_ssn", "SSN «%5Cu0031%5Cu0032%5Cu0033-45-6789» x");
}

fn hidden_in(text: &[u8]) -> Vec<(String, Via, usize, usize)> {
    let report = LENIENT.scan(text);
    assert_eq!(report.unread, []);
    report.findings.iter().map(|it| (it.kind.name().to_owned(), it.via, it.span.start, it.span.end)).collect()
}

#[test]
fn encoded_texts_are_read_and_places_are_those_of_the_code() {
    let secret = "my SSN is 123-45-6789, is it";
    for (code, via) in [
        (STANDARD.encode(secret), Via::Base64),
        (URL_SAFE_NO_PAD.encode(secret), Via::Base64),
        (secret.bytes().map(|byte| format!("{byte:02x}")).collect(), Via::Hex),
        (STANDARD.encode(gzip(secret.as_bytes())), Via::Gzip),
    ] {
        let text = format!("data: {code} end");
        let [(kind, found, start, end)] = &hidden_in(text.as_bytes())[..] else { panic!("{code}") };
        assert_eq!((kind.as_str(), *found), ("us_ssn", via));
        let part = &text.as_bytes()[*start..*end];
        match via {
            Via::Base64 => {
                // Whole quads around it decode to a text with the value.
                let from = (start - 6) / 4 * 4;
                let to = ((end - 6).div_ceil(4) * 4).min(code.len());
                let decoded = STANDARD.decode(&code.as_bytes()[from..to]).unwrap();
                assert!(String::from_utf8_lossy(&decoded).contains("123-45-6789"));
                assert!(part.len() <= 16, "no more than it takes");
            }
            Via::Hex => assert_eq!(part, b"3132332d34352d36373839"),
            _ => assert_eq!(part, code.trim_end_matches('=').as_bytes()),
        }
    }
}

#[test]
fn three_encodings_deep_is_read_and_deeper_is_told() {
    let mut code = "the social security number 123-45-6789 is in here".to_owned();
    for depth in 1..=4 {
        code = STANDARD.encode(&code);
        let report = LENIENT.scan(code.as_bytes());
        match depth {
            1..=3 => assert_eq!((report.findings.len(), report.unread.len()), (1, 0), "depth {depth}"),
            _ => assert_eq!((report.findings.len(), report.unread[0].1), (0, Unread::Depth)),
        }
    }
}

#[test]
fn lines_of_base64_are_one() {
    let code = STANDARD.encode(format!("{} SSN 123-45-6789 {}", "word ".repeat(30), "word ".repeat(30)));
    for end in ["\n", "\r\n", "\\n"] {
        let lines: Vec<&str> =
            code.as_bytes().chunks(76).map(|it| std::str::from_utf8(it).unwrap()).collect();
        assert_eq!(hidden_in(lines.join(end).as_bytes()).len(), 1);
    }
}

#[test]
fn a_prefix_does_not_hide_a_code() {
    let code = STANDARD.encode("my SSN is 123-45-6789, is it");
    for prefix in ["a", "ab", "abc", "path/", "x-y_"] {
        assert_eq!(hidden_in(format!("{prefix}{code}").as_bytes()).len(), 1, "{prefix}");
    }
}

#[test]
fn bombs_and_damage_are_told() {
    let bomb = STANDARD.encode(gzip(&vec![b'0'; 8 << 20]));
    assert!(LENIENT.scan(bomb.as_bytes()).unread.iter().any(|(_, why)| *why == Unread::Inflates));
    let mut damaged = gzip("SSN 123-45-6789 and more words that make it longer".repeat(20).as_bytes());
    damaged.truncate(damaged.len() - 12);
    let report = LENIENT.scan(STANDARD.encode(damaged).as_bytes());
    assert_eq!(report.unread.first().map(|it| it.1), Some(Unread::Broken));
}
