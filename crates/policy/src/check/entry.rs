//! Entries of `allowed_tools` and `denied_tools`.

use super::conditions::{self, Lowered};
use super::cx::Cx;
use super::fields::Fields;
use super::limits::{LIMIT_FIELDS, limits};
use super::values::{glob, list, mode};
use super::{approval, redact};
use crate::ast::{Condition, Entry, Glob, Limits, Mode, Test};
use crate::yaml::{Node, Pair};

/// The entries of one field of a document called `label`.
pub(super) fn entries(
    pair: &Pair,
    allowing: bool,
    label: &str,
    document: Mode,
    cx: &mut Cx<'_>,
) -> Vec<Entry> {
    let field = if allowing { "allowed_tools" } else { "denied_tools" };
    let items = list(&pair.value, "entries", true, cx).unwrap_or_default();
    let mut entries = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let read = entry(item, allowing, format!("{label}/{field}[{at}]"), document, cx);
        entries.extend(cx.read_or_reported(read, item.span));
    }
    entries
}

fn entry(node: &Node, allowing: bool, rule: String, document: Mode, cx: &mut Cx<'_>) -> Option<Entry> {
    if let Some(text) = node.text() {
        cx.error("wrong-type", node.span, "an entry is a mapping", format!("write `- name: {text}`"));
        return None;
    }
    let what = if allowing { "an entry of `allowed_tools`" } else { "an entry of `denied_tools`" };
    let mut fields = Fields::of(node, what, cx)?;
    let name = fields.require(
        "name",
        "name the tool, e.g. `name: stripe-payments`; `*` stands for any run of characters",
        cx,
    );
    let tool = name.and_then(|pair| glob(&pair.value, "tool name", cx));
    let actions = fields.take("actions").map(|pair| actions(pair, cx));
    let own_mode = mode(&mut fields, cx);
    let Lowered { condition, always_ask } = match fields.take("conditions") {
        Some(pair) => conditions::conditions(&pair.value, allowing, cx),
        None => Lowered::default(),
    };
    let (mut terms, mut redactions, mut own_limits) = (None, Vec::new(), Limits::default());
    if allowing {
        let pair = fields.take("approval");
        terms = pair.and_then(|pair| approval::approval(pair, cx));
        if let Some(pair) = pair {
            lint_approval(pair, &condition, always_ask, cx);
        }
        redactions = fields.take("redact").map(|pair| redact::redact(pair, cx)).unwrap_or_default();
        own_limits = limits(&mut fields, cx);
    } else {
        let help = "a denied call has no cost, no redaction and nobody to ask: remove it, or move it to `allowed_tools`";
        fields.refuse(&["approval", "redact"], "misplaced-field", "has no meaning in a denial", help, cx);
        fields.refuse(&LIMIT_FIELDS, "misplaced-field", "has no meaning in a denial", help, cx);
    }
    let span = name.map_or(fields.place(), |pair| pair.value.span);
    fields.finish(cx);
    let (mut tool, mut actions) = (tool?, actions);
    if !allowing {
        lower(&mut tool);
        actions.iter_mut().flatten().for_each(lower);
    }
    let mode = if document == Mode::Shadow { Mode::Shadow } else { own_mode };
    Some(Entry {
        rule,
        tool,
        actions,
        condition,
        always_ask,
        approval: terms,
        redact: redactions,
        limits: own_limits,
        mode,
        span,
    })
}

fn actions(pair: &Pair, cx: &mut Cx<'_>) -> Vec<Glob> {
    let items = list(&pair.value, "actions", false, cx).unwrap_or_default();
    items.iter().filter_map(|item| glob(item, "action name", cx)).collect()
}

/// Denials ignore case.
fn lower(glob: &mut Glob) {
    glob.0.make_ascii_lowercase();
}

/// Terms of an approval that no call can need.
fn lint_approval(pair: &Pair, condition: &Condition, always_ask: bool, cx: &mut Cx<'_>) {
    let mut asks = always_ask;
    condition.for_each_test(&mut |test: &Test| asks |= test.approvable);
    if !asks {
        let help = "add `approval_needed: true`, or `otherwise: approval` to a matcher";
        cx.warn("approval-never-asked", pair.key.span, "nothing in this entry asks for approval", help);
    }
}
