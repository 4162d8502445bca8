//! Problems of a policy set, shown to people and to programs.

use std::path::Path;

use aegis_policy::ast::SourceFile;
use aegis_policy::diagnostic::{Diagnostic, Severity};
use serde_json::{Value, json};

use crate::output::Output;

/// What was found in one policy set. May be nothing.
#[derive(Debug, Clone)]
pub(crate) struct Problems {
    /// What was looked at.
    place: String,
    /// What could not be read.
    unreadable: Vec<String>,
    /// The files, named so that they can be opened from here.
    files: Vec<SourceFile>,
    diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    more: usize,
}

impl Problems {
    /// Files that could not be read.
    pub(crate) fn unreadable(place: &Path, unreadable: Vec<String>) -> Self {
        let place = place.display().to_string();
        Self { place, unreadable, files: Vec::new(), diagnostics: Vec::new(), more: 0 }
    }

    /// What a check found in `files` of the set at `place`.
    pub(crate) fn found(
        place: &Path,
        files: &[SourceFile],
        diagnostics: Vec<Diagnostic>,
        more: usize,
    ) -> Self {
        let folder = if place.is_file() { place.parent().unwrap_or(place) } else { place };
        let named = |file: &SourceFile| {
            let path = folder.join(&file.path).display().to_string();
            SourceFile { path, text: file.text.clone() }
        };
        let files = files.iter().map(named).collect();
        Self { place: place.display().to_string(), unreadable: Vec::new(), files, diagnostics, more }
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.unreadable.is_empty() && self.diagnostics.is_empty()
    }

    /// Whether the set is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    fn errors(&self) -> usize {
        let errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors.count() + self.unreadable.len()
    }

    /// Prints them, with a last line that sums up; nothing if there are none.
    pub(crate) fn print(&self, output: Output) {
        if self.is_empty() {
            return;
        }
        if output.is_json() {
            return output.problem(self.to_json());
        }
        for unreadable in &self.unreadable {
            output.problem(format!("error: {unreadable}\n"));
        }
        for diagnostic in &self.diagnostics {
            output.problem(format!("{}\n", diagnostic.render(&self.files, output.colors_problems())));
        }
        output.problem(self.summary());
    }

    /// `2 errors and 1 warning in policies`.
    pub(crate) fn summary(&self) -> String {
        let errors = self.errors();
        let warnings = self.diagnostics.len() + self.unreadable.len() - errors;
        let count = |number: usize, what: &str| match number {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{number} {what}s")),
        };
        let found: Vec<String> =
            [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
        let more = if self.more > 0 { format!(" ({} more not shown)", self.more) } else { String::new() };
        format!("{} in {}{more}", found.join(" and "), self.place)
    }

    /// `{place, errors, problems: [{severity, code, message, position, label, help}], more}`.
    pub(crate) fn to_json(&self) -> Value {
        let unreadable = self
            .unreadable
            .iter()
            .map(|message| json!({"severity": "error", "code": "unreadable", "message": message}));
        let diagnostics = self.diagnostics.iter().map(|diagnostic| {
            json!({
                "severity": diagnostic.severity, "code": diagnostic.code, "message": diagnostic.message,
                "position": diagnostic.position(&self.files), "label": diagnostic.label, "help": diagnostic.help,
            })
        });
        let problems: Vec<Value> = unreadable.chain(diagnostics).collect();
        json!({"place": self.place, "errors": self.errors(), "problems": problems, "more": self.more})
    }
}

#[cfg(test)]
mod tests {
    use aegis_policy::ast::Span;

    use super::*;

    #[test]
    fn the_summary_counts_in_words() {
        let span = Span { start: 0, end: 1, line: 1, column: 1, file: 0 };
        let files = [SourceFile { path: "a.yaml".to_owned(), text: "x".into() }];
        let (error, warning) = (Diagnostic::error("e", span, "bad"), Diagnostic::warning("w", span, "odd"));
        let summary = |diagnostics: &[&Diagnostic], more| {
            let diagnostics = diagnostics.iter().map(|&diagnostic| diagnostic.clone()).collect();
            Problems::found(Path::new("set"), &files, diagnostics, more).summary()
        };
        assert_eq!(summary(&[&error], 0), "1 error in set");
        assert_eq!(summary(&[&error, &error, &warning], 0), "2 errors and 1 warning in set");
        assert_eq!(summary(&[&warning], 7), "1 warning in set (7 more not shown)");
    }
}
