//! What modules are lowered to: the operators, and guards around what the virtual machine does by itself.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regorus::Value;
use regorus::value::Set;

use super::{Call, HostError, number, order};

/// Calls `aegis.NAME`.
pub(super) fn call(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    match name {
        "equal" | "not_equal" | "less" | "at_most" | "greater" | "at_least" => compare(name, call),
        "plus" | "minus" | "times" | "rest" => arithmetic(name, call),
        "both" | "either" => sets(name, call),
        "member" => {
            let [value, collection] = call.exactly()?;
            member(None, value, collection, call)
        }
        "member_at" => {
            let [key, value, collection] = call.exactly()?;
            member(Some(key), value, collection, call)
        }
        "items" => Ok(items(call.exactly()?)),
        "key" => {
            let [value] = call.exactly()?;
            order::small(value, call.meter)?;
            Ok(value.clone())
        }
        "object" => object(call),
        "only" => only(call),
        _ => Err(HostError::Unknown),
    }
}

fn compare(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    let [a, b] = call.exactly()?;
    let holds = match name {
        "equal" => order::equal(a, b, call.meter)?,
        "not_equal" => !order::equal(a, b, call.meter)?,
        _ => {
            let found = order::order(a, b, call.meter)?;
            match name {
                "less" => found == Ordering::Less,
                "at_most" => found != Ordering::Greater,
                "greater" => found == Ordering::Greater,
                _ => found != Ordering::Less,
            }
        }
    };
    Ok(Value::from(holds))
}

fn arithmetic(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    let [a, b] = call.exactly()?;
    if name == "minus" && matches!((a, b), (Value::Set(_), Value::Set(_))) {
        return sets(name, call);
    }
    let (a, b) = (i128::from(call.whole(1)?), i128::from(call.whole(2)?));
    let result = match name {
        "plus" => a + b,
        "minus" => a - b,
        "times" => a * b,
        _ if b == 0 => return Err(HostError::Unclear("it divides by zero")),
        // The sign of the result is that of the dividend, as in OPA.
        _ => a % b,
    };
    Ok(Value::from(number::exact(result)?))
}

fn sets(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    let (a, b) = (call.set(1)?, call.set(2)?);
    call.meter.values(a.len().saturating_add(b.len()))?;
    let result: Set = match name {
        "both" => a.intersection(b),
        "either" => a.union(b),
        _ => a.difference(b),
    };
    Ok(result.into())
}

/// `value in collection`, or `key, value in collection`. False of what is no collection.
fn member(
    key: Option<&Value>,
    value: &Value,
    collection: &Value,
    call: Call<'_>,
) -> Result<Value, HostError> {
    let meter = call.meter;
    let found = match (collection, key) {
        (Value::Set(set), None) => {
            order::small(value, meter)?;
            set.contains(value)
        }
        (Value::Set(set), Some(key)) => {
            order::small(value, meter)?;
            order::equal(key, value, meter)? && set.contains(value)
        }
        (Value::Array(array), None) => any(array.iter(), value, meter)?,
        (Value::Object(object), None) => any(object.values(), value, meter)?,
        (Value::Array(array), Some(Value::Number(index))) => {
            let element = index.as_u64().and_then(|index| array.get(usize::try_from(index).ok()?));
            any(element.into_iter(), value, meter)?
        }
        (Value::Object(object), Some(key)) => {
            order::small(key, meter)?;
            any(object.get(key).into_iter(), value, meter)?
        }
        _ => false,
    };
    Ok(Value::from(found))
}

fn any<'a>(
    values: impl Iterator<Item = &'a Value>,
    wanted: &Value,
    meter: &mut super::Meter,
) -> Result<bool, HostError> {
    for value in values {
        if order::equal(value, wanted, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a loop runs over: a collection; nothing where the value is none.
fn items([value]: &[Value; 1]) -> Value {
    match value {
        Value::Array(_) | Value::Set(_) | Value::Object(_) => value.clone(),
        _ => Value::Undefined,
    }
}

/// The object of an array of `[key, value]`; a key has one value.
fn object(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let mut made = BTreeMap::new();
    for pair in call.members(1)? {
        let Value::Array(pair) = pair else { return Err(HostError::Unknown) };
        let [key, value] = pair.as_slice() else { return Err(HostError::Unknown) };
        order::small(key, call.meter)?;
        match made.get(key) {
            Some(before) if !order::equal(before, value, call.meter)? => return Err(HostError::Conflict),
            Some(_) => {}
            None => drop(made.insert(key.clone(), value.clone())),
        }
    }
    Ok(Value::from(made))
}

/// The one value among several arrays of values; undefined if there is none.
fn only(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let mut one: Option<&Value> = None;
    for values in call.members(1)? {
        let Value::Array(values) = values else { return Err(HostError::Unknown) };
        for value in values.iter() {
            match one {
                Some(one) if !order::equal(one, value, call.meter)? => return Err(HostError::Conflict),
                Some(_) => {}
                None => one = Some(value),
            }
        }
    }
    Ok(one.cloned().unwrap_or(Value::Undefined))
}
