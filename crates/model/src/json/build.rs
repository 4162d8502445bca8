//! What a reader makes of the text it reads: the seam between the grammar and a value type.

use std::borrow::Cow;
use std::iter::Zip;
use std::vec::Drain;

use serde_json::{Number, Value};

use super::JsonObject;

/// The items of an array, in order.
pub type Items<'s, V> = Drain<'s, V>;

/// The members of an object in the order of the text, each key once.
pub type Members<'s, 'text, V> = Zip<Drain<'s, Cow<'text, str>>, Drain<'s, V>>;

/// Builds values of one type, inside out: an array or object comes after its parts.
///
/// A builder takes what it is given and cannot refuse: everything was checked.
/// Members that it leaves in an iterator are dropped.
pub trait Build {
    /// What is built.
    type Value;

    /// `null`.
    fn null(&mut self) -> Self::Value;
    /// `true` or `false`.
    fn boolean(&mut self, value: bool) -> Self::Value;
    /// A number without fraction, within ±2^53.
    fn integer(&mut self, value: i64) -> Self::Value;
    /// A number with a fraction: finite, and never integral.
    fn float(&mut self, value: f64) -> Self::Value;
    /// A string, unescaped.
    fn string(&mut self, value: Cow<'_, str>) -> Self::Value;
    /// An array.
    fn array(&mut self, items: Items<'_, Self::Value>) -> Self::Value;
    /// An object.
    fn object(&mut self, members: Members<'_, '_, Self::Value>) -> Self::Value;
}

/// Builds `serde_json`'s values.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToSerde;

impl Build for ToSerde {
    type Value = Value;

    fn null(&mut self) -> Value {
        Value::Null
    }

    fn boolean(&mut self, value: bool) -> Value {
        Value::Bool(value)
    }

    fn integer(&mut self, value: i64) -> Value {
        Value::Number(value.into())
    }

    fn float(&mut self, value: f64) -> Value {
        Value::Number(Number::from_f64(value).expect("the reader gives finite numbers only"))
    }

    fn string(&mut self, value: Cow<'_, str>) -> Value {
        Value::String(value.into_owned())
    }

    fn array(&mut self, items: Items<'_, Value>) -> Value {
        Value::Array(items.collect())
    }

    fn object(&mut self, members: Members<'_, '_, Value>) -> Value {
        let mut object = JsonObject::new();
        for (key, value) in members {
            object.insert(key.into_owned(), value);
        }
        Value::Object(object)
    }
}
