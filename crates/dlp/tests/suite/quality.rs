//! Recall and precision per kind, on texts that this project makes itself.
//!
//! `cargo xtask bar dlp-quality` prints the table with more texts.

use std::collections::BTreeMap;

use aegis_dlp::scanner::Scanner;

use crate::faker::{KINDS, Random, Sample, negative, positive};
use crate::support::{LENIENT, STRICT, number};

/// What came of the texts of one kind.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    labelled: u32,
    found: u32,
    /// Bytes of plain values, and how many of them findings cover.
    bytes: usize,
    covered: usize,
    reported: u32,
    right: u32,
}

impl Score {
    fn recall(&self) -> f64 {
        f64::from(self.found) / f64::from(self.labelled.max(1))
    }

    fn precision(&self) -> f64 {
        if self.reported == 0 { 1.0 } else { f64::from(self.right) / f64::from(self.reported) }
    }

    fn coverage(&self) -> f64 {
        if self.bytes == 0 { 1.0 } else { self.covered as f64 / self.bytes as f64 }
    }
}

fn score(scanner: &Scanner, samples: &[Sample]) -> BTreeMap<String, Score> {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for sample in samples {
        let findings = scanner.scan(sample.text.as_bytes()).findings;
        if let Some((kind, range)) = &sample.label {
            let score = scores.entry((*kind).to_owned()).or_default();
            score.labelled += 1;
            let meets =
                |it: &&aegis_dlp::finding::Finding| it.span.start < range.end && range.start < it.span.end;
            let same = findings.iter().filter(meets).any(|it| it.kind.name() == *kind);
            score.found += u32::from(same);
            if sample.form == "plain" {
                score.bytes += range.len();
                score.covered += range
                    .clone()
                    .filter(|at| findings.iter().any(|it| it.span.start <= *at && *at < it.span.end))
                    .count();
            }
        }
        for finding in &findings {
            let score = scores.entry(finding.kind.name().to_owned()).or_default();
            score.reported += 1;
            let right = sample.label.as_ref().is_some_and(|(kind, range)| {
                *kind == finding.kind.name()
                    && finding.span.start < range.end
                    && range.start < finding.span.end
            });
            score.right += u32::from(right);
        }
    }
    scores
}

fn samples(count: u64, seed: u64) -> Vec<Sample> {
    let mut random = Random(seed);
    let mut samples = Vec::new();
    for _ in 0..count {
        for (kind, alone) in KINDS {
            samples.push(positive(kind, *alone, &mut random));
        }
        samples.extend((0..KINDS.len()).map(|_| negative(&mut random)));
    }
    samples
}

/// What must be reached: recall, and precision for all.
fn floor(kind: &str) -> f64 {
    match kind {
        "us_ssn" | "email" | "payment_card" | "iban" | "ipv4" | "ipv6" | "mac_address" => 0.99,
        "phone" | "date_of_birth" => 0.97,
        _ => 0.95,
    }
}

#[test]
fn recall_and_precision_have_floors() {
    let count = number("AEGIS_DLP_SAMPLES", 60);
    let samples = samples(count, 17);
    let mut wrong = Vec::new();
    // Behind what the harness has begun to write.
    println!();
    for (mode, scanner) in [("lenient", &*LENIENT), ("strict", &*STRICT)] {
        let scores = score(scanner, &samples);
        for (kind, _) in KINDS {
            let score = scores[*kind];
            for (name, value) in
                [("recall", score.recall()), ("precision", score.precision()), ("coverage", score.coverage())]
            {
                println!(
                    r#"{{"name": "dlp-quality/{mode}/{kind}/{name}", "value": {value:.4}, "unit": "ratio"}}"#
                );
            }
            if mode == "lenient"
                && (score.recall() < floor(kind)
                    || score.precision() < 0.95
                    || score.coverage() < floor(kind))
            {
                wrong.push(format!("{kind}: {score:?}"));
            }
        }
        let others: Vec<_> =
            scores.iter().filter(|(_, score)| score.labelled == 0 && score.reported > 0).collect();
        let reported: u32 = others.iter().map(|(_, score)| score.reported).sum();
        println!(
            r#"{{"name": "dlp-quality/{mode}/false_findings_of_other_kinds", "value": {reported}, "unit": "findings"}}"#
        );
        if reported as usize * 50 > samples.len() {
            wrong.push(format!("{mode}: {others:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
