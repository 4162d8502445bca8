//! What a comparison found, condensed: one row per target and load, and ratios; as text, JSON, figures and a plot.

pub mod svg;
pub mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::compare::{Findings, Load, Sample, Settings, Skipped, by_target};
use crate::servers::Lifetime;
use crate::stats::median;
use crate::tally::Tally;
use crate::target::Target;

/// A comparison as it is written to JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How it was made.
    pub setup: Setup,
    /// One row per target and load.
    pub rows: Vec<Row>,
    /// Each target against those that it is compared with.
    pub ratios: Vec<Ratio>,
    /// Who was not asked at which rate, and why, in sentences.
    pub skipped: Vec<String>,
    /// Every server's CPU time, counted in two ways.
    pub lifetimes: Vec<Lifetime>,
    /// What a bare append and `fdatasync` takes on the disk of the servers, in microseconds: the median. Only where what is recorded
    /// is compared with what is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_us: Option<f64>,
}

/// How a comparison was made.
#[derive(Debug, Clone, Serialize)]
pub struct Setup {
    /// Threads of the machine, which generator and server share.
    pub cores: usize,
    /// How often each target had its turn.
    pub rounds: u32,
    /// The measured part of a turn, in seconds.
    pub seconds: f64,
    /// The unmeasured beginning of a turn, in seconds.
    pub warm_up_seconds: f64,
    /// Connections per server.
    pub connections: usize,
    /// Calls on their way per connection at full load.
    pub in_flight: Option<usize>,
    /// Mean bytes of a gRPC request, without headers.
    pub request_bytes: usize,
    /// Mean bytes of a gRPC answer, without headers.
    pub answer_bytes: usize,
}

/// One target at one load, all rounds together.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who was asked.
    pub target: Target,
    /// How, e.g. `2000 calls/s`.
    pub load: String,
    /// How many calls were answered.
    pub answered: u64,
    /// Answers per second: the median of the rounds.
    pub per_second: f64,
    /// From the moment a call was due to its answer, all rounds together.
    pub latency: Latency,
    /// How late the generator itself handed calls over, at the 99th percentile, in microseconds; the worst round.
    pub late_us_p99: f64,
    /// The server's CPU time per answered call, in microseconds: the median of the rounds.
    pub cpu_us: f64,
    /// The part of it in the server's own code; the rest is the kernel's.
    pub cpu_us_user: f64,
    /// The same per round.
    pub cpu_us_rounds: Vec<f64>,
    /// How often each outcome was answered.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of the calls.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// One target against another, at one load.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    /// Whose figure is divided.
    pub target: Target,
    /// By whose.
    pub over: Target,
    /// At which load.
    pub load: String,
    /// CPU time per call: the median of the ratios of the rounds.
    pub cpu: f64,
    /// The same per round.
    pub cpu_rounds: Vec<f64>,
    /// How much longer half of the calls take, in microseconds: the median of the differences of the rounds.
    pub added_p50_us: f64,
    /// Answers per second, at full load only: the median of the ratios of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<f64>,
}

/// Which targets are set against which.
const PAIRS: &[(Target, Target)] = &[
    (Target::Decide, Target::Echo),
    (Target::DecideId, Target::Echo),
    (Target::Stream, Target::Echo),
    (Target::Http, Target::Echo),
    (Target::Opa, Target::Echo),
    (Target::Opa, Target::Decide),
    (Target::Opa, Target::Http),
    (Target::Limited, Target::Fed),
    (Target::Decide, Target::Unrecorded),
];

impl Report {
    /// Condenses what was found.
    pub fn new(settings: &Settings, findings: &Findings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let setup = Setup {
            cores,
            rounds: settings.rounds,
            seconds: settings.measured.as_secs_f64(),
            warm_up_seconds: settings.warm_up.as_secs_f64(),
            connections: settings.connections,
            in_flight: settings.capacity,
            request_bytes: findings.request_bytes,
            answer_bytes: findings.answer_bytes,
        };
        let mut loads: Vec<Load> = findings.samples.iter().map(|sample| sample.load).collect();
        loads.sort_unstable();
        loads.dedup();
        let (mut rows, mut ratios) = (Vec::new(), Vec::new());
        for load in loads {
            let targets = by_target(&findings.samples, load);
            rows.extend(targets.iter().map(|(target, samples)| Row::new(*target, load, samples)));
            ratios.extend(PAIRS.iter().filter_map(|(target, over)| {
                Some(Ratio::new((*target, targets.get(target)?), (*over, targets.get(over)?), load))
            }));
        }
        let skipped = findings.skipped.iter().map(sentence).collect();
        let sync_us = median(findings.syncs.iter().map(|sync| micros(*sync)));
        Self { setup, rows, ratios, skipped, lifetimes: findings.lifetimes.clone(), sync_us }
    }

