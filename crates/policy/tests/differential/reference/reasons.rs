//! What is reported of a condition that is not as the call needs it.

use aegis_model::reason::ReasonCode;
use aegis_policy::ast::{Check, Condition, Keyword, Schema, Span, Subject, Test};
use serde_json::Value;

use super::check;
use super::condition::{Need, is_decided, places, reached_truth, test_truth, truth_of};
use super::schema;
use super::truth::{Reached, Truth, What, escape};

/// One test that is not as needed.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    pub(crate) code: ReasonCode,
    pub(crate) path: Option<String>,
    /// Where the test stands.
    pub(crate) span: Span,
    /// Whether the value could not be judged.
    pub(crate) undecided: bool,
    /// Whether a person could agree to it.
    pub(crate) asks: bool,
}

/// The complaints about a condition that is not as needed, in order of its tests.
pub(crate) fn of(condition: &Condition, need: Need, input: &Value) -> Vec<Complaint> {
    if truth_of(condition, need, input) == need.truth() {
        return Vec::new();
    }
    match condition {
        // Of an "and" that is not true, and of an "or" that is not false, the guilty parts; else all parts
        // are guilty.
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().flat_map(|part| of(part, need, input)).collect()
        }
        Condition::Not(part) => of(part, need.turned(), input),
        Condition::Test(test) => of_test(test, need, input),
    }
}

fn of_test(test: &Test, need: Need, input: &Value) -> Vec<Complaint> {
    if let Some(reached) = places(&test.subject, input) {
        if let ([Check::Schema(schema)], Need::True, What::Value(value)) =
            (&*test.checks, need, &reached.what)
        {
            let mut paths = Vec::new();
            schema_paths(schema, Some(value), &reached.pointer, &mut paths);
            paths.sort();
            paths.dedup();
            return paths
                .into_iter()
                .map(|path| complaint(test, ReasonCode::SchemaViolation, Some(path), false))
                .collect();
        }
        let mut found = of_reached(&reached, test, need);
        found.asks = test.approvable && is_decided(test, input);
        return vec![found];
    }
    debug_assert_ne!(test_truth(test, need, input), need.truth());
    let (code, path) = match &test.subject {
        Subject::Callers { .. } => (ReasonCode::CallerNotAllowed, Some("/callers".to_owned())),
        Subject::ChainDepth(_) => (ReasonCode::ChainTooDeep, Some("/callers".to_owned())),
        _ => (ReasonCode::OutsideTimeWindow, None),
    };
    vec![complaint(test, code, path, false)]
}

/// The complaint about what a path leads to; of several elements, about the first that is not as needed.
fn of_reached(reached: &Reached<'_>, test: &Test, need: Need) -> Complaint {
    let path = Some(reached.pointer.clone());
    match &reached.what {
        What::Absent => complaint(test, code(test, ReasonCode::ParameterMissing), path, true),
        What::NotArray => complaint(test, code(test, ReasonCode::ParameterType), path, true),
        What::Value(value) => of_value(value, path, test, need),
        What::Each(elements) => {
            let guilty =
                elements.iter().enumerate().find(|(_, one)| reached_truth(one, test, need) != need.truth());
            let Some((index, element)) = guilty else {
                return complaint(test, code(test, ReasonCode::ParameterMissing), path, true);
            };
            if !has_another_star(test) {
                return of_reached(element, test, need);
            }
            let path = Some(format!("{}/{index}", reached.pointer));
            complaint(test, code(test, ReasonCode::ParameterMismatch), path, false)
        }
    }
}

fn has_another_star(test: &Test) -> bool {
    use aegis_policy::ast::Segment;
    match &test.subject {
        Subject::Params(path) | Subject::Context(path) | Subject::Token(path) => {
            path.0.iter().filter(|segment| **segment == Segment::Every).count() > 1
        }
        _ => false,
    }
}

fn of_value(value: &Value, path: Option<String>, test: &Test, need: Need) -> Complaint {
    if need == Need::False {
        return match check::all(&test.checks, value) {
            Truth::Undecided => complaint(test, code(test, ReasonCode::ParameterType), path, true),
            _ => complaint(test, code(test, ReasonCode::ParameterMismatch), path, false),
        };
    }
    let first = test.checks.iter().find(|one| check::truth(one, value) != Truth::True);
    let first = first.expect("a test of which all checks are true is true");
    if check::truth(first, value) == Truth::Undecided {
        // The test as a whole may be false, by a later check.
        let undecided = check::all(&test.checks, value) == Truth::Undecided;
        return complaint(test, code(test, ReasonCode::ParameterType), path, undecided);
    }
    let code = match first {
        Check::Schema(_) => ReasonCode::SchemaViolation,
        Check::Min(_) | Check::Max(_) | Check::Length { .. } => code(test, ReasonCode::ParameterOutOfRange),
        _ => code(test, ReasonCode::ParameterMismatch),
    };
    complaint(test, code, path, false)
}

/// Whatever is wrong with a circumstance has one code.
fn code(test: &Test, code: ReasonCode) -> ReasonCode {
    match test.subject {
        Subject::Params(_) => code,
        _ => ReasonCode::ContextMismatch,
    }
}

fn complaint(test: &Test, code: ReasonCode, path: Option<String>, undecided: bool) -> Complaint {
    Complaint { code, path, span: test.span, undecided, asks: false }
}

/// The places, reachable through `properties`, that do not satisfy what the schema says of them alone.
fn schema_paths(schema: &Schema, value: Option<&Value>, at: &str, paths: &mut Vec<String>) {
    let Some(value) = value else { return };
    let Schema::Keywords(keywords) = schema else {
        return if !schema::satisfies(schema, value) {
            paths.push(at.to_owned())
        };
    };
    for keyword in keywords {
        match keyword {
            Keyword::Properties(schemas) => {
                for (name, schema) in schemas {
                    schema_paths(schema, value.get(name), &format!("{at}/{}", escape(name)), paths);
                }
            }
            Keyword::Required(names) => {
                let missing = names
                    .iter()
                    .filter(|name| value.as_object().is_some_and(|value| !value.contains_key(*name)));
                paths.extend(missing.map(|name| format!("{at}/{}", escape(name))));
            }
            keyword if !schema::holds(keyword, value) => paths.push(at.to_owned()),
            _ => {}
        }
    }
}
