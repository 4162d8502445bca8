//! What was found in the sources of a version, as data: for the API, the command line and the console alike.

use aegis_model::caps;
use aegis_policy::ast::SourceFile;
use aegis_policy::diagnostic::{Diagnostic, Severity};
use serde::Serialize;

/// Everything that was found, in the order of the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// At most [`caps::DIAGNOSTICS_MAX`].
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
}

/// One problem, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// An error refuses the version, a warning does not.
    pub severity: Severity,
    /// Stable, e.g. `unknown-field`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The file, by its path in the set. Empty: the set as a whole.
    pub file: String,
    /// From 1; 0 where there is no place.
    pub line: u32,
    /// In characters, from 1; 0 where there is no place.
    pub column: u32,
    /// A short text at the place; may be empty.
    pub label: String,
    /// What to do about it; may be empty.
    pub help: String,
    /// All of this with the line of the source, drawn for people.
    pub excerpt: String,
}

impl Report {
    /// What `diagnostics` say about `files`, and that there are `more`.
    pub fn of(diagnostics: &[Diagnostic], files: &[SourceFile], more: usize) -> Self {
        let left_out = diagnostics.len().saturating_sub(caps::DIAGNOSTICS_MAX);
        let shown = diagnostics.iter().take(caps::DIAGNOSTICS_MAX);
        Self { findings: shown.map(|one| Finding::of(one, files)).collect(), more: more + left_out }
    }

    /// How many errors are among the findings.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

impl Finding {
    fn of(diagnostic: &Diagnostic, files: &[SourceFile]) -> Self {
        let file = files.get(diagnostic.span.file as usize);
        let placed = |number: u32| if file.is_some() { number } else { 0 };
        Self {
            severity: diagnostic.severity,
            code: diagnostic.code,
            message: diagnostic.message.clone(),
            file: file.map(|file| file.path.clone()).unwrap_or_default(),
            line: placed(diagnostic.span.line),
            column: placed(diagnostic.span.column),
            label: diagnostic.label.clone(),
            help: diagnostic.help.clone(),
            excerpt: cut(diagnostic.render(files, false)),
        }
    }
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(caps::EXCERPT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
