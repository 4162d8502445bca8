//! Rego's spelling of values, references and patterns.

use serde_json::Value;

use crate::ast::{Glob, JsonType, Segment};

/// A Rego string: JSON's spelling is Rego's.
pub(super) fn string(text: &str) -> String {
    Value::from(text).to_string()
}

/// A Rego term for a JSON value.
pub(super) fn term(value: &Value) -> String {
    value.to_string()
}

/// A set term.
pub(super) fn set(values: &[Value]) -> String {
    let terms: Vec<String> = values.iter().map(term).collect();
    format!("{{{}}}", terms.join(", "))
}

/// An array term.
pub(super) fn array(values: &[Value]) -> String {
    let terms: Vec<String> = values.iter().map(term).collect();
    format!("[{}]", terms.join(", "))
}

/// `base` followed by keys and indexes (a star must not be among them).
pub(super) fn reference(base: &str, segments: &[Segment]) -> String {
    let mut text = base.to_owned();
    for segment in segments {
        match segment {
            Segment::Key(key) => text.push_str(&format!("[{}]", string(key))),
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
            Segment::Every => text.push_str("[_]"),
        }
    }
    text
}

/// `root` and the segments before the first star as a JSON Pointer.
pub(super) fn pointer(root: &str, segments: &[Segment]) -> String {
    let mut text = root.to_owned();
    for segment in segments.iter().take_while(|segment| **segment != Segment::Every) {
        match segment {
            Segment::Key(key) => {
                text.push('/');
                text.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Index(index) => text.push_str(&format!("/{index}")),
            Segment::Every => {}
        }
    }
    text
}

/// The path as an author writes it, for messages: `params.items[*].price`.
pub(crate) fn spelled(root: &str, segments: &[Segment]) -> String {
    let mut text = root.to_owned();
    for segment in segments {
        match segment {
            Segment::Key(key) if key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                text.push('.');
                text.push_str(key);
            }
            Segment::Key(key) => text.push_str(&format!(".{}", string(key))),
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
            Segment::Every => text.push_str("[*]"),
        }
    }
    text
}

/// A regular expression that matches exactly what one of the globs matches, among valid names.
pub(super) fn glob_pattern(globs: &[Glob]) -> String {
    let parts: Vec<String> = globs.iter().map(|glob| regex::escape(&glob.0).replace(r"\*", ".*")).collect();
    format!("^(?:{})$", parts.join("|"))
}

/// The JSON type of a value, by Rego's `type_name`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A line that holds if the variable has one of these types (by Rego's `type_name`).
pub(super) fn has_type(var: &str, types: &[&str]) -> String {
    match types {
        [one] => format!("is_{one}({var})"),
        several => {
            let names: Vec<String> = several.iter().map(|name| string(name)).collect();
            format!("type_name({var}) in {{{}}}", names.join(", "))
        }
    }
}

/// The distinct types of some values, in a fixed order.
pub(super) fn types_of(values: &[Value]) -> Vec<&'static str> {
    let mut types: Vec<&'static str> = values.iter().map(type_name).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// Rego's `type_name` of a type; `integer` is a kind of number.
pub(super) fn rego_type(of: JsonType) -> &'static str {
    match of {
        JsonType::Null => "null",
        JsonType::Boolean => "boolean",
        JsonType::Number | JsonType::Integer => "number",
        JsonType::String => "string",
        JsonType::Array => "array",
        JsonType::Object => "object",
    }
}
