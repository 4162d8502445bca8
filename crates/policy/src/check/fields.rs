//! Walks a mapping with a fixed set of fields: takes the known ones and reports the rest.

use super::cx::Cx;
use super::nearest::nearest;
use crate::ast::Span;
use crate::yaml::{Kind, Node, Pair};

/// Fields of a later part of the language (origins of values within a session). Refused until then.
const RESERVED: [&str; 6] = ["task", "sources", "from", "or_ask", "links_from", "per_session"];

/// The fields of one mapping.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    /// What the mapping is, for messages: `an entry of allowed_tools`.
    what: &'static str,
    span: Span,
    pairs: &'n [Pair],
    taken: Vec<bool>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The fields of `node`; reports a node that is no mapping.
    pub(crate) fn of(node: &'n Node, what: &'static str, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(pairs) = &node.kind else {
            cx.wrong_type(node, &format!("a mapping ({what})"));
            return None;
        };
        Some(Self { what, span: node.span, pairs, taken: vec![false; pairs.len()], known: Vec::new() })
    }

    /// The field `name`, if it is there.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'n Pair> {
        self.known.push(name);
        let at = self.pairs.iter().position(|pair| &*pair.key.text == name)?;
        self.taken[at] = true;
        Some(&self.pairs[at])
    }

    /// The field `name`; reports its absence.
    pub(crate) fn require(&mut self, name: &'static str, help: &str, cx: &mut Cx<'_>) -> Option<&'n Pair> {
        let found = self.take(name);
        if found.is_none() {
            let message = format!("{} needs the field `{name}`", self.what);
            cx.error("missing-field", self.place(), message, help);
        }
        found
    }

    /// Where the mapping is: its first key, or the whole of an empty one.
    pub(crate) fn place(&self) -> Span {
        self.pairs.first().map_or(self.span, |pair| pair.key.span)
    }

    /// The names of the fields that were taken.
    pub(crate) fn taken(&self) -> Vec<&'n str> {
        let taken = self.pairs.iter().zip(&self.taken).filter(|&(_, &taken)| taken);
        taken.map(|(pair, _)| &*pair.key.text).collect()
    }

    /// The fields that nobody took yet; they count as taken from now on.
    pub(crate) fn take_rest(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<&'n Pair> {
        let mut rest = Vec::new();
        for (pair, taken) in self.pairs.iter().zip(&mut self.taken) {
            if !*taken && wanted(&pair.key.text) {
                *taken = true;
                rest.push(pair);
            }
        }
        rest
    }

    /// Takes fields that have no place here, and says why.
    pub(crate) fn refuse(
        &mut self,
        names: &[&'static str],
        code: &'static str,
        message: &str,
        help: &str,
        cx: &mut Cx<'_>,
    ) {
        for name in names {
            let known = self.known.len();
            if let Some(pair) = self.take(name) {
                cx.error(code, pair.key.span, format!("`{name}` {message}"), help);
            }
            self.known.truncate(known);
        }
    }

    /// Reports every field that nobody took.
    pub(crate) fn finish(self, cx: &mut Cx<'_>) {
        for (pair, _) in self.pairs.iter().zip(&self.taken).filter(|&(_, &taken)| !taken) {
            let (name, span) = (&*pair.key.text, pair.key.span);
            if RESERVED.contains(&name) {
                let message = format!("`{name}` is reserved for a later part of the language");
                cx.error("reserved-field", span, message, "no engine enforces it yet, so it is refused");
                continue;
            }
            let help = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", list(&self.known)),
            };
            let message = format!("unknown field `{name}` in {}", self.what);
            cx.error("unknown-field", span, message, help);
        }
    }
}

/// Names in backticks, with commas.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
