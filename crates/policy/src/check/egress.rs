//! `egress`: the domains that an agent may reach.

use super::cx::Cx;
use super::fields::Fields;
use super::literals;
use super::values::{list, string};
use crate::ast::Egress;
use crate::yaml::Pair;

/// The destinations of a document. An empty list permits none.
pub(super) fn egress(pair: &Pair, cx: &mut Cx<'_>) -> Option<Egress> {
    let mut fields = Fields::of(&pair.value, "`egress`", cx)?;
    let allowed = fields.require(
        "allow",
        "list the domains, e.g. `allow: [api.example.com]`; an empty list permits none",
        cx,
    );
    fields.finish(cx);
    let mut allow = Vec::new();
    for item in list(&allowed?.value, "domains", true, cx)? {
        allow.extend(string(item, cx).and_then(|text| literals::destination(text, item, cx)));
    }
    Some(Egress { allow, span: pair.key.span })
}
