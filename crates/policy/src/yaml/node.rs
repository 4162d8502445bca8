//! The tree of a file: scalars already resolved, collections in the order of the source, spans everywhere.

use serde_json::{Map, Number, Value};

use crate::ast::Span;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// `null` or `~`.
    Null,
    /// Nothing stands there at all, as in `key:`.
    Nothing,
    Bool(bool),
    /// A number and how it is written, for exact decimals.
    Number(Number, Box<str>),
    Text(Box<str>),
    Seq(Vec<Node>),
    Map(Vec<Pair>),
    /// A scalar that was already reported; it takes part in no further check.
    Bad,
}

/// A member of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub(crate) key: Key,
    pub(crate) value: Node,
}

/// The name of a member.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: Box<str>,
    pub(crate) span: Span,
    /// Written in double quotes in YAML.
    pub(crate) double_quoted: bool,
}

impl Node {
    /// What it is, with its article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Nothing => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(..) => "a number",
            Kind::Text(_) => "a string",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Bad => "an unreadable value",
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The member `name` of a mapping.
    pub(crate) fn member(&self, name: &str) -> Option<&Pair> {
        match &self.kind {
            Kind::Map(pairs) => pairs.iter().find(|pair| &*pair.key.text == name),
            _ => None,
        }
    }

    /// The same value as JSON. Depth is bounded by the tree's own bound.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Nothing | Kind::Bad => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number, _) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.to_string()),
            Kind::Seq(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(pairs) => {
                let members = pairs.iter().map(|pair| (pair.key.text.to_string(), pair.value.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// The first place in it where a value is missing.
    pub(crate) fn first_missing(&self) -> Option<Span> {
        match &self.kind {
            Kind::Nothing => Some(self.span),
            Kind::Seq(items) => items.iter().find_map(Node::first_missing),
            // Nothing has no place of its own: its key stands for it.
            Kind::Map(pairs) => pairs.iter().find_map(|pair| {
                let missing = pair.value.first_missing()?;
                Some(if matches!(pair.value.kind, Kind::Nothing) { pair.key.span } else { missing })
            }),
            _ => None,
        }
    }

    /// Whether a value in it is missing, or was already reported.
    pub(crate) fn has_bad(&self) -> bool {
        match &self.kind {
            Kind::Bad | Kind::Nothing => true,
            Kind::Seq(items) => items.iter().any(Node::has_bad),
            Kind::Map(pairs) => pairs.iter().any(|pair| pair.value.has_bad()),
            _ => false,
        }
    }
}
