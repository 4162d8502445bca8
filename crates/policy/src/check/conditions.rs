//! `conditions`: every shorthand spelled out as tests under "all of".

use aegis_model::caps::{CHAIN_MEMBERS_MAX, CONDITION_TESTS_MAX};
use serde_json::{Number, Value};

use super::cx::Cx;
use super::fields::Fields;
use super::matchers::{self, Place};
use super::values::{boolean, glob, integer, list, not_empty, number, one_or_list, strings, word};
use super::{paths, schema_file, time};
use crate::ast::{Check, Condition, Path, Span, Subject, Test};
use crate::yaml::{Kind, Node, Pair};

/// What the conditions of an entry come to.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) condition: Condition,
    pub(super) always_ask: bool,
}

impl Default for Lowered {
    fn default() -> Self {
        Self { condition: Condition::All(Vec::new()), always_ask: false }
    }
}

/// Where conditions stand.
#[derive(Debug, Clone, Copy)]
struct Scope {
    /// In an entry of `allowed_tools`.
    allowing: bool,
    /// Not inside a group.
    top: bool,
    /// Under an odd or even number of `not`, but under one.
    negated: bool,
    /// `require: verified` holds here.
    verified: bool,
}

impl Scope {
    fn matcher_place(self) -> Place {
        if self.allowing && !self.negated { Place::MayAsk } else { Place::MayNotAsk }
    }
}

/// The conditions of an entry. Errors are reported; the result is then not used.
pub(super) fn conditions(node: &Node, allowing: bool, cx: &mut Cx<'_>) -> Lowered {
    let scope = Scope { allowing, top: true, negated: false, verified: false };
    let Some((parts, always_ask)) = group(node, scope, cx) else { return Lowered::default() };
    let condition = Condition::All(parts);
    let mut tests = 0_usize;
    condition.for_each_test(&mut |_| tests += 1);
    if tests > CONDITION_TESTS_MAX {
        let help = "use lists (`one_of`) instead of many tests, or spread them over several entries";
        cx.error(
            "too-many-tests",
            node.span,
            format!("these conditions have {tests} tests; at most {CONDITION_TESTS_MAX} fit"),
            help,
        );
    }
    Lowered { condition, always_ask }
}

/// One mapping of conditions: all its parts, and whether it always asks.
fn group(node: &Node, mut scope: Scope, cx: &mut Cx<'_>) -> Option<(Vec<Condition>, bool)> {
    let mut fields = Fields::of(node, "conditions", cx)?;
    let mut parts = Vec::new();
    let required = require_verified(&mut fields, cx);
    scope.verified |= required.is_some();
    for name in ["purpose", "environment"] {
        part(fields.take(name), &mut parts, cx, |pair, cx| circumstance(pair, name, scope, cx));
    }
    maps(&mut fields, scope, &mut parts, cx);
    chain(&mut fields, &mut parts, cx);
    part(fields.take("schema"), &mut parts, cx, schema_file::condition);
    part(fields.take("time"), &mut parts, cx, time::time);
    groups(&mut fields, scope, &mut parts, cx);
    let always_ask = ranges(&mut fields, scope, &mut parts, cx);
    fields.finish(cx);
    let beside = node.member("purpose").or_else(|| node.member("environment"));
    if let Some(pair) = required.filter(|_| beside.is_none() && !mentions_circumstance(&parts)) {
        let help = "it belongs beside `purpose` or `environment`, and says that only the token's word counts";
        cx.error("nothing-to-verify", pair.key.span, "`require: verified` has nothing to verify here", help);
    }
    Some((parts, always_ask))
}

/// Adds what a field comes to, if the field is there.
fn part<'n>(
    pair: Option<&'n Pair>,
    parts: &mut Vec<Condition>,
    cx: &mut Cx<'_>,
    read: impl FnOnce(&'n Pair, &mut Cx<'_>) -> Option<Condition>,
) {
    let Some(pair) = pair else { return };
    let condition = read(pair, cx);
    parts.extend(cx.read_or_reported(condition, pair.key.span));
}

/// A test of its own.
fn leaf(subject: Subject, checks: Vec<Check>, span: Span) -> Condition {
    Condition::Test(Test { subject, checks, optional: false, approvable: false, span })
}

fn require_verified<'n>(fields: &mut Fields<'n>, cx: &mut Cx<'_>) -> Option<&'n Pair> {
    let pair = fields.take("require")?;
    word(&pair.value, &[("verified", ())], cx).map(|()| pair)
}

fn mentions_circumstance(parts: &[Condition]) -> bool {
    let mut found = false;
    for part in parts {
        part.for_each_test(&mut |test| found |= matches!(test.subject, Subject::Circumstance { .. }));
    }
    found
}

