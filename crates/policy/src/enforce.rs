//! What a policy asks for that a running node cannot do yet. Compiling it is right; running it would be a promise
//! that nobody keeps.

use crate::ast::{Document, Entry, Limits, PolicySet, Span};
use crate::diagnostic::Diagnostic;

/// One error for every field that this build does not enforce, in the order of the sources; empty if the set can
/// be run.
pub fn unenforced(set: &PolicySet) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for document in set.documents.iter().chain(&set.defaults) {
        of_document(document, &mut found);
    }
    if let Some(limits) = &set.tenant {
        of_limits(limits, &mut found);
    }
    found.extend(set.shadow.iter().map(|&span| refusal("mode: shadow", span, "the second verdict")));
    found.extend(set.detectors.iter().map(|(_, span)| refusal("detectors", *span, "data loss prevention")));
    found.sort_by_key(|problem| (problem.span.file, problem.span.start));
    found
}

fn of_document(document: &Document, found: &mut Vec<Diagnostic>) {
    of_limits(&document.limits, found);
    found.extend(
        document.egress.as_ref().map(|egress| refusal("egress", egress.span, "the list of destinations")),
    );
    document.allowed.iter().flatten().for_each(|entry| of_entry(entry, found));
}

fn of_entry(entry: &Entry, found: &mut Vec<Diagnostic>) {
    of_limits(&entry.limits, found);
    found.extend(entry.redact.iter().map(|(_, span)| refusal("redact", *span, "redaction")));
}

fn of_limits(limits: &Limits, found: &mut Vec<Diagnostic>) {
    // Every field is named, so that a new one cannot be forgotten.
    let Limits { rps_limit, burst, daily_budget, cost, timezone } = limits;
    let fields = [
        ("rps_limit", rps_limit.as_ref().map(|(_, span)| *span)),
        ("burst", burst.as_ref().map(|(_, span)| *span)),
        ("daily_budget", daily_budget.as_ref().map(|(_, span)| *span)),
        ("cost", cost.as_ref().map(|(_, span)| *span)),
        ("timezone", timezone.as_ref().map(|(_, span)| *span)),
    ];
    found.extend(fields.into_iter().filter_map(|(name, span)| Some(refusal(name, span?, "the limit"))));
}

fn refusal(field: &str, span: Span, what: &str) -> Diagnostic {
    Diagnostic::error("not-enforced-yet", span, format!("`{field}` cannot be enforced by this build"))
        .label(format!("this build compiles {what}, but does not enforce it yet"))
        .help("a node does not run a policy that it cannot keep: remove the field until then")
}
