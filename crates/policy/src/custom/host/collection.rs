//! Arrays, sets and objects.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use regorus::Value;
use regorus::value::Set;

use super::{Call, HostError, number, order};

pub(super) fn call(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    match name {
        "count" => count(call),
        "sum" | "product" => total(name, call),
        "max" | "min" => extreme(name, call),
        "sort" => sort(call),
        "union" | "intersection" => together(name, call),
        "array.concat" => array_concat(call),
        "array.slice" => array_slice(call),
        "array.reverse" => array_reverse(call),
        "object.get" => object_get(call),
        "object.keys" => object_keys(call),
        _ => Err(HostError::Unknown),
    }
}

fn count(mut call: Call<'_>) -> Result<Value, HostError> {
    let [value] = call.exactly()?;
    let count = match value {
        Value::Array(array) => array.len(),
        Value::Set(set) => set.len(),
        Value::Object(object) => object.len(),
        Value::String(_) => call.text(1)?.chars().count(),
        _ => return Err(HostError::Type { argument: 1, expected: "an array, object, set or string" }),
    };
    Ok(Value::from(count))
}

fn total(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let mut total: i128 = if name == "sum" { 0 } else { 1 };
    for member in call.members(1)? {
        let member = i128::from(number::whole(member, 1)?);
        let next = if name == "sum" { total.checked_add(member) } else { total.checked_mul(member) };
        total = next.ok_or(HostError::TooLarge)?;
    }
    Ok(Value::from(number::exact(total)?))
}

fn extreme(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let wanted = if name == "max" { Ordering::Greater } else { Ordering::Less };
    let mut best: Option<&Value> = None;
    for member in call.members(1)? {
        let better = match best {
            Some(best) => order::order(member, best, call.meter)? == wanted,
            None => true,
        };
        if better {
            best = Some(member);
        }
    }
    Ok(best.cloned().unwrap_or(Value::Undefined))
}

fn sort(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let mut failure = None;
    let mut members = call.members(1)?;
    let meter = &mut *call.meter;
    members.sort_by(|a, b| {
        if failure.is_some() {
            return Ordering::Equal;
        }
        order::order(a, b, meter).unwrap_or_else(|error| {
            failure = Some(error);
            Ordering::Equal
        })
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(Value::from(members.into_iter().cloned().collect::<Vec<_>>())),
    }
}

fn together(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let sets = call.set(1)?;
    let mut result: Option<Set> = None;
    for set in sets.iter_sorted() {
        let Value::Set(set) = set else {
            return Err(HostError::Type { argument: 1, expected: "a set of sets" });
        };
        let before = result.as_ref().map_or(0, Set::len);
        call.meter.values(before.saturating_add(set.len()))?;
        result = Some(match result {
            None => Set::clone(set),
            Some(before) if name == "union" => before.union(set),
            Some(before) => before.intersection(set),
        });
    }
    Ok(result.unwrap_or_default().into())
}

fn array_concat(call: Call<'_>) -> Result<Value, HostError> {
    let [_, _] = call.exactly()?;
    let (first, second) = (call.array(1)?, call.array(2)?);
    call.meter.values(first.len().saturating_add(second.len()))?;
    Ok(Value::from([first.as_slice(), second.as_slice()].concat()))
}

fn array_slice(call: Call<'_>) -> Result<Value, HostError> {
    let [_, _, _] = call.exactly()?;
    let (array, start, stop) = (call.array(1)?.as_slice(), call.whole(2)?, call.whole(3)?);
    // Outside is cut off, and an end before the start gives nothing.
    let within = |index: i64| usize::try_from(index.max(0)).unwrap_or(usize::MAX).min(array.len());
    let (start, stop) = (within(start), within(stop));
    let part = array.get(start..stop.max(start)).unwrap_or_default();
    call.meter.values(part.len())?;
    Ok(Value::from(part.to_vec()))
}

fn array_reverse(call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let array = call.array(1)?;
    call.meter.values(array.len())?;
    Ok(Value::from(array.as_slice().iter().rev().cloned().collect::<Vec<_>>()))
}

/// The member of that key, or of that path when the key is an array.
fn object_get(call: Call<'_>) -> Result<Value, HostError> {
    let [_, key, default] = call.exactly()?;
    call.object(1)?;
    let mut found = call.get(1)?;
    let path = match key {
        Value::Array(path) => path.as_slice(),
        key => std::slice::from_ref(key),
    };
    call.meter.values(path.len())?;
    for step in path {
        order::small(step, call.meter)?;
        let next = match found {
            Value::Object(object) => object.get(step),
            Value::Set(set) => set.get(step),
            Value::Array(array) => match step {
                Value::Number(index) => {
                    index.as_u64().and_then(|index| array.get(usize::try_from(index).ok()?))
                }
                _ => None,
            },
            _ => None,
        };
        match next {
            Some(next) => found = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(found.clone())
}

fn object_keys(call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let object = call.object(1)?;
    call.meter.values(object.len())?;
    Ok(Value::from(object.keys_sorted().cloned().collect::<BTreeSet<_>>()))
}
