//! The built-ins of custom Rego, answered by us: OPA's results, bounded, and an error wherever the two engines
//! could differ.
//!
//! The virtual machine asks for every one of them ([`BUILTINS`](super::BUILTINS)) and for every operator. An
//! error here ends the evaluation, and the call is denied (WALK-3); it never becomes "undefined", which a
//! `deny` rule would overlook.

use std::sync::Arc;

use aegis_model::caps;
use regorus::Value;
use regorus::value::{Array, Object, Set};

mod collection;
mod internal;
mod letters;
mod net;
mod number;
mod order;
mod pattern;
mod text;

/// Why a built-in gave no value. Says nothing about the values themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// An argument has the wrong type.
    #[error("argument {argument} is not {expected}")]
    Type {
        /// Which one, from 1.
        argument: usize,
        /// What it has to be.
        expected: &'static str,
    },
    /// Arithmetic on a number with a fraction: OPA computes in decimal digits, other engines in binary ones.
    #[error("arithmetic needs whole numbers")]
    NotWhole,
    /// A result beyond ±2^53.
    #[error("the result is too large to be exact")]
    TooLarge,
    /// An argument is outside of what both engines treat alike.
    #[error("{0}")]
    Unclear(&'static str),
    /// A rule, function or object key has two different values.
    #[error("it has several different values")]
    Conflict,
    /// More work than one evaluation may cause.
    #[error("the evaluation takes too much work")]
    Exhausted,
    /// No such built-in, or another number of arguments.
    #[error("there is no such built-in")]
    Unknown,
}

impl HostError {
    /// Stable, kebab-case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Type { .. } => "wrong-type",
            Self::NotWhole => "not-whole",
            Self::TooLarge => "too-large",
            Self::Unclear(_) => "unclear",
            Self::Conflict => "conflict",
            Self::Exhausted => "exhausted",
            Self::Unknown => "unknown-builtin",
        }
    }
}

/// The work that one evaluation may still cause in built-ins: bytes read or written, and values visited.
///
/// The step limit of the virtual machine does not see how large the values are that one step touches.
#[derive(Debug)]
pub struct Meter {
    left: usize,
}

/// What visiting one value counts as, in bytes.
const VALUE_COST: usize = 16;

impl Default for Meter {
    fn default() -> Self {
        Self { left: caps::REGO_WORK_MAX }
    }
}

impl Meter {
    /// Calls built-in `name`. [`Value::Undefined`] is a normal result.
    ///
    /// # Errors
    /// Whatever is not certain to be the same in both engines. The evaluation has to end then.
    pub fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, HostError> {
        self.values(1 + arguments.len())?;
        let call = Call { arguments, meter: self };
        match name.split_once('.') {
            Some(("aegis", name)) => internal::call(name, call),
            Some(("array" | "object", _)) => collection::call(name, call),
            Some(("net", _)) => net::call(name, call),
            Some(("regex", _)) => pattern::call(name, call),
            Some(("strings", _)) => text::call(name, call),
            Some(_) => Err(HostError::Unknown),
            None => plain(name, call),
        }
    }

    /// Counts the match of a regular expression with a text, for a caller that holds it compiled.
    ///
    /// # Errors
    /// The work is used up.
    pub fn matched(&mut self, text: &str) -> Result<(), HostError> {
        self.bytes(text.len().saturating_mul(pattern::BYTE_COST).saturating_add(VALUE_COST))
    }

    /// Counts the visit of so many values.
    fn values(&mut self, count: usize) -> Result<(), HostError> {
        self.bytes(count.saturating_mul(VALUE_COST))
    }

    /// Counts so many bytes.
    fn bytes(&mut self, count: usize) -> Result<(), HostError> {
        self.left = self.left.checked_sub(count).ok_or(HostError::Exhausted)?;
        Ok(())
    }
}

