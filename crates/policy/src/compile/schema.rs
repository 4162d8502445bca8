//! JSON Schema (2020-12) as Rego functions: one function per schema, one line or helper per keyword.
//!
//! A keyword that speaks of one type holds for every value of another type, as the specification says.

use serde_json::Value;

use super::checks::{text_longer, text_shorter};
use super::literals::{rego_type, set, string};
use super::unit::{Body, Writer};
use crate::ast::{JsonType, Keyword, Schema};

impl Writer {
    /// The name of a function that holds of exactly the valid values.
    pub(super) fn schema(&mut self, schema: &Schema) -> String {
        let body = match schema {
            Schema::Bool(valid) => vec![valid.to_string()],
            Schema::Keywords(keywords) => keywords.iter().map(|keyword| self.keyword(keyword)).collect(),
        };
        self.schema_function(&body)
    }

    /// The same for some keywords only.
    pub(super) fn keywords(&mut self, keywords: &[&Keyword]) -> String {
        let body: Body = keywords.iter().map(|keyword| self.keyword(keyword)).collect();
        self.schema_function(&body)
    }

    fn schema_function(&mut self, body: &Body) -> String {
        let head = self.either("valid_", Some("it"), std::slice::from_ref(body));
        head.trim_end_matches("(it)").to_owned()
    }

    /// A helper that holds of every value that is not of `kind`, and of those for which the line holds.
    fn for_type(&mut self, kind: &str, line: String) -> String {
        let guard = format!("is_{kind}(it)");
        self.either("keyword_", Some("it"), &[vec![format!("not {guard}")], vec![guard, line]])
    }

    fn any_of(&mut self, schemas: &[Schema]) -> String {
        let bodies: Vec<Body> =
            schemas.iter().map(|schema| vec![format!("{}(it)", self.schema(schema))]).collect();
        self.either("any_", Some("it"), &bodies)
    }

    fn keyword(&mut self, keyword: &Keyword) -> String {
        match keyword {
            Keyword::Type(types) => self.types(types),
            Keyword::Enum(values) => self.among("it", values, true).concat(),
            Keyword::Const(value) => self.among("it", std::slice::from_ref(value), true).concat(),
            Keyword::Minimum(bound) => self.for_type("number", format!("it >= {bound}")),
            Keyword::Maximum(bound) => self.for_type("number", format!("it <= {bound}")),
            Keyword::ExclusiveMinimum(bound) => self.for_type("number", format!("it > {bound}")),
            Keyword::ExclusiveMaximum(bound) => self.for_type("number", format!("it < {bound}")),
            Keyword::MultipleOf(divisor) => self.multiple_of(*divisor),
            Keyword::MinLength(0) => "true".to_owned(),
            Keyword::MinLength(least) => self.for_type("string", text_shorter(*least, true)),
            Keyword::MaxLength(most) => self.for_type("string", text_longer(*most, true)),
            Keyword::Pattern(pattern) => {
                let line = self.matches(pattern, "it");
                self.for_type("string", line)
            }
            Keyword::MinItems(least) => self.for_type("array", format!("count(it) >= {least}")),
            Keyword::MaxItems(most) => self.for_type("array", format!("count(it) <= {most}")),
            Keyword::UniqueItems => {
                self.for_type("array", "count({element | some element in it}) == count(it)".to_owned())
            }
            Keyword::PrefixItems(schemas) => self.prefix_items(schemas),
            Keyword::Items { from, schema } => self.items(*from, schema),
            Keyword::Contains(schema) => {
                let valid = self.schema(schema);
                let some = self.either(
                    "contains_",
                    Some("it"),
                    &[vec!["some element in it".to_owned(), format!("{valid}(element)")]],
                );
                self.for_type("array", some)
            }
            Keyword::MinProperties(least) => self.for_type("object", format!("count(it) >= {least}")),
            Keyword::MaxProperties(most) => self.for_type("object", format!("count(it) <= {most}")),
            Keyword::Required(names) => self.required(names),
            Keyword::Properties(properties) => self.properties(properties),
            Keyword::AdditionalProperties { except, schema } => self.additional(except, schema),
            Keyword::PropertyNamesPattern(pattern) => {
                let line = self.matches(pattern, "name");
                self.for_type("object", format!("every name, _ in it {{ {line} }}"))
            }
            Keyword::AllOf(schemas) => {
                let body: Body =
                    schemas.iter().map(|schema| format!("{}(it)", self.schema(schema))).collect();
                self.either("all_", Some("it"), &[body])
            }
            Keyword::AnyOf(schemas) => self.any_of(schemas),
            Keyword::OneOf(schemas) => self.exactly_one(schemas),
            Keyword::Not(schema) => format!("not {}(it)", self.schema(schema)),
            Keyword::IfThenElse { condition, then, otherwise } => {
                self.if_then_else(condition, then, otherwise)
            }
        }
    }

