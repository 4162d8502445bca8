//! Warnings about what works, but hardly as meant: entries without effect, allowances on the caller's word.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::cx::Cx;
use crate::ast::{Condition, Document, Entry, Glob, Limits, Mode, PolicySet, Span, Subject, Test};
use crate::diagnostic::position;
use crate::obligation::CALLS;
use crate::sources::FileKind;

/// Most entries with one name, and most entries with globs, that are compared with the others. Beyond, no
/// warning is given: a lint must not make a large set slow.
const COMPARED_MAX: usize = 64;

/// Looks at a whole set that has no errors.
pub(super) fn lint(set: &PolicySet, cx: &mut Cx<'_>) {
    if set.documents.is_empty() {
        let top = Span { file: u32::MAX, ..Span::default() };
        let help = "begin a file with `agent: NAME`";
        cx.warn("empty-set", top, "the policy set names no agent: every call is denied", help);
    }
    for documents in groups(set).values() {
        entries_of_group(documents, set.defaults.as_ref(), cx);
    }
    for document in set.documents.iter().chain(&set.defaults) {
        document.allowed.iter().flatten().for_each(|entry| callers_word(entry, cx));
        if cx.lints.limits_enforced {
            without_limits(document, set, cx);
        }
    }
    costs_nobody_counts(set, cx);
    zones_of_nothing(set, cx);
    unused_modules(cx);
}

/// Documents that name the same agents: their entries add up.
fn groups(set: &PolicySet) -> BTreeMap<Vec<&Glob>, Vec<&Document>> {
    let mut groups: BTreeMap<Vec<&Glob>, Vec<&Document>> = BTreeMap::new();
    for document in &set.documents {
        let mut agents: Vec<&Glob> = document.agents.iter().collect();
        agents.sort_unstable();
        groups.entry(agents).or_default().push(document);
    }
    groups
}

fn entries_of_group(documents: &[&Document], defaults: Option<&Document>, cx: &mut Cx<'_>) {
    let denied: Vec<&Entry> =
        documents.iter().copied().chain(defaults).flat_map(|document| &document.denied).collect();
    let denials = Unconditional::of(&denied);
    let allowed: Vec<&Entry> =
        documents.iter().flat_map(|document| document.allowed.iter().flatten()).collect();
    let allowances = Unconditional::of(&allowed);
    for entry in &allowed {
        if let Some(denial) = denials.covering(entry, true) {
            let place = position(denial.span, cx.files);
            let help = format!("`{}` at {place} denies all of it: remove one of the two", denial.rule);
            cx.warn("unreachable-entry", entry.span, "this entry never allows anything", help);
        } else if !has_obligations(entry) {
            covered(entry, &allowances, "allows", cx);
        }
    }
    // Denials of the defaults are compared with each other only where the defaults are the document.
    let own: Vec<&Entry> = documents.iter().flat_map(|document| &document.denied).collect();
    own.iter().for_each(|entry| covered(entry, &denials, "denies", cx));
    duplicates(&allowed, cx);
    duplicates(&own, cx);
}

/// An entry that another one, without conditions, covers.
fn covered(entry: &Entry, others: &Unconditional<'_>, does: &str, cx: &mut Cx<'_>) {
    let Some(other) = others.covering(entry, false) else { return };
    let place = position(other.span, cx.files);
    let help = format!("`{}` at {place} {does} every call of this entry without conditions", other.rule);
    cx.warn("no-effect", entry.span, "this entry changes nothing", help);
}

/// Enforced entries without conditions, found by the name of the tool.
struct Unconditional<'e> {
    exact: HashMap<String, Vec<&'e Entry>>,
    globs: Vec<&'e Entry>,
}

impl<'e> Unconditional<'e> {
    fn of(entries: &[&'e Entry]) -> Self {
        let mut found = Self { exact: HashMap::new(), globs: Vec::new() };
        for &entry in entries {
            if entry.mode != Mode::Enforce || !entry.condition.is_always() || entry.always_ask {
                continue;
            }
            let list = match entry.tool.is_exact() {
                true => found.exact.entry(entry.tool.0.to_ascii_lowercase()).or_default(),
                false => &mut found.globs,
            };
            if list.len() < COMPARED_MAX {
                list.push(entry);
            }
        }
        found
    }

    /// Another entry that speaks of every call of this one; case counts unless it is a denial.
    fn covering(&self, entry: &Entry, ignore_case: bool) -> Option<&'e Entry> {
        let exact = self.exact.get(&entry.tool.0.to_ascii_lowercase());
        let candidates = exact.into_iter().flatten().chain(&self.globs).copied();
        candidates.filter(|other| !std::ptr::eq(*other, entry)).find(|other| {
            // Of two that cover each other, the later one is the superfluous one.
            let mutual = entry.condition.is_always()
                && !ignore_case
                && !entry.always_ask
                && covers(entry, other, false);
            covers(other, entry, ignore_case)
                && !(mutual && (entry.span.file, entry.span.start) < (other.span.file, other.span.start))
        })
    }
}

/// Whether every call that `b` speaks of is one that `a` speaks of. May miss some, never claims too much: a `*`
/// of `b` is covered only by a `*` of `a`.
fn covers(a: &Entry, b: &Entry, ignore_case: bool) -> bool {
    let glob =
        |a: &Glob, b: &Glob| if ignore_case { a.matches(&b.0.to_ascii_lowercase()) } else { a.matches(&b.0) };
    if !glob(&a.tool, &b.tool) {
        return false;
    }
    match (&a.actions, &b.actions) {
        (None, _) => true,
        (Some(wide), None) => wide.iter().any(|action| action.0 == "*"),
        (Some(wide), Some(narrow)) => narrow.iter().all(|action| wide.iter().any(|wide| glob(wide, action))),
    }
}