/// `purpose` and `environment`.
fn circumstance(pair: &Pair, name: &str, scope: Scope, cx: &mut Cx<'_>) -> Option<Condition> {
    let mut values = strings(&pair.value, "strings", cx, not_empty)?;
    let check = if values.len() == 1 {
        Check::Equals(Value::String(values.remove(0)))
    } else {
        Check::OneOf(values.into_iter().map(Value::String).collect())
    };
    let subject = Subject::Circumstance { name: name.to_owned(), verified_only: scope.verified };
    Some(leaf(subject, vec![check], pair.key.span))
}

/// `params`, `context` and `token`: maps of path to matcher.
fn maps(fields: &mut Fields<'_>, scope: Scope, parts: &mut Vec<Condition>, cx: &mut Cx<'_>) {
    let subject_of: [fn(Path) -> Subject; 3] = [Subject::Params, Subject::Context, Subject::Token];
    for (name, subject) in ["params", "context", "token"].into_iter().zip(subject_of) {
        let Some(pair) = fields.take(name) else { continue };
        let Kind::Map(pairs) = &pair.value.kind else {
            cx.wrong_type(&pair.value, "a mapping of paths to matchers");
            continue;
        };
        if pairs.is_empty() {
            cx.error(
                "empty-group",
                pair.key.span,
                format!("`{name}` names no path"),
                "name at least one, or leave the field out",
            );
        }
        for pair in pairs {
            part(Some(pair), parts, cx, |pair, cx| path_test(pair, subject, scope, cx));
        }
    }
}

fn path_test(pair: &Pair, subject: fn(Path) -> Subject, scope: Scope, cx: &mut Cx<'_>) -> Option<Condition> {
    let text = &*pair.key.text;
    let path = paths::path(text, pair.key.span, cx);
    if pair.key.double_quoted && text.contains('.') && !text.contains(['[', '"']) {
        let help =
            format!("leave the quotes out if it is a path; for one odd name quote inside: '\"{text}\"'");
        cx.warn(
            "quoted-path",
            pair.key.span,
            format!("`{text}` is read as a path in spite of its quotes"),
            help,
        );
    }
    let matcher = matchers::matcher(pair, scope.matcher_place(), cx)?;
    Some(Condition::Test(Test {
        subject: subject(path?),
        checks: matcher.checks,
        optional: matcher.optional,
        approvable: matcher.approvable,
        span: pair.key.span,
    }))
}

/// `callers` and `max_chain_depth`.
fn chain(fields: &mut Fields<'_>, parts: &mut Vec<Condition>, cx: &mut Cx<'_>) {
    part(fields.take("callers"), parts, cx, callers);
    let Some(pair) = fields.take("max_chain_depth") else { return };
    let Some(depth) = integer(&pair.value, 0, u32::MAX, cx) else { return };
    if depth as usize >= CHAIN_MEMBERS_MAX {
        let message =
            format!("no delegation chain has more than {CHAIN_MEMBERS_MAX} members, so this always holds");
        cx.warn("no-effect", pair.key.span, message, "give a smaller number, or leave it out");
    }
    parts.push(leaf(Subject::ChainDepth(depth), Vec::new(), pair.key.span));
}

fn callers(pair: &Pair, cx: &mut Cx<'_>) -> Option<Condition> {
    let (mut globs, mut none_allowed) = (Vec::new(), false);
    for item in one_or_list(&pair.value, "agents", cx)? {
        if item.text() == Some("none") {
            none_allowed = true;
        } else {
            globs.extend(glob(item, "agent name", cx));
        }
    }
    Some(leaf(Subject::Callers { globs, none_allowed }, Vec::new(), pair.key.span))
}

/// `any_of`, `all_of` and `not`.
fn groups(fields: &mut Fields<'_>, scope: Scope, parts: &mut Vec<Condition>, cx: &mut Cx<'_>) {
    let inner = Scope { top: false, ..scope };
    part(fields.take("any_of"), parts, cx, |pair, cx| members(pair, inner, cx).map(Condition::Any));
    part(fields.take("all_of"), parts, cx, |pair, cx| members(pair, inner, cx).map(Condition::All));
    part(fields.take("not"), parts, cx, |pair, cx| {
        let inner = Scope { negated: true, ..inner };
        member(&pair.value, pair.key.span, inner, cx).map(|part| Condition::Not(Box::new(part)))
    });
}

fn members(pair: &Pair, scope: Scope, cx: &mut Cx<'_>) -> Option<Vec<Condition>> {
    let items = list(&pair.value, "conditions", false, cx)?;
    items.iter().map(|item| member(item, item.span, scope, cx)).collect()
}

