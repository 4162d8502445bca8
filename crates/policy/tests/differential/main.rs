//! POL-1: the engine, a stock OPA and a slow interpreter give the same verdict.
//!
//! Random checked sets are judged by three voices: [`Prepared`], the real `opa` that loads the bundle we build
//! (named by `AEGIS_OPA`; without it the other two are compared, and a line says so), and the interpreter of
//! [`reference`](mod@reference), which shares only the checked set's types with the compiler. The engine's and OPA's documents
//! have to be equal as a whole; the interpreter knows everything but the messages.
//!
//! `AEGIS_DIFFERENTIAL_INPUTS` sets the number of inputs, `AEGIS_DIFFERENTIAL_SEED` reruns one set.

mod coverage;
mod generator;
mod hand_written;
mod opa;
mod reference;
mod report;
mod shrink;

use std::path::Path;

use aegis_policy::ast::PolicySet;
use aegis_policy::judge::Verdict;
use aegis_policy::prepared::Prepared;
use aegis_policy::{bundle, input};
use serde_json::Value;

use coverage::Coverage;
use generator::calls::{Asked, call};
use generator::policy::policy;
use generator::pools::Random;
use reference::{Because, Judgement};
use report::{Difference, What};

/// Inputs per set: enough to meet every entry several times.
const INPUTS_PER_SET: usize = 80;
/// Inputs of a full run.
const INPUTS_FULL: usize = 12_000;
/// Inputs of a run without `opa`.
const INPUTS_SMALL: usize = 2_400;
/// Inputs of the run for which the coverage is demanded in full.
const INPUTS_DEMANDED: f64 = 10_000.0;
/// The first set's seed; the others follow.
const FIRST_SEED: u64 = 1;
/// Sets are shared out among so many threads.
const THREADS: usize = 2;

