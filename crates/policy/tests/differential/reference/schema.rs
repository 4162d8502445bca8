//! JSON Schema 2020-12, as far as `ast::Schema` goes.

use std::cmp::Ordering;

use aegis_policy::ast::{Keyword, Schema};
use serde_json::{Number, Value};

use super::check::{compare, finds, has_type, integer_of, same, size};
use crate::coverage;

/// Whether `value` satisfies `schema`.
pub(crate) fn satisfies(schema: &Schema, value: &Value) -> bool {
    match schema {
        Schema::Bool(holds) => *holds,
        Schema::Keywords(keywords) => keywords.iter().all(|keyword| holds(keyword, value)),
    }
}

/// Whether `keyword` holds; one that speaks of another type than the value's does.
pub(crate) fn holds(keyword: &Keyword, value: &Value) -> bool {
    let verdict = asserted(keyword, value);
    coverage::keyword(keyword, verdict);
    verdict.unwrap_or(true)
}

/// `None`: the keyword does not speak of values of this type.
fn asserted(keyword: &Keyword, value: &Value) -> Option<bool> {
    match keyword {
        Keyword::Type(types) => Some(types.iter().any(|one| has_type(value, *one))),
        Keyword::Enum(values) => Some(values.iter().any(|one| same(one, value))),
        Keyword::Const(expected) => Some(same(expected, value)),
        Keyword::Minimum(bound) => ordered(value, bound, &[Ordering::Greater, Ordering::Equal]),
        Keyword::Maximum(bound) => ordered(value, bound, &[Ordering::Less, Ordering::Equal]),
        Keyword::ExclusiveMinimum(bound) => ordered(value, bound, &[Ordering::Greater]),
        Keyword::ExclusiveMaximum(bound) => ordered(value, bound, &[Ordering::Less]),
        Keyword::MultipleOf(factor) => value
            .as_number()
            .map(|number| integer_of(number).is_some_and(|number| number % i128::from(*factor) == 0)),
        Keyword::MinLength(min) => value.as_str().and(size(value)).map(|size| size >= *min as usize),
        Keyword::MaxLength(max) => value.as_str().and(size(value)).map(|size| size <= *max as usize),
        Keyword::Pattern(pattern) => value.as_str().map(|text| finds(pattern, text)),
        Keyword::MinItems(min) => value.as_array().map(|items| items.len() >= *min as usize),
        Keyword::MaxItems(max) => value.as_array().map(|items| items.len() <= *max as usize),
        Keyword::UniqueItems => value.as_array().map(|items| {
            items.iter().enumerate().all(|(at, item)| items[..at].iter().all(|earlier| !same(earlier, item)))
        }),
        Keyword::PrefixItems(schemas) => value
            .as_array()
            .map(|items| items.iter().zip(schemas).all(|(item, schema)| satisfies(schema, item))),
        Keyword::Items { from, schema } => value
            .as_array()
            .map(|items| items.iter().skip(*from as usize).all(|item| satisfies(schema, item))),
        Keyword::Contains(schema) => {
            value.as_array().map(|items| items.iter().any(|item| satisfies(schema, item)))
        }
        Keyword::MinProperties(min) => value.as_object().map(|members| members.len() >= *min as usize),
        Keyword::MaxProperties(max) => value.as_object().map(|members| members.len() <= *max as usize),
        Keyword::Required(names) => {
            value.as_object().map(|members| names.iter().all(|name| members.contains_key(name)))
        }
        Keyword::Properties(schemas) => value.as_object().map(|members| {
            // Every member is looked at: each that fails is reported.
            let holds = |(name, schema): &(String, Schema)| {
                members.get(name).is_none_or(|member| satisfies(schema, member))
            };
            schemas.iter().filter(|property| !holds(property)).count() == 0
        }),
        Keyword::AdditionalProperties { except, schema } => value.as_object().map(|members| {
            members
                .iter()
                .filter(|(name, _)| !except.contains(name))
                .all(|(_, value)| satisfies(schema, value))
        }),
        Keyword::PropertyNamesPattern(pattern) => {
            value.as_object().map(|members| members.keys().all(|name| finds(pattern, name)))
        }
        Keyword::AllOf(schemas) => Some(schemas.iter().all(|schema| satisfies(schema, value))),
        Keyword::AnyOf(schemas) => Some(schemas.iter().any(|schema| satisfies(schema, value))),
        Keyword::OneOf(schemas) => {
            Some(schemas.iter().filter(|schema| satisfies(schema, value)).count() == 1)
        }
        Keyword::Not(schema) => Some(!satisfies(schema, value)),
        Keyword::IfThenElse { condition, then, otherwise } => {
            Some(satisfies(if satisfies(condition, value) { then } else { otherwise }, value))
        }
    }
}

fn ordered(value: &Value, bound: &Number, wanted: &[Ordering]) -> Option<bool> {
    value.as_number().map(|number| wanted.contains(&compare(number, bound)))
}

#[cfg(test)]
mod tests {
    use aegis_policy::ast::JsonType;
    use serde_json::json;

    use super::*;

    fn keywords(keywords: Vec<Keyword>) -> Schema {
        Schema::Keywords(keywords)
    }

    #[test]
    fn keywords_speak_of_their_own_type_only() {
        let short = keywords(vec![Keyword::MaxLength(2), Keyword::MinItems(1), Keyword::MultipleOf(5)]);
        for (value, expected) in [
            (json!("ab"), true),
            (json!("日本"), true),
            (json!("abc"), false),
            (json!([]), false),
            (json!([7]), true),
            (json!(10), true),
            (json!(11), false),
            (json!(2.5), false),
            (json!(null), true),
            (json!({}), true),
        ] {
            assert_eq!(satisfies(&short, &value), expected, "{value}");
        }
    }

    #[test]
    fn objects_are_closed_by_additional_properties() {
        let closed = keywords(vec![
            Keyword::Type(vec![JsonType::Object]),
            Keyword::Required(vec!["a".into()]),
            Keyword::Properties(vec![("a".into(), keywords(vec![Keyword::Type(vec![JsonType::Integer])]))]),
            Keyword::AdditionalProperties { except: vec!["a".into()], schema: Box::new(Schema::Bool(false)) },
        ]);
        for (value, expected) in [
            (json!({"a": 1}), true),
            (json!({"a": 1.5}), false),
            (json!({}), false),
            (json!({"a": 1, "b": 1}), false),
            (json!([]), false),
        ] {
            assert_eq!(satisfies(&closed, &value), expected, "{value}");
        }
    }

    #[test]
    fn one_of_means_exactly_one() {
        let least = |bound: i64| keywords(vec![Keyword::Minimum(bound.into())]);
        let schema = keywords(vec![Keyword::OneOf(vec![least(1), least(5)])]);
        assert!(satisfies(&schema, &json!(2)));
        assert!(!satisfies(&schema, &json!(7)) && !satisfies(&schema, &json!(0)));
        assert!(!satisfies(&keywords(vec![Keyword::UniqueItems]), &json!([1, "1", 1.0])));
    }
}
