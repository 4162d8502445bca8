//! What has to be done when a call goes on.

use aegis_policy::ast::{Cost, Document, Entry, Limits, Path, PolicySet, Segment};
use serde_json::{Value, json};

/// Those of the deciding entries, of the agent's documents, of the defaults where the documents have none of the
/// kind, and of the tenant.
pub(crate) fn of(set: &PolicySet, deciding: &[&Entry], documents: &[&Document]) -> Vec<Value> {
    let mut all = Vec::new();
    for entry in deciding {
        limits(&entry.rule, &entry.limits, &mut all);
        for (redact, _) in &entry.redact {
            all.push(json!({"kind": "redact", "rule": entry.rule, "redact": redact}));
        }
        if let Some(terms) = &entry.approval {
            let terms = json!({
                "by": terms.by, "of": terms.of, "within_seconds": terms.within_seconds, "notify": terms.notify,
            });
            all.push(json!({"kind": "approval", "rule": entry.rule, "terms": terms}));
        }
    }
    let own: Vec<Value> = documents.iter().flat_map(|document| of_document(document)).collect();
    let inherited = set.defaults.iter().flat_map(of_document);
    all.extend(
        own.iter().cloned().chain(inherited.filter(|one| own.iter().all(|own| own["kind"] != one["kind"]))),
    );
    if let Some(tenant) = &set.tenant {
        limits("tenant", tenant, &mut all);
    }
    all
}

fn of_document(document: &Document) -> Vec<Value> {
    let mut all = Vec::new();
    limits(&document.label, &document.limits, &mut all);
    if let Some(egress) = &document.egress {
        let rule = format!("{}/egress", document.label);
        all.push(json!({"kind": "egress", "rule": rule, "allow": egress.allow}));
    }
    all
}

fn limits(rule: &str, limits: &Limits, all: &mut Vec<Value>) {
    let Limits { rps_limit, burst, daily_budget, cost, timezone } = limits;
    if rps_limit.is_some() || burst.is_some() {
        let rate = rps_limit.map(|(rate, _)| rate);
        all.push(
            json!({"kind": "rate", "rule": rule, "rps_limit": rate, "burst": burst.map(|(burst, _)| burst)}),
        );
    }
    if daily_budget.is_some() || cost.is_some() {
        all.push(json!({
            "kind": "budget",
            "rule": rule,
            "daily_budget": daily_budget.map(|(budget, _)| budget.to_string()),
            "cost": cost.as_ref().map(|(cost, _)| priced(cost)),
            "timezone": timezone.as_ref().map(|(zone, _)| zone),
        }));
    }
}

fn priced(cost: &Cost) -> Value {
    match cost {
        Cost::Fixed { value, unit } => json!({"value": value.to_string(), "unit": unit}),
        Cost::From { path, max, unit } => {
            json!({"from": written(path), "max": max.to_string(), "unit": unit})
        }
    }
}

fn written(path: &Path) -> String {
    path.0.iter().fold("params".to_owned(), |text, segment| match segment {
        Segment::Key(name) => format!("{text}.{name}"),
        Segment::Index(index) => format!("{text}[{index}]"),
        Segment::Every => format!("{text}[*]"),
    })
}
