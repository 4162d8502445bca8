//! What a policy asks for that a running node cannot do yet. Compiling it is right; running it would be a promise
//! that nobody keeps.

use crate::ast::{ApprovalTerms, Document, Limits, PolicySet, Redaction, Span};
use crate::diagnostic::Diagnostic;

/// One error for every field that this build does not enforce, in the order of the sources; empty if the set can
/// be run by a node that is fed by a control plane.
pub fn unenforced(set: &PolicySet) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for document in set.documents.iter().chain(&set.defaults) {
        of_document(document, &mut found);
    }
    found.extend(set.shadow.iter().map(|&span| refusal("mode: shadow", span, "the second verdict")));
    in_order(found)
}

/// One error for every field that needs a control plane, in the order of the sources: it lends limits to nodes, gives them the
/// tenant's secret key, and tells people of requests for approval. A node that has none cannot keep them.
pub fn lent(set: &PolicySet) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for document in set.documents.iter().chain(&set.defaults) {
        of_limits(&document.limits, &mut found);
        document.allowed.iter().flatten().for_each(|entry| of_limits(&entry.limits, &mut found));
        let redactions = document.allowed.iter().flatten().flat_map(|entry| &entry.redact);
        found.extend(redactions.filter(|redaction| redaction.needs_key()).map(keyed));
        let terms = document.allowed.iter().flatten().filter_map(|entry| entry.approval.as_ref());
        found.extend(terms.filter(|terms| !terms.notify.is_empty()).map(told));
    }
    set.tenant.iter().for_each(|tenant| of_limits(tenant, &mut found));
    in_order(found)
}

fn in_order(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by_key(|problem| (problem.span.file, problem.span.start));
    found
}

fn of_document(document: &Document, found: &mut Vec<Diagnostic>) {
    found.extend(
        document.egress.as_ref().map(|egress| refusal("egress", egress.span, "the list of destinations")),
    );
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
    found.extend(fields.into_iter().filter_map(|(name, span)| Some(lent_field(name, span?))));
}

fn refusal(field: &str, span: Span, what: &str) -> Diagnostic {
    Diagnostic::error("not-enforced-yet", span, format!("`{field}` cannot be enforced by this build"))
        .label(format!("this build compiles {what}, but does not enforce it yet"))
        .help("a node does not run a policy that it cannot keep: remove the field until then")
}

fn keyed(redaction: &Redaction) -> Diagnostic {
    Diagnostic::error("needs-control-plane", redaction.span, "`redact` with tokens or hashes needs a control plane")
        .label("they are made with the tenant's secret key, which the control plane gives to nodes")
        .help("run the node with `[control]` in its configuration instead of `[[tenants]]`, or use `mask` or `remove`")
}

fn told(terms: &ApprovalTerms) -> Diagnostic {
    Diagnostic::error("needs-control-plane", terms.span, "`notify` needs a control plane")
        .label("it is the control plane that tells people of requests for approval")
        .help("run the node with `[control]` in its configuration instead of `[[tenants]]`, or remove the field")
}

fn lent_field(field: &str, span: Span) -> Diagnostic {
    Diagnostic::error("needs-control-plane", span, format!("`{field}` needs a control plane"))
        .label("limits are lent to nodes, so that they hold for all of them together")
        .help("run the node with `[control]` in its configuration instead of `[[tenants]]`, or remove the field")
}
