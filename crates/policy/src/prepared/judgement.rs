//! One judgement: scope, agent, denials, allowances, refusal, in this order.

use std::cell::RefCell;
use std::collections::BTreeSet;

use aegis_model::decision::{Outcome, Reason};
use aegis_model::reason::ReasonCode;
use regorus::Value;

use super::{ASK, HOLDS, Plan, PlanEntry, Prepared, REASONS, UnitProgram};
use crate::ast::Mode;
use crate::input;
use crate::judge::{Question, Verdict};
use crate::obligation::Obligation;
use crate::program::EvaluationError;

impl Prepared {
    /// The enforced verdict. An evaluation problem denies with `CustomRule` (WALK-3).
    pub fn judge(&self, question: &Question<'_>) -> Verdict {
        self.judge_in(question, false)
    }

    /// The verdict if everything in shadow mode were enforced.
    pub fn judge_shadow(&self, question: &Question<'_>) -> Verdict {
        self.judge_in(question, true)
    }

    fn judge_in(&self, question: &Question<'_>, shadow: bool) -> Verdict {
        if !question.principal.scope.permits(&question.call.tool, &question.call.action) {
            return plain(ReasonCode::ScopeExceeded, "the token's scope does not cover this tool and action");
        }
        let judgement = Judgement::new(self, question, shadow);
        judgement.verdict().unwrap_or_else(|_| plain(ReasonCode::CustomRule, "a rule could not be evaluated"))
    }
}

/// A reason and what it is ordered by: entry, test, path.
pub(super) type Ordered = (u32, i64, String, Reason);

pub(super) struct Judgement<'a> {
    set: &'a Prepared,
    question: &'a Question<'a>,
    shadow: bool,
    /// The agent's documents in order; the defaults are not among them.
    documents: Vec<&'a Plan>,
    /// What the unit that was asked last reads: it is often asked again, for its reasons.
    input: RefCell<Option<(&'a UnitProgram, Value)>>,
}

impl<'a> Judgement<'a> {
    pub(super) fn new(set: &'a Prepared, question: &'a Question<'a>, shadow: bool) -> Self {
        let agent = question.principal.agent.as_str();
        let documents = match set.agents.get(agent) {
            Some(numbers) => numbers.iter().map(|&number| &set.documents[number as usize]).collect(),
            None => {
                let matching: BTreeSet<u32> = set
                    .globs
                    .iter()
                    .filter(|(glob, _)| glob.matches(agent))
                    .map(|(_, number)| *number)
                    .collect();
                matching.into_iter().map(|number| &set.documents[number as usize]).collect()
            }
        };
        Self { set, question, shadow, documents, input: RefCell::new(None) }
    }

    fn verdict(&self) -> Result<Verdict, EvaluationError> {
        if self.set.observe_only && !self.shadow && !self.every_document().any(|document| document.enforced) {
            return Ok(
                Verdict { outcome: Outcome::Allow, ..plain(ReasonCode::UnknownAgent, "") }.without_reasons()
            );
        }
        if self.documents.is_empty() {
            return Ok(plain(ReasonCode::UnknownAgent, "no policy names this agent"));
        }
        if let Some(denied) = self.denied()? {
            return Ok(denied);
        }
        self.allowed()
    }

