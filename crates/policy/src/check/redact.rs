//! `redact`: what is taken out of parameters and results, and what stays in its place.

use std::collections::HashMap;

use aegis_dlp::kind::Kind;
use serde_json::{Map, Value, json};

use super::cx::Cx;
use super::fields::Fields;
use super::paths;
use super::values::{boolean, integer, list, short, strings, word};
use crate::ast::{Redaction, Span};
use crate::redaction::On;
use crate::yaml::{Node, Pair};

/// Most characters that a mask may leave readable.
const KEEP_LAST_MAX: u32 = 16;

/// The redactions of an entry.
pub(super) fn redact(pair: &Pair, cx: &mut Cx<'_>) -> Vec<Redaction> {
    let items = list(&pair.value, "redactions", false, cx).unwrap_or_default();
    let mut spoken = HashMap::new();
    items.iter().filter_map(|item| redaction(item, &mut spoken, cx)).collect()
}

/// What redactions of one entry speak of already: a path or a name, on parameters or results or the record.
type Spoken = HashMap<(String, &'static str), Span>;

fn redaction(node: &Node, spoken: &mut Spoken, cx: &mut Cx<'_>) -> Option<Redaction> {
    let errors = cx.error_count();
    let mut fields = Fields::of(node, "a redaction", cx)?;
    let span = fields.place();
    let mut out = Map::new();
    what(&mut fields, &mut out, cx);
    let ways =
        [("mask", "mask"), ("remove", "remove"), ("hash", "hash"), ("token", "token"), ("block", "block")];
    let with = fields.require(
        "with",
        "say what stays in its place: `mask`, `remove`, `hash`, `token` or `block`",
        cx,
    );
    let with = with.and_then(|pair| word(&pair.value, &ways, cx));
    out.extend(with.map(|with| ("with".to_owned(), json!(with))));
    if let Some(pair) = fields.take("keep_last") {
        if with.is_some_and(|with| with != "mask") {
            cx.error(
                "misplaced-field",
                pair.key.span,
                "`keep_last` belongs to `with: mask`",
                "nothing else leaves characters readable",
            );
        }
        let keep = integer(&pair.value, 1, KEEP_LAST_MAX, cx);
        out.extend(keep.map(|keep| ("keep_last".to_owned(), json!(keep))));
    }
    if let Some(pair) = fields.take("reversible") {
        if with.is_some_and(|with| with != "token") {
            let help = "what may be asked for again needs a token to ask with";
            cx.error("misplaced-field", pair.key.span, "`reversible` belongs to `with: token`", help);
        }
        let reversible = boolean(&pair.value, cx);
        out.extend(reversible.map(|reversible| ("reversible".to_owned(), json!(reversible))));
    }
    if let Some(pair) = fields.take("precision") {
        if !out.contains_key("detect") {
            cx.error(
                "misplaced-field",
                pair.key.span,
                "`precision` belongs to `detect`",
                "fields are named exactly",
            );
        }
        let precision = word(&pair.value, &[("lenient", "lenient"), ("strict", "strict")], cx);
        out.extend(precision.map(|precision| ("precision".to_owned(), json!(precision))));
    }
    let places = On::ALL.map(|(name, _)| (name, name));
    if let Some(pair) = fields.take("on") {
        let on = word(&pair.value, &places, cx);
        if (with, on) == (Some("block"), Some("record")) {
            let help = "`block` denies the call: write `on: params`, `result` or `both`, or clean the record with another `with`";
            cx.error("misplaced-field", pair.key.span, "`block` has no meaning for the record", help);
        }
        if on == Some("record") && out.get("reversible") == Some(&json!(true)) {
            let help = "values are sealed beside the tokens that are passed on: write `on: params`, `result` or `both`";
            cx.error("misplaced-field", pair.key.span, "`reversible` has no meaning for the record", help);
        }
        out.extend(on.map(|on| ("on".to_owned(), json!(on))));
    }
    fields.finish(cx);
    if cx.error_count() > errors {
        return None;
    }
    let read = Redaction::of(Value::Object(out), span);
    let redaction = cx.read_or_reported(read, span)?;
    said_once(&redaction, spoken, cx);
    Some(redaction)
}

/// Two redactions of one entry that speak of the same: which of them was meant, nobody can tell.
fn said_once(redaction: &Redaction, spoken: &mut Spoken, cx: &mut Cx<'_>) {
    let on: &[&str] = match redaction.on {
        On::Params => &["params"],
        On::Result => &["result"],
        On::Record => &["record"],
        On::Both => &["params", "result"],
    };
    let named = redaction.document.get("fields").or_else(|| redaction.document.get("detect"));
    for name in named.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let mut first = None;
        for &on in on {
            first = first.or(spoken.insert((name.to_owned(), on), redaction.span));
        }
        if let Some(first) = first {
            let place = crate::diagnostic::position(first, cx.files);
            let message = format!("two redactions of this entry speak of `{}`", short(name));
            cx.error(
                "duplicate-redaction",
                redaction.span,
                message,
                format!("the other is at {place}: merge them"),
            );
        }
    }
}

/// Names in `detect` that are no kind, no group and no detector of the set.
pub(super) fn check_names(own: &HashMap<String, Span>, cx: &mut Cx<'_>) {
    for (name, span) in std::mem::take(&mut cx.detected) {
        if own.contains_key(&name) || !Kind::named(&name).is_empty() {
            continue;
        }
        let mut known: Vec<&str> = Kind::all().map(Kind::name).chain(GROUPS).collect();
        known.extend(own.keys().map(String::as_str));
        let help = match super::nearest::nearest(&name, known.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "`docs/detectors.md` lists the kinds; the groups are {}; a detector of your own stands in `detectors`",
                super::fields::list(&GROUPS)
            ),
        };
        cx.error("unknown-detector", span, format!("there is no detector `{name}`"), help);
    }
}

/// What stands for several kinds.
const GROUPS: [&str; 6] = ["all", "personal", "financial", "health", "network", "secrets"];

/// Exactly one of `fields` and `detect`.
fn what(fields: &mut Fields<'_>, out: &mut Map<String, Value>, cx: &mut Cx<'_>) {
    let (named, detect) = (fields.take("fields"), fields.take("detect"));
    if named.is_some() == detect.is_some() {
        let help = "`fields: [patient.ssn]` names places, `detect: [us_ssn]` names kinds of data; write two redactions for both";
        cx.error("bad-redaction", fields.place(), "a redaction has either `fields` or `detect`", help);
    }
    if let Some(pair) = named {
        let read = strings(&pair.value, "paths", cx, |text, node, cx| {
            paths::path(text, node.span, cx).map(|_| text.to_owned())
        });
        out.extend(read.map(|paths| ("fields".to_owned(), json!(paths))));
    }
    if let Some(pair) = detect {
        let read = strings(&pair.value, "detectors", cx, |text, node, cx| {
            let name = detector_name(text, node, cx)?;
            // Detectors of the set may stand in a later document.
            cx.detected.push((name.clone(), node.span));
            Some(name)
        });
        out.extend(read.map(|names| ("detect".to_owned(), json!(names))));
    }
}

/// The name of a detector, built in or the tenant's own.
pub(super) fn detector_name(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        let help = "lower-case letters, digits and `_`, e.g. `us_ssn`";
        cx.error("bad-name", node.span, format!("`{}` is no name of a detector", short(text)), help);
        return None;
    }
    Some(text.to_owned())
}
