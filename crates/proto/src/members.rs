//! Taking a JSON object apart, strictly: every member is known, and of its type.

use std::str::FromStr;

use aegis_model::ids::BadName;
use aegis_model::json::{self, JsonObject, Limits};
use serde_json::Value;

use crate::bad_request::{BadRequest, SHOWN_NAME_CHARS_MAX};

/// An object whose members are all known, at `at` in the request.
#[derive(Debug)]
pub(crate) struct Members {
    object: JsonObject,
    at: String,
}

impl Members {
    /// Refuses an object with a member that `known` does not list.
    pub(crate) fn new(
        object: JsonObject,
        at: &str,
        known: &'static [&'static str],
    ) -> Result<Self, BadRequest> {
        if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(BadRequest::UnknownMember { at: at.to_owned(), name: shown(name), known });
        }
        Ok(Self { object, at: at.to_owned() })
    }

    /// JSON Pointer to the member `name`, which is one of the known ones and so needs no escape.
    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    /// A text that may be absent.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.object.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    /// A text that has to be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, BadRequest> {
        self.text(name)?.ok_or_else(|| BadRequest::Missing { at: self.pointer(name), expected: "a string" })
    }

    /// A truth value; absent means false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, BadRequest> {
        match self.object.remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(self.wrong_type(name, "true or false", &other)),
        }
    }

    /// A whole number that is not negative; absent means zero.
    pub(crate) fn number(&mut self, name: &str) -> Result<u32, BadRequest> {
        let expected = "a whole number from 0 to 4294967295";
        match self.object.remove(name) {
            None => Ok(0),
            Some(value) => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => Ok(number),
                None => Err(self.wrong_type(name, expected, &value)),
            },
        }
    }

    /// An object that may be absent.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<JsonObject>, BadRequest> {
        match self.object.remove(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => Err(self.wrong_type(name, "an object", &other)),
        }
    }

    /// A list that may be absent.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, BadRequest> {
        match self.object.remove(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong_type(name, "an array", &other)),
        }
    }

    /// Any value, `null` too.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name)
    }

    /// A whole number that has to be there.
    pub(crate) fn required_number(&mut self, name: &str) -> Result<u64, BadRequest> {
        let expected = "a whole number";
        match self.object.remove(name) {
            None => Err(BadRequest::Missing { at: self.pointer(name), expected }),
            Some(value) => value.as_u64().ok_or_else(|| self.wrong_type(name, expected, &value)),
        }
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Value) -> BadRequest {
        BadRequest::WrongType { at: self.pointer(name), expected, found: kind(found) }
    }
}

/// Reads `bytes` as one strict JSON object that stands at `at` in the request.
pub(crate) fn read_object(bytes: &[u8], at: &str) -> Result<JsonObject, BadRequest> {
    json::read_object(bytes, Limits::default()).map_err(|source| {
        let at = format!("{at}{}", source.pointer().unwrap_or_default());
        BadRequest::Json { at, source }
    })
}

/// Reads `bytes` as one strict JSON value that stands at `at` in the request.
pub(crate) fn read_value(bytes: &[u8], at: &str) -> Result<Value, BadRequest> {
    json::read(bytes, Limits::default()).map_err(|source| {
        let at = format!("{at}{}", source.pointer().unwrap_or_default());
        BadRequest::Json { at, source }
    })
}

/// Reads `text` as the name that stands at `at`.
pub(crate) fn name<T: FromStr<Err = BadName>>(text: &str, at: &str) -> Result<T, BadRequest> {
    text.parse().map_err(|source| BadRequest::Name { at: at.to_owned(), source })
}

/// The JSON type of `value`, with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A client's name for a message: short, on one line, without control characters.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_NAME_CHARS_MAX).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN_NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
