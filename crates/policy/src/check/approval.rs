//! `approval`: who agrees, how many of them, within what time.

use aegis_model::caps::{APPROVAL_SECONDS_MAX, APPROVAL_SECONDS_MIN, APPROVERS_MAX, NAME_BYTES_MAX};

use super::cx::Cx;
use super::fields::Fields;
use super::values::{duration, integer, short, strings};
use crate::ast::ApprovalTerms;
use crate::yaml::{Node, Pair};

/// For how long a request stays open where the policy does not say.
const WITHIN_SECONDS_DEFAULT: u64 = 30 * 60;

/// The terms of an entry.
pub(super) fn approval(pair: &Pair, cx: &mut Cx<'_>) -> Option<ApprovalTerms> {
    let mut fields = Fields::of(&pair.value, "`approval`", cx)?;
    let by_pair =
        fields.require("by", "name the roles or people who may agree, e.g. `by: [finance-lead]`", cx);
    let by = by_pair.and_then(|pair| strings(&pair.value, "roles or people", cx, name));
    let of_pair = fields.take("of");
    let of = of_pair.map_or(Some(1), |pair| integer(&pair.value, 1, APPROVERS_MAX, cx));
    let within = fields.take("within").map_or(Some(WITHIN_SECONDS_DEFAULT), |pair| {
        duration(&pair.value, APPROVAL_SECONDS_MIN, APPROVAL_SECONDS_MAX, cx)
    });
    let notify =
        fields.take("notify").map_or(Some(Vec::new()), |pair| strings(&pair.value, "channels", cx, name));
    fields.finish(cx);
    let terms =
        ApprovalTerms { by: by?, of: of?, within_seconds: within?, notify: notify?, span: pair.key.span };
    if let Some(place) = of_pair.or(by_pair) {
        lint(&terms, place, cx);
    }
    Some(terms)
}

/// An approval that nobody can give. A name with `@` is a person, any other a role, of which there may be many.
fn lint(terms: &ApprovalTerms, place: &Pair, cx: &mut Cx<'_>) {
    let mut people: Vec<&str> = terms.by.iter().map(String::as_str).collect();
    people.sort_unstable();
    people.dedup();
    let only_people = people.iter().all(|name| name.contains('@'));
    if only_people && (people.len() as u64) < u64::from(terms.of) {
        let message =
            format!("nobody can give this approval: {} have to agree, but {} may", terms.of, people.len());
        cx.warn("impossible-approval", place.key.span, message, "name more people, or a role, or lower `of`");
    }
}

/// A role, a person (with `@`) or a channel (with `#`).
fn name(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let plain = |byte: u8| aegis_model::ids::is_name_byte(byte) || matches!(byte, b'@' | b'+' | b'#');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(plain) {
        let help = format!("1 to {NAME_BYTES_MAX} of `A-Z a-z 0-9 _ . : / - @ + #`");
        cx.error(
            "bad-name",
            node.span,
            format!("`{}` is no name of a role, person or channel", short(text)),
            help,
        );
        return None;
    }
    Some(text.to_owned())
}
