//! Runs a bar's commands and gathers their figures.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use serde::Serialize;

use super::{Bar, Figure, Step, criterion};
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
            Some(Line::Figure(figure)) => figures.push(figure),
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
    Figure(Figure),
    Other(serde_json::Value),
}

fn read_line(line: &str) -> Option<Line> {
    let value: serde_json::Value = serde_json::from_str(line.trim()).ok()?;
    let members = value.as_object()?;
    let figure = || {
        let name = members.get("name")?.as_str()?.to_owned();
        let unit = members.get("unit")?.as_str()?.to_owned();
        Some(Figure { name, value: members.get("value")?.as_f64()?, unit })
    };
    Some(figure().map_or_else(|| Line::Other(value.clone()), Line::Figure))
}

fn judge(bar: &Bar, runs: &[Run]) -> Vec<Verdict> {
    let figure = |name: &str| runs.iter().flat_map(|run| &run.figures).find(|figure| figure.name == name);
    let verdict = |goal: &super::Goal| {
        let value = figure(goal.figure).map(|figure| figure.value);
        let met = value.is_some_and(|value| goal.bound.holds(value));
        Verdict { figure: goal.figure.to_owned(), goal: goal.bound.to_string(), value, met }
    };
    bar.goals.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::{Bound, Goal};

    const BAR: Bar = Bar {
        name: "echo",
        question: "What does echo say?",
        commands: &[Step {
            line: r#"echo {"name":"a","value":2,"unit":"ns"}"#,
            variables: &[("AEGIS_UNUSED", "1")],
        }],
        goals: &[
            Goal { figure: "a", bound: Bound::AtMost(2.0) },
            Goal { figure: "a", bound: Bound::AtLeast(3.0) },
            Goal { figure: "absent", bound: Bound::AtMost(1.0) },
        ],
    };

    #[test]
    fn figures_of_standard_output_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let measured = run(&BAR, folder.path()).unwrap();
        let expected = Figure { name: "a".into(), value: 2.0, unit: "ns".into() };
        assert_eq!(measured.runs[0].figures, [expected]);
        assert_eq!(measured.goals.iter().map(|goal| goal.met).collect::<Vec<_>>(), [true, false, false]);
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
