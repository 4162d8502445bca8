//! DLP-1: however a stream is cut, it has the same findings, and nothing comes out before it is decided.
//!
//! `AEGIS_DLP_CUTS=100000` tries so many cuts; without it a sample.

use aegis_dlp::finding::Report;
use aegis_dlp::stream::StreamScanner;
use base64::Engine as _;

use crate::faker::{KINDS, Random, negative, positive};
use crate::support::{LENIENT, cuts, figure, gzip};

/// What texts are made of: values and what is almost one, so that cuts fall where it matters.
fn text(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..1 + random.below(14) {
        match random.below(9) {
            0..=3 => {
                let (kind, alone) = KINDS[random.below(KINDS.len())];
                text.extend(positive(kind, alone, random).text.into_bytes());
            }
            4 => text.extend(negative(random).text.into_bytes()),
            5 => text.extend(soup(random)),
            6 => text.extend(
                random
                    .pick(&[
                        "a ",
                        "=",
                        "word, ",
                        "1",
                        "\n",
                        "/",
                        "1 ",
                        "123-45-6789-",
                        "4111 1111 1111 1111 ",
                        "1.2.3.4.",
                        "ssn 1 ",
                        "password=",
                    ])
                    .repeat(random.below(600))
                    .into_bytes(),
            ),
            7 => text.extend(encoded(random)),
            _ => text.extend(key(random).into_bytes()),
        }
        text.extend(random.pick(&["", " ", "\n", ", "]).as_bytes());
    }
    text
}

fn soup(random: &mut Random) -> Vec<u8> {
    let parts = [
        "1",
        "23",
        "4111",
        "-",
        " ",
        ".",
        "@",
        "a.b",
        ":",
        "::",
        "AKIA",
        "password=",
        "eyJ",
        "%31",
        "%",
        "\\u0031",
        "\\u00",
        "\u{200B}",
        "１",
        "ssn ",
        "dob ",
        "phone ",
        "://u:p",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "ghp_",
        "AB",
        "x",
        "(",
        ")",
        "+",
        "\\n",
        "é",
        "token: ",
    ];
    (0..random.below(80)).flat_map(|_| random.pick(&parts).bytes().collect::<Vec<_>>()).collect()
}

fn encoded(random: &mut Random) -> Vec<u8> {
    let mut inner = positive("us_ssn", false, random).text.into_bytes();
    inner.extend(vec![b'x'; random.below(400)]);
    for _ in 0..random.below(4) {
        inner = match random.below(3) {
            0 => base64::engine::general_purpose::STANDARD.encode(&inner).into_bytes(),
            1 => inner.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
            _ => gzip(&inner),
        };
    }
    inner
}

fn key(random: &mut Random) -> String {
    let lines: String =
        (0..random.below(30)).map(|_| format!("{}\n", "MIIEpAIBAAKCAQEA".repeat(4))).collect();
    let end = if random.below(3) == 0 { "" } else { "-----END RSA PRIVATE KEY-----\n" };
    format!("-----BEGIN RSA PRIVATE KEY-----\n{lines}{end}")
}

fn streamed(text: &[u8], random: &mut Random) -> (Vec<u8>, Report) {
    let mut stream = StreamScanner::new(&LENIENT);
    let (mut out, mut all) = (Vec::new(), Report::default());
    let mut take = |decided: aegis_dlp::stream::Decided| {
        assert_eq!(decided.at, out.len());
        let end = out.len() + decided.text.len();
        for finding in &decided.report.findings {
            assert!(
                finding.span.start >= out.len() && finding.span.end <= end,
                "a finding within what comes out"
            );
        }
        out.extend(decided.text);
        all.findings.extend(decided.report.findings);
        all.unread.extend(decided.report.unread);
    };
    let most = *random.pick(&[&1_usize, &7, &100, &2_000]);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(most)));
        take(stream.push(piece));
        rest = after;
    }
    take(stream.finish());
    (out, all)
}

/// What only one of two reports has, and the text around it.
fn difference(text: &[u8], whole: &Report, pieces: &Report) -> String {
    let mut out = String::new();
    for (name, one, other) in [("whole", whole, pieces), ("pieces", pieces, whole)] {
        for finding in one.findings.iter().filter(|it| !other.findings.contains(it)) {
            let around = &text[finding.span.start.saturating_sub(60)..text.len().min(finding.span.end + 60)];
            out += &format!("only {name}: {finding:?} in {:?}\n", String::from_utf8_lossy(around));
        }
        for unread in one.unread.iter().filter(|it| !other.unread.contains(it)) {
            out += &format!("only {name}: {unread:?}\n");
        }
    }
    out
}

#[test]
fn every_cut_gives_the_same_findings() {
    let (tried, mut found) = (cuts(400), 0);
    for seed in 0..tried {
        let mut random = Random(seed);
        let text = text(&mut random);
        let whole = LENIENT.scan(&text);
        let (out, pieces) = streamed(&text, &mut random);
        assert_eq!(out, text, "seed {seed}");
        assert!(pieces == whole, "seed {seed}: {}", difference(&text, &whole, &pieces));
        found += whole.findings.len();
    }
    assert!(found as u64 > tried, "{found} findings in {tried} texts: nothing was there to be cut");
    figure("texts_cut", tried);
    figure("findings_in_cut_texts", found as u64);
}

#[test]
fn long_runs_give_the_same_findings_too() {
    for seed in 0..4 {
        let mut random = Random(seed);
        let line = format!("{} ", positive("us_ssn", false, &mut random).text);
        let mut text = b"data: ".to_vec();
        text.extend(base64::engine::general_purpose::STANDARD.encode(line.repeat(4_000)).into_bytes());
        text.extend(b" and %31%32");
        text.extend("%31 ".repeat(5_000).into_bytes());
        let whole = LENIENT.scan(&text);
        assert!(whole.findings.len() > 1_000);
        let (out, pieces) = streamed(&text, &mut random);
        assert!(out == text && pieces == whole, "seed {seed}");
    }
}

#[test]
fn little_is_held_back_and_nothing_comes_out_unfinished() {
    let mut stream = StreamScanner::new(&LENIENT);
    let mut out = 0;
    for _ in 0..100 {
        out += stream.push("an ordinary sentence with words in it. ".repeat(3).as_bytes()).text.len();
        assert!(stream.held() < 1_100, "{}", stream.held());
    }
    assert!(out > 10_000);
    let text = "SSN 123-45-6789";
    let words = format!("{:?}", finished(text));
    assert!(!words.contains("SSN") && !words.contains("[83,"), "{words}");
    assert_eq!(stream.push(text.as_bytes()).text.len() + stream.held() + out, 100 * 117 + text.len());
}

fn finished(text: &str) -> aegis_dlp::stream::Decided {
    let mut stream = StreamScanner::new(&LENIENT);
    stream.push(text.as_bytes());
    stream.finish()
}
