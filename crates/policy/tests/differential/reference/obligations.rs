//! What has to be done when a call goes on.

use aegis_model::money::Micros;
use aegis_policy::ast::{Cost, Document, Entry, Limits, Path, PolicySet, Segment};
use serde_json::{Value, json};

/// Those of the deciding entries, of the agent's documents, of the defaults where the documents have none of the
/// kind, and of the tenant.
pub(crate) fn of(set: &PolicySet, deciding: &[&Entry], documents: &[&Document]) -> Vec<Value> {
    let mut all = Vec::new();
    for entry in deciding {
        let around = document_of(set, entry);
        let beside = Beside {
            level: "entry",
            name: Some(&entry.tool.0),
            unit: unit(&around.limits),
            zone: zone(&around.limits),
        };
        limits(&entry.rule, &entry.limits, &beside, &mut all);
        for redaction in &entry.redact {
            all.push(json!({"kind": "redact", "rule": entry.rule, "redact": redaction.document}));
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
        limits("tenant", tenant, &Beside { level: "tenant", ..Beside::default() }, &mut all);
    }
    all
}

/// What stands around limits.
#[derive(Default)]
struct Beside<'a> {
    level: &'a str,
    name: Option<&'a str>,
    unit: Option<&'a str>,
    zone: Option<&'a str>,
}

/// The document in which an entry stands.
fn document_of<'s>(set: &'s PolicySet, entry: &Entry) -> &'s Document {
    let mut documents = set.documents.iter().chain(&set.defaults);
    let has = |document: &&Document| document.allowed.iter().flatten().any(|one| std::ptr::eq(one, entry));
    documents.find(has).expect("an entry of the set")
}

fn of_document(document: &Document) -> Vec<Value> {
    let mut all = Vec::new();
    let of_entries = document.allowed.iter().flatten().filter_map(|entry| unit(&entry.limits)).next();
    let beside = Beside { level: "agent", unit: of_entries, ..Beside::default() };
    limits(&document.label, &document.limits, &beside, &mut all);
    if let Some(egress) = &document.egress {
        let rule = format!("{}/egress", document.label);
        all.push(json!({"kind": "egress", "rule": rule, "allow": egress.allow}));
    }
    all
}

fn limits(rule: &str, limits: &Limits, beside: &Beside<'_>, all: &mut Vec<Value>) {
    let Limits { rps_limit, burst, daily_budget, cost, timezone: _ } = limits;
    let mut push = |kind: &str, fields: Value| {
        let mut document = json!({"kind": kind, "rule": rule, "level": beside.level});
        if let Some(name) = beside.name {
            document["name"] = json!(name);
        }
        for (field, value) in fields.as_object().expect("fields") {
            document[field] = value.clone();
        }
        all.push(document);
    };
    if let Some((Micros(rate), _)) = rps_limit {
        let usual = (rate / 1_000_000 + u64::from(rate % 1_000_000 != 0)).max(1);
        let burst = burst.map_or(usual, |(burst, _)| u64::from(burst));
        push("rate", json!({"rps_limit": *rate as f64 / 1_000_000.0, "burst": burst}));
    }
    if daily_budget.is_some() || cost.is_some() {
        push(
            "budget",
            json!({
                "daily_budget": daily_budget.map(|(budget, _)| budget.to_string()),
                "unit": unit(limits).or(beside.unit).unwrap_or("calls"),
                "cost": cost.as_ref().map(|(cost, _)| priced(cost)),
                "timezone": zone(limits).or(beside.zone),
            }),
        );
    }
}

fn unit(limits: &Limits) -> Option<&str> {
    match &limits.cost {
        Some((Cost::Fixed { unit, .. } | Cost::From { unit, .. }, _)) => Some(unit),
        None => None,
    }
}

fn zone(limits: &Limits) -> Option<&str> {
    limits.timezone.as_ref().map(|(zone, _)| &**zone)
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
