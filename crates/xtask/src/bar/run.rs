//! Runs a bar's commands and gathers their figures.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use serde::Serialize;

use super::{Bar, Figure, Goal, Step, criterion};
use crate::machine::Machine;

/// A bar's whole result, as it is written to JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// The bar's name.
    pub bar: String,
    /// What it asks.
    pub question: String,
    /// Where and when.
    pub machine: Machine,
    /// One entry per command.
    pub runs: Vec<Run>,
    /// One entry per goal.
    pub goals: Vec<Verdict>,
}

/// What one command gave.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The command as it was run.
    pub command: String,
    /// How long it took, in seconds, building included.
    pub seconds: f64,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// JSON lines that are no figures, kept as they are.
    pub other: Vec<serde_json::Value>,
}

/// Whether a goal was met.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The figure it speaks of.
    pub figure: String,
    /// The bound, as text.
    pub goal: String,
    /// The measured value; absent when no command gave that figure, and then the goal is not met.
    pub value: Option<f64>,
    /// Whether the value is on the right side.
    pub met: bool,
}

/// Runs every command of `bar` in turn and judges its goals.
///
/// # Errors
/// When a command cannot be started or fails.
pub fn run(bar: &Bar, root: &Path) -> anyhow::Result<Measurement> {
    let machine = Machine::here(root);
    let runs = bar.commands.iter().map(|step| run_step(step, root)).collect::<anyhow::Result<Vec<_>>>()?;
    let goals = judge(bar, &runs);
    Ok(Measurement { bar: bar.name.to_owned(), question: bar.question.to_owned(), machine, runs, goals })
}

fn run_step(step: &Step, root: &Path) -> anyhow::Result<Run> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement is stamped with real time; nothing decides on it"
    )]
    let (started, begun) = (Instant::now(), SystemTime::now());
    let mut parts = step.line.split(' ');
    let program = parts.next().unwrap_or_default();
    let mut child = Command::new(program)
        .args(parts)
        .envs(step.variables.iter().copied())
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", step.line))?;

    let output = child.stdout.take().context("the command has no standard output")?;
    let (mut figures, mut other) = (Vec::new(), Vec::new());
    for line in BufReader::new(output).lines() {
        match read_line(&line?) {
            Some(Line::Figures(more)) => figures.extend(more),
            Some(Line::Other(value)) => other.push(value),
            None => {}
        }
    }
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "`{}` failed: {status}", step.line);
    figures.extend(criterion::figures_since(&root.join("target/criterion"), begun)?);

    let seconds = started.elapsed().as_secs_f64();
    Ok(Run { command: step.line.to_owned(), seconds, figures, other })
}

/// A line of a command's output that is a JSON object.
enum Line {
    Figures(Vec<Figure>),
    Other(serde_json::Value),
}

fn read_line(line: &str) -> Option<Line> {
    let value: serde_json::Value = serde_json::from_str(line.trim()).ok()?;
    let members = value.as_object()?;
    let text = |name: &str| members.get(name)?.as_str().map(str::to_owned);
    if let (Some(name), Some(unit), Some(value)) = (text("name"), text("unit"), members.get("value")) {
        return Some(Line::Figures(vec![Figure { name, value: value.as_f64()?, unit }]));
    }
    let Some(bench) = text("bench") else { return Some(Line::Other(value)) };
    let numbers = members.iter().filter_map(|(name, value)| Some((name, value.as_f64()?)));
    let figure = |(name, value)| Figure { name: format!("{bench}/{name}"), value, unit: String::new() };
    Some(Line::Figures(numbers.map(figure).collect()))
}

fn judge(bar: &Bar, runs: &[Run]) -> Vec<Verdict> {
    let value = |name: &str| {
        let figures = runs.iter().flat_map(|run| &run.figures);
        figures.into_iter().find(|figure| figure.name == name).map(|figure| figure.value)
    };
    let verdict = |goal: &Goal| {
        let (figure, value) = match goal.over {
            None => (goal.figure.to_owned(), value(goal.figure)),
            Some(over) => {
                let ratio = value(goal.figure).zip(value(over)).map(|(value, over)| value / over);
                (format!("{} / {over}", goal.figure), ratio)
            }
        };
        let met = value.is_some_and(|value| goal.bound.holds(value));
        Verdict { figure, goal: goal.bound.to_string(), value, met }
    };
    bar.goals.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::Bound;

    const BAR: Bar = Bar {
        name: "echo",
        question: "What does echo say?",
        commands: &[
            Step { line: r#"echo {"name":"a","value":2,"unit":"ns"}"#, variables: &[("AEGIS_UNUSED", "1")] },
            Step { line: r#"echo {"bench":"b","agents":8,"note":"text"}"#, variables: &[] },
        ],
        goals: &[
            Goal { figure: "a", over: None, bound: Bound::AtMost(2.0) },
            Goal { figure: "a", over: None, bound: Bound::AtLeast(3.0) },
            Goal { figure: "absent", over: None, bound: Bound::AtMost(1.0) },
            Goal { figure: "b/agents", over: Some("a"), bound: Bound::AtLeast(4.0) },
            Goal { figure: "b/agents", over: Some("absent"), bound: Bound::AtLeast(0.0) },
        ],
    };

    #[test]
    fn figures_of_standard_output_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let measured = run(&BAR, folder.path()).unwrap();
        let expected = Figure { name: "a".into(), value: 2.0, unit: "ns".into() };
        assert_eq!(measured.runs[0].figures, [expected]);
        let met: Vec<bool> = measured.goals.iter().map(|goal| goal.met).collect();
        assert_eq!(met, [true, false, false, true, false], "what was not measured is not met");
        assert_eq!(measured.goals[3].figure, "b/agents / a");
    }

    #[test]
    fn a_failing_command_fails_the_bar() {
        let step = Step { line: "false", variables: &[] };
        let folder = tempfile::tempdir().unwrap();
        assert!(run_step(&step, folder.path()).unwrap_err().to_string().contains("`false` failed"));
    }

    #[test]
    fn other_json_is_kept_and_prose_is_not() {
        assert!(matches!(read_line(r#"{"histogram": [1, 2]}"#), Some(Line::Other(_))));
        assert!(read_line("12").is_none() && read_line("running 3 tests").is_none());
    }
}
