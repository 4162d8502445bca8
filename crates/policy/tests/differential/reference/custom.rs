//! Custom modules. The interpreter cannot read Rego; it knows what the generator's few modules mean.

use aegis_model::reason::ReasonCode;
use aegis_policy::ast::{CustomModule, Document, PolicySet};
use aegis_policy::diagnostic::position;
use serde_json::Value;

use super::Because;

/// Which set of reasons of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Deny,
    Approval,
}

/// A module and what it means.
pub(crate) struct Module {
    pub(crate) rego: &'static str,
    pub(crate) kind: Kind,
    /// How many reasons it gives.
    pub(crate) reasons: fn(&Value) -> usize,
}

/// The modules that the generator uses.
pub(crate) const MODULES: [Module; 7] = [
    Module {
        rego: "package aegis.custom\n\ndeny contains \"the account is frozen\" if input.params.frozen == true\n",
        kind: Kind::Deny,
        reasons: |input| usize::from(input["params"].get("frozen") == Some(&Value::Bool(true))),
    },
    Module {
        rego: "package aegis.custom\n\ndeny contains reason if {\n\tsome caller in input.callers\n\tstartswith(caller, \"evil\")\n\treason := concat(\" \", [\"caller\", caller])\n}\n",
        kind: Kind::Deny,
        reasons: |input| {
            let callers = input["callers"].as_array().expect("a list");
            let mut evil: Vec<&str> =
                callers.iter().filter_map(Value::as_str).filter(|name| name.starts_with("evil")).collect();
            evil.sort_unstable();
            evil.dedup();
            evil.len()
        },
    },
    Module {
        rego: "package aegis.custom\n\nlarge if {\n\tis_number(input.params.amount)\n\tinput.params.amount > 100\n}\n\napproval contains \"a large amount\" if large\n\napproval contains \"production\" if {\n\tlarge\n\tinput.token.environment == \"production\"\n}\n",
        kind: Kind::Approval,
        reasons: |input| {
            let large =
                input["params"].get("amount").and_then(Value::as_f64).is_some_and(|amount| amount > 100.0);
            let production = input["token"].get("environment").and_then(Value::as_str) == Some("production");
            usize::from(large) + usize::from(large && production)
        },
    },
    Module {
        rego: "package aegis.custom\n\napproval contains \"no purpose\" if not input.context.purpose\n",
        kind: Kind::Approval,
        reasons: |input| {
            usize::from(input["context"].get("purpose").is_none_or(|purpose| *purpose == Value::Bool(false)))
        },
    },
    Module {
        rego: "package aegis.custom\n\nharmless if {\n\tvendor := input.params.vendor\n\tnot vendor == \"a\"\n}\n\ndeny contains \"the vendor is not harmless\" if not harmless\n",
        kind: Kind::Deny,
        reasons: |input| {
            let vendor = input["params"].get("vendor");
            usize::from(vendor.is_none_or(|vendor| vendor.as_str() == Some("a")))
        },
    },
    Module {
        rego: "package aegis.custom\n\ndeny contains \"a long note\" if {\n\tis_string(input.params.note)\n\tcount(input.params.note) > 2\n}\n",
        kind: Kind::Deny,
        reasons: |input| {
            let note = input["params"].get("note").and_then(Value::as_str);
            usize::from(note.is_some_and(|note| note.chars().count() > 2))
        },
    },
    Module {
        // In Rego's order of types a text is more than any number, and null and flags are less.
        rego: "package aegis.custom\n\napproval contains \"more than five\" if input.params.amount > 5\n",
        kind: Kind::Approval,
        reasons: |input| {
            usize::from(match input["params"].get("amount") {
                None | Some(Value::Null | Value::Bool(_)) => false,
                Some(Value::Number(amount)) => amount.as_f64().is_some_and(|amount| amount > 5.0),
                Some(_) => true,
            })
        },
    },
];

/// Whether the interpreter knows what every custom module of the set means.
pub(crate) fn knows(set: &PolicySet) -> bool {
    let documents = set.documents.iter().chain(&set.defaults);
    documents.filter_map(|document| document.custom.as_ref()).all(|custom| module(set, custom).is_some())
}

fn module(set: &PolicySet, custom: &CustomModule) -> Option<&'static Module> {
    let text = &*set.files[custom.file as usize].text;
    MODULES.iter().find(|module| module.rego == text)
}

/// The reasons of one kind that the documents' modules give, and the modules that gave some.
pub(crate) fn reasons(
    set: &PolicySet,
    documents: &[&Document],
    kind: Kind,
    input: &Value,
) -> (Vec<Because>, Vec<String>) {
    let (mut reasons, mut rules) = (Vec::new(), Vec::new());
    for document in documents {
        let Some(custom) = &document.custom else { continue };
        let text = &*set.files[custom.file as usize].text;
        let module =
            MODULES.iter().find(|module| module.rego == text).expect("one of the generator's modules");
        let count = if module.kind == kind { (module.reasons)(input) } else { 0 };
        if count == 0 {
            continue;
        }
        let rule = format!("{}/rego", document.label);
        let because = Because {
            code: ReasonCode::CustomRule,
            path: None,
            rule: Some(rule.clone()),
            position: Some(position(custom.span, &set.files)),
        };
        reasons.extend(std::iter::repeat_n(because, count));
        rules.push(rule);
    }
    (reasons, rules)
}
