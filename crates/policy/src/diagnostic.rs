//! A problem in the sources, with its place, the offending text underlined, and help.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::ast::{SourceFile, Span};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The set is refused.
    Error,
    /// The set works, but probably not as meant.
    Warning,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable, kebab-case, e.g. `unknown-field`.
    pub code: &'static str,
    /// What is wrong, lower case, names in backticks.
    pub message: String,
    /// Where.
    pub span: Span,
    /// A short text at the underlined place; may be empty.
    pub label: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl Diagnostic {
    /// An error without label and help.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            label: String::new(),
            help: String::new(),
        }
    }

    /// A warning without label and help.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Adds the text at the underlined place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// `file:line:column`.
    pub fn position(&self, files: &[SourceFile]) -> String {
        position(self.span, files)
    }

    /// Renders it for a person, in the manner of rustc.
    pub fn render(&self, files: &[SourceFile], color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut groups = Vec::new();
        match files.get(self.span.file as usize) {
            Some(file) => {
                let end = (self.span.end as usize).min(file.text.len());
                let start = (self.span.start as usize).min(end);
                let annotation = AnnotationKind::Primary.span(start..end).label(self.label.as_str());
                let snippet = Snippet::source(&*file.text).path(file.path.as_str()).annotation(annotation);
                groups.push(title.element(snippet));
            }
            None => groups.push(Group::with_title(title)),
        }
        if !self.help.is_empty() {
            groups.push(Group::with_title(Level::HELP.secondary_title(self.help.as_str())));
        }
        renderer.render(&groups)
    }
}

/// `file:line:column` of a span.
pub fn position(span: Span, files: &[SourceFile]) -> String {
    let path = files.get(span.file as usize).map_or("?", |file| file.path.as_str());
    format!("{path}:{}:{}", span.line, span.column)
}
