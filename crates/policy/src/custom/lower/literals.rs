//! Literals. Numbers only in the form in which both engines hold the same number.

use std::collections::{BTreeMap, BTreeSet};

use aegis_model::caps::{REGO_LITERAL_BYTES_MAX, REGO_PATTERNS_MAX};
use regorus::Value;
use regorus::unstable::{Expr, Ref, Span as RegoSpan};

use super::expr::nothing;
use super::{Lowerer, Term};
use crate::custom::host;
use crate::custom::shape::{ARRAY, BOOLEAN, Kinds, NULL, NUMBER, OBJECT, SET, STRING, Shape};

/// A member of an object: its place, key and value.
type Field = (RegoSpan, Ref<Expr>, Ref<Expr>);

impl<'m> Lowerer<'m, '_, '_> {
    pub(super) fn scalar(&mut self, expr: &'m Expr) -> Term {
        let (text, kinds) = match expr {
            Expr::Null { .. } => ("null".to_owned(), NULL),
            Expr::Bool { span, .. } => (span.text().to_owned(), BOOLEAN),
            Expr::Number { span, .. } => (self.number(span), NUMBER),
            other => (self.string(other), STRING),
        };
        Term { text, shape: Shape::of(kinds), constant: true }
    }

    fn number(&mut self, span: &RegoSpan) -> String {
        if let Err(error) = host::literal(span.text()) {
            let message = format!("engines read `{}` as different numbers: {error}", span.text());
            let help = "write a whole number up to 2^53, or a plain decimal of at most 15 digits: `0.25`";
            self.refuse(span, message, help);
        }
        span.text().to_owned()
    }

    fn string(&mut self, expr: &'m Expr) -> String {
        let text = string_value(expr).unwrap_or_default();
        let written = json(&text);
        if written.len() > REGO_LITERAL_BYTES_MAX {
            let message = format!("a string has at most {REGO_LITERAL_BYTES_MAX} bytes");
            self.report("rego-too-large", expr.span(), message, "join shorter ones with `concat`");
        }
        written
    }

    pub(super) fn array(&mut self, items: &'m [Ref<Expr>]) -> Term {
        let terms: Vec<Term> = items.iter().map(|item| self.expr(item)).collect();
        let constant = terms.iter().all(|term| term.constant);
        let texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
        let text = format!("[{}]", texts.join(",\n"));
        let fields = terms.into_iter().enumerate().map(|(number, term)| (number.to_string(), term.shape));
        Term { text, shape: Shape::with_fields(ARRAY, fields.collect()), constant }
    }

    pub(super) fn set(&mut self, items: &'m [Ref<Expr>]) -> Term {
        let terms: Vec<Term> = items.iter().map(|item| self.expr(item)).collect();
        let constant = terms.iter().all(|term| term.constant);
        let texts: Vec<String> = terms.iter().map(as_key).collect();
        let text = if texts.is_empty() { "set()".to_owned() } else { format!("{{{}}}", texts.join(",\n")) };
        let member = terms.into_iter().map(|term| term.shape).reduce(|a, b| a.or(&b));
        let shape = member.map_or(Shape::of(SET), |member| Shape::of_members(SET, member));
        Term { text, shape, constant }
    }

    pub(super) fn object(&mut self, fields: &'m [Field]) -> Term {
        let mut known = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let (mut texts, mut constant, mut computed, mut keys) = (Vec::new(), true, false, 0);
        for (_, key, value) in fields {
            let (key_term, value_term) = (self.expr(key), self.expr(value));
            constant &= key_term.constant && value_term.constant;
            let literal = scalar_kind(key).is_some();
            computed |= !literal;
            if !literal && fields.len() > 1 {
                let help = "make it of several objects, or as `{key: value | …}`";
                self.refuse(key.span(), "a computed key among others could replace one of them", help);
            } else if !seen.insert(key_term.text.clone()) {
                self.refuse(key.span(), "the same key stands here twice", "remove one");
            }
            keys |= key_term.shape.kinds;
            texts.push(format!("{}: {}", as_key(&key_term), value_term.text));
            known.insert(string_value(key).unwrap_or(key_term.text), value_term.shape);
        }
        let text = format!("{{{}}}", texts.join(",\n"));
        let shape = match known.values().next() {
            Some(value) if computed => Shape::of_members(OBJECT, value.clone()),
            _ => Shape::with_fields(OBJECT, known),
        };
        Term { text, shape: shape.with_keys(keys), constant }
    }

    /// A string literal that is a regular expression: what stands in it is translated, in both texts.
    pub(super) fn regex(&mut self, expr: &'m Expr) -> Term {
        let Some(pattern) = string_value(expr) else {
            let help = "write the expression itself, in backticks";
            self.report("rego-regex", expr.span(), "a regular expression is a literal", help);
            return nothing();
        };
        if pattern.contains('\n') {
            self.report("rego-regex", expr.span(), "a regular expression stands in one line", "write `\\n`");
            return nothing();
        }
        if self.patterns.len() >= REGO_PATTERNS_MAX {
            let message = format!("a module has at most {REGO_PATTERNS_MAX} regular expressions");
            self.report("rego-too-large", expr.span(), message, "join some of them with `|`");
            return nothing();
        }
        match crate::regex_subset::translate(&pattern) {
            Ok(translated) => {
                let written = json(&translated);
                let span = expr.span();
                // The span of a string leaves its quotes out.
                self.edits.push((span.start as usize - 1..span.end as usize + 1, written.clone()));
                self.patterns.insert(translated);
                if written.len() > REGO_LITERAL_BYTES_MAX {
                    let message = format!("it has more than {REGO_LITERAL_BYTES_MAX} bytes when spelled out");
                    self.report("rego-regex", expr.span(), message, "split it into several");
                }
                Term { text: written, shape: Shape::of(STRING), constant: true }
            }
            Err(refused) => {
                self.report(
                    "rego-regex",
                    expr.span(),
                    format!("regular expression: {}", refused.message),
                    refused.help,
                );
                nothing()
            }
        }
    }
}

/// The text of a string literal.
pub(super) fn string_value(expr: &Expr) -> Option<String> {
    match expr {
        Expr::String { value: Value::String(text), .. }
        | Expr::RawString { value: Value::String(text), .. } => Some(text.to_string()),
        _ => None,
    }
}

/// A string as a literal of Rego and of JSON.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The type of a literal that has no members.
pub(super) fn scalar_kind(expr: &Expr) -> Option<Kinds> {
    match expr {
        Expr::Null { .. } => Some(NULL),
        Expr::Bool { .. } => Some(BOOLEAN),
        Expr::Number { .. } => Some(NUMBER),
        Expr::String { .. } | Expr::RawString { .. } => Some(STRING),
        _ => None,
    }
}

/// The expression as an element of a set or a key, which the machine compares by itself and so has to be small.
fn as_key(term: &Term) -> String {
    if term.constant { term.text.clone() } else { format!("aegis.key(\n{})", term.text) }
}