    /// What makes the figures worthless, in sentences; none if they stand.
    pub fn faults(&self) -> Vec<String> {
        let errors = self.rows.iter().flat_map(|row| {
            let of = format!("{} at {}", row.target.name(), row.load);
            row.errors.iter().map(move |(error, count)| format!("{of}: {count} times {error}"))
        });
        let silent = self.rows.iter().filter(|row| row.answered == 0);
        let silent = silent.map(|row| format!("{} at {}: no answer at all", row.target.name(), row.load));
        let apart = self.lifetimes.iter().filter(|lifetime| !lifetime.agrees()).map(|lifetime| {
            let Lifetime { name, shown_seconds, charged_seconds } = lifetime;
            format!("the CPU time of {name} is {shown_seconds:.2} s by one count and {charged_seconds:.2} s by the other")
        });
        errors.chain(silent).chain(apart).collect()
    }

    /// Single numbers, one JSON object each, as `cargo xtask bar` gathers them.
    pub fn figures(&self) -> Vec<Value> {
        let figure =
            |name: String, value: f64, unit: &str| json!({"name": name, "value": value, "unit": unit});
        let rows = self.rows.iter().flat_map(|row| {
            let name = |what: &str| format!("{}/{}/{what}", row.target.name(), slug(&row.load));
            [
                figure(name("cpu"), row.cpu_us, "us"),
                figure(name("throughput"), row.per_second, "calls/s"),
                figure(name("latency-p50"), row.latency.p50, "us"),
                figure(name("latency-p99"), row.latency.p99, "us"),
            ]
        });
        let ratios = self.ratios.iter().flat_map(|ratio| {
            let pair = format!("{}-over-{}/{}", ratio.target.name(), ratio.over.name(), slug(&ratio.load));
            let cpu = figure(format!("{pair}/cpu"), ratio.cpu, "ratio");
            let throughput = ratio.throughput.map(|it| figure(format!("{pair}/throughput"), it, "ratio"));
            let added = figure(format!("{pair}/latency-p50-added"), ratio.added_p50_us, "us");
            [Some(cpu), throughput, Some(added)].into_iter().flatten()
        });
        let sync = self.sync_us.map(|sync| figure("fdatasync/p50".to_owned(), sync, "us"));
        rows.chain(ratios).chain(sync).collect()
    }
}

fn sentence(skipped: &Skipped) -> String {
    let Skipped { target, load, capacity } = skipped;
    format!("{} was not asked at {load}: it answers {capacity:.0} calls/s at full load", target.name())
}

/// `2000 calls/s` as `2000`, `full load` as `full`.
fn slug(load: &str) -> &str {
    load.split(' ').next().unwrap_or(load)
}

impl Row {
    fn new(target: Target, load: Load, samples: &[&Sample]) -> Self {
        let mut tally = Tally::default();
        samples.iter().for_each(|sample| tally.add(&sample.tally));
        let middle = |of: &dyn Fn(&Sample) -> f64| median(samples.iter().map(|sample| of(sample)));
        let late = samples.iter().map(|sample| sample.late_p99).max().unwrap_or_default();
        Self {
            target,
            load: load.to_string(),
            answered: tally.count(),
            per_second: middle(&Sample::per_second).unwrap_or_default(),
            latency: Latency::of(&tally),
            late_us_p99: micros(late),
            cpu_us: middle(&Sample::cpu_us).unwrap_or_default(),
            cpu_us_user: middle(&|sample| sample.cpu.user_us_per(sample.tally.count())).unwrap_or_default(),
            cpu_us_rounds: samples.iter().map(|sample| sample.cpu_us()).collect(),
            outcomes: tally.outcomes().clone(),
            errors: tally.errors().clone(),
        }
    }
}

impl Latency {
    fn of(tally: &Tally) -> Self {
        let at = |percent| micros(tally.latency(percent));
        Self { p50: at(50.0), p90: at(90.0), p99: at(99.0), p999: at(99.9), max: at(100.0) }
    }

    /// The names and values of the percentiles, in order.
    pub fn steps(&self) -> [(&'static str, f64); 5] {
        [("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("p99.9", self.p999), ("max", self.max)]
    }
}

impl Ratio {
    fn new((target, of): (Target, &Vec<&Sample>), (over, by): (Target, &Vec<&Sample>), load: Load) -> Self {
        let each = |figure: fn(&Sample) -> f64| -> Vec<f64> {
            of.iter().zip(by).map(|(one, other)| figure(one) / figure(other)).collect()
        };
        let cpu_rounds = each(Sample::cpu_us);
        let p50 = |sample: &Sample| micros(sample.tally.latency(50.0));
        let added = of.iter().zip(by).map(|(one, other)| p50(one) - p50(other));
        let throughput = (load == Load::Full).then(|| median(each(Sample::per_second)));
        Self {
            target,
            over,
            load: load.to_string(),
            cpu: median(cpu_rounds.iter().copied()).unwrap_or_default(),
            cpu_rounds,
            added_p50_us: median(added).unwrap_or_default(),
            throughput: throughput.flatten(),
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
pub(crate) mod tests;
