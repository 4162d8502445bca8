//! Random JSON Schemas, and documents that nearly satisfy them.

use aegis_policy::ast::{JsonType, Keyword, Schema};
use serde_json::{Value, json};

use super::checks::TYPES;
use super::pools::{self, Random, literal, near, normal, number, odd};

/// A schema of parameters: an object with a few members.
pub(crate) fn of_params(random: &mut Random) -> Schema {
    let names: Vec<String> = random.texts(&pools::FIELDS, 7);
    let properties = names.iter().map(|name| (name.clone(), schema(2, random))).collect();
    let mut keywords = vec![Keyword::Type(vec![JsonType::Object])];
    if random.chance(60) {
        keywords.push(Keyword::Required(random.some(&names, 3)));
    }
    keywords.push(Keyword::Properties(properties));
    if random.chance(40) {
        let schema = if random.chance(60) { Schema::Bool(false) } else { schema(0, random) };
        keywords.push(Keyword::AdditionalProperties { except: names, schema: Box::new(schema) });
    }
    Schema::Keywords(keywords)
}

fn schema(depth: usize, random: &mut Random) -> Schema {
    if random.chance(4) {
        return Schema::Bool(random.chance(70));
    }
    Schema::Keywords((0..1 + usize::from(random.chance(30))).map(|_| keyword(depth, random)).collect())
}

fn schemas(depth: usize, random: &mut Random) -> Vec<Schema> {
    (0..random.between(1, 3)).map(|_| schema(depth, random)).collect()
}

fn keyword(depth: usize, random: &mut Random) -> Keyword {
    let bound = |random: &mut Random| u32::try_from(random.between(0, 3)).expect("a small number");
    let boxed = |random: &mut Random| Box::new(schema(depth.saturating_sub(1), random));
    let last = if depth == 0 { 16 } else { 27 };
    if random.chance(6) {
        return Keyword::Pattern(random.pick(&pools::PATTERNS).0.to_owned());
    }
    match random.between(0, last) {
        0 => Keyword::Type(random.some(&TYPES, 2)),
        1 => Keyword::Enum((0..random.between(1, 3)).map(|_| literal(random)).collect()),
        2 => Keyword::Const(literal(random)),
        3 => Keyword::Minimum(number(random)),
        4 => Keyword::Maximum(number(random)),
        5 => Keyword::ExclusiveMinimum(number(random)),
        6 => Keyword::ExclusiveMaximum(number(random)),
        7 => Keyword::MultipleOf(*random.pick(&[1, 2, 5, 100])),
        8 => Keyword::MinLength(bound(random)),
        9 => Keyword::MaxLength(bound(random)),
        10 => Keyword::Pattern(random.pick(&pools::PATTERNS).0.to_owned()),
        11 => Keyword::MinItems(bound(random)),
        12 => Keyword::MaxItems(bound(random)),
        13 => Keyword::UniqueItems,
        14 => Keyword::MinProperties(bound(random)),
        15 => Keyword::MaxProperties(bound(random)),
        16 => Keyword::PropertyNamesPattern(random.pick(&pools::PATTERNS).0.to_owned()),
        17 => Keyword::PrefixItems(schemas(depth - 1, random)),
        18 => Keyword::Items { from: u32::from(random.chance(30)), schema: boxed(random) },
        19 => Keyword::Contains(boxed(random)),
        20 => Keyword::Required(random.texts(&pools::INNER, 2)),
        21 => Keyword::Properties(
            random.texts(&pools::INNER, 2).into_iter().map(|name| (name, *boxed(random))).collect(),
        ),
        22 => Keyword::AdditionalProperties { except: random.texts(&pools::INNER, 2), schema: boxed(random) },
        23 => Keyword::AllOf(schemas(depth - 1, random)),
        24 => Keyword::AnyOf(schemas(depth - 1, random)),
        25 => Keyword::OneOf(schemas(depth - 1, random)),
        26 => Keyword::Not(boxed(random)),
        _ => {
            let (condition, then, otherwise) = (boxed(random), boxed(random), boxed(random));
            Keyword::IfThenElse { condition, then, otherwise }
        }
    }
}

/// A value that has a fair chance to satisfy `schema`.
pub(crate) fn instance(schema: &Schema, random: &mut Random) -> Value {
    let Schema::Keywords(keywords) = schema else { return odd(random) };
    let mut value = candidate(random.pick(keywords), random);
    for keyword in keywords {
        amend(keyword, &mut value, random);
    }
    value
}