    fn every_document(&self) -> impl Iterator<Item = &'a Plan> {
        self.documents.iter().copied().chain(&self.set.defaults)
    }

    pub(super) fn entry(&self, id: u32) -> &'a PlanEntry {
        &self.set.entries[id as usize]
    }

    fn counts(&self, entry: &PlanEntry) -> bool {
        self.shadow || entry.index.mode == Mode::Enforce
    }

    // ---- denials

    fn denied(&self) -> Result<Option<Verdict>, EvaluationError> {
        let fired = self.fired()?;
        let (custom, custom_rules) = self.custom_reasons(|plan| plan.denies)?;
        if fired.is_empty() && custom.is_empty() {
            return Ok(None);
        }
        let mut reasons = custom;
        for &id in &fired {
            let entry = self.entry(id);
            reasons.push(at_entry(id, entry, ReasonCode::ToolDenied, "a rule denies this call"));
            if let Some(unit) = &entry.unit {
                reasons.extend(self.unit_reasons(id, entry, unit)?.into_iter().map(|(_, reason)| reason));
            }
        }
        let mut rules = self.rules(&fired);
        rules.extend(custom_rules);
        let unverified = self.unverified(&fired);
        Ok(Some(Verdict {
            outcome: Outcome::Deny,
            reasons: in_order(reasons),
            rules,
            obligations: vec![],
            unverified,
        }))
    }

    /// The denying entries that fire, ascending.
    fn fired(&self) -> Result<Vec<u32>, EvaluationError> {
        let action = lower(self.action());
        let mut fired = Vec::new();
        for id in self.denying_entries().filter(|&id| self.entry(id).index.action.has(&action)) {
            let cleared = match &self.entry(id).unit {
                Some(unit) => self.holds(unit, HOLDS)?,
                None => false,
            };
            if !cleared {
                fired.push(id);
            }
        }
        fired.sort_unstable();
        Ok(fired)
    }

    /// The denying entries that speak of the tool, whatever its case.
    pub(super) fn denying_entries(&self) -> impl Iterator<Item = u32> {
        let tool = lower(self.question.call.tool.as_str());
        let entries = &self.set.entries;
        let speaking =
            self.every_document().flat_map(move |document| document.denied.speaking_of(&tool, entries));
        speaking.filter(|&id| self.counts(self.entry(id)))
    }

    /// How many documents name the agent.
    pub(super) fn named_by(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn action(&self) -> &str {
        self.question.call.action.as_str()
    }

    // ---- allowances

    fn allowed(&self) -> Result<Verdict, EvaluationError> {
        let candidates = self.candidates();
        let action = self.action();
        let matching: Vec<u32> =
            candidates.iter().copied().filter(|&id| self.entry(id).index.action.has(action)).collect();
        let (mut passed, mut asked, mut asked_unit) = (Vec::new(), Vec::new(), Vec::new());
        for &id in &matching {
            let entry = self.entry(id);
            let passes = match &entry.unit {
                Some(unit) => self.holds(unit, HOLDS)?,
                None => true,
            };
            match (passes, entry.index.always_ask, &entry.unit) {
                (true, false, _) => passed.push(id),
                (true, true, _) => asked.push(id),
                (false, _, Some(unit)) if unit.asks && self.holds(unit, ASK)? => {
                    asked.push(id);
                    asked_unit.push(id);
                }
                (false, _, _) => {}
            }
        }
        if passed.is_empty() && asked.is_empty() {
            return self.refused(&candidates, &matching);
        }
        self.permitted(&passed, &asked, &asked_unit)
    }

    fn permitted(
        &self,
        passed: &[u32],
        asked: &[u32],
        asked_unit: &[u32],
    ) -> Result<Verdict, EvaluationError> {
        let (custom, custom_rules) = self.custom_reasons(|plan| plan.approves)?;
        let deciding = if passed.is_empty() { asked } else { passed };
        let mut rules = self.rules(deciding);
        let (obligations, unverified) = (self.obligations(deciding), self.unverified(deciding));
        if !passed.is_empty() && custom.is_empty() {
            return Ok(Verdict { outcome: Outcome::Allow, reasons: vec![], rules, obligations, unverified });
        }
        rules.extend(custom_rules);
        let mut reasons = custom;
        if passed.is_empty() {
            for &id in asked {
                self.ask_reasons(id, asked_unit.contains(&id), &mut reasons)?;
            }
        }
        let reasons = in_order(reasons);
        Ok(Verdict { outcome: Outcome::ApprovalRequired, reasons, rules, obligations, unverified })
    }

    fn ask_reasons(&self, id: u32, by_unit: bool, reasons: &mut Vec<Ordered>) -> Result<(), EvaluationError> {
        let entry = self.entry(id);
        match &entry.unit {
            Some(unit) if by_unit => {
                let asking = self.unit_reasons(id, entry, unit)?.into_iter().filter(|(asks, _)| *asks);
                reasons.extend(asking.map(|(_, reason)| reason));
            }
            _ => {
                let message = "the rule lets this call through only with a person's approval";
                reasons.push(at_entry(id, entry, ReasonCode::ApprovalRequired, message));
            }
        }
        Ok(())
    }

    /// The allowing entries that speak of the tool, ascending. The defaults' count only if the agent's own
    /// documents say nothing.
    pub(super) fn candidates(&self) -> Vec<u32> {
        let tool = self.question.call.tool.as_str();
        let own = self.documents.iter().copied().any(|document| document.allowed.is_some());
        let defaults = self.set.defaults.iter().filter(|_| !own);
        let mut found: Vec<u32> = self
            .documents
            .iter()
            .copied()
            .chain(defaults)
            .filter_map(|document| document.allowed.as_ref())
            .flat_map(|tools| tools.speaking_of(tool, &self.set.entries))
            .filter(|&id| self.counts(self.entry(id)))
            .collect();
        found.sort_unstable();
        found
    }

    // ---- refusals

    fn refused(&self, candidates: &[u32], matching: &[u32]) -> Result<Verdict, EvaluationError> {
        if candidates.is_empty() {
            return Ok(plain(ReasonCode::ToolNotAllowed, "no rule allows this agent to use this tool"));
        }
        let mut closest: Option<Vec<Ordered>> = None;
        for &id in matching {
            let entry = self.entry(id);
            let Some(unit) = &entry.unit else { continue };
            let reasons: Vec<Ordered> =
                self.unit_reasons(id, entry, unit)?.into_iter().map(|(_, reason)| reason).collect();
            if closest.as_ref().is_none_or(|fewest| reasons.len() < fewest.len()) {
                closest = Some(reasons);
            }
        }
        let Some(reasons) = closest else {
            return Ok(plain(
                ReasonCode::ActionNotAllowed,
                "the tool is allowed for this agent, but not this action",
            ));
        };
        let reasons = in_order(reasons);
        Ok(Verdict {
            outcome: Outcome::Deny,
            reasons,
            rules: vec![],
            obligations: vec![],
            unverified: vec![],
        })
    }

    // ---- units and custom modules

    pub(super) fn holds(&self, unit: &'a UnitProgram, point: usize) -> Result<bool, EvaluationError> {
        Ok(self.run(unit, point)? == Value::Bool(true))
    }

    fn run(&self, unit: &'a UnitProgram, point: usize) -> Result<Value, EvaluationError> {
        let mut last = self.input.borrow_mut();
        let input = match &*last {
            Some((of, input)) if std::ptr::eq(*of, unit) => input.clone(),
            _ => input::parts(self.question, &self.set.zones, &unit.reads),
        };
        *last = Some((unit, input.clone()));
        unit.program.run(point, input)
    }

    /// The reasons of a unit, each with whether it only asks.
    pub(super) fn unit_reasons(
        &self,
        id: u32,
        entry: &PlanEntry,
        unit: &'a UnitProgram,
    ) -> Result<Vec<(bool, Ordered)>, EvaluationError> {
        let found = self.run(unit, REASONS)?;
        let Value::Set(found) = &found else { return Ok(vec![]) };
        found.iter().map(|reason| read_reason(id, entry, reason).ok_or(EvaluationError::Machine)).collect()
    }

    fn custom_reasons(
        &self,
        point: impl Fn(&super::CustomPlan) -> Option<usize>,
    ) -> Result<(Vec<Ordered>, Vec<String>), EvaluationError> {
        let (mut reasons, mut rules) = (Vec::new(), Vec::new());
        let mut whole = None;
        for document in self.every_document() {
            let Some(plan) = &document.custom else { continue };
            let Some(entry) = point(plan) else { continue };
            let input = whole.get_or_insert_with(|| input::whole(self.question, &self.set.zones));
            let Value::Set(found) = plan.program.run(entry, input.clone())? else {
                return Err(EvaluationError::Machine);
            };
            if !found.is_empty() {
                rules.push(plan.rule.clone());
            }
            for text in found.iter() {
                let message = match text {
                    Value::String(text) => text.to_string(),
                    _ => "a custom rule gave a reason that is not text".to_owned(),
                };
                let reason = Reason {
                    rule: Some(plan.rule.clone()),
                    position: Some(plan.position.clone()),
                    ..Reason::plain(ReasonCode::CustomRule, message.clone())
                };
                reasons.push((CUSTOM_LAST + document.number, -1, message, reason));
            }
        }
        Ok((reasons, rules))
    }

    // ---- parts of a verdict

    fn rules(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|&id| self.entry(id).index.rule.clone()).collect()
    }

    fn unverified(&self, ids: &[u32]) -> Vec<String> {
        let Question { principal, call, .. } = self.question;
        let names: BTreeSet<&String> = ids
            .iter()
            .flat_map(|&id| &self.entry(id).index.circumstances)
            .filter(|name| !principal.claims.contains_key(*name) && call.context.contains_key(*name))
            .collect();
        names.into_iter().cloned().collect()
    }

    fn obligations(&self, ids: &[u32]) -> Vec<Obligation> {
        let own = self.documents.iter().copied().flat_map(|document| &document.obligations);
        let replaced = |one: &Obligation| own.clone().any(|own| own.is_like(one));
        let defaults = self.set.defaults.iter().flat_map(|document| &document.obligations);
        let inherited = defaults.filter(|one| !replaced(one));
        let entries = ids.iter().flat_map(|&id| &self.entry(id).index.obligations);
        entries.chain(own.clone()).chain(inherited).chain(&self.set.obligations).cloned().collect()
    }
}