/// One call by itself, bounded like a whole evaluation.
///
/// # Errors
/// As [`Meter::call`].
pub fn call(name: &str, arguments: &[Value]) -> Result<Value, HostError> {
    Meter::default().call(name, arguments)
}

/// Reads a number that was written as text, if every engine reads the same.
pub(super) fn literal(text: &str) -> Result<Value, HostError> {
    number::read(text)
}

/// Built-ins whose names have no dot.
fn plain(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    match name {
        "abs" | "ceil" | "floor" | "round" | "to_number" | "format_int" => number::call(name, call),
        "count" | "sum" | "product" | "max" | "min" | "sort" | "union" | "intersection" => {
            collection::call(name, call)
        }
        "type_name" | "is_null" | "is_boolean" | "is_number" | "is_string" | "is_array" | "is_object"
        | "is_set" => kind(name, call),
        _ => text::call(name, call),
    }
}

fn kind(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    let [value] = call.exactly()?;
    let kind = type_name(value);
    Ok(match name.strip_prefix("is_") {
        Some(asked) => Value::from(asked == kind),
        None => Value::from(kind),
    })
}

/// Rego's name of a value's type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Set(_) => "set",
        Value::Object(_) => "object",
        Value::Undefined => "undefined",
    }
}

/// The arguments of one call, with the meter that it draws on.
struct Call<'a> {
    arguments: &'a [Value],
    meter: &'a mut Meter,
}

impl<'a> Call<'a> {
    /// The arguments, if there are so many.
    fn exactly<const N: usize>(&self) -> Result<&'a [Value; N], HostError> {
        self.arguments.try_into().map_err(|_| HostError::Unknown)
    }

    fn get(&self, argument: usize) -> Result<&'a Value, HostError> {
        self.arguments.get(argument - 1).ok_or(HostError::Unknown)
    }

    /// Argument `argument` (from 1), a string; its bytes are counted.
    fn text(&mut self, argument: usize) -> Result<&'a Arc<str>, HostError> {
        match self.get(argument)? {
            Value::String(text) => {
                self.meter.bytes(text.len())?;
                Ok(text)
            }
            _ => Err(HostError::Type { argument, expected: "a string" }),
        }
    }

    fn array(&self, argument: usize) -> Result<&'a Array, HostError> {
        match self.get(argument)? {
            Value::Array(array) => Ok(array),
            _ => Err(HostError::Type { argument, expected: "an array" }),
        }
    }

    fn set(&self, argument: usize) -> Result<&'a Set, HostError> {
        match self.get(argument)? {
            Value::Set(set) => Ok(set),
            _ => Err(HostError::Type { argument, expected: "a set" }),
        }
    }

    fn object(&self, argument: usize) -> Result<&'a Object, HostError> {
        match self.get(argument)? {
            Value::Object(object) => Ok(object),
            _ => Err(HostError::Type { argument, expected: "an object" }),
        }
    }

    /// Argument `argument`, a whole number within ±2^53.
    fn whole(&self, argument: usize) -> Result<i64, HostError> {
        number::whole(self.get(argument)?, argument)
    }

    /// The members of argument `argument`, an array or a set, in order; their number is counted.
    fn members(&mut self, argument: usize) -> Result<Vec<&'a Value>, HostError> {
        let members: Vec<&Value> = match self.get(argument)? {
            Value::Array(array) => {
                self.meter.values(array.len())?;
                array.iter().collect()
            }
            Value::Set(set) => {
                self.meter.values(set.len())?;
                set.iter_sorted().collect()
            }
            _ => return Err(HostError::Type { argument, expected: "an array or a set" }),
        };
        Ok(members)
    }

    /// A new string; its bytes are counted before it is made.
    fn write(&mut self, bytes: usize, text: impl FnOnce() -> String) -> Result<Value, HostError> {
        self.meter.bytes(bytes)?;
        if bytes > caps::REGO_STRING_BYTES_MAX {
            return Err(HostError::Exhausted);
        }
        Ok(Value::from(text()))
    }
}
