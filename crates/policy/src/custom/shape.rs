//! What is known of a value before any evaluation: its possible types, its members, how deep it is.
//!
//! OPA refuses a bundle in which a built-in gets a value of a type that it can never take. What it would
//! refuse is refused here too, as far as these shapes tell.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A set of types, a bit each.
pub(super) type Kinds = u8;

pub(super) const NULL: Kinds = 1;
pub(super) const BOOLEAN: Kinds = 1 << 1;
pub(super) const NUMBER: Kinds = 1 << 2;
pub(super) const STRING: Kinds = 1 << 3;
pub(super) const ARRAY: Kinds = 1 << 4;
pub(super) const OBJECT: Kinds = 1 << 5;
pub(super) const SET: Kinds = 1 << 6;
/// Types that have members.
pub(super) const COLLECTION: Kinds = ARRAY | OBJECT | SET;
/// Every type.
pub(super) const ANY: Kinds = NULL | BOOLEAN | NUMBER | STRING | COLLECTION;

const NAMES: [(Kinds, &str); 7] = [
    (NULL, "null"),
    (BOOLEAN, "boolean"),
    (NUMBER, "number"),
    (STRING, "string"),
    (ARRAY, "array"),
    (OBJECT, "object"),
    (SET, "set"),
];

/// The names of the types, joined by `or`.
pub(super) fn names(kinds: Kinds) -> String {
    let names: Vec<&str> =
        NAMES.iter().filter(|(kind, _)| kinds & kind != 0).map(|(_, name)| *name).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => format!("`{}` or `{last}`", first.join("`, `")),
    }
}

/// More members than this are known only by what they have in common.
const FIELDS_MAX: usize = 64;

/// What is known of a value.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The types it may have.
    pub(super) kinds: Kinds,
    /// How many levels it may add to those of `input`, or of a function's arguments.
    pub(super) depth: u32,
    /// The types of an object's keys.
    keys: Kinds,
    members: Members,
}

#[derive(Debug, Clone)]
enum Members {
    Unknown,
    /// Exactly these, by key (a string's text, an index in decimal).
    Fields(Arc<BTreeMap<String, Shape>>),
    /// Any number of members of one shape.
    Each(Arc<Shape>),
}

impl Shape {
    /// Nothing is known, and no level is added.
    pub(super) fn any() -> Self {
        Self::of(ANY)
    }

    /// A value of these types, without levels of its own.
    pub(super) fn of(kinds: Kinds) -> Self {
        Self { kinds, depth: 0, keys: ANY, members: Members::Unknown }
    }

    /// A literal array or object with these members.
    pub(super) fn with_fields(kind: Kinds, fields: BTreeMap<String, Shape>) -> Self {
        let depth = fields.values().map(|field| field.depth).max().unwrap_or_default().saturating_add(1);
        let members = if fields.len() > FIELDS_MAX {
            let all = fields.into_values().reduce(|a, b| a.or(&b));
            all.map_or(Members::Unknown, |all| Members::Each(Arc::new(all)))
        } else {
            Members::Fields(Arc::new(fields))
        };
        Self { kinds: kind, depth, keys: ANY, members }
    }

    /// A collection whose members have that shape.
    pub(super) fn of_members(kind: Kinds, member: Shape) -> Self {
        let depth = member.depth.saturating_add(1);
        Self { kinds: kind, depth, keys: ANY, members: Members::Each(Arc::new(member)) }
    }

    /// A value that is one or the other.
    pub(super) fn or(&self, other: &Self) -> Self {
        let members = match (&self.members, &other.members) {
            (Members::Unknown, _) | (_, Members::Unknown) => Members::Unknown,
            (Members::Fields(a), Members::Fields(b)) if Arc::ptr_eq(a, b) => self.members.clone(),
            _ => Members::Each(Arc::new(self.member().or(&other.member()))),
        };
        let (kinds, depth) = (self.kinds | other.kinds, self.depth.max(other.depth));
        Self { kinds, depth, keys: self.keys | other.keys, members }
    }

    /// The same, so many levels deeper.
    pub(super) fn deeper(mut self, levels: u32) -> Self {
        self.depth = self.depth.saturating_add(levels);
        self
    }

    /// The same, at least so many levels deep.
    pub(super) fn at_least(mut self, depth: u32) -> Self {
        self.depth = self.depth.max(depth);
        self
    }

    /// The same, an object whose keys have these types.
    pub(super) fn with_keys(mut self, keys: Kinds) -> Self {
        self.keys = keys;
        self
    }

    /// What a loop gives as the key of a member.
    pub(super) fn key(&self) -> Self {
        match self.kinds & COLLECTION {
            ARRAY => Self::of(NUMBER),
            SET => self.member(),
            OBJECT => Self::of(self.keys),
            _ => Self::any(),
        }
    }

    /// Any member. It is not deeper than the whole.
    pub(super) fn member(&self) -> Self {
        let member = match &self.members {
            Members::Unknown => Self::any(),
            Members::Fields(fields) => {
                fields.values().cloned().reduce(|a, b| a.or(&b)).unwrap_or_else(Self::any)
            }
            Members::Each(member) => Shape::clone(member),
        };
        Self { depth: member.depth.max(self.depth), ..member }
    }

    /// The member of that key; `None` if there can be none.
    pub(super) fn field(&self, key: &str) -> Option<Self> {
        if self.kinds & COLLECTION == 0 {
            return None;
        }
        match &self.members {
            Members::Fields(fields) if self.kinds & !(ARRAY | OBJECT) == 0 => {
                fields.get(key).map(|field| field.clone().deeper(self.depth))
            }
            _ => Some(self.member()),
        }
    }
}
