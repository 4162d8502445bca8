//! What every part of the checker shares: the files, the report, and what was named so far.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Lints;
use super::report::Report;
use crate::ast::{Schema, SourceFile, Span};
use crate::diagnostic::Diagnostic;
use crate::regex_subset::{self, Refused};
use crate::sources::resolve_path;
use crate::yaml::{self, Kind, Node};

/// The checker's context.
#[derive(Debug)]
pub(crate) struct Cx<'f> {
    pub(super) files: &'f [SourceFile],
    pub(super) report: Report,
    pub(super) lints: Lints,
    by_path: HashMap<&'f str, u32>,
    /// Files that a policy names: schemas and custom modules.
    pub(super) named: HashSet<u32>,
    /// Every `mode: shadow`.
    pub(super) shadow: Vec<Span>,
    /// Every name of a detector in a redaction, to be looked up when all detectors are known.
    pub(super) detected: Vec<(String, Span)>,
    /// Custom modules that were checked.
    pub(super) modules: HashSet<u32>,
    /// Schemas that were read from files; `None`: with errors.
    pub(super) schemas: HashMap<u32, Option<Arc<Schema>>>,
    /// Regular expressions that were translated before; generated policies repeat them.
    patterns: HashMap<(String, bool), Result<String, Refused>>,
    /// YAML nodes read so far, over all files.
    pub(super) nodes: usize,
}

impl<'f> Cx<'f> {
    pub(crate) fn new(files: &'f [SourceFile], lints: Lints) -> Self {
        let by_path = files.iter().zip(0..).map(|(file, at)| (file.path.as_str(), at)).collect();
        Self {
            files,
            report: Report::default(),
            lints,
            by_path,
            named: HashSet::new(),
            shadow: Vec::new(),
            detected: Vec::new(),
            modules: HashSet::new(),
            schemas: HashMap::new(),
            patterns: HashMap::new(),
            nodes: 0,
        }
    }

    /// Adds a problem, its span cut to the first line that it touches.
    pub(crate) fn push(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.span = self.first_line(diagnostic.span);
        self.report.push(diagnostic);
    }

    /// The documents of a file.
    pub(crate) fn read(&mut self, file: u32, source: &SourceFile) -> Vec<Node> {
        let (documents, nodes) = yaml::read(file, source, &mut self.report);
        self.nodes += nodes;
        documents
    }

    /// How many errors were reported so far.
    pub(crate) fn error_count(&self) -> usize {
        self.report.error_count()
    }

    /// What was reported.
    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    /// Adds an error with its help.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::error(code, span, message).help(help));
    }

    /// Adds a warning with its help.
    pub(crate) fn warn(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::warning(code, span, message).help(help));
    }

    /// A regular expression in the common subset, for the `whole` text or anywhere in it.
    pub(crate) fn pattern(&mut self, node: &Node, whole: bool) -> Option<String> {
        let Some(text) = node.text() else {
            self.wrong_type(node, "a string");
            return None;
        };
        let key = (text.to_owned(), whole);
        let translate = if whole { regex_subset::translate_whole } else { regex_subset::translate };
        match self.patterns.entry(key).or_insert_with(|| translate(text)).clone() {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let message = format!("this regular expression is refused: {}", why.message);
                self.error("bad-regex", node.span, message, why.help);
                None
            }
        }
    }

    /// Says that `node` should have been `wanted`.
    pub(crate) fn wrong_type(&mut self, node: &Node, wanted: &str) {
        self.wrong_type_help(node, wanted, String::new());
    }

    /// As [`Cx::wrong_type`], with what to write instead. A node that was already reported is left alone.
    pub(crate) fn wrong_type_help(&mut self, node: &Node, wanted: &str, help: String) {
        if matches!(node.kind, Kind::Bad) {
            return;
        }
        let message = format!("expected {wanted}, found {}", node.describe());
        self.push(
            Diagnostic::error("wrong-type", node.span, message).label(format!("not {wanted}")).help(help),
        );
    }

    /// Passes on what was read. Where nothing was, a problem has been reported; should that ever be missing, it is
    /// reported here: a part of a policy never vanishes without a word.
    pub(crate) fn read_or_reported<T>(&mut self, read: Option<T>, span: Span) -> Option<T> {
        if read.is_none() && self.error_count() == 0 {
            let help = "write it in another way";
            self.error("unreadable", span, "this part of the policy could not be understood", help);
        }
        read
    }

    /// The file that `reference`, written in the file of `span`, names.
    pub(super) fn file_named(&mut self, reference: &str, span: Span) -> Option<u32> {
        let from = self.files.get(span.file as usize).map_or("", |file| file.path.as_str());
        let Some(path) = resolve_path(from, reference) else {
            let message = format!("`{reference}` is not a path inside the policy set");
            self.error(
                "bad-file",
                span,
                message,
                "write it relative to this file, with `/`, without leaving the set's folder",
            );
            return None;
        };
        let Some(&file) = self.by_path.get(path.as_str()) else {
            let help = match super::nearest::nearest(&path, self.by_path.keys().copied()) {
                Some(near) => format!("the set has `{near}`; paths are relative to the file that names them"),
                None => "paths are relative to the file that names them".to_owned(),
            };
            self.error("bad-file", span, format!("the policy set has no file `{path}`"), help);
            return None;
        };
        self.named.insert(file);
        Some(file)
    }

    fn first_line(&self, span: Span) -> Span {
        let Some(file) = self.files.get(span.file as usize) else { return span };
        let Some(text) = file.text.get(span.start as usize..span.end as usize) else { return span };
        let length = text.find('\n').map_or(text.len(), |newline| text[..newline].trim_end().len());
        Span { end: span.start + u32::try_from(length).unwrap_or(0), ..span }
    }
}