/// A value near where `keyword` turns.
fn candidate(keyword: &Keyword, random: &mut Random) -> Value {
    let sized = |size: u32, random: &mut Random| {
        (size + 1).saturating_sub(u32::try_from(random.between(0, 2)).expect("small"))
    };
    match keyword {
        Keyword::Type(_) => odd(random),
        Keyword::Enum(values) => random.pick(values).clone(),
        Keyword::Const(value) if random.chance(50) => value.clone(),
        Keyword::Const(value) => near(value, random),
        Keyword::Minimum(bound)
        | Keyword::Maximum(bound)
        | Keyword::ExclusiveMinimum(bound)
        | Keyword::ExclusiveMaximum(bound) => {
            let bound = bound.as_f64().unwrap_or_default();
            normal(bound + random.pick(&[0.0, 1.0, -1.0, 0.5, -0.5]))
        }
        Keyword::MultipleOf(factor) => {
            let times = random.between(0, 3);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            normal((*factor * times as u64) as f64 + random.pick(&[0.0, 0.0, 1.0, 0.5]))
        }
        Keyword::MinLength(size) | Keyword::MaxLength(size) => {
            json!("ß".repeat(sized(*size, random) as usize))
        }
        Keyword::Pattern(pattern) => {
            let known = pools::PATTERNS.iter().find(|(one, _)| one == pattern);
            json!(known.map_or("", |(_, examples)| *random.pick(examples)))
        }
        Keyword::MinItems(size) | Keyword::MaxItems(size) => {
            (0..sized(*size, random)).map(|_| odd(random)).collect()
        }
        Keyword::UniqueItems => random
            .pick(&[
                json!([1, 2]),
                json!([1, 1]),
                json!([]),
                json!([[], []]),
                json!(["1", 1]),
                json!([{"a": 1}, {"a": 1}]),
            ])
            .clone(),
        Keyword::MinProperties(size) | Keyword::MaxProperties(size) => {
            let names = pools::INNER.iter().chain(&pools::FIELDS);
            names.take(sized(*size, random) as usize).map(|name| ((*name).to_owned(), odd(random))).collect()
        }
        Keyword::PropertyNamesPattern(pattern) => {
            let known = pools::PATTERNS.iter().find(|(one, _)| one == pattern);
            json!({known.map_or("", |(_, examples)| *random.pick(examples)): 1})
        }
        Keyword::PrefixItems(schemas) => schemas.iter().map(|schema| instance(schema, random)).collect(),
        Keyword::Items { schema, .. } | Keyword::Contains(schema) => {
            let mut items: Vec<Value> = (0..random.between(0, 3)).map(|_| instance(schema, random)).collect();
            if random.chance(30) {
                items.push(odd(random));
            }
            Value::Array(items)
        }
        Keyword::Required(_) | Keyword::Properties(_) | Keyword::AdditionalProperties { .. } => json!({}),
        Keyword::AllOf(schemas) | Keyword::AnyOf(schemas) | Keyword::OneOf(schemas) => {
            instance(random.pick(schemas), random)
        }
        Keyword::Not(schema) => instance(schema, random),
        Keyword::IfThenElse { condition, then, otherwise } => {
            let schemas = [condition, then, otherwise];
            let chosen = *random.pick(&schemas);
            instance(chosen, random)
        }
    }
}

/// Adds to an object what a keyword asks of it, mostly.
fn amend(keyword: &Keyword, value: &mut Value, random: &mut Random) {
    match keyword {
        Keyword::Type(types)
            if types.contains(&JsonType::Object) && !value.is_object() && random.chance(85) =>
        {
            *value = json!({});
        }
        Keyword::Properties(schemas) => {
            let Some(members) = value.as_object_mut() else { return };
            for (name, schema) in schemas {
                if random.chance(85) {
                    members.insert(name.clone(), instance(schema, random));
                }
            }
        }
        Keyword::Required(names) => {
            let Some(members) = value.as_object_mut() else { return };
            for name in names {
                if random.chance(80) {
                    members.entry(name.clone()).or_insert_with(|| odd(random));
                }
            }
        }
        Keyword::AdditionalProperties { schema, .. } => {
            if let Some(members) = value.as_object_mut()
                && random.chance(30)
            {
                members.insert("further".to_owned(), instance(schema, random));
            }
        }
        _ => {}
    }
}
