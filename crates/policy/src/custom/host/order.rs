//! Rego's order of values, and how large a value is.

use std::cmp::Ordering;

use aegis_model::caps::REGO_KEY_VALUES_MAX;
use regorus::Value;

use super::{HostError, Meter};

/// null < boolean < number < string < array < object < set, as in OPA.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Undefined => 0,
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
        Value::Set(_) => 7,
    }
}

/// Compares two values; every value that is looked at is counted. The depth of values is bounded where
/// modules are checked.
pub(super) fn order(a: &Value, b: &Value, meter: &mut Meter) -> Result<Ordering, HostError> {
    meter.values(1)?;
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => Ok(a.cmp(b)),
        (Value::String(a), Value::String(b)) => {
            meter.bytes(a.len().min(b.len()))?;
            Ok(a.as_bytes().cmp(b.as_bytes()))
        }
        (Value::Array(a), Value::Array(b)) => sequences(a.iter(), b.iter(), meter),
        (Value::Set(a), Value::Set(b)) => sequences(a.iter_sorted(), b.iter_sorted(), meter),
        (Value::Object(a), Value::Object(b)) => {
            let flat = |object: &'_ regorus::value::Object| -> Vec<Value> {
                object.iter_sorted().flat_map(|(key, value)| [key.clone(), value.clone()]).collect()
            };
            meter.values(a.len().saturating_add(b.len()))?;
            let (a, b) = (flat(a), flat(b));
            sequences(a.iter(), b.iter(), meter)
        }
        (a, b) => Ok(rank(a).cmp(&rank(b))),
    }
}

fn sequences<'a>(
    mut a: impl Iterator<Item = &'a Value>,
    mut b: impl Iterator<Item = &'a Value>,
    meter: &mut Meter,
) -> Result<Ordering, HostError> {
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ok(Ordering::Equal),
            (None, Some(_)) => return Ok(Ordering::Less),
            (Some(_), None) => return Ok(Ordering::Greater),
            (Some(a), Some(b)) => match order(a, b, meter)? {
                Ordering::Equal => {}
                different => return Ok(different),
            },
        }
    }
}

/// Whether two values are equal.
pub(super) fn equal(a: &Value, b: &Value, meter: &mut Meter) -> Result<bool, HostError> {
    let sizes = match (a, b) {
        (Value::Array(a), Value::Array(b)) => (a.len(), b.len()),
        (Value::Set(a), Value::Set(b)) => (a.len(), b.len()),
        (Value::Object(a), Value::Object(b)) => (a.len(), b.len()),
        (Value::String(a), Value::String(b)) => (a.len(), b.len()),
        _ => (0, 0),
    };
    Ok(sizes.0 == sizes.1 && order(a, b, meter)? == Ordering::Equal)
}

/// Refuses a value too large to be an element of a set or a key: the machine compares those without counting.
pub(super) fn small(value: &Value, meter: &mut Meter) -> Result<(), HostError> {
    let mut pending = vec![value];
    let mut seen = 0;
    while let Some(value) = pending.pop() {
        seen += 1;
        if seen > REGO_KEY_VALUES_MAX {
            return Err(HostError::Unclear("it is too large for an element of a set or a key"));
        }
        meter.values(1)?;
        match value {
            Value::String(text) => meter.bytes(text.len())?,
            Value::Array(array) if array.len() <= REGO_KEY_VALUES_MAX => pending.extend(array.iter()),
            Value::Set(set) if set.len() <= REGO_KEY_VALUES_MAX => pending.extend(set.iter_sorted()),
            Value::Object(object) if object.len() <= REGO_KEY_VALUES_MAX => {
                pending.extend(object.iter_sorted().flat_map(|(key, value)| [key, value]));
            }
            Value::Array(_) | Value::Set(_) | Value::Object(_) => seen = REGO_KEY_VALUES_MAX,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => {}
        }
    }
    Ok(())
}
