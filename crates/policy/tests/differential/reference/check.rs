//! One check of one value.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;

use aegis_policy::ast::{Check, JsonType};
use serde_json::{Number, Value};

use super::truth::Truth::{self, Undecided};
use super::{canonical, schema};

/// Whether `check` holds of `value`. The last word is the doc comments of [`Check`].
pub(crate) fn truth(check: &Check, value: &Value) -> Truth {
    match check {
        Check::Equals(expected) if !one_type(expected, value) => Undecided,
        Check::Equals(expected) => Truth::of(same(expected, value)),
        Check::OneOf(expected) if !expected.iter().any(|one| one_type(one, value)) => Undecided,
        Check::OneOf(expected) => Truth::of(expected.iter().any(|one| same(one, value))),
        Check::Min(bound) => number(value, |number| compare(number, bound) != Ordering::Less),
        Check::Max(bound) => number(value, |number| compare(number, bound) != Ordering::Greater),
        Check::Type(expected) => Truth::of(has_type(value, *expected)),
        Check::Matches(pattern) | Check::Finds(pattern) => text(value, |text| finds(pattern, text)),
        Check::StartsWith(starts) => text(value, |text| starts.iter().any(|start| text.starts_with(start))),
        Check::EndsWith(ends) => text(value, |text| ends.iter().any(|end| text.ends_with(end))),
        Check::Length { min, max } => match size(value) {
            None => Undecided,
            Some(size) => Truth::of(
                min.is_none_or(|min| size >= min as usize) && max.is_none_or(|max| size <= max as usize),
            ),
        },
        Check::ContainsAny(parts) => contains(value, parts, false),
        Check::ContainsAll(parts) => contains(value, parts, true),
        Check::Each(checks) => match value {
            Value::Array(elements) if !elements.is_empty() => {
                Truth::all(elements.iter().map(|element| all(checks, element)))
            }
            _ => Undecided,
        },
        Check::HostIn(hosts) => host(value, |host| hosts.iter().any(|one| one == host)),
        Check::DomainIn(domains) => host(value, |host| {
            domains.iter().any(|domain| host == domain || host.ends_with(&format!(".{domain}")))
        }),
        Check::Within(folders) => match value.as_str() {
            Some(path) if canonical::is_path(path) => {
                Truth::of(folders.iter().any(|folder| canonical::is_within(path, folder)))
            }
            _ => Undecided,
        },
        Check::CidrIn(networks) => match value.as_str().and_then(canonical::address) {
            Some(address) => {
                Truth::of(networks.iter().any(|network| canonical::is_in_network(address, network)))
            }
            None => Undecided,
        },
        Check::Not(check) => truth(check, value).not(),
        Check::Schema(schema) => Truth::of(schema::satisfies(schema, value)),
    }
}

/// Whether all `checks` hold of `value`.
pub(crate) fn all(checks: &[Check], value: &Value) -> Truth {
    Truth::all(checks.iter().map(|check| truth(check, value)))
}

fn number(value: &Value, holds: impl Fn(&Number) -> bool) -> Truth {
    match value {
        Value::Number(number) => Truth::of(holds(number)),
        _ => Undecided,
    }
}

fn text(value: &Value, holds: impl Fn(&str) -> bool) -> Truth {
    match value {
        Value::String(text) => Truth::of(holds(text)),
        _ => Undecided,
    }
}

fn host(value: &Value, holds: impl Fn(&str) -> bool) -> Truth {
    match value.as_str().and_then(canonical::host) {
        Some(host) => Truth::of(holds(host)),
        None => Undecided,
    }
}

/// An array contains elements, a string contains texts. A list that lacks a part is undecided if an element
/// of it could not have been any part; what is not text can neither stand in a string nor be missed there.
fn contains(value: &Value, parts: &[Value], all: bool) -> Truth {
    let (found, decided): (Vec<bool>, bool) = match value {
        Value::Array(elements) => (
            parts.iter().map(|part| elements.iter().any(|element| same(element, part))).collect(),
            elements.iter().all(|element| parts.iter().any(|part| one_type(part, element))),
        ),
        Value::String(text) => {
            let texts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
            if texts.is_empty() || (all && texts.len() < parts.len()) {
                return Undecided;
            }
            (texts.into_iter().map(|part| text.contains(part)).collect(), true)
        }
        _ => return Undecided,
    };
    let holds = if all { found.iter().all(|one| *one) } else { found.iter().any(|one| *one) };
    if holds || decided { Truth::of(holds) } else { Undecided }
}

/// Characters, elements or members.
pub(crate) fn size(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Array(elements) => Some(elements.len()),
        Value::Object(members) => Some(members.len()),
        _ => None,
    }
}

/// Whether both have the same JSON type.
pub(crate) fn one_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Deep equality; numbers by their value.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

