//! What a reason says: one sentence from the policy's own literals, never from the call.

use serde_json::Value;

use super::literals::term;
use crate::ast::{Check, Glob, JsonType, Subject};

/// Most literals that a message lists.
const LISTED_MAX: usize = 5;

/// `name` must be as `check` says.
pub(super) fn required(name: &str, check: &Check) -> String {
    format!("`{name}` must {}", demand(check))
}

/// `name` could not be judged: what it would have to be.
pub(super) fn undecided(name: &str, checks: &[Check]) -> String {
    let kind = checks
        .iter()
        .map(judgeable)
        .find(|kind| !kind.is_empty())
        .unwrap_or("of the type that the rule reads");
    format!("`{name}` must be {kind}")
}

/// `name` is as a negated condition forbids.
pub(super) fn forbidden(name: &str, checks: &[Check]) -> String {
    let demands: Vec<String> = checks.iter().map(demand).collect();
    format!("`{name}` must not {}", demands.join(" and "))
}

/// A subject that is always decided.
pub(super) fn of_subject(subject: &Subject) -> String {
    match subject {
        Subject::Callers { globs, none_allowed } => {
            let listed = listed(globs.iter().map(|Glob(name)| format!("`{name}`")));
            let also = if *none_allowed { ", or no caller at all" } else { "" };
            format!("every caller in the delegation chain must be {listed}{also}")
        }
        Subject::ChainDepth(most) => format!("the delegation chain must have at most {most} members"),
        Subject::Time(window) => {
            let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let days: Vec<&str> =
                names.iter().zip(window.days).filter(|(_, on)| *on).map(|(name, _)| *name).collect();
            let (from, to) = (clock(window.from_minute), clock(window.to_minute));
            format!("the rule holds only on {} from {from} to {to} ({})", days.join(", "), window.zone)
        }
        Subject::Params(_) | Subject::Context(_) | Subject::Token(_) | Subject::Circumstance { .. } => {
            String::new()
        }
    }
}

/// What a value has to be for the check to be decided; empty if it always is.
fn judgeable(check: &Check) -> &'static str {
    match check {
        Check::Equals(literal) => type_words(literal),
        Check::OneOf(literals) | Check::ContainsAny(literals) | Check::ContainsAll(literals)
            if literals.is_empty() =>
        {
            ""
        }
        Check::OneOf(literals) => type_words(&literals[0]),
        Check::Min(_) | Check::Max(_) => "a number",
        Check::Type(_) | Check::Schema(_) => "",
        Check::Matches(_) | Check::Finds(_) | Check::StartsWith(_) | Check::EndsWith(_) => "a string",
        Check::Length { .. } => "a string, an array or an object",
        Check::ContainsAny(_) | Check::ContainsAll(_) => "an array or a string that can be searched",
        Check::Each(_) => "an array with at least one element",
        Check::HostIn(_) | Check::DomainIn(_) => "a canonical host or URL",
        Check::Within(_) => "a canonical absolute path",
        Check::CidrIn(_) => "a canonical IP address",
        Check::Not(inner) => judgeable(inner),
    }
}

fn type_words(literal: &Value) -> &'static str {
    match literal {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What a check demands, to follow "must" or "must not".
fn demand(check: &Check) -> String {
    match check {
        Check::Equals(literal) => format!("be {}", term(literal)),
        Check::OneOf(literals) => format!("be one of {}", terms(literals)),
        Check::Min(bound) => format!("be a number, at least {bound}"),
        Check::Max(bound) => format!("be a number, at most {bound}"),
        Check::Type(of) => format!("be of type {}", type_of(*of)),
        Check::Matches(pattern) => format!("be a string that matches `{}`", bare(pattern)),
        Check::Finds(pattern) => format!("be a string in which `{pattern}` is found"),
        Check::StartsWith(prefixes) => format!("be a string that starts with {}", quoted(prefixes)),
        Check::EndsWith(suffixes) => format!("be a string that ends with {}", quoted(suffixes)),
        Check::Length { min: Some(min), max: Some(max) } => format!("have a length of {min} to {max}"),
        Check::Length { min: Some(min), max: None } => format!("have a length of at least {min}"),
        Check::Length { max: Some(max), .. } => format!("have a length of at most {max}"),
        Check::Length { .. } => "have a length".to_owned(),
        Check::ContainsAny(literals) => format!("contain one of {}", terms(literals)),
        Check::ContainsAll(literals) => format!("contain {}", terms(literals)),
        Check::Each(checks) => {
            let demands: Vec<String> = checks.iter().map(demand).collect();
            format!("have only elements that {}", demands.join(" and "))
        }
        Check::HostIn(hosts) => format!("be a canonical host or URL at {}", quoted(hosts)),
        Check::DomainIn(domains) => format!("be a canonical host or URL within {}", quoted(domains)),
        Check::Within(folders) => format!("be a canonical path within {}", quoted(folders)),
        Check::CidrIn(networks) => format!("be a canonical IP address in {}", quoted(networks)),
        Check::Not(inner) => format!("not {}", demand(inner)),
        Check::Schema(_) => "satisfy the schema of the rule".to_owned(),
    }
}

/// The pattern without the anchors that `matches` adds.
fn bare(pattern: &str) -> &str {
    pattern.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(pattern)
}

fn type_of(of: JsonType) -> &'static str {
    match of {
        JsonType::Integer => "integer",
        other => super::literals::rego_type(other),
    }
}

fn terms(literals: &[Value]) -> String {
    listed(literals.iter().map(term))
}

fn quoted(texts: &[String]) -> String {
    listed(texts.iter().map(|text| format!("`{text}`")))
}

fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(LISTED_MAX);
    let mut text = items.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" or {more} more"));
    }
    text
}
