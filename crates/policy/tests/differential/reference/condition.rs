//! Conditions: Kleene's connectives over tests.

use aegis_policy::ast::{Condition, Glob, Path, Segment, Subject, Test, TimeWindow};
use serde_json::Value;

use super::truth::{Reached, Truth, What, reach};
use super::{check, glob};

/// What the call needs of a condition to get on: an allowing entry's to be true, a denying entry's to be
/// false; under `not` the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    True,
    False,
}

impl Need {
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
        }
    }

    pub(crate) fn truth(self) -> Truth {
        match self {
            Self::True => Truth::True,
            Self::False => Truth::False,
        }
    }
}

/// The condition's truth value, `[*]` and `optional` being read for a call that has this need.
pub(crate) fn truth_of(condition: &Condition, need: Need, input: &Value) -> Truth {
    formula(condition, need, &|test, need| test_truth(test, need, input))
}

/// Whether the condition would be true if every approvable test that is decided were true.
pub(crate) fn would_pass_if_approved(condition: &Condition, input: &Value) -> bool {
    let approved = |test: &Test, need: Need| {
        if test.approvable && is_decided(test, input) { Truth::True } else { test_truth(test, need, input) }
    };
    formula(condition, Need::True, &approved) == Truth::True
}

fn formula(condition: &Condition, need: Need, leaf: &dyn Fn(&Test, Need) -> Truth) -> Truth {
    match condition {
        Condition::All(parts) => {
            Truth::all(parts.iter().map(|part| formula(part, need, leaf)).collect::<Vec<_>>())
        }
        Condition::Any(parts) => {
            Truth::any(parts.iter().map(|part| formula(part, need, leaf)).collect::<Vec<_>>())
        }
        Condition::Not(part) => formula(part, need.turned(), leaf).not(),
        Condition::Test(test) => leaf(test, need),
    }
}

/// One test's truth value.
pub(crate) fn test_truth(test: &Test, need: Need, input: &Value) -> Truth {
    match (places(&test.subject, input), &test.subject) {
        (Some(reached), _) => reached_truth(&reached, test, need),
        (None, Subject::Callers { globs, none_allowed }) => {
            Truth::of(callers_pass(globs, *none_allowed, input))
        }
        (None, Subject::ChainDepth(most)) => Truth::of(callers(input).len() <= *most as usize),
        (None, Subject::Time(window)) => Truth::of(is_within(window, input)),
        (None, _) => unreachable!("the other subjects are values"),
    }
}

/// What the subject of a test leads to; `None` if it is not a value.
pub(crate) fn places<'a>(subject: &Subject, input: &'a Value) -> Option<Reached<'a>> {
    let at = |root: &str, path: &Path| reach(input.get(root), format!("/{root}"), &path.0);
    match subject {
        Subject::Params(path) => Some(at("params", path)),
        Subject::Context(path) => Some(at("context", path)),
        Subject::Token(path) => Some(at("token", path)),
        Subject::Circumstance { name, verified_only } => {
            let proven = *verified_only || input["token"].get(name).is_some();
            Some(at(if proven { "token" } else { "context" }, &Path(vec![Segment::Key(name.clone())])))
        }
        Subject::Callers { .. } | Subject::ChainDepth(_) | Subject::Time(_) => None,
    }
}

/// "Every element" where the call needs the test true, "any element" where it needs it false.
pub(crate) fn reached_truth(reached: &Reached<'_>, test: &Test, need: Need) -> Truth {
    match &reached.what {
        What::Value(value) => check::all(&test.checks, value),
        What::Absent if test.optional => need.truth(),
        What::Absent | What::NotArray => Truth::Undecided,
        What::Each(elements) if elements.is_empty() => {
            if test.optional {
                need.truth()
            } else {
                Truth::Undecided
            }
        }
        What::Each(elements) => {
            let each: Vec<Truth> =
                elements.iter().map(|element| reached_truth(element, test, need)).collect();
            match need {
                Need::True => Truth::all(each),
                Need::False => Truth::any(each),
            }
        }
    }
}

/// Whether the test is true or false wherever its path leads.
pub(crate) fn is_decided(test: &Test, input: &Value) -> bool {
    fn decided(reached: &Reached<'_>, test: &Test) -> bool {
        match &reached.what {
            What::Each(elements) if !elements.is_empty() => {
                elements.iter().all(|element| decided(element, test))
            }
            _ => reached_truth(reached, test, Need::True) != Truth::Undecided,
        }
    }
    places(&test.subject, input).is_none_or(|reached| decided(&reached, test))
}

fn callers(input: &Value) -> Vec<&str> {
    let callers = input["callers"].as_array().expect("the input document lists the callers");
    callers.iter().map(|caller| caller.as_str().expect("a caller is a name")).collect()
}

fn callers_pass(globs: &[Glob], none_allowed: bool, input: &Value) -> bool {
    let callers = callers(input);
    if callers.is_empty() {
        return none_allowed;
    }
    callers.iter().all(|caller| globs.iter().any(|one| glob(&one.0, caller)))
}

/// Whether a window that began today or yesterday is still open.
fn is_within(window: &TimeWindow, input: &Value) -> bool {
    let local = &input["local"][&window.zone];
    let day = local["day"].as_u64().expect("0 is Monday");
    let minute = local["minute"].as_u64().expect("0 to 1439");
    let (from, to) = (u64::from(window.from_minute), u64::from(window.to_minute));
    let begins_on =
        |day: u64| window.days.iter().enumerate().any(|(index, on)| *on && index as u64 == day % 7);
    if from < to {
        return begins_on(day) && (from..to).contains(&minute);
    }
    (begins_on(day) && minute >= from) || (begins_on(day + 6) && minute < to)
}