#[test]
fn three_voices_agree() {
    let program = opa::program();
    if program.is_none() {
        eprintln!("opa was not compared: {} does not name it", opa::VARIABLE);
    }
    let default = if program.is_some() { INPUTS_FULL } else { INPUTS_SMALL };
    let inputs: usize = number("AEGIS_DIFFERENTIAL_INPUTS").unwrap_or(default);
    let seeds: Vec<u64> = match number("AEGIS_DIFFERENTIAL_SEED") {
        Some(seed) => vec![seed],
        None => (FIRST_SEED..).take(inputs.div_ceil(INPUTS_PER_SET)).collect(),
    };
    let whole = seeds.len() > 1;
    let mut coverage = Coverage::default();
    let mut differences = Vec::new();
    std::thread::scope(|scope| {
        let work = |first: usize| {
            let (seeds, program) = (&seeds, program.as_deref());
            move || {
                let mut coverage = Coverage::default();
                let seeds = seeds.iter().skip(first).step_by(THREADS);
                let found: Vec<Difference> =
                    seeds.flat_map(|seed| one_set(*seed, program, &mut coverage)).collect();
                (coverage, found)
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(work(first))).collect();
        for thread in threads {
            let (counted, found) = thread.join().expect("a thread ends by itself");
            coverage.merge(counted);
            differences.extend(found);
        }
    });
    eprintln!("{}", coverage.table());
    let smallest = |difference: &Difference| smallest(difference, program.as_deref());
    assert!(differences.is_empty(), "{}", report::text(&differences, &smallest));
    if whole {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let gaps = coverage.gaps(coverage.inputs as f64 / INPUTS_DEMANDED);
        assert!(gaps.is_empty(), "the inputs do not exercise enough:\n{}", gaps.join("\n"));
    }
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Judges the calls of one random set by all voices.
fn one_set(seed: u64, program: Option<&Path>, coverage: &mut Coverage) -> Vec<Difference> {
    let set = policy(seed);
    let prepared = match Prepared::new(&set) {
        Ok(prepared) => prepared,
        Err(problems) => return vec![Difference::refused(seed, &set, &problems)],
    };
    let document = |asked: &Asked| input::document(&asked.question(), prepared.resolved_zones());
    let mut random = Random::new(!seed);
    let calls: Vec<Asked> = (0..INPUTS_PER_SET).map(|_| call(&set, &mut random, &document)).collect();
    for asked in &calls {
        let input = document(asked);
        coverage.record(&set, &input, reference::judge(&set, &input).outcome);
    }
    compare(seed, &set, &prepared, calls, program)
}

/// The calls on which the voices differ.
fn compare(
    seed: u64,
    set: &PolicySet,
    prepared: &Prepared,
    calls: Vec<Asked>,
    program: Option<&Path>,
) -> Vec<Difference> {
    let questions = calls.iter().map(Asked::question);
    let inputs: Vec<Value> =
        questions.map(|question| input::document(&question, prepared.resolved_zones())).collect();
    let verdicts: Vec<[Verdict; 2]> = calls
        .iter()
        .map(|asked| [prepared.judge(&asked.question()), prepared.judge_shadow(&asked.question())])
        .collect();
    let opas = program.map(|program| {
        let bundle = bundle::build(set).expect("what was prepared can be built");
        opa::verdicts(program, &bundle.bytes, &inputs).expect("opa runs")
    });
    let mut opas = opas.map(Vec::into_iter);
    let mut differences = Vec::new();
    for ((asked, input), verdicts) in calls.into_iter().zip(inputs).zip(verdicts) {
        let opa = opas.as_mut().map(|opas| opas.next().expect("an answer for every input"));
        if let Some((one, other)) = difference(set, &input, &verdicts, opa) {
            let (set, asked) = (Box::new(set.clone()), Box::new(asked));
            differences.push(Difference { seed, what: What::Verdicts { set, asked, input, one, other } });
        }
    }
    differences
}

type Voice = (&'static str, String);

/// The first pair of voices that differ.
fn difference(
    set: &PolicySet,
    input: &Value,
    verdicts: &[Verdict; 2],
    opa: Option<opa::Verdicts>,
) -> Option<(Voice, Voice)> {
    let engine = verdicts.each_ref().map(|verdict| serde_json::to_value(verdict).expect("plain JSON"));
    let same =
        |opa: &[Value; 2]| opa.iter().zip(&engine).all(|(opa, engine)| reference::check::same(opa, engine));
    if let Some(opa) = opa
        && !opa.as_ref().is_ok_and(same)
    {
        let opa = opa.map_or_else(|error| error, |opa| shown(&opa));
        return Some((("engine", shown(&engine)), ("opa", opa)));
    }
    if !reference::custom::knows(set) {
        return None;
    }
    let known = verdicts.each_ref().map(without_messages);
    let expected = [reference::judge(set, input), reference::judge_shadow(set, input)];
    let differ = known != expected;
    differ.then(|| (("engine", format!("{known:#?}")), ("reference", format!("{expected:#?}"))))
}

fn shown(verdicts: &[Value; 2]) -> String {
    format!("{:#}\nwith shadow parts: {:#}", verdicts[0], verdicts[1])
}

/// The same difference in the smallest set that shows it.
fn smallest(difference: &Difference, program: Option<&Path>) -> Option<Difference> {
    let What::Verdicts { set, asked, one, other, .. } = &difference.what else { return None };
    let program = program.filter(|_| other.0 == "opa");
    let again = |set: &PolicySet| {
        let prepared = Prepared::new(set).ok()?;
        let found = compare(difference.seed, set, &prepared, vec![(**asked).clone()], program).pop()?;
        let same_voices =
            matches!(&found.what, What::Verdicts { one: a, other: b, .. } if (a.0, b.0) == (one.0, other.0));
        same_voices.then_some(found)
    };
    let small = shrink::shrink(set, &|set| again(set).is_some());
    again(&small)
}

/// What the interpreter can know of a verdict.
fn without_messages(verdict: &Verdict) -> Judgement {
    let because = |reason: &aegis_model::decision::Reason| Because {
        code: reason.code,
        path: reason.path.clone(),
        rule: reason.rule.clone(),
        position: reason.position.clone(),
    };
    Judgement {
        outcome: verdict.outcome,
        reasons: verdict.reasons.iter().map(because).collect(),
        rules: verdict.rules.clone(),
        obligations: verdict.obligations.iter().map(|one| one.document().clone()).collect(),
        unverified: verdict.unverified.clone(),
    }
}
