//! `detectors`: the tenant's own kinds of sensitive data.

use std::collections::HashMap;

use aegis_dlp::custom::BadCustom;
use aegis_dlp::kind::Kind;
use aegis_model::caps::{DLP_CUSTOM_MATCH_BYTES_MAX, DLP_CUSTOM_MAX, DLP_DICTIONARY_WORDS_MAX};
use serde_json::{Map, Value, json};

use super::cx::Cx;
use super::fields::Fields;
use super::redact::detector_name;
use super::values::{list, not_empty, string, strings, word};
use crate::ast::{Detector, PolicySet, Span};
use crate::yaml::{Node, Pair};

/// Adds the detectors of one document to those of the set.
pub(super) fn detectors(
    pair: &Pair,
    all: &mut Vec<Detector>,
    names: &mut HashMap<String, Span>,
    cx: &mut Cx<'_>,
) {
    for item in list(&pair.value, "detectors", false, cx).unwrap_or_default() {
        let errors = cx.error_count();
        let Some((name, document, span, value_span)) = detector(item, cx) else { continue };
        if !Kind::named(&name).is_empty() || RESERVED.contains(&name.as_str()) {
            let help = "choose another name, such as one that begins with your organization's";
            cx.error("taken-name", value_span, format!("`{name}` is the name of something built in"), help);
        }
        if let Some(first) = names.insert(name.clone(), span) {
            let help = format!("the other is at line {}, column {}", first.line, first.column);
            cx.error("duplicate-name", span, format!("there are two detectors `{name}`"), help);
        }
        if cx.error_count() > errors {
            continue;
        }
        match Detector::of(document, span) {
            Ok(detector) => all.push(detector),
            Err(bad) => cx.error("bad-detector", value_span, bad.to_string(), help_for(&bad)),
        }
    }
}

/// Names that stand for something else in what is reported of findings.
const RESERVED: [&str; 3] = ["custom", "field", "unread"];

fn help_for(bad: &BadCustom) -> String {
    match bad {
        BadCustom::Name(_) => "lower-case letters, digits and `_`, and no name that is built in".to_owned(),
        BadCustom::Regex(_) => "shorten it, or split it into several detectors".to_owned(),
        BadCustom::Length(_) => format!(
            "streams hold back as much as the longest match: bound every repeat, as in `[0-9]{{6,12}}`, so that no match is \
             longer than {DLP_CUSTOM_MATCH_BYTES_MAX} bytes, and none is empty"
        ),
        BadCustom::Dictionary(_) => "split it into several detectors, or leave words out".to_owned(),
    }
}

/// What the detectors of a set have to fit into together.
pub(super) fn check_set(set: &PolicySet, cx: &mut Cx<'_>) {
    let words: usize = set.detectors.iter().map(Detector::words).sum();
    if let Some(beyond) = set.detectors.get(DLP_CUSTOM_MAX) {
        let message = format!("the set has {} detectors; at most {DLP_CUSTOM_MAX} fit", set.detectors.len());
        cx.error("too-many-detectors", beyond.span, message, "put words of one kind into one dictionary");
    }
    if let (true, Some(last)) = (words > DLP_DICTIONARY_WORDS_MAX, set.detectors.last()) {
        let message = format!("the dictionaries have {words} words; at most {DLP_DICTIONARY_WORDS_MAX} fit");
        cx.error("too-many-detectors", last.span, message, "leave words out, or describe them by a `regex`");
    }
}

/// Name and document of a detector, where it stands, and where what it finds by stands.
fn detector(node: &Node, cx: &mut Cx<'_>) -> Option<(String, Value, Span, Span)> {
    let mut fields = Fields::of(node, "a detector", cx)?;
    let span = fields.place();
    let name = fields.require("name", "`redact` names detectors by it", cx);
    let name = name.and_then(|pair| detector_name(string(&pair.value, cx)?, &pair.value, cx));
    let (regex, dictionary) = (fields.take("regex"), fields.take("dictionary"));
    let found_by = regex.or(dictionary).map_or(span, |pair| pair.value.span);
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
    Some((name, Value::Object(out), span, found_by))
}