    fn types(&mut self, types: &[JsonType]) -> String {
        let bodies: Vec<Body> = types
            .iter()
            .map(|of| match of {
                JsonType::Integer => vec!["is_number(it)".to_owned(), "floor(it) == it".to_owned()],
                other => vec![format!("is_{}(it)", rego_type(*other))],
            })
            .collect();
        self.either("type_", Some("it"), &bodies)
    }

    fn multiple_of(&mut self, divisor: u64) -> String {
        let whole = "floor(it) == it".to_owned();
        let body = vec!["is_number(it)".to_owned(), whole, format!("it % {divisor} == 0")];
        self.either("multiple_", Some("it"), &[vec!["not is_number(it)".to_owned()], body])
    }

    fn prefix_items(&mut self, schemas: &[Schema]) -> String {
        let mut body: Body = Vec::new();
        for (index, schema) in schemas.iter().enumerate() {
            let valid = self.schema(schema);
            let shorter = vec![format!("count(it) <= {index}")];
            body.push(self.either("prefix_", Some("it"), &[shorter, vec![format!("{valid}(it[{index}])")]]));
        }
        let all = self.either("prefixes_", Some("it"), &[body]);
        self.for_type("array", all)
    }

    fn items(&mut self, from: u32, schema: &Schema) -> String {
        let valid = self.schema(schema);
        if from == 0 {
            return self.for_type("array", format!("every element in it {{ {valid}(element) }}"));
        }
        let head = self.either(
            "item_",
            Some("place, element"),
            &[vec![format!("place < {from}")], vec![format!("{valid}(element)")]],
        );
        self.for_type("array", format!("every place, element in it {{ {head} }}"))
    }

    fn required(&mut self, names: &[String]) -> String {
        let mut body: Body = Vec::new();
        for name in names {
            body.push(format!("_ = it[{}]", string(name)));
        }
        let all = self.either("required_", Some("it"), &[body]);
        self.for_type("object", all)
    }

    fn properties(&mut self, properties: &[(String, Schema)]) -> String {
        let mut body: Body = Vec::new();
        for (name, schema) in properties {
            let valid = self.schema(schema);
            let member = format!("it[{}]", string(name));
            let present = self.present(&member, Some("it"));
            body.push(self.either(
                "property_",
                Some("it"),
                &[vec![format!("not {present}")], vec![format!("{valid}({member})")]],
            ));
        }
        let all = self.either("properties_", Some("it"), &[body]);
        self.for_type("object", all)
    }

    fn additional(&mut self, except: &[String], schema: &Schema) -> String {
        let valid = self.schema(schema);
        let mut bodies: Vec<Body> = Vec::new();
        if !except.is_empty() {
            let names: Vec<Value> = except.iter().map(|name| Value::from(name.as_str())).collect();
            for chunk in names.chunks(64) {
                bodies.push(vec![format!("name in {}", set(chunk))]);
            }
        }
        bodies.push(vec![format!("{valid}(member)")]);
        let head = self.either("member_", Some("name, member"), &bodies);
        self.for_type("object", format!("every name, member in it {{ {head} }}"))
    }

    fn exactly_one(&mut self, schemas: &[Schema]) -> String {
        let valid: Vec<String> = schemas.iter().map(|schema| self.schema(schema)).collect();
        let bodies: Vec<Body> = (0..valid.len())
            .map(|chosen| {
                let line = |(index, name): (usize, &String)| {
                    if index == chosen { format!("{name}(it)") } else { format!("not {name}(it)") }
                };
                valid.iter().enumerate().map(line).collect()
            })
            .collect();
        self.either("one_", Some("it"), &bodies)
    }

    fn if_then_else(&mut self, condition: &Schema, then: &Schema, otherwise: &Schema) -> String {
        let (condition, then, otherwise) =
            (self.schema(condition), self.schema(then), self.schema(otherwise));
        let bodies = [
            vec![format!("{condition}(it)"), format!("{then}(it)")],
            vec![format!("not {condition}(it)"), format!("{otherwise}(it)")],
        ];
        self.either("if_", Some("it"), &bodies)
    }
}
