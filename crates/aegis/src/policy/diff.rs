//! `aegis policy diff`: what changes for callers from one version to the next.

use std::path::{Path, PathBuf};

use aegis_policy::cases::Case;
use aegis_policy::diff::{self, Answer, Change, Difference};
use clap::Args;

use super::{Loaded, Reading, compile, load, read_tests};
use crate::ended::Ended;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis policy diff policies-old/ policies/

Judges calls at the boundaries of both versions' matchers, and the calls of their tests, under both, and shows
those whose outcome changes. It ends with 0 whether or not there are any.")]
pub(crate) struct Options {
    /// The older policy folder
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The newer policy folder
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

pub(super) fn run(options: &Options, output: Output) -> Ended {
    match difference(options) {
        Ok(difference) => {
            output.result(&difference, || describe(&difference, output));
            Ended::Done
        }
        Err(problems) => {
            problems.print(output);
            Ended::Refused
        }
    }
}

fn difference(options: &Options) -> Reading<Difference> {
    let old = version(&options.old)?;
    let new = version(&options.new)?;
    let cases = old.1.into_iter().chain(new.1).collect();
    Ok(diff::diff(&old.0.set, &new.0.set, cases).expect("both sets were compiled before"))
}

/// A set that compiles, and the calls of its tests.
fn version(path: &Path) -> Reading<(Loaded, Vec<Case>)> {
    let mut loaded = load(path)?;
    compile(path, &loaded.set)?;
    let tests = read_tests(path, std::mem::take(&mut loaded.tests))?;
    Ok((loaded, tests.tests.into_iter().map(|test| test.case).collect()))
}

fn describe(difference: &Difference, output: Output) -> String {
    let mut lines: Vec<String> =
        difference.changes.iter().map(|change| describe_change(change, output)).collect();
    let (changes, judged) = (difference.changes.len(), difference.judged);
    lines.push(format!("{changes} of {judged} calls are answered otherwise"));
    if difference.left_out > 0 {
        lines.push(format!(
            "{} boundary calls were left out: the sets are too large to try them all",
            difference.left_out
        ));
    }
    lines.join("\n")
}

fn describe_change(change: &Change, output: Output) -> String {
    let Change { case, before, after } = change;
    let mut text = output.paint(&format!("{} -> {}", before.outcome, after.outcome), Tone::Strong);
    text.push_str(&format!(": {} calls {} {}", case.agent, case.tool, case.action));
    for (name, object) in [("params", &case.params), ("context", &case.context), ("token", &case.token)] {
        if !object.is_empty() {
            text.push_str(&format!("\n  {name} {}", serde_json::Value::Object(object.clone())));
        }
    }
    if !case.callers.is_empty() {
        let callers: Vec<&str> = case.callers.iter().map(|caller| caller.as_str()).collect();
        text.push_str(&format!("\n  called by {}", callers.join(", called by ")));
    }
    text.push_str(&format!("\n  before: {}\n  after:  {}", codes(before), codes(after)));
    text
}

fn codes(answer: &Answer) -> String {
    let codes: Vec<String> = answer.codes.iter().map(ToString::to_string).collect();
    if codes.is_empty() { answer.outcome.to_string() } else { codes.join(", ") }
}
