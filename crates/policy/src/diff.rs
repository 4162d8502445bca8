//! What changes for callers when one version of a policy follows another.

use aegis_model::decision::Outcome;
use aegis_model::reason::ReasonCode;
use serde::Serialize;

use crate::ast::PolicySet;
use crate::cases::{self, Case};
use crate::diagnostic::Diagnostic;
use crate::judge::Verdict;
use crate::prepared::Prepared;

/// A call that one version answers otherwise than the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The call.
    pub case: Case,
    /// The older version's answer.
    pub before: Answer,
    /// The newer version's answer.
    pub after: Answer,
}

/// An outcome with its codes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The outcome.
    pub outcome: Outcome,
    /// The codes of the reasons.
    pub codes: Vec<ReasonCode>,
}

/// The comparison of two versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Calls judged under both.
    pub judged: usize,
    /// Boundary calls that were left out, because there are too many.
    pub left_out: usize,
    /// The calls whose outcome changes, in the order of the sources, old before new.
    pub changes: Vec<Change>,
}

/// Judges the boundary calls of both sets, and `more` (the calls of policy tests), under both.
///
/// # Errors
/// Problems that show when a set is compiled.
pub fn diff(old: &PolicySet, new: &PolicySet, more: Vec<Case>) -> Result<Difference, Vec<Diagnostic>> {
    let (before, after) = (Prepared::new(old)?, Prepared::new(new)?);
    let (mut all, left_out_old) = cases::boundary(old);
    let (of_new, left_out_new) = cases::boundary(new);
    all.extend(of_new);
    all.extend(more);
    let judged = all.len();
    let mut changes: Vec<Change> = Vec::new();
    for case in all {
        let (was, is) = case.ask(|question| (before.judge(question), after.judge(question)));
        if was.outcome != is.outcome && !changes.iter().any(|change| change.case == case) {
            changes.push(Change { case, before: answer(&was), after: answer(&is) });
        }
    }
    Ok(Difference { judged, left_out: left_out_old + left_out_new, changes })
}

fn answer(verdict: &Verdict) -> Answer {
    Answer { outcome: verdict.outcome, codes: verdict.reasons.iter().map(|reason| reason.code).collect() }
}
