//! Values at the edges of checks: the first should satisfy them, the others lie just beside.

use regex_syntax::hir::{Hir, HirKind};
use serde_json::{Value, json};

use crate::ast::{Check, JsonType, Keyword, Schema};

/// Values for checks that one value has to pass together.
pub(super) fn of_checks(checks: &[Check]) -> Vec<Value> {
    let mut values: Vec<Value> = checks.iter().flat_map(of_check).collect();
    values.extend([json!("another"), json!(-1), json!(true), Value::Null]);
    values
}

fn of_check(check: &Check) -> Vec<Value> {
    match check {
        Check::Equals(value) => vec![value.clone(), twisted(value)],
        Check::OneOf(values) => values.iter().flat_map(|value| [value.clone(), twisted(value)]).collect(),
        Check::Min(bound) => stepped(bound, &[0.0, 1.0, -1.0]),
        Check::Max(bound) => stepped(bound, &[0.0, -1.0, 1.0, 1_000_000.0]),
        Check::Type(of) => vec![of_type(*of), json!("x"), json!(0.5)],
        Check::Matches(pattern) | Check::Finds(pattern) => {
            let text = matching(pattern).unwrap_or_default();
            vec![json!(text), json!(format!("{text}!")), json!("")]
        }
        Check::StartsWith(prefixes) => {
            prefixes.iter().flat_map(|p| [json!(format!("{p}x")), json!(p), json!(format!("x{p}"))]).collect()
        }
        Check::EndsWith(suffixes) => {
            suffixes.iter().flat_map(|s| [json!(format!("x{s}")), json!(s), json!(format!("{s}x"))]).collect()
        }
        Check::Length { min, max } => {
            let edges = [min.map(|n| [n, n.saturating_sub(1)]), max.map(|n| [n, n.saturating_add(1)])];
            edges.into_iter().flatten().flatten().map(|n| json!("x".repeat(n.min(10_000) as usize))).collect()
        }
        Check::ContainsAny(values) => vec![json!([values.first()]), json!([]), json!(["another"])],
        Check::ContainsAll(values) => vec![json!(values), json!(values.get(1..)), json!([])],
        Check::Each(checks) => {
            let inner = of_checks(checks);
            let first = inner.first().cloned().unwrap_or_default();
            let mut lists: Vec<Value> = inner.iter().map(|value| json!([value])).collect();
            lists.extend(inner.iter().map(|value| json!([first, value])));
            lists.push(json!([]));
            lists
        }
        Check::HostIn(hosts) => hosts
            .iter()
            .flat_map(|h| {
                [json!(h), json!(format!("https://{h}/x")), json!(format!("x.{h}")), json!(format!("x{h}"))]
            })
            .collect(),
        Check::DomainIn(domains) => domains
            .iter()
            .flat_map(|d| {
                [json!(d), json!(format!("x.{d}")), json!(format!("x{d}")), json!(format!("{d}.org"))]
            })
            .collect(),
        Check::Within(folders) => folders
            .iter()
            .flat_map(|f| {
                let f = f.trim_end_matches('/');
                [json!(format!("{f}/x")), json!(f), json!(format!("{f}x")), json!(format!("{f}/../x"))]
            })
            .collect(),
        Check::CidrIn(networks) => networks
            .iter()
            .filter_map(|n| n.split('/').next())
            .flat_map(|a| [json!(a), json!("203.0.113.9")])
            .collect(),
        Check::Not(inner) => {
            let mut values = of_check(inner);
            values.reverse();
            values
        }
        Check::Schema(schema) => vec![of_schema(schema), json!({})],
    }
}

/// The bound moved by each step.
fn stepped(bound: &serde_json::Number, steps: &[f64]) -> Vec<Value> {
    let Some(bound) = bound.as_f64() else { return vec![] };
    let number = |value: f64| if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
    steps.iter().map(|step| number(bound + step)).collect()
}

/// A value like it, but not it.
fn twisted(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => stepped(number, &[1.0]).pop().unwrap_or_default(),
        Value::String(text) => json!(format!("{text}x")),
        Value::Null => json!(0),
        Value::Array(items) => json!([items, "another"]),
        Value::Object(_) => json!({}),
    }
}

fn of_type(of: JsonType) -> Value {
    match of {
        JsonType::Null => Value::Null,
        JsonType::Boolean => json!(true),
        JsonType::Number => json!(0.5),
        JsonType::Integer => json!(1),
        JsonType::String => json!("x"),
        JsonType::Array => json!([]),
        JsonType::Object => json!({}),
    }
}

/// A value that a simple schema accepts.
fn of_schema(schema: &Schema) -> Value {
    let Schema::Keywords(keywords) = schema else { return json!({}) };
    let mut value = json!({});
    for keyword in keywords {
        match keyword {
            Keyword::Const(constant) => return constant.clone(),
            Keyword::Enum(values) => return values.first().cloned().unwrap_or_default(),
            Keyword::Minimum(bound) | Keyword::Maximum(bound) => return json!(bound),
            Keyword::Pattern(pattern) => return json!(matching(pattern)),
            Keyword::MinLength(least) => return json!("x".repeat((*least).min(10_000) as usize)),
            Keyword::Type(types) if types.first() != Some(&JsonType::Object) => {
                value = types.first().copied().map(of_type).unwrap_or_default();
            }
            Keyword::Properties(properties) => {
                let members = properties.iter().map(|(name, inner)| (name.clone(), of_schema(inner)));
                value = Value::Object(members.collect());
            }
            _ => {}
        }
    }
    value
}

/// A short text that the pattern matches, if one is easily found.
fn matching(pattern: &str) -> Option<String> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    let mut text = Vec::new();
    write_match(&hir, &mut text);
    String::from_utf8(text).ok()
}

fn write_match(hir: &Hir, text: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
        HirKind::Class(class) => {
            let first = match class {
                regex_syntax::hir::Class::Unicode(class) => class.ranges().last().map(|range| range.start()),
                regex_syntax::hir::Class::Bytes(class) => {
                    class.ranges().last().map(|range| char::from(range.start()))
                }
            };
            text.extend(first.unwrap_or('x').to_string().bytes());
        }
        HirKind::Repetition(repetition) => {
            (0..repetition.min.min(1_000)).for_each(|_| write_match(&repetition.sub, text))
        }
        HirKind::Capture(capture) => write_match(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write_match(part, text)),
        HirKind::Alternation(parts) => {
            if let Some(first) = parts.first() {
                write_match(first, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matching_text_matches() {
        for pattern in ["^(?:[a-z]{3}-[0-9]+)$", "(?:foo|bar)baz?", "^(?:[A-Z][a-z]{2,5})$"] {
            let text = matching(pattern).expect("a text");
            assert!(regex::Regex::new(pattern).expect("a pattern").is_match(&text), "{pattern} on {text:?}");
        }
    }

    #[test]
    fn the_first_value_satisfies_and_a_later_one_does_not() {
        let values = of_checks(&[Check::Max(5000.into())]);
        assert_eq!((&values[0], values.contains(&json!(5001))), (&json!(5000), true));
    }
}
