//! Rates, budgets and costs, of a document, an entry or the tenant.

use aegis_model::caps::{BURST_MAX, NAME_BYTES_MAX, RATE_MAX};
use aegis_model::money::Micros;

use super::cx::Cx;
use super::fields::Fields;
use super::paths;
use super::values::{integer, number, short, string, zone};
use crate::ast::{Cost, Entry, Limits, Path, Segment, Span};
use crate::yaml::{Kind, Node, Pair};

/// The fields of limits.
pub(super) const LIMIT_FIELDS: [&str; 5] = ["rps_limit", "burst", "daily_budget", "cost", "timezone"];

/// Takes the limits among `fields`.
pub(super) fn limits(fields: &mut Fields<'_>, cx: &mut Cx<'_>) -> Limits {
    fn placed<T>(
        pair: Option<&Pair>,
        cx: &mut Cx<'_>,
        read: impl Fn(&Node, &mut Cx<'_>) -> Option<T>,
    ) -> Option<(T, Span)> {
        pair.and_then(|pair| Some((read(&pair.value, cx)?, pair.key.span)))
    }
    Limits {
        rps_limit: placed(fields.take("rps_limit"), cx, rate),
        burst: placed(fields.take("burst"), cx, |node, cx| integer(node, 1, BURST_MAX, cx)),
        daily_budget: placed(fields.take("daily_budget"), cx, quantity),
        cost: placed(fields.take("cost"), cx, cost),
        timezone: placed(fields.take("timezone"), cx, zone),
    }
}

fn rate(node: &Node, cx: &mut Cx<'_>) -> Option<f64> {
    let (number, _) = number(node, cx)?;
    let rate = number.as_f64().filter(|rate| *rate > 0.0 && *rate <= f64::from(RATE_MAX));
    if rate.is_none() {
        let help =
            format!("calls per second, more than 0 and at most {RATE_MAX}; to permit nothing, deny the tool");
        cx.error("bad-value", node.span, format!("a rate of {number} does not work"), help);
    }
    rate
}

/// An amount: a plain decimal number, or the same as a string. Exact to a millionth.
fn quantity(node: &Node, cx: &mut Cx<'_>) -> Option<Micros> {
    let text = match &node.kind {
        Kind::Number(_, text) | Kind::Text(text) => text,
        _ => {
            cx.wrong_type(node, "an amount");
            return None;
        }
    };
    match text.parse() {
        Ok(amount) => Some(amount),
        Err(why) => {
            cx.error("bad-value", node.span, format!("`{}` is not an amount", short(text)), why.to_string());
            None
        }
    }
}

fn cost(node: &Node, cx: &mut Cx<'_>) -> Option<Cost> {
    let mut fields = Fields::of(node, "a cost", cx)?;
    let unit_pair = fields.require("unit", "say what is counted, e.g. `unit: usd`", cx);
    let unit = unit_pair.and_then(|pair| unit(&pair.value, cx));
    let (value, from, max) = (fields.take("value"), fields.take("from"), fields.take("max"));
    let place = fields.place();
    fields.finish(cx);
    let read = match (value, from, max) {
        (Some(value), None, None) => quantity(&value.value, cx).map(|value| (value, None)),
        (None, Some(from), Some(max)) => {
            let path = cost_path(&from.value, cx);
            quantity(&max.value, cx).zip(path).map(|(max, path)| (max, Some(path)))
        }
        (None, Some(from), None) => {
            let help = "`max` is reserved until the real cost is known, and is the most that the call's own word can cost";
            cx.error("missing-field", from.key.span, "a cost read from the call needs `max`", help);
            None
        }
        _ => {
            let help =
                "write `{value: 0.02, unit: usd}` or `{from: params.estimated_cost, max: 5, unit: usd}`";
            cx.error("bad-cost", place, "a cost is either `value`, or `from` with `max`", help);
            None
        }
    };
    let ((amount, path), unit) = read.zip(unit)?;
    Some(match path {
        Some(path) => Cost::From { path, max: amount, unit },
        None => Cost::Fixed { value: amount, unit },
    })
}

fn cost_path(node: &Node, cx: &mut Cx<'_>) -> Option<Path> {
    let text = string(node, cx)?;
    let Some(rest) = text.strip_prefix("params.") else {
        cx.error(
            "bad-path",
            node.span,
            format!("`{}` does not begin with `params.`", short(text)),
            "a cost is read from the parameters",
        );
        return None;
    };
    let path = paths::path(rest, node.span, cx)?;
    if path.0.contains(&Segment::Every) {
        cx.error(
            "bad-path",
            node.span,
            "a cost is one number: `[*]` has no place in its path",
            "name one element, e.g. `[0]`",
        );
        return None;
    }
    Some(path)
}

fn unit(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let text = string(node, cx)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(plain) {
        cx.error(
            "bad-value",
            node.span,
            format!("`{}` is not a unit", short(text)),
            "lower-case letters, digits, `_` and `-`, e.g. `usd`",
        );
        return None;
    }
    Some(text.to_owned())
}

/// The unit in which calls are counted where no cost is given.
const CALLS: &str = "calls";

fn unit_of(cost: &Cost) -> &str {
    match cost {
        Cost::Fixed { unit, .. } | Cost::From { unit, .. } => unit,
    }
}

/// One budget, one unit: every call that a document's budget counts has to cost the same unit.
pub(super) fn check_units(limits: &Limits, entries: &[Entry], cx: &mut Cx<'_>) {
    if limits.daily_budget.is_none() {
        return;
    }
    let whole = limits.cost.as_ref().map(|(cost, span)| (unit_of(cost), *span));
    let mut first = whole;
    for entry in entries {
        let own = entry.limits.cost.as_ref().map(|(cost, span)| (unit_of(cost), *span)).or(whole);
        let (unit, span) = own.unwrap_or((CALLS, entry.span));
        let (expected, _) = *first.get_or_insert((unit, span));
        if unit != expected {
            let message = format!("the budget counts `{expected}`, but this entry costs `{unit}`");
            cx.error(
                "unit-mix",
                span,
                message,
                "one budget, one unit: give the document a `cost`, or every entry a cost in the same unit",
            );
        }
    }
}
