//! Rates, budgets and costs, of a document, an entry or the tenant.

use std::collections::HashMap;

use aegis_model::caps::{BURST_MAX, NAME_BYTES_MAX, RATE_MAX};
use aegis_model::money::Micros;
use jiff::tz::TimeZoneDatabase;

use super::cx::Cx;
use super::fields::Fields;
use super::paths;
use super::values::{integer, number, short, string, zone};
use crate::ast::{Cost, Entry, Limits, Path, PolicySet, Segment, Span};
use crate::diagnostic::position;
use crate::obligation::CALLS;
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
    let (rps_limit, burst) = (fields.take("rps_limit"), fields.take("burst"));
    if let (None, Some(burst)) = (rps_limit, burst) {
        let help = "add `rps_limit`: a burst is how many calls of a rate may come at once";
        cx.error("burst-alone", burst.key.span, "`burst` without `rps_limit` limits nothing", help);
    }
    let limits = Limits {
        rps_limit: placed(rps_limit, cx, rate),
        burst: placed(burst, cx, |node, cx| integer(node, 1, BURST_MAX, cx)),
        daily_budget: placed(fields.take("daily_budget"), cx, budget),
        cost: placed(fields.take("cost"), cx, cost),
        timezone: placed(fields.take("timezone"), cx, day_zone),
    };
    if let (Some((budget, span)), Some((cost, _))) = (limits.daily_budget, &limits.cost) {
        check_fit(budget, cost.most(), cost.unit(), span, cx);
    }
    limits
}

/// A rate, exact to a millionth of a call per second.
fn rate(node: &Node, cx: &mut Cx<'_>) -> Option<Micros> {
    let (number, _) = number(node, cx)?;
    let micros = number.as_f64().map(|rate| (rate * 1e6).round());
    let rate = micros.filter(|micros| *micros >= 1.0 && *micros <= f64::from(RATE_MAX) * 1e6);
    if rate.is_none() {
        let help = format!(
            "calls per second, at least 0.000001 and at most {RATE_MAX}; to permit nothing, deny the tool"
        );
        cx.error("bad-value", node.span, format!("a rate of {number} does not work"), help);
    }
    rate.map(|micros| Micros(micros as u64))
}

/// A budget of nothing is refused: whoever means that denies the tool, and sees so in the policy.
fn budget(node: &Node, cx: &mut Cx<'_>) -> Option<Micros> {
    let budget = quantity(node, cx)?;
    if budget.is_zero() {
        let help = "to permit nothing, deny the tool; without a limit, leave `daily_budget` out";
        cx.error("bad-value", node.span, "a budget of 0 pays for no call", help);
        return None;
    }
    Some(budget)
}

