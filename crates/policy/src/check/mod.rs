//! From source files to the checked set: every problem at once, each with its place and help.

mod approval;
mod conditions;
mod cx;
mod detectors;
mod document;
mod egress;
mod entry;
pub(crate) mod fields;
mod limits;
mod lints;
mod literals;
mod matchers;
mod nearest;
pub(crate) mod paths;
mod redact;
pub(crate) mod report;
mod schema_file;
mod time;
pub(crate) mod values;

use aegis_model::caps::{POLICY_FILES_MAX, POLICY_NODES_MAX_SET, POLICY_SET_BYTES_MAX};

use crate::ast::{PolicySet, SourceFile, Span};
use crate::diagnostic::{Diagnostic, Severity};
use crate::sources::FileKind;
use crate::yaml::{Kind, Node};
use document::Draft;

pub(crate) use cx::Cx;
pub(crate) use matchers::JSON_TYPES;

/// The nearest of the `known` names, if one is near enough to be meant.
pub(crate) fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest::nearest(unknown, known.iter().copied())
}

/// The result of a check.
#[derive(Debug)]
pub struct Checked {
    /// The set; `None` if there is any error.
    pub set: Option<PolicySet>,
    /// The files of a policy (no tests, no other files), sorted by path; spans point into them.
    pub files: Vec<SourceFile>,
    /// What was found, in the order of the sources; at most [`aegis_model::caps::DIAGNOSTICS_MAX`].
    pub diagnostics: Vec<Diagnostic>,
    /// How many more were found.
    pub more: usize,
}

impl Checked {
    /// Whether the set is refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Which warnings are given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lints {
    /// Limits are enforced, so that an agent without any is worth a warning.
    pub limits_enforced: bool,
}

/// Checks the files of a policy set.
pub fn check(files: Vec<SourceFile>) -> Checked {
    check_with(files, Lints::default())
}

/// Checks the files of a policy set, with the lints of choice.
pub fn check_with(mut files: Vec<SourceFile>, lints: Lints) -> Checked {
    files.retain(|file| !matches!(FileKind::of(&file.path), FileKind::Test | FileKind::Other));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut cx = Cx::new(&files, lints);
    let mut draft = Draft::default();
    if fits(&mut cx) {
        read_all(&mut draft, &mut cx);
        limits::check_set(&draft.set, &mut cx);
        detectors::check_set(&draft.set, &mut cx);
        redact::check_names(draft.detector_names(), &mut cx);
    }
    draft.set.shadow = std::mem::take(&mut cx.shadow);
    let errors = cx.error_count();
    if errors == 0 {
        lints::lint(&draft.set, &mut cx);
    }
    let (diagnostics, more) = cx.into_report().finish();
    let set = (errors == 0).then(|| PolicySet { files: files.clone(), ..draft.set });
    Checked { set, files, diagnostics, more }
}

/// Whether the set as a whole is within its bounds.
fn fits(cx: &mut Cx<'_>) -> bool {
    let bytes: usize = cx.files.iter().map(|file| file.text.len()).sum();
    let top = Span { file: u32::MAX, ..Span::default() };
    if cx.files.len() > POLICY_FILES_MAX {
        let message = format!("the policy set has {} files; at most {POLICY_FILES_MAX} fit", cx.files.len());
        cx.error(
            "set-too-large",
            top,
            message,
            "put several documents into one file, with `---` between them",
        );
        return false;
    }
    // A single oversized file is reported at that file.
    let within: usize = cx
        .files
        .iter()
        .map(|file| file.text.len())
        .filter(|&len| len <= aegis_model::caps::POLICY_FILE_BYTES_MAX)
        .sum();
    if within > POLICY_SET_BYTES_MAX {
        let message = format!("the policy set has {bytes} bytes; at most {POLICY_SET_BYTES_MAX} fit");
        cx.error(
            "set-too-large",
            top,
            message,
            "use globs for agents and tools, and defaults for what they share",
        );
        return false;
    }
    true
}

fn read_all(draft: &mut Draft, cx: &mut Cx<'_>) {
    // Files that hold no policy document: schemas, if a policy names them.
    let mut others: Vec<u32> = Vec::new();
    for (at, source) in (0..).zip(cx.files) {
        if !matches!(FileKind::of(&source.path), FileKind::Yaml | FileKind::Json) {
            continue;
        }
        let documents = cx.read(at, source);
        if cx.nodes > POLICY_NODES_MAX_SET {
            let message =
                format!("the policy set has more than {POLICY_NODES_MAX_SET} nodes, aliases expanded");
            let top = Span { file: at, line: 1, column: 1, ..Span::default() };
            let help = "use globs for agents and tools, and defaults for what they share";
            return cx.error("set-too-large", top, message, help);
        }
        match documents.as_slice() {
            [single] if !looks_like_policy(single) => others.push(at),
            _ => documents.iter().for_each(|node| document::document(node, draft, cx)),
        }
    }
    for at in others.into_iter().filter(|at| !cx.named.contains(at)).collect::<Vec<_>>() {
        let documents = cx.read(at, &cx.files[at as usize]);
        documents.iter().for_each(|node| document::stray(node, draft, cx));
    }
}

/// Whether a document has a field that only policy documents have.
fn looks_like_policy(node: &Node) -> bool {
    let names = document::KINDS.iter().chain(&["allowed_tools", "denied_tools"]);
    matches!(node.kind, Kind::Map(_)) && names.into_iter().any(|name| node.member(name).is_some())
}