pub(crate) fn has_type(value: &Value, expected: JsonType) -> bool {
    match expected {
        JsonType::Null => value.is_null(),
        JsonType::Boolean => value.is_boolean(),
        JsonType::Number => value.is_number(),
        JsonType::Integer => value.as_number().is_some_and(is_integer),
        JsonType::String => value.is_string(),
        JsonType::Array => value.is_array(),
        JsonType::Object => value.is_object(),
    }
}

pub(crate) fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// Exact comparison: an integer is never rounded to a double to be compared with one.
pub(crate) fn compare(a: &Number, b: &Number) -> Ordering {
    match (integer_of(a), integer_of(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => compare_mixed(a, double(b)),
        (None, Some(b)) => compare_mixed(b, double(a)).reverse(),
        (None, None) => double(a).total_cmp(&double(b)),
    }
}

pub(crate) fn integer_of(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn double(number: &Number) -> f64 {
    number.as_f64().expect("without arbitrary precision every number is a double")
}

fn compare_mixed(integer: i128, double: f64) -> Ordering {
    const BEYOND: f64 = 1e30;
    if double.abs() >= BEYOND {
        return if double > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    #[expect(clippy::cast_possible_truncation, reason = "smaller than `BEYOND`, and floored")]
    let floor = double.floor() as i128;
    match integer.cmp(&floor) {
        Ordering::Equal if double.fract() != 0.0 => Ordering::Less,
        order => order,
    }
}

thread_local! {
    static PATTERNS: RefCell<HashMap<String, regex::Regex>> = RefCell::default();
}

/// Whether `pattern` matches somewhere in `text`.
pub(crate) fn finds(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        patterns
            .entry(pattern.to_owned())
            .or_insert_with(|| regex::Regex::new(pattern).expect("checked patterns compile"))
            .is_match(text)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use Truth::{False, True};

    fn number(value: Value) -> Number {
        value.as_number().unwrap().clone()
    }

    fn table(check: Check, rows: &[(Value, Truth)]) {
        for (value, expected) in rows {
            assert_eq!(truth(&check, value), *expected, "{check:?} of {value}");
            assert_eq!(
                truth(&Check::Not(Box::new(check.clone())), value),
                expected.not(),
                "not {check:?} of {value}"
            );
        }
    }

    #[test]
    fn nothing_is_coerced() {
        table(
            Check::Equals(json!(true)),
            &[
                (json!(true), True),
                (json!(false), False),
                (json!("true"), Undecided),
                (json!(null), Undecided),
            ],
        );
        table(
            Check::OneOf(vec![json!(1), json!("a")]),
            &[(json!(1), True), (json!(2), False), (json!("1"), False), (json!([1]), Undecided)],
        );
        table(
            Check::Max(number(json!(5000))),
            &[
                (json!(5000), True),
                (json!(5000.5), False),
                (json!("5000"), Undecided),
                (json!(null), Undecided),
            ],
        );
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let big = 9_007_199_254_740_993_i64;
        assert_eq!(compare(&number(json!(big)), &number(json!(9_007_199_254_740_992.0))), Ordering::Greater);
        assert_eq!(compare(&number(json!(0.5)), &number(json!(0))), Ordering::Greater);
        assert_eq!(compare(&number(json!(-0.5)), &number(json!(0))), Ordering::Less);
        assert_eq!(compare(&number(json!(1e300)), &number(json!(big))), Ordering::Greater);
        assert!(same(&json!({"a": [1]}), &json!({"a": [1.0]})));
    }

    #[test]
    fn a_list_that_lacks_a_part_is_false_only_where_its_elements_could_have_been_the_part() {
        table(
            Check::ContainsAny(vec![json!("a"), json!("b")]),
            &[
                (json!(["x", "b"]), True),
                (json!([7, "b"]), True),
                (json!(["x"]), False),
                (json!([]), False),
                (json!(["x", 7]), Undecided),
                (json!("cab"), True),
                (json!("xyz"), False),
                (json!(7), Undecided),
            ],
        );
        table(
            Check::ContainsAll(vec![json!("a"), json!("b")]),
            &[
                (json!(["b", "a", 7]), True),
                (json!(["a"]), False),
                (json!(["a", null]), Undecided),
                (json!("ba"), True),
                (json!("a"), False),
            ],
        );
    }

    #[test]
    fn each_needs_an_element() {
        table(
            Check::Each(vec![Check::Min(number(json!(1))), Check::Max(number(json!(3)))]),
            &[
                (json!([1, 3]), True),
                (json!([1, 4]), False),
                (json!([4, "x"]), False),
                (json!([1, "x"]), Undecided),
                (json!([]), Undecided),
                (json!(2), Undecided),
            ],
        );
    }

    #[test]
    fn length_counts_characters() {
        table(
            Check::Length { min: Some(2), max: Some(2) },
            &[
                (json!("日本"), True),
                (json!([1, 2]), True),
                (json!({"a": 1, "b": 2}), True),
                (json!("abc"), False),
                (json!(22), Undecided),
            ],
        );
    }
}
