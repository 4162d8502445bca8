//! Documents: for agents, the defaults, the tenant's limits, the tenant's detectors.

use std::collections::HashMap;

use super::cx::Cx;
use super::fields::Fields;
use super::limits::{check_calls, check_document, limits};
use super::values::{glob, list, mode, one_or_list, string};
use super::{detectors, egress, entry};
use crate::ast::{CustomModule, Document, Glob, Mode, PolicySet, Span};
use crate::custom;
use crate::sources::FileKind;
use crate::yaml::{Kind, Node, Pair};

/// The kinds of documents, by the field that makes them one.
pub(super) const KINDS: [&str; 5] = ["agent", "agents", "defaults", "tenant", "detectors"];

/// The set in the making, with what only matters until it is complete.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) set: PolicySet,
    labels: HashMap<String, u32>,
    defaults_at: Option<Span>,
    tenant_at: Option<Span>,
    detector_names: HashMap<String, Span>,
}

impl Draft {
    /// The names of the tenant's own detectors, with errors or not.
    pub(super) fn detector_names(&self) -> &HashMap<String, Span> {
        &self.detector_names
    }
}

/// Adds one document to the draft.
pub(super) fn document(node: &Node, draft: &mut Draft, cx: &mut Cx<'_>) {
    let Some(mut fields) = Fields::of(node, "a policy document", cx) else { return };
    let kinds: Vec<&Pair> = KINDS.iter().filter_map(|kind| node.member(kind)).collect();
    match kinds.as_slice() {
        [pair] => match &*pair.key.text {
            "defaults" => defaults(&mut fields, draft, cx),
            "tenant" => tenant(&mut fields, draft, cx),
            "detectors" => own_detectors(&mut fields, draft, cx),
            _ => agents(node, &mut fields, draft, cx),
        },
        [] => {
            let help = "begin with `agent: NAME` or `agents: [NAMES]`; `defaults`, `tenant` and `detectors` are documents of their own";
            cx.error("missing-field", fields.place(), "this document names no agent", help);
            // Its other fields are checked all the same.
            agents(node, &mut fields, draft, cx);
        }
        [first, .., last] => {
            let message =
                format!("`{}` and `{}` cannot stand in one document", first.key.text, last.key.text);
            cx.error(
                "mixed-document",
                last.key.span,
                message,
                "begin a document of its own with a line `---`",
            );
            return;
        }
    }
    fields.finish(cx);
}

fn agents(node: &Node, fields: &mut Fields<'_>, draft: &mut Draft, cx: &mut Cx<'_>) {
    let mut names: Vec<Glob> = Vec::new();
    if let Some(pair) = fields.take("agent") {
        if matches!(pair.value.kind, Kind::Seq(_)) {
            cx.error("wrong-type", pair.key.span, "`agent` names one agent", "write `agents` for a list");
            return;
        }
        names.extend(glob(&pair.value, "agent name", cx));
    }
    if let Some(pair) = fields.take("agents") {
        for item in one_or_list(&pair.value, "agents", cx).unwrap_or_default() {
            names.extend(glob(item, "agent name", cx));
        }
    }
    let base = names.iter().map(|glob| glob.0.as_str()).collect::<Vec<_>>().join(",");
    let label = unique(base, &mut draft.labels);
    let mode = mode(fields, cx);
    let document = body(fields, label, names, mode, node.span, cx);
    draft.set.documents.push(document);
}

/// A single document of a file without any field of a policy, which no policy names as a schema either.
pub(super) fn stray(node: &Node, draft: &mut Draft, cx: &mut Cx<'_>) {
    match node.member("$schema") {
        Some(pair) => {
            let help = "name it with `schema:` in an entry's conditions, or remove it";
            cx.error("stray-schema", pair.key.span, "no policy names this schema", help);
        }
        None => document(node, draft, cx),
    }
}

