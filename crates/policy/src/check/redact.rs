//! `redact`: what is taken out of parameters and results, and what stays in its place.

use serde_json::{Map, Value, json};

use super::cx::Cx;
use super::fields::Fields;
use super::paths;
use super::values::{integer, list, short, strings, word};
use crate::ast::Span;
use crate::yaml::{Node, Pair};

/// Most characters that a mask may leave readable.
const KEEP_LAST_MAX: u32 = 16;

/// The redactions of an entry, as checked JSON.
pub(super) fn redact(pair: &Pair, cx: &mut Cx<'_>) -> Vec<(Value, Span)> {
    let items = list(&pair.value, "redactions", false, cx).unwrap_or_default();
    items.iter().filter_map(|item| redaction(item, cx)).collect()
}

fn redaction(node: &Node, cx: &mut Cx<'_>) -> Option<(Value, Span)> {
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
    let places = [("params", "params"), ("result", "result"), ("record", "record"), ("both", "both")];
    let on = fields.take("on").and_then(|pair| word(&pair.value, &places, cx));
    out.extend(on.map(|on| ("on".to_owned(), json!(on))));
    fields.finish(cx);
    Some((Value::Object(out), span))
}

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
        let read = strings(&pair.value, "detectors", cx, detector_name);
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