/// Whether an entry that allows brings duties along, and so matters even where others allow too.
fn has_obligations(entry: &Entry) -> bool {
    !entry.redact.is_empty() || entry.limits != Limits::default()
}

/// Entries that say the same with the same conditions.
fn duplicates(entries: &[&Entry], cx: &mut Cx<'_>) {
    let mut seen: HashMap<(&Glob, &Option<Vec<Glob>>), Vec<&Entry>> = HashMap::new();
    for &entry in entries {
        let same = seen.entry((&entry.tool, &entry.actions)).or_default();
        // Two without conditions were reported as covering each other.
        let first = same.iter().find(|first| {
            !entry.condition.is_always()
                && !has_obligations(entry)
                && first.mode == entry.mode
                && first.always_ask == entry.always_ask
                && without_places(&first.condition) == without_places(&entry.condition)
        });
        if let Some(first) = first {
            let place = position(first.span, cx.files);
            cx.warn(
                "no-effect",
                entry.span,
                "this entry changes nothing",
                format!("`{}` at {place} says the same", first.rule),
            );
        }
        if same.len() < COMPARED_MAX {
            same.push(entry);
        }
    }
}

/// The same condition, without the places in the source.
fn without_places(condition: &Condition) -> Condition {
    match condition {
        Condition::All(parts) => Condition::All(parts.iter().map(without_places).collect()),
        Condition::Any(parts) => Condition::Any(parts.iter().map(without_places).collect()),
        Condition::Not(part) => Condition::Not(Box::new(without_places(part))),
        Condition::Test(test) => Condition::Test(Test { span: Span::default(), ..test.clone() }),
    }
}

/// An allowance whose only conditions are what the caller says about itself.
fn callers_word(entry: &Entry, cx: &mut Cx<'_>) {
    let (mut tests, mut context) = (0, 0);
    entry.condition.for_each_test(&mut |test| {
        tests += 1;
        context += usize::from(matches!(test.subject, Subject::Context(_)));
    });
    if tests > 0 && tests == context && !entry.always_ask {
        let help = "`context.*` is what the caller claims: test `token.*`, `purpose` with `require: verified`, or parameters too";
        cx.warn("callers-word", entry.span, "this entry rests on the caller's word alone", help);
    }
}

/// An agent that no limit bounds.
fn without_limits(document: &Document, set: &PolicySet, cx: &mut Cx<'_>) {
    let of_defaults = set.defaults.as_ref().is_some_and(|defaults| defaults.limits != Limits::default());
    let allows = document.allowed.as_ref().is_some_and(|entries| !entries.is_empty());
    if allows && document.limits == Limits::default() && !of_defaults && !document.agents.is_empty() {
        let span = Span { end: document.span.start, ..document.span };
        cx.warn(
            "no-limits",
            span,
            "nothing limits this agent",
            "add `rps_limit` and `daily_budget`, here or in `defaults`",
        );
    }
}

/// Costs in a unit that no budget of the set counts.
fn costs_nobody_counts(set: &PolicySet, cx: &mut Cx<'_>) {
    let documents = || set.documents.iter().chain(&set.defaults);
    let of_document = |document: &'_ Document| {
        document.limits.daily_budget?;
        let unit = document.limits.unit().or(document.unit_of_entries());
        Some(unit.unwrap_or(CALLS).to_owned())
    };
    let of_tenant = set.tenant.iter().filter(|tenant| tenant.daily_budget.is_some());
    let of_tenant = of_tenant.map(|tenant| tenant.unit().unwrap_or(CALLS).to_owned());
    let counted: HashSet<String> = documents().filter_map(of_document).chain(of_tenant).collect();
    let mut look = |limits: &Limits, counted_here: bool| {
        if let Some((cost, span)) = &limits.cost
            && !counted_here
            && !counted.contains(cost.unit())
        {
            let message = format!("no budget of the policy counts `{}`", cost.unit());
            let help = "add `daily_budget` beside the cost, or remove it; only a budget of the organization would count it";
            cx.warn("cost-not-counted", *span, message, help);
        }
    };
    for document in documents() {
        let entries = || document.allowed.iter().flatten();
        look(
            &document.limits,
            entries().any(|entry| entry.limits.daily_budget.is_some() && entry.limits.cost.is_none()),
        );
        entries().for_each(|entry| look(&entry.limits, entry.limits.daily_budget.is_some()));
    }
    set.tenant.iter().for_each(|tenant| look(tenant, false));
}

/// Zones that no budget uses.
fn zones_of_nothing(set: &PolicySet, cx: &mut Cx<'_>) {
    let mut look = |limits: &Limits, used: bool| {
        if let Some((_, span)) = &limits.timezone
            && limits.daily_budget.is_none()
            && !used
        {
            let help = "it says when the day of a `daily_budget` begins: add one, or remove it";
            cx.warn("timezone-alone", *span, "this time zone has no effect", help);
        }
    };
    for document in set.documents.iter().chain(&set.defaults) {
        let entries = || document.allowed.iter().flatten();
        look(&document.limits, entries().any(|entry| entry.limits.daily_budget.is_some()));
        entries().for_each(|entry| look(&entry.limits, false));
    }
    set.tenant.iter().for_each(|tenant| look(tenant, false));
}

/// Modules that no document names, and that therefore deny nothing.
fn unused_modules(cx: &mut Cx<'_>) {
    for (at, file) in (0..).zip(cx.files) {
        if FileKind::of(&file.path) == FileKind::Rego && !cx.named.contains(&at) {
            let top = Span { file: at, start: 0, end: 0, line: 1, column: 1 };
            let message = format!("no document names `{}`: it has no effect", file.path);
            cx.warn("unused-module", top, message, "name it with `rego:` in a document, or remove it");
        }
    }
}