/// What an agent's document and the defaults have in common.
fn body(
    fields: &mut Fields<'_>,
    label: String,
    agents: Vec<Glob>,
    mode: Mode,
    span: Span,
    cx: &mut Cx<'_>,
) -> Document {
    let allowed = fields.take("allowed_tools").map(|pair| entry::entries(pair, true, &label, mode, cx));
    let denied = fields.take("denied_tools").map(|pair| entry::entries(pair, false, &label, mode, cx));
    let egress = fields.take("egress").and_then(|pair| egress::egress(pair, cx));
    let limits = limits(fields, cx);
    check_document(&limits, allowed.as_deref().unwrap_or_default(), cx);
    let custom = fields.take("rego").and_then(|pair| custom_module(pair, mode, cx));
    Document { label, agents, allowed, denied: denied.unwrap_or_default(), egress, limits, custom, span }
}

/// The custom module that `rego:` names, checked as a whole where it is named first.
fn custom_module(pair: &Pair, mode: Mode, cx: &mut Cx<'_>) -> Option<CustomModule> {
    if mode == Mode::Shadow {
        let help = "put it into a document of its own that is enforced, or leave it out while you observe";
        cx.error("shadow-rego", pair.key.span, "a document in shadow cannot have a custom module", help);
    }
    let reference = string(&pair.value, cx)?;
    let file = cx.file_named(reference, pair.value.span)?;
    let path = &cx.files[file as usize].path;
    if FileKind::of(path) != FileKind::Rego {
        cx.error(
            "bad-file",
            pair.value.span,
            format!("`{path}` is no Rego module"),
            "a custom module is a `.rego` file",
        );
        return None;
    }
    if cx.modules.insert(file)
        && let Err(problems) = custom::module("checked", &cx.files[file as usize], file, pair.key.span)
    {
        problems.into_iter().for_each(|problem| cx.push(problem));
    }
    Some(CustomModule { file, span: pair.key.span })
}

fn defaults(fields: &mut Fields<'_>, draft: &mut Draft, cx: &mut Cx<'_>) {
    let Some(pair) = fields.take("defaults") else { return };
    if is_second(&mut draft.defaults_at, pair, cx) {
        return;
    }
    let Some(mut inner) = Fields::of(&pair.value, "`defaults`", cx) else { return };
    let mode = mode(&mut inner, cx);
    draft.set.observe_only = mode == Mode::Shadow;
    let document = body(&mut inner, "defaults".to_owned(), Vec::new(), mode, pair.value.span, cx);
    inner.finish(cx);
    draft.set.defaults = Some(document);
}

fn tenant(fields: &mut Fields<'_>, draft: &mut Draft, cx: &mut Cx<'_>) {
    let Some(pair) = fields.take("tenant") else { return };
    if is_second(&mut draft.tenant_at, pair, cx) {
        return;
    }
    let Some(mut inner) = Fields::of(&pair.value, "`tenant`", cx) else { return };
    let limits = limits(&mut inner, cx);
    check_calls(&limits, cx);
    draft.set.tenant = Some(limits);
    inner.finish(cx);
}

fn own_detectors(fields: &mut Fields<'_>, draft: &mut Draft, cx: &mut Cx<'_>) {
    let Some(pair) = fields.take("detectors") else { return };
    if matches!(pair.value.kind, Kind::Seq(_)) {
        detectors::detectors(pair, &mut draft.set.detectors, &mut draft.detector_names, cx);
    } else {
        list(&pair.value, "detectors", false, cx);
    }
}

/// Reports a document of which a set has only one.
fn is_second(first: &mut Option<Span>, pair: &Pair, cx: &mut Cx<'_>) -> bool {
    let Some(first) = *first else {
        *first = Some(pair.key.span);
        return false;
    };
    let place = crate::diagnostic::position(first, cx.files);
    let message = format!("the set has two documents `{}`", pair.key.text);
    cx.error("duplicate-document", pair.key.span, message, format!("the first is at {place}: merge them"));
    true
}

/// `base`, or `base#2`, `base#3`, … if it was taken before.
fn unique(base: String, labels: &mut HashMap<String, u32>) -> String {
    // `defaults` is the label of the defaults even where an agent has that name.
    let taken = u32::from(base == "defaults");
    let count = labels.entry(base.clone()).or_insert(taken);
    *count += 1;
    if *count == 1 { base } else { format!("{base}#{count}") }
}
