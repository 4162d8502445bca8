//! Kleene's three truth values, and what a path of a policy leads to.

use aegis_policy::ast::Segment;
use serde_json::Value;

/// Whether a matcher holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// The value is absent, of the wrong type, or not canonical.
    Undecided,
}

use Truth::{False, True, Undecided};

impl Truth {
    pub(crate) fn of(holds: bool) -> Self {
        if holds { True } else { False }
    }

    /// Undecided stays undecided.
    pub(crate) fn not(self) -> Self {
        match self {
            True => False,
            False => True,
            Undecided => Undecided,
        }
    }

    /// Kleene's "and": one false is false, else one undecided is undecided.
    pub(crate) fn all(parts: impl IntoIterator<Item = Truth>) -> Self {
        let mut whole = True;
        for part in parts {
            match part {
                False => return False,
                Undecided => whole = Undecided,
                True => {}
            }
        }
        whole
    }

    /// Kleene's "or".
    pub(crate) fn any(parts: impl IntoIterator<Item = Truth>) -> Self {
        Self::all(parts.into_iter().map(Truth::not)).not()
    }
}

/// What a path leads to, with the JSON Pointer of the place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reached<'a> {
    pub(crate) pointer: String,
    pub(crate) what: What<'a>,
}

/// See [`Reached`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What<'a> {
    /// The path does not exist.
    Absent,
    /// `[*]` over something that is not an array.
    NotArray,
    /// The value.
    Value(&'a Value),
    /// `[*]`: what the rest of the path leads to in each element.
    Each(Vec<Reached<'a>>),
}

/// Follows `path` from `value`, which stands at `pointer`.
pub(crate) fn reach<'a>(value: Option<&'a Value>, pointer: String, path: &[Segment]) -> Reached<'a> {
    let Some((step, rest)) = path.split_first() else {
        return Reached { pointer, what: value.map_or(What::Absent, What::Value) };
    };
    match step {
        Segment::Key(name) => {
            let member = value.and_then(Value::as_object).and_then(|object| object.get(name));
            reach(member, format!("{pointer}/{}", escape(name)), rest)
        }
        Segment::Index(index) => {
            let element = value.and_then(Value::as_array).and_then(|array| array.get(*index as usize));
            reach(element, format!("{pointer}/{index}"), rest)
        }
        Segment::Every => match value {
            None => Reached { pointer, what: What::Absent },
            Some(Value::Array(elements)) => {
                let each = elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| reach(Some(element), format!("{pointer}/{index}"), rest))
                    .collect();
                Reached { pointer, what: What::Each(each) }
            }
            Some(_) => Reached { pointer, what: What::NotArray },
        },
    }
}

/// A member's name as one step of a JSON Pointer (RFC 6901).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_and_or_are_kleenes() {
        let values = [True, False, Undecided];
        for (a, b, and, or) in [
            (True, True, True, True),
            (True, False, False, True),
            (True, Undecided, Undecided, True),
            (False, False, False, False),
            (False, Undecided, False, Undecided),
            (Undecided, Undecided, Undecided, Undecided),
        ] {
            assert_eq!((Truth::all([a, b]), Truth::all([b, a])), (and, and));
            assert_eq!((Truth::any([a, b]), Truth::any([b, a])), (or, or));
        }
        assert_eq!(values.map(Truth::not), [False, True, Undecided]);
        assert_eq!((Truth::all([]), Truth::any([])), (True, False));
    }

    #[test]
    fn pointers_name_the_place() {
        let value = serde_json::json!({"a/b": {"c~": [{"x": 1}, {}]}});
        let path =
            [Segment::Key("a/b".into()), Segment::Key("c~".into()), Segment::Every, Segment::Key("x".into())];
        let reached = reach(Some(&value), "/params".into(), &path);
        assert_eq!(reached.pointer, "/params/a~1b/c~0");
        let What::Each(each) = reached.what else { panic!("`[*]` over an array") };
        assert_eq!(each[1], Reached { pointer: "/params/a~1b/c~0/1/x".into(), what: What::Absent });
        assert_eq!(each[0].what, What::Value(&serde_json::json!(1)));
    }
}
