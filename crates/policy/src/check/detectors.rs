//! `detectors`: the tenant's own kinds of sensitive data.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::cx::Cx;
use super::fields::Fields;
use super::redact::detector_name;
use super::values::{list, not_empty, string, strings, word};
use crate::ast::Span;
use crate::yaml::{Node, Pair};

/// Adds the detectors of one document to those of the set.
pub(super) fn detectors(
    pair: &Pair,
    all: &mut Vec<(Value, Span)>,
    names: &mut HashMap<String, Span>,
    cx: &mut Cx<'_>,
) {
    for item in list(&pair.value, "detectors", false, cx).unwrap_or_default() {
        let Some((name, detector, span)) = detector(item, cx) else { continue };
        if let Some(first) = names.insert(name.clone(), span) {
            let help = format!("the other is at line {}, column {}", first.line, first.column);
            cx.error("duplicate-name", span, format!("there are two detectors `{name}`"), help);
        }
        all.push((detector, span));
    }
}

fn detector(node: &Node, cx: &mut Cx<'_>) -> Option<(String, Value, Span)> {
    let mut fields = Fields::of(node, "a detector", cx)?;
    let span = fields.place();
    let name = fields.require("name", "`redact` names detectors by it", cx);
    let name = name.and_then(|pair| detector_name(string(&pair.value, cx)?, &pair.value, cx));
    let (regex, dictionary) = (fields.take("regex"), fields.take("dictionary"));
    if regex.is_some() == dictionary.is_some() {
        cx.error(
            "bad-detector",
            span,
            "a detector has either `regex` or `dictionary`",
            "write two detectors for both",
        );
    }
    let mut out = Map::new();
    out.extend(
        regex.and_then(|pair| cx.pattern(&pair.value, false)).map(|regex| ("regex".to_owned(), json!(regex))),
    );
    let words = dictionary.and_then(|pair| strings(&pair.value, "words", cx, not_empty));
    out.extend(words.map(|words| ("dictionary".to_owned(), json!(words))));
    if let Some(pair) = fields.take("checksum") {
        let sums = [("luhn", "luhn"), ("mod97", "mod97"), ("mod11", "mod11")];
        out.extend(word(&pair.value, &sums, cx).map(|sum| ("checksum".to_owned(), json!(sum))));
    }
    if let Some(pair) = fields.take("context") {
        out.extend(
            strings(&pair.value, "words", cx, not_empty).map(|words| ("context".to_owned(), json!(words))),
        );
    }
    fields.finish(cx);
    let name = name?;
    out.insert("name".to_owned(), json!(name));
    Some((name, Value::Object(out), span))
}
