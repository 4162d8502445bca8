//! Custom Rego: what `policy.md` cannot say, as a module with the sets `deny` and `approval`.
//!
//! A tenant's module is hostile until it was checked. [`module`] bounds it, parses it, refuses what is not in the
//! subset that every engine evaluates alike, and gives two texts: the author's, for a stock OPA, and a lowered
//! one, for the virtual machine of this process. `docs/custom-rego.md` is the author's page.

mod graph;
pub mod host;
mod lower;
mod parse;
mod scan;
mod shape;
mod signatures;

use aegis_model::caps::{REGO_BYTES_MAX, REGO_INSTRUCTIONS_MAX};

pub use signatures::BUILTINS;

use crate::ast::{SourceFile, Span};
use crate::diagnostic::Diagnostic;
use crate::program::Program;
use crate::sources::TextIndex;
use graph::{Kind, Rules};

/// A checked custom module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its name within the set, e.g. `m_0`; the last part of its package.
    pub name: String,
    /// The author's text for a stock OPA: the package is `aegis.custom.NAME`, regular expressions are spelled out,
    /// and every line stands where it stood.
    pub rego: String,
    /// The module for the virtual machine of this process, in the same package, with [`BUILTINS`] as host
    /// functions. The author's text must not be run there: the machine overlooks errors that OPA reports.
    pub machine: String,
    /// The regular expressions of `machine`.
    pub patterns: Vec<String>,
    /// Whether it has the set `deny`.
    pub denies: bool,
    /// Whether it has the set `approval`.
    pub approves: bool,
}

/// Checks the module in `file` (number `file_index` of the set), which the field at `field` names, and gives it the
/// name `name`.
///
/// # Errors
/// Every problem that was found, with its place. Syntax errors hide those behind them.
pub fn module(
    name: &str,
    file: &SourceFile,
    file_index: u32,
    field: Span,
) -> Result<Module, Vec<Diagnostic>> {
    if file.text.len() > REGO_BYTES_MAX {
        let message = format!("`{}` has {} bytes; at most {REGO_BYTES_MAX} fit", file.path, file.text.len());
        return Err(vec![
            Diagnostic::error("rego-too-large", field, message).help("split it over several documents"),
        ]);
    }
    let index = TextIndex::new(file_index, &file.text);
    scan::scan(&index).map_err(|problem| vec![problem])?;
    let parsed = parse::parse(&index)?;
    let rules = graph::rules(&parsed, &index)?;
    let (denies, approves) = entries(&rules, &parsed, &index)?;
    let order = graph::order(&rules, &index)?;
    let lowered = lower::lower(&rules, &order, &index)?;
    let package = format!("{}.{name}", parse::PACKAGE);
    let machine = format!("package {package}\n\n{}\n", lowered.rules);
    compiles(&package, &machine, denies, approves, field)?;
    let mut edits = lowered.edits;
    edits.push((parse::package_name(&parsed), package));
    let (name, rego, patterns) = (name.to_owned(), edited(&file.text, edits), lowered.patterns);
    Ok(Module { name, rego, machine, patterns, denies, approves })
}

/// Which of the two sets there are.
fn entries(
    rules: &Rules<'_>,
    parsed: &regorus::unstable::Module,
    index: &TextIndex<'_>,
) -> Result<(bool, bool), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut has = |name: &str| {
        let Some(set) = rules.get(name) else { return false };
        if set.kind != Kind::Set {
            let message = format!("`{name}` is a set of reasons");
            let help = format!("write `{name} contains \"reason\" if {{ … }}`");
            problems.push(Diagnostic::error("rego-entry", parse::span(set.name, index), message).help(help));
        }
        true
    };
    let found = (has("deny"), has("approval"));
    if found == (false, false) {
        let at = parse::span(&parsed.package.span, index);
        let help = "write `deny contains \"reason\" if { … }`, or the same with `approval`";
        problems.push(
            Diagnostic::error("rego-entry", at, "the module has neither `deny` nor `approval`").help(help),
        );
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Compiles the lowered module once, so that what is too large for the machine shows at check.
fn compiles(
    package: &str,
    machine: &str,
    denies: bool,
    approves: bool,
    field: Span,
) -> Result<(), Vec<Diagnostic>> {
    let too_large = |reason: &str| {
        let message = format!("the module is too large to evaluate: {reason}");
        vec![
            Diagnostic::error("rego-too-large", field, message)
                .help("split its largest rules into smaller ones"),
        ]
    };
    if instructions(machine) > REGO_INSTRUCTIONS_MAX {
        return Err(too_large("it has too many statements"));
    }
    let points: Vec<&str> = [("deny", denies), ("approval", approves)]
        .into_iter()
        .filter_map(|(name, present)| present.then_some(name))
        .collect();
    Program::build(package, machine, &points, BUILTINS, &[]).map(drop).map_err(|error| {
        let reason = error.to_string();
        too_large(reason.lines().last().unwrap_or_default().trim_start_matches("error: "))
    })
}

/// No less than the instructions of a lowered module: a call has up to ten, with those that load its arguments; an
/// index, a loop and a comprehension have up to four.
fn instructions(machine: &str) -> usize {
    machine
        .bytes()
        .map(|byte| match byte {
            b'(' => 12,
            b'[' | b'{' | b'\n' => 4,
            _ => 0,
        })
        .sum()
}

/// The text with its parts replaced.
fn edited(text: &str, mut edits: Vec<(std::ops::Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut result = text.to_owned();
    for (range, replacement) in edits.into_iter().rev() {
        result.replace_range(range, &replacement);
    }
    result
}
