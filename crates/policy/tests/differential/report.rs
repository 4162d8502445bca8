//! Tells a person what differed, and how to see it again.

use std::fmt::Write;

use aegis_policy::ast::PolicySet;
use aegis_policy::compile;
use aegis_policy::diagnostic::Diagnostic;
use serde_json::Value;

use crate::generator::calls::Asked;
use crate::reference::condition::Need;
use crate::reference::relevant;

/// Differences that are shown in full.
const SHOWN_MAX: usize = 2;
/// Differences of which the first differing line is listed.
const LISTED_MAX: usize = 10_000;

/// One input on which two voices differ.
pub(crate) struct Difference {
    pub(crate) seed: u64,
    pub(crate) what: What,
}

/// See [`Difference`].
pub(crate) enum What {
    /// The set could not be prepared.
    Refused(String),
    /// Two voices say different things of a call.
    Verdicts {
        set: Box<PolicySet>,
        asked: Box<Asked>,
        input: Value,
        /// Name and verdict.
        one: (&'static str, String),
        other: (&'static str, String),
    },
}

impl Difference {
    pub(crate) fn refused(seed: u64, set: &PolicySet, problems: &[Diagnostic]) -> Self {
        let mut text = "the engine refuses the set\n".to_owned();
        for problem in problems {
            let _ = writeln!(text, "{}", problem.render(&set.files, false));
        }
        Self { seed, what: What::Refused(text) }
    }

    fn headline(&self) -> String {
        match &self.what {
            What::Refused(_) => "the engine refuses the set".to_owned(),
            What::Verdicts { one, other, .. } => {
                format!("{} and {}: {}", one.0, other.0, first_difference(&one.1, &other.1))
            }
        }
    }

    /// The difference as a whole; `shrink` makes it small first.
    fn text(&self, shrink: &dyn Fn(&Self) -> Option<Self>) -> String {
        match &self.what {
            What::Refused(text) => text.clone(),
            What::Verdicts { set, input, one, other, .. } => match shrink(self) {
                Some(Difference { what: What::Verdicts { set, input, one, other, .. }, .. }) => {
                    verdicts(&set, &input, &one, &other)
                }
                _ => verdicts(set, input, one, other),
            },
        }
    }
}

fn verdicts(set: &PolicySet, input: &Value, one: &(&str, String), other: &(&str, String)) -> String {
    let mut text = format!("{} and {} differ\n", one.0, other.0);
    for (entry, need) in relevant(set, input) {
        let kind = if need == Need::True { "allowing" } else { "denying" };
        let _ = writeln!(text, "---- {kind} entry {entry:?}");
    }
    if let Ok(compiled) = compile::compile(set) {
        for (entry, _) in relevant(set, input) {
            let index = compiled.index.entries.iter().find(|one| one.rule == entry.rule);
            let unit = index.and_then(|index| index.unit.as_ref());
            let unit = unit.and_then(|name| compiled.units.iter().find(|unit| unit.name == *name));
            if let Some(unit) = unit {
                let _ = writeln!(text, "---- rego of {}\n{}", entry.rule, unit.rego);
            }
        }
    }
    let _ = writeln!(text, "---- input\n{input}");
    for (name, verdict) in [one, other] {
        let _ = writeln!(text, "---- {name}\n{verdict}");
    }
    text
}

/// The first lines that differ.
fn first_difference(one: &str, other: &str) -> String {
    let mut lines = one.lines().zip(other.lines());
    let (one, other) = lines.find(|(one, other)| one != other).unwrap_or(("", "one is longer"));
    format!("{} | {}", one.trim(), other.trim())
}

/// Some differences in full, the others in a line each. `AEGIS_DIFFERENTIAL_SHOW` picks those whose line
/// contains its text.
pub(crate) fn text(differences: &[Difference], shrink: &dyn Fn(&Difference) -> Option<Difference>) -> String {
    let mut text = format!("{} differences\n", differences.len());
    for difference in differences.iter().take(LISTED_MAX) {
        let _ = writeln!(text, "seed {}: {}", difference.seed, difference.headline());
    }
    let only = std::env::var("AEGIS_DIFFERENTIAL_SHOW").unwrap_or_default();
    for difference in differences.iter().filter(|one| one.headline().contains(&only)).take(SHOWN_MAX) {
        let seed = difference.seed;
        let _ = writeln!(
            text,
            "======== rerun: AEGIS_DIFFERENTIAL_SEED={seed} cargo test -p aegis-policy --test differential\n{}",
            difference.text(shrink)
        );
    }
    text
}
