//! One judgement told step by step, for a person who wonders why.

use aegis_model::decision::Reason;
use serde::Serialize;

use super::judgement::{Judgement, Ordered};
use super::{ASK, HOLDS, PlanEntry, Prepared};
use crate::judge::{Question, Verdict};

/// The steps of a judgement and the verdict they led to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// In the order in which they were taken.
    pub steps: Vec<Step>,
    /// What came of it.
    pub verdict: Verdict,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// What was looked at and what was found, as a sentence.
    pub finding: String,
    /// The rule it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where that rule stands: `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// What was wrong, when conditions did not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

impl Prepared {
    /// Judges a question as [`Prepared::judge`] does, and tells how.
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let judgement = Judgement::new(self, question, false);
        let (tool, action) = (&question.call.tool, &question.call.action);
        let covered = question.principal.scope.permits(tool, action);
        let mut steps = vec![plain(format!(
            "the token's scope `{}` {} `{tool}:{action}`",
            question.principal.scope,
            if covered { "covers" } else { "does not cover" }
        ))];
        if covered {
            steps.push(plain(format!(
                "{} document(s) of the policy name the agent `{}`",
                judgement.named_by(),
                question.principal.agent
            )));
            steps.extend(judgement.denying_entries().map(|id| denying(&judgement, id)));
            steps.extend(judgement.candidates().into_iter().map(|id| allowing(&judgement, id)));
        }
        let verdict = self.judge(question);
        steps.push(plain(format!("the verdict is `{}`", verdict.outcome)));
        Explanation { steps, verdict }
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, step) in (1..).zip(&self.steps) {
            write!(f, "{number}. {}", step.finding)?;
            if let Some(position) = &step.position {
                write!(f, "  ({position})")?;
            }
            writeln!(f)?;
            for reason in &step.reasons {
                let path = reason.path.as_deref().map(|path| format!(" at {path}")).unwrap_or_default();
                writeln!(f, "     {}{path}: {}", reason.code, reason.message)?;
            }
        }
        Ok(())
    }
}

fn plain(finding: String) -> Step {
    Step { finding, rule: None, position: None, reasons: vec![] }
}

fn about(entry: &PlanEntry, found: &str, reasons: Vec<Ordered>) -> Step {
    Step {
        finding: format!("`{}` {found}", entry.index.rule),
        rule: Some(entry.index.rule.clone()),
        position: Some(entry.index.position.clone()),
        reasons: super::judgement::in_order(reasons),
    }
}

fn denying(judgement: &Judgement<'_>, id: u32) -> Step {
    let entry = judgement.entry(id);
    if !entry.index.action.has(&judgement.action().to_ascii_lowercase()) {
        return about(entry, "denies the tool, but not with this action", vec![]);
    }
    let Some(unit) = &entry.unit else {
        return about(entry, "denies the call", vec![]);
    };
    match judgement.holds(unit, HOLDS) {
        Ok(true) => about(entry, "denies the tool, but its conditions are false of this call", vec![]),
        Ok(false) => {
            about(entry, "denies the call: its conditions are not false of it", reasons(judgement, id))
        }
        Err(error) => about(entry, &format!("could not be evaluated: {error}"), vec![]),
    }
}

fn allowing(judgement: &Judgement<'_>, id: u32) -> Step {
    let entry = judgement.entry(id);
    if !entry.index.action.has(judgement.action()) {
        return about(entry, "allows the tool, but not with this action", vec![]);
    }
    let Some(unit) = &entry.unit else {
        return about(
            entry,
            if entry.index.always_ask { "asks a person" } else { "allows the call" },
            vec![],
        );
    };
    match (judgement.holds(unit, HOLDS), unit.asks) {
        (Ok(true), _) if entry.index.always_ask => about(entry, "asks a person: its conditions hold", vec![]),
        (Ok(true), _) => about(entry, "allows the call: its conditions hold", vec![]),
        (Ok(false), true) if judgement.holds(unit, ASK) == Ok(true) => about(
            entry,
            "asks a person: only conditions that a person may waive do not hold",
            reasons(judgement, id),
        ),
        (Ok(false), _) => {
            about(entry, "does not allow the call: its conditions do not hold", reasons(judgement, id))
        }
        (Err(error), _) => about(entry, &format!("could not be evaluated: {error}"), vec![]),
    }
}

fn reasons(judgement: &Judgement<'_>, id: u32) -> Vec<Ordered> {
    let entry = judgement.entry(id);
    let Some(unit) = &entry.unit else { return vec![] };
    let found = judgement.unit_reasons(id, entry, unit).unwrap_or_default();
    found.into_iter().map(|(_, reason)| reason).collect()
}
