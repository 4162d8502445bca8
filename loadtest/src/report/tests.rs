//! The report over made-up samples, so that every figure is known.

use super::*;
use crate::compare::tests::{sample, settings};
use crate::target::Target;

/// A comparison with made-up figures: two rounds at two loads.
pub(crate) fn report() -> Report {
    let mut samples = Vec::new();
    for (load, calls) in [(Load::Rate(2_000), 1_000), (Load::Full, 10_000)] {
        for round in 0..2 {
            samples.push(sample(Target::Echo, load, round, calls, 2));
            samples.push(sample(Target::Decide, load, round, calls, 3 + u64::from(round)));
            samples.push(sample(Target::Opa, load, round, calls / 2, 10));
        }
    }
    let lifetime = Lifetime { name: "echo", shown_seconds: 1.0, charged_seconds: 1.01 };
    let skipped = vec![Skipped { target: Target::Opa, load: Load::Rate(9_000), capacity: 1_000.0 }];
    let lifetimes = vec![lifetime];
    let syncs = vec![Duration::from_micros(700), Duration::from_micros(900), Duration::from_micros(800)];
    let findings = Findings { samples, skipped, lifetimes, syncs, request_bytes: 400, answer_bytes: 300 };
    Report::new(&settings(), &findings)
}

#[test]
fn ratios_are_medians_of_the_rounds_ratios() {
    let report = report();
    let ratio = |target, over, load: &str| {
        let found = report.ratios.iter().find(|it| (it.target, it.over) == (target, over) && it.load == load);
        found.expect("this pair was compared").clone()
    };
    let decide = ratio(Target::Decide, Target::Echo, "2000 calls/s");
    assert_eq!((decide.cpu_rounds.as_slice(), decide.cpu), ([1.5, 2.0].as_slice(), 1.75));
    assert_eq!(decide.throughput, None, "a rate that was given says nothing about what would be possible");
    let opa = ratio(Target::Opa, Target::Echo, "full load");
    assert_eq!((opa.cpu, opa.throughput), (5.0, Some(0.5)));
    assert_eq!(report.ratios.len(), 6, "pairs without a target that was measured are left out");
}

#[test]
fn figures_have_names_that_goals_can_name() {
    let figures = report().figures();
    let value = |name: &str| {
        let found = figures.iter().find(|figure| figure["name"] == name).expect("this figure is there");
        found["value"].as_f64().unwrap()
    };
    assert_eq!(value("decide-over-echo/2000/cpu"), 1.75);
    assert_eq!(value("opa-over-echo/full/throughput"), 0.5);
    assert_eq!(value("echo/2000/cpu"), 20.0);
    assert_eq!(value("fdatasync/p50"), 800.0);
    // Half of the calls take 120 us at the echo, and 180 or 240 at the other.
    assert!((value("decide-over-echo/2000/latency-p50-added") / 90.0 - 1.0).abs() < 0.01);
    assert!((value("echo/2000/latency-p50") / 120.0 - 1.0).abs() < 0.01);
}

#[test]
fn errors_silence_and_miscounted_time_are_faults() {
    let mut report = report();
    assert_eq!(report.faults(), Vec::<String>::new());
    report.rows[1].errors.insert("Unavailable: gone".to_owned(), 3);
    report.rows[2].answered = 0;
    report.lifetimes[0].shown_seconds = 7.0;
    let faults = report.faults().join("\n");
    assert_eq!(
        faults,
        "decide at 2000 calls/s: 3 times Unavailable: gone\nopa at 2000 calls/s: no answer at all\n\
         the CPU time of echo is 7.00 s by one count and 1.01 s by the other"
    );
}

#[test]
fn the_plot_shows_the_same_report_always_alike() {
    insta::assert_snapshot!(svg::render(&report()));
}

#[test]
fn the_text_shows_ratios_latencies_and_outcomes() {
    let mut report = report();
    // Whatever this machine has.
    report.setup.cores = 2;
    insta::assert_snapshot!(text::render(&report));
}

#[test]
fn an_empty_report_is_still_a_plot() {
    let report = Report { rows: Vec::new(), ratios: Vec::new(), ..report() };
    assert!(svg::render(&report).ends_with("</svg>\n"));
}