/// A group inside a group; an empty one is always true, which nobody means.
fn member(node: &Node, span: Span, scope: Scope, cx: &mut Cx<'_>) -> Option<Condition> {
    if matches!(&node.kind, Kind::Map(pairs) if pairs.is_empty()) {
        let help = "an empty group would always hold: name a condition";
        cx.error("empty-group", span, "this group has no conditions", help);
        return None;
    }
    let (mut parts, _) = group(node, scope, cx)?;
    Some(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
}

/// One `max_X` or `min_X`.
struct Bound<'n> {
    path: Option<Path>,
    value: Option<Number>,
    pair: &'n Pair,
}

/// `max_X`, `min_X` and `approval_needed`. Gives whether the entry asks even when all conditions hold.
fn ranges(fields: &mut Fields<'_>, scope: Scope, parts: &mut Vec<Condition>, cx: &mut Cx<'_>) -> bool {
    let maxima = fields.take_rest(|name| name.starts_with("max_"));
    let minima = fields.take_rest(|name| name.starts_with("min_"));
    let approval = fields.take("approval_needed");
    if !scope.allowing || !scope.top {
        refuse_ranges(&maxima, &minima, approval, scope, cx);
        return false;
    }
    let asks = approval.and_then(|pair| boolean(&pair.value, cx)).unwrap_or_default();
    let maxima: Vec<_> = maxima.into_iter().map(|pair| bound(pair, "max_", cx)).collect();
    let mut minima: Vec<_> = minima.into_iter().map(|pair| bound(pair, "min_", cx)).collect();
    let has_max = !maxima.is_empty();
    for max in maxima {
        let min = minima
            .iter()
            .position(|min| min.path.is_some() && min.path == max.path)
            .map(|at| minima.remove(at));
        let span = max.pair.key.span;
        let tests = upper(max, min, asks, cx);
        parts.extend(cx.read_or_reported(tests, span).into_iter().flatten());
    }
    for Bound { path, value, pair } in minima {
        let test = path.zip(value);
        let test =
            test.map(|(path, value)| leaf(Subject::Params(path), vec![Check::Min(value)], pair.key.span));
        parts.extend(cx.read_or_reported(test, pair.key.span));
    }
    asks && !has_max
}

fn bound<'n>(pair: &'n Pair, prefix: &str, cx: &mut Cx<'_>) -> Bound<'n> {
    let name = pair.key.text.strip_prefix(prefix).unwrap_or_default();
    let path = paths::path(name, pair.key.span, cx);
    let value = number(&pair.value, cx).map(|(number, _)| number.clone());
    Bound { path, value, pair }
}

/// `max_X` with its `min_X`, or with zero in its place. Where going over asks a person, the two are tests
/// of their own: below the minimum always denies.
fn upper(max: Bound<'_>, min: Option<Bound<'_>>, asks: bool, cx: &mut Cx<'_>) -> Option<Vec<Condition>> {
    let (path, value) = max.path.zip(max.value)?;
    let (low, low_span) = match &min {
        Some(min) => (min.value.clone()?, min.pair.key.span),
        None => (Number::from(0), max.pair.key.span),
    };
    if min.is_none() && matchers::less(&value, &low) {
        let help =
            format!("without a `min_` the minimum is 0: add `min_{}`", &max.pair.key.text["max_".len()..]);
        cx.error("empty-range", max.pair.key.span, format!("no number lies between 0 and {value}"), help);
    } else {
        matchers::refuse_empty_range(&low, &value, max.pair, cx);
    }
    let span = max.pair.key.span;
    if !asks {
        return Some(vec![leaf(Subject::Params(path), vec![Check::Min(low), Check::Max(value)], span)]);
    }
    let below = leaf(Subject::Params(path.clone()), vec![Check::Min(low)], low_span);
    let (subject, checks) = (Subject::Params(path), vec![Check::Max(value)]);
    let above = Condition::Test(Test { subject, checks, optional: false, approvable: true, span });
    Some(vec![below, above])
}

fn refuse_ranges(maxima: &[&Pair], minima: &[&Pair], approval: Option<&Pair>, scope: Scope, cx: &mut Cx<'_>) {
    let place = if scope.allowing { "inside a group" } else { "in a denial" };
    for pair in maxima.iter().chain(minima) {
        let (prefix, name) = pair.key.text.split_at("max_".len());
        let help = format!("write `params: {{{name}: {{{}: …}}}}`", prefix.trim_end_matches('_'));
        cx.error("misplaced-range", pair.key.span, format!("`{}` cannot stand {place}", pair.key.text), help);
    }
    if let Some(pair) = approval {
        let help = "only an entry of `allowed_tools` asks, at the top of its conditions; a single test asks with `otherwise: approval`";
        cx.error(
            "misplaced-approval",
            pair.key.span,
            format!("`approval_needed` cannot stand {place}"),
            help,
        );
    }
}
