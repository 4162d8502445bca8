//! Matchers: the right side of a path.

use aegis_model::caps::JSON_INTEGER_MAX;
use serde_json::{Number, Value};

use super::cx::Cx;
use super::fields::Fields;
use super::literals;
use super::values::{boolean, integer, list, not_empty, number, strings, word};
use crate::ast::{Check, JsonType};
use crate::yaml::{Kind, Node, Pair};

/// What a matcher says: its checks, and how the test treats absence and failure.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    pub(super) checks: Vec<Check>,
    pub(super) optional: bool,
    pub(super) approvable: bool,
}

/// Where a matcher stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Right behind a path, where asking a person is possible.
    MayAsk,
    /// Right behind a path, in a denial or under `not`: there is nothing to ask.
    MayNotAsk,
    /// Inside `each`.
    Inside,
}

/// Reads the right side of a path: a scalar or a list is shorthand for `equals` and `one_of`.
pub(super) fn matcher(pair: &Pair, place: Place, cx: &mut Cx<'_>) -> Option<Matcher> {
    let node = &pair.value;
    match &node.kind {
        Kind::Map(_) => fields(node, place, cx),
        Kind::Seq(_) => Some(Matcher { checks: vec![one_of(node, cx)?], ..Matcher::default() }),
        Kind::Nothing => {
            let help = "write a value, a list of values, or a mapping of matchers such as `{max: 10}`; `null` for JSON's null";
            cx.error("missing-value", pair.key.span, format!("`{}` has no matcher", pair.key.text), help);
            None
        }
        _ => Some(Matcher { checks: vec![Check::Equals(value(node, cx)?)], ..Matcher::default() }),
    }
}

fn fields(node: &Node, place: Place, cx: &mut Cx<'_>) -> Option<Matcher> {
    let errors = cx.error_count();
    let mut fields = Fields::of(node, "a matcher", cx)?;
    let mut matcher = Matcher { checks: checks(&mut fields, cx), ..Matcher::default() };
    settings(&mut fields, place, &mut matcher, cx);
    let (span, names) = (fields.place(), fields.taken());
    fields.finish(cx);
    if cx.error_count() > errors {
        return None;
    }
    if matcher.checks.is_empty() {
        // A check that is there, but has an unreadable value, was reported when the file was read.
        if names.iter().any(|name| !matches!(*name, "optional" | "otherwise")) {
            return None;
        }
        let help = "say what the value has to be, e.g. `{type: string}`, `{max: 10}`";
        cx.error("empty-matcher", span, "this matcher checks nothing", help);
        return None;
    }
    Some(matcher)
}

/// `optional` and `otherwise`.
fn settings(fields: &mut Fields<'_>, place: Place, matcher: &mut Matcher, cx: &mut Cx<'_>) {
    if place == Place::Inside {
        let help = "put it beside `each`: it speaks of the whole test";
        fields.refuse(&["optional", "otherwise"], "misplaced-field", "has no place inside `each`", help, cx);
        return;
    }
    if let Some(pair) = fields.take("optional") {
        matcher.optional = boolean(&pair.value, cx).unwrap_or_default();
    }
    let Some(pair) = fields.take("otherwise") else { return };
    if word(&pair.value, &[("approval", ())], cx).is_none() {
        return;
    }
    if place == Place::MayNotAsk {
        let help =
            "a denial, and what stands under `not`, can ask nobody: put it into an entry of `allowed_tools`";
        cx.error("misplaced-approval", pair.key.span, "`otherwise: approval` cannot stand here", help);
    }
    matcher.approvable = true;
}

/// All checks of a matcher, in a fixed order.
fn checks(fields: &mut Fields<'_>, cx: &mut Cx<'_>) -> Vec<Check> {
    let mut all = Vec::new();
    push(fields, "equals", Some("not_equals"), &mut all, cx, |node, cx| value(node, cx).map(Check::Equals));
    push(fields, "one_of", Some("not_one_of"), &mut all, cx, one_of);
    range(fields, &mut all, cx);
    push(fields, "type", Some("not_type"), &mut all, cx, |node, cx| json_type(node, cx).map(Check::Type));
    push(fields, "matches", Some("not_matches"), &mut all, cx, |node, cx| {
        cx.pattern(node, true).map(Check::Matches)
    });
    push(fields, "finds", Some("not_finds"), &mut all, cx, |node, cx| {
        cx.pattern(node, false).map(Check::Finds)
    });
    push(fields, "starts_with", Some("not_starts_with"), &mut all, cx, |node, cx| {
        strings(node, "strings", cx, not_empty).map(Check::StartsWith)
    });
    push(fields, "ends_with", Some("not_ends_with"), &mut all, cx, |node, cx| {
        strings(node, "strings", cx, not_empty).map(Check::EndsWith)
    });
    push(fields, "length", None, &mut all, cx, length);
    push(fields, "contains", Some("not_contains"), &mut all, cx, contains);
    push(fields, "contains_any", Some("not_contains_any"), &mut all, cx, |node, cx| {
        values(node, cx).map(Check::ContainsAny)
    });
    push(fields, "contains_all", Some("not_contains_all"), &mut all, cx, |node, cx| {
        values(node, cx).map(Check::ContainsAll)
    });
    push(fields, "host_in", Some("not_host_in"), &mut all, cx, |node, cx| {
        strings(node, "hosts", cx, literals::host).map(Check::HostIn)
    });
    push(fields, "domain_in", Some("not_domain_in"), &mut all, cx, |node, cx| {
        strings(node, "domains", cx, literals::domain).map(Check::DomainIn)
    });
    push(fields, "within", Some("not_within"), &mut all, cx, |node, cx| {
        strings(node, "folders", cx, literals::folder).map(Check::Within)
    });
    push(fields, "cidr_in", Some("not_cidr_in"), &mut all, cx, |node, cx| {
        strings(node, "networks", cx, literals::network).map(Check::CidrIn)
    });
    if let Some(pair) = fields.take("each") {
        let check = matcher(pair, Place::Inside, cx).map(|inner| Check::Each(inner.checks));
        all.extend(cx.read_or_reported(check, pair.key.span));
    }
    all
}