/// Custom reasons are ordered behind those of every entry.
const CUSTOM_LAST: u32 = 1_000_000_000;

fn plain(code: ReasonCode, message: &str) -> Verdict {
    Verdict {
        outcome: Outcome::Deny,
        reasons: vec![Reason::plain(code, message)],
        rules: vec![],
        obligations: vec![],
        unverified: vec![],
    }
}

impl Verdict {
    fn without_reasons(self) -> Self {
        Self { reasons: vec![], ..self }
    }
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn at_entry(id: u32, entry: &PlanEntry, code: ReasonCode, message: &str) -> Ordered {
    let reason = Reason {
        rule: Some(entry.index.rule.clone()),
        position: Some(entry.index.position.clone()),
        ..Reason::plain(code, message)
    };
    (id, -1, String::new(), reason)
}

/// Reads `{at, code, message, path?, ask?}`.
fn read_reason(id: u32, entry: &PlanEntry, reason: &Value) -> Option<(bool, Ordered)> {
    let text = |name: &str| reason[name].as_string().ok().map(|text| text.to_string());
    let at = reason["at"].as_i64().ok()?;
    let path = text("path");
    let read = Reason {
        code: text("code")?.parse().ok()?,
        message: text("message")?,
        path: path.clone(),
        rule: Some(entry.index.rule.clone()),
        position: Some(entry.index.positions.get(usize::try_from(at).ok()?)?.clone()),
    };
    Some((reason["ask"] == Value::Bool(true), (id, at, path.unwrap_or_default(), read)))
}

/// By entry, test, path; then as the documents themselves compare, which only equal places need.
pub(super) fn in_order(mut reasons: Vec<Ordered>) -> Vec<Reason> {
    reasons.sort_by(|a, b| {
        (a.0, a.1, &a.2, a.3.code.as_str(), &a.3.message).cmp(&(
            b.0,
            b.1,
            &b.2,
            b.3.code.as_str(),
            &b.3.message,
        ))
    });
    reasons.dedup_by(|a, b| a == b);
    reasons.into_iter().map(|(_, _, _, reason)| reason).collect()
}
