//! What scanning costs with every detector, beside a plain `RegexSet` of the same kinds, and what attack strings cost.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aegis_dlp::scanner::{Detectors, Precision, Scanner};
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};

#[path = "../tests/suite/faker.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "tests use more of it, and fail where it fails"
)]
mod faker;

use faker::{KINDS, Random, negative, positive};

const SIZE: usize = 1 << 20;

/// Records with a value in every other line; of values that can be, a quarter in disguise, or none.
fn pii(disguised: bool) -> String {
    let mut random = Random(1);
    let mut text = String::new();
    while text.len() < SIZE {
        let (kind, alone) = KINDS[random.below(KINDS.len())];
        let sample = positive(kind, alone, &mut random);
        if !disguised && sample.form != "plain" {
            continue;
        }
        text.push_str(&sample.text);
        text.push('\n');
        text.push_str(&negative(&mut random).text);
        text.push('\n');
    }
    cut(text)
}

/// What has nothing in it.
fn clean() -> String {
    let mut random = Random(2);
    let mut text = String::new();
    while text.len() < SIZE {
        text.push_str(&negative(&mut random).text);
        text.push_str(
            "; the result of the review was shared with the team before the meeting about the new plan.\n",
        );
    }
    cut(text)
}

/// The sources of this crate, again and again.
fn source() -> String {
    let own = [
        include_str!("../src/pass.rs"),
        include_str!("../src/words.rs"),
        include_str!("../src/stream.rs"),
        include_str!("../src/redact/json.rs"),
        include_str!("../src/views/escapes.rs"),
        include_str!("../src/scanner.rs"),
    ];
    cut(own.concat().repeat(SIZE / 20_000))
}

fn cut(mut text: String) -> String {
    let mut end = SIZE;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// A call's parameters of 1 KiB.
fn params() -> String {
    let mut text = r#"{"customer": {"name": "Jane Doe", "email": "jane.doe@example.com", "phone": "+1 212 555 0123", "ssn": "123-45-6789"}, "amount": 5000, "note": ""#.to_owned();
    while text.len() < 1_020 {
        text.push_str("please review the invoice of 2024-01-31 ");
    }
    text.truncate(1_020);
    text + "\"}"
}

const ATTACKS: &[(&str, &str)] = &[
    ("digits", "1"),
    ("spaced_digits", "1 "),
    ("dotted_digits", "1."),
    ("groups", "4111-"),
    ("ats", "a@a."),
    ("at_signs", "@"),
    ("colons", "a:"),
    ("hex_colons", "1a:2b:"),
    ("passwords", "password="),
    ("tokens", "token: "),
    ("keys", "AKIA"),
    ("jwts", "eyJ"),
    ("pems", "-----BEGIN "),
    ("percents", "%25"),
    ("escapes", "\\u0031"),
    ("base64", "TVRFeE1URXhNVEV4"),
    ("letters", "a"),
    ("wide", "１"),
    ("words", "ssn dob phone card "),
    ("urls", "a://b:c"),
];

/// The patterns of the kinds that a plain engine can tell, as people write them.
const PATTERNS: &[&str] = &[
    r"(?-u)\b\d{3}[- ]\d{2}[- ]\d{4}\b",
    r"(?-u)\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b",
    r"(?-u)\b(?:\d[ -]?){13,16}\b",
    r"(?-u)\b[A-Z]{2}\d{2}[ ]?(?:[A-Z0-9]{4}[ ]?){3,7}[A-Z0-9]{0,3}\b",
    r"(?-u)\b(?:\d{1,3}\.){3}\d{1,3}\b",
    r"(?-u)\b(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{1,4}\b",
    r"(?-u)\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b",
    r"(?-u)(?:\+?1[-. ]?)?\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}\b",
    r"(?-u)(?i:dob|born|birth).{0,20}\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}",
    r"(?-u)(?i:passport).{0,20}[A-Z0-9]{6,9}",
    r"(?-u)\b[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b",
    r#"(?-u)(?i:password|passwd|pwd)\s*[=:]\s*["']?[^\s"']{4,}"#,
    r"(?-u)[a-z]+://[^:/\s]+:[^@/\s]+@",
    r"(?-u)\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"(?-u)\bghp_[A-Za-z0-9]{36}\b",
    r"(?-u)\bsk_live_[A-Za-z0-9]{24,}\b",
    r"(?-u)\bxoxb-[A-Za-z0-9-]{40,}\b",
    r"(?-u)\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"(?-u)-----BEGIN [A-Z ]*PRIVATE KEY-----",
];

fn scan(c: &mut Criterion) {
    let scanner = Scanner::new(Detectors::all(Precision::Lenient)).expect("built in");
    let mut group = c.benchmark_group("scan");
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(300));
    group.throughput(Throughput::Bytes(SIZE as u64));
    let texts = [("pii", pii(false)), ("disguised", pii(true)), ("source", source()), ("clean", clean())];
    for (name, text) in &texts {
        group.bench_function(*name, |b| computed(b, || scanner.scan(black_box(text.as_bytes()))));
    }
    let plain: Vec<_> =
        PATTERNS.iter().map(|it| regex::bytes::Regex::new(it).expect("well formed")).collect();
    let set = regex::bytes::RegexSet::new(PATTERNS).expect("well formed");
    for (name, text) in &texts {
        // A set says which patterns occur in a line; where, only each of those says.
        group.bench_function(format!("regex_set/{name}"), |b| {
            computed(b, || {
                let lines = text.as_bytes().split(|byte| *byte == b'\n');
                let found = |line: &[u8]| -> usize {
                    set.matches(line).iter().map(|at| plain[at].find_iter(line).count()).sum()
                };
                lines.map(found).sum::<usize>()
            });
        });
    }
    for (name, unit) in ATTACKS {
        let text = cut(unit.repeat(SIZE / unit.len() + 1));
        group.bench_function(format!("attack/{name}"), |b| {
            computed(b, || scanner.scan(black_box(text.as_bytes())))
        });
    }

    let params = params();
    group.throughput(Throughput::Bytes(params.len() as u64));
    group.bench_function("params_1kib", |b| computed(b, || scanner.scan(black_box(params.as_bytes()))));
    group.finish();
    tail(&scanner, &params);
}

/// Measures the time that this thread computes: what else the machine does does not count.
fn computed<T>(b: &mut Bencher<'_>, mut once: impl FnMut() -> T) {
    b.iter_custom(|count| {
        let begun = thread_time();
        for _ in 0..count {
            black_box(once());
        }
        thread_time() - begun
    });
}

fn thread_time() -> Duration {
    // The system brings the number up to date when it is asked for another thread, and else only at its ticks.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux machine");
    Duration::from_nanos(text.split(' ').next().and_then(|it| it.parse().ok()).expect("nanoseconds"))
}

/// The slowest percent of scans of parameters.
#[expect(clippy::disallowed_methods, reason = "a bench measures with the clock of the machine")]
#[expect(clippy::print_stdout, reason = "figures are lines of standard output")]
fn tail(scanner: &Scanner, text: &str) {
    let mut times: Vec<u128> = (0..20_000)
        .map(|_| {
            let begun = Instant::now();
            black_box(scanner.scan(black_box(text.as_bytes())));
            begun.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    println!(r#"{{"name": "scan/params_1kib/p99", "value": {p99}, "unit": "ns"}}"#);
}

criterion_group!(benches, scan);
criterion_main!(benches);