/// Adds the check `name`, and its opposite `negated`, where they stand.
fn push<'n>(
    fields: &mut Fields<'n>,
    name: &'static str,
    negated: Option<&'static str>,
    all: &mut Vec<Check>,
    cx: &mut Cx<'_>,
    read: impl Fn(&'n Node, &mut Cx<'_>) -> Option<Check>,
) {
    if let Some(pair) = fields.take(name) {
        let check = read(&pair.value, cx);
        all.extend(cx.read_or_reported(check, pair.key.span));
    }
    if let Some(pair) = negated.and_then(|negated| fields.take(negated)) {
        let check = read(&pair.value, cx).map(|check| Check::Not(Box::new(check)));
        all.extend(cx.read_or_reported(check, pair.key.span));
    }
}

/// `min` and `max`.
fn range(fields: &mut Fields<'_>, all: &mut Vec<Check>, cx: &mut Cx<'_>) {
    let mut bound = |name, cx: &mut Cx<'_>| {
        let pair = fields.take(name)?;
        number(&pair.value, cx).map(|(number, _)| (number.clone(), pair))
    };
    let (min, max) = (bound("min", cx), bound("max", cx));
    if let (Some((min, _)), Some((max, pair))) = (&min, &max) {
        refuse_empty_range(min, max, pair, cx);
    }
    all.extend(min.map(|(min, _)| Check::Min(min)));
    all.extend(max.map(|(max, _)| Check::Max(max)));
}

/// Reports a range in which no number lies.
pub(super) fn refuse_empty_range(min: &Number, max: &Number, at: &Pair, cx: &mut Cx<'_>) {
    if less(max, min) {
        let message = format!("no number lies between {min} and {max}");
        cx.error("empty-range", at.key.span, message, "the minimum has to be at most the maximum");
    }
}

/// Whether `a < b`, exactly: integers lie within ±2^53, so that a double holds each of them.
pub(super) fn less(a: &Number, b: &Number) -> bool {
    debug_assert!(a.as_i64().is_none_or(|a| a.abs() <= JSON_INTEGER_MAX));
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a < b,
        _ => false,
    }
}

/// A JSON value of any type.
fn value(node: &Node, cx: &mut Cx<'_>) -> Option<Value> {
    if let Some(missing) = node.first_missing() {
        let help = "write it out; `null` for JSON's null";
        cx.error("missing-value", missing, "here a value is missing", help);
    }
    (!node.has_bad()).then(|| node.to_json())
}

fn values(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<Value>> {
    let items = list(node, "values", false, cx)?;
    items.iter().map(|item| value(item, cx)).collect()
}

fn one_of(node: &Node, cx: &mut Cx<'_>) -> Option<Check> {
    values(node, cx).map(Check::OneOf)
}

/// `contains: x`; a list would be ambiguous.
fn contains(node: &Node, cx: &mut Cx<'_>) -> Option<Check> {
    if matches!(node.kind, Kind::Seq(_)) {
        let help = "write `contains_any` or `contains_all` for several values";
        cx.error("wrong-type", node.span, "`contains` takes one value", help);
        return None;
    }
    Some(Check::ContainsAll(vec![value(node, cx)?]))
}

/// `length: 3` or `length: {min: 1, max: 3}`.
fn length(node: &Node, cx: &mut Cx<'_>) -> Option<Check> {
    if matches!(node.kind, Kind::Number(..)) {
        let exact = integer(node, 0, u32::MAX, cx)?;
        return Some(Check::Length { min: Some(exact), max: Some(exact) });
    }
    let mut fields = Fields::of(node, "a length: a number, or `min` and `max`", cx)?;
    let mut bound =
        |name, cx: &mut Cx<'_>| fields.take(name).map(|pair| integer(&pair.value, 0, u32::MAX, cx));
    let (min, max) = (bound("min", cx), bound("max", cx));
    let place = fields.place();
    fields.finish(cx);
    if min.is_none() && max.is_none() {
        cx.error("empty-matcher", place, "this length has no bound", "give `min`, `max` or both");
        return None;
    }
    let (min, max) = (min.unwrap_or_default(), max.unwrap_or_default());
    if let (Some(low), Some(high)) = (min, max)
        && low > high
    {
        cx.error(
            "empty-range",
            place,
            format!("no length lies between {low} and {high}"),
            "the minimum has to be at most the maximum",
        );
    }
    Some(Check::Length { min, max })
}

fn json_type(node: &Node, cx: &mut Cx<'_>) -> Option<JsonType> {
    if matches!(node.kind, Kind::Null) {
        return Some(JsonType::Null);
    }
    if matches!(node.kind, Kind::Seq(_)) {
        cx.error("wrong-type", node.span, "`type` takes one type", "use `any_of` for several types");
        return None;
    }
    word(node, &JSON_TYPES, cx)
}

/// The names of the types.
pub(crate) const JSON_TYPES: [(&str, JsonType); 7] = [
    ("null", JsonType::Null),
    ("boolean", JsonType::Boolean),
    ("number", JsonType::Number),
    ("integer", JsonType::Integer),
    ("string", JsonType::String),
    ("array", JsonType::Array),
    ("object", JsonType::Object),
];
