//! Scanners that tests share, and what they found in words.

use std::sync::LazyLock;

use aegis_dlp::scanner::{Detectors, Precision, Scanner};

/// Every built-in kind, lenient.
pub(crate) static LENIENT: LazyLock<Scanner> =
    LazyLock::new(|| Scanner::new(Detectors::all(Precision::Lenient)).unwrap());

/// Every built-in kind, strict.
pub(crate) static STRICT: LazyLock<Scanner> =
    LazyLock::new(|| Scanner::new(Detectors::all(Precision::Strict)).unwrap());

/// Kinds and values that were found.
pub(crate) fn found(scanner: &Scanner, text: &str) -> Vec<(String, String)> {
    let value = |finding: &aegis_dlp::finding::Finding| {
        String::from_utf8_lossy(&text.as_bytes()[finding.span.start..finding.span.end]).into_owned()
    };
    let report = scanner.scan(text.as_bytes());
    report.findings.iter().map(|it| (scanner.name(it.kind).to_owned(), value(it))).collect()
}

/// Fails unless exactly the parts in `«»` are found, as this kind.
pub(crate) fn check(scanner: &Scanner, kind: &str, marked: &str) {
    assert_eq!(problem(scanner, kind, marked), None);
}

/// What is wrong, unless exactly the parts in `«»` are found, as this kind.
pub(crate) fn problem(scanner: &Scanner, kind: &str, marked: &str) -> Option<String> {
    let text: String = marked.chars().filter(|it| !matches!(it, '«' | '»')).collect();
    let wanted: Vec<(String, String)> = marked
        .split('«')
        .skip(1)
        .map(|it| (kind.to_owned(), it.split('»').next().unwrap().to_owned()))
        .collect();
    let found = found(scanner, &text);
    (found != wanted).then(|| format!("`{text}` gave {found:?} and not {wanted:?}"))
}

/// How many cases to try: what the variable says, else the sample.
pub(crate) fn number(variable: &str, sample: u64) -> u64 {
    std::env::var(variable).ok().and_then(|it| it.parse().ok()).unwrap_or(sample)
}

/// How many cuts to try.
pub(crate) fn cuts(sample: u64) -> u64 {
    number("AEGIS_DLP_CUTS", sample)
}

/// Prints a figure of the bar `dlp-cuts`.
#[expect(clippy::print_stdout, reason = "the bar reads it")]
pub(crate) fn figure(name: &str, value: u64) {
    println!(r#"{{"name": "dlp-cuts/{name}", "value": {value}, "unit": "count"}}"#);
}

/// Packed.
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}