/// A zone in which a day can begin: one that the data built into every node knows, not this machine's alone.
fn day_zone(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let name = zone(node, cx)?;
    if name.len() > NAME_BYTES_MAX || TimeZoneDatabase::bundled().get(&name).is_err() {
        let help = "use a name of the IANA database, such as `Europe/Berlin` or `UTC`";
        cx.error("bad-time-zone", node.span, format!("nodes know no time zone `{}`", short(&name)), help);
        return None;
    }
    Some(name)
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

/// Checks the limits of a document together with those of its entries.
pub(super) fn check_document(limits: &Limits, entries: &[Entry], cx: &mut Cx<'_>) {
    check_units(limits, entries, cx);
    if entries.iter().all(|entry| entry.limits.cost.is_none()) {
        check_calls(limits, cx);
    }
    for entry in entries {
        match (&limits.daily_budget, &entry.limits.cost) {
            (Some((budget, _)), Some((cost, span))) => {
                check_fit(*budget, cost.most(), cost.unit(), *span, cx);
            }
            (None, Some(_)) => {}
            (_, None) => check_entry(entry, limits, cx),
        }
    }
    check_names(limits, entries, cx);
}

/// Checks the budget of an entry that has no cost of its own.
fn check_entry(entry: &Entry, document: &Limits, cx: &mut Cx<'_>) {
    match (&entry.limits.daily_budget, &document.cost) {
        (Some((budget, span)), Some((cost, _))) => check_fit(*budget, cost.most(), cost.unit(), *span, cx),
        (Some(_), None) => check_calls(&entry.limits, cx),
        (None, _) => {}
    }
}

/// Checks a budget that counts calls if no cost stands beside it.
pub(super) fn check_calls(limits: &Limits, cx: &mut Cx<'_>) {
    if let (Some((budget, span)), None) = (limits.daily_budget, &limits.cost) {
        check_fit(budget, ONE_CALL, CALLS, span, cx);
    }
}

/// One budget, one unit: every call that a document's budget counts has to cost the same unit.
fn check_units(limits: &Limits, entries: &[Entry], cx: &mut Cx<'_>) {
    if limits.daily_budget.is_none() {
        return;
    }
    let whole = limits.cost.as_ref().map(|(cost, span)| (cost.unit(), *span));
    let mut first = whole;
    for entry in entries {
        let own = entry.limits.cost.as_ref().map(|(cost, span)| (cost.unit(), *span)).or(whole);
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

/// A budget that one call would exceed admits none: what is written as a limit would be a denial.
fn check_fit(budget: Micros, most: Micros, unit: &str, span: Span, cx: &mut Cx<'_>) {
    if most > budget {
        let message = format!("the budget of {budget} {unit} is less than the {most} that one call costs");
        let help = "raise `daily_budget`, or lower the `value` or `max` of the cost; to permit nothing, deny the tool";
        cx.error("budget-too-small", span, message, help);
    }
}

/// What a call costs of a budget that counts calls.
const ONE_CALL: Micros = Micros(1_000_000);

/// Entries of one name share what they count, so they cannot have different limits of it.
fn check_names(document: &Limits, entries: &[Entry], cx: &mut Cx<'_>) {
    let mut first: HashMap<(&str, &str), &Entry> = HashMap::new();
    for entry in entries {
        let limits = &entry.limits;
        let unit = limits.unit().or(document.unit()).unwrap_or(CALLS);
        let budget = limits.daily_budget.map(|_| unit);
        let rate = limits.rps_limit.map(|_| "");
        for kind in budget.into_iter().chain(rate) {
            let other = *first.entry((entry.tool.0.as_str(), kind)).or_insert(entry);
            if terms(limits, kind) != terms(&other.limits, kind) {
                let place = position(other.span, cx.files);
                let message = format!("`{}` has other limits above", entry.tool.0);
                let help = format!(
                    "entries of one name share one account: say the same as at {place}, or tell their names apart"
                );
                cx.error("limits-differ", entry.span, message, help);
            }
        }
    }
}

/// What has to be equal: of the rate where `unit` is empty, otherwise of the budget.
fn terms<'l>(limits: &'l Limits, unit: &str) -> (Option<Micros>, Option<u32>, Option<&'l str>) {
    match unit {
        "" => (limits.rps_limit.map(|(rate, _)| rate), limits.burst.map(|(burst, _)| burst), None),
        _ => (limits.daily_budget.map(|(budget, _)| budget), None, limits.zone()),
    }
}

/// Checks what only the whole set shows: a document whose `cost` alone would take the defaults' budget away.
pub(super) fn check_set(set: &PolicySet, cx: &mut Cx<'_>) {
    let inherits = set.defaults.as_ref().is_some_and(|defaults| defaults.limits.daily_budget.is_some());
    for document in &set.documents {
        if let (true, None, Some((_, span))) =
            (inherits, &document.limits.daily_budget, &document.limits.cost)
        {
            let help = "repeat `daily_budget` beside the cost: a document's own cost and budget replace those of the defaults together";
            cx.error("cost-alone", *span, "with this cost, the budget of the defaults would not apply", help);
        }
    }
}
