//! The index: which entries speak of an agent and a tool, and which unit decides about each.
//!
//! It is written into the bundle as `data.aegis.index`, for a stock OPA, and read by
//! [`crate::prepared::Prepared`] in this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aegis_dlp::redact::Rule;
use aegis_model::money::Micros;
use serde::Serialize;

use super::literals::glob_pattern;
use super::{Compiled, Unit, UnitRules, unit};
use crate::ast::{Condition, Document, Entry, Glob, Limits, Mode, PolicySet, Redaction, Subject};
use crate::custom;
use crate::diagnostic::{Diagnostic, position};
use crate::obligation::{self, Obligation, Price, Whose};
use crate::parallel;
use crate::redaction::On;

/// Who may do what.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Index {
    /// For every agent that is named exactly: the numbers of its documents, ascending.
    pub agents: BTreeMap<String, Vec<u32>>,
    /// For every other agent: the patterns, in order of the documents.
    pub globs: Vec<AgentGlob>,
    /// The documents in order of the sources.
    pub documents: Vec<IndexDocument>,
    /// What applies to every agent besides.
    pub defaults: Option<IndexDocument>,
    /// The entries of all documents, in order.
    pub entries: Vec<IndexEntry>,
    /// Whether the tenant only observes.
    pub observe_only: bool,
    /// The tenant's own obligations.
    pub obligations: Vec<Obligation>,
    /// What redactions do, by number. A stock OPA shows their documents.
    #[serde(skip)]
    pub redactions: Vec<(Rule, On)>,
}

/// A document that names agents by a pattern.
#[derive(Debug, Clone, Serialize)]
pub struct AgentGlob {
    /// Anchored regular expression.
    pub pattern: String,
    /// The glob it was made of.
    #[serde(skip)]
    pub glob: Glob,
    /// Number of the document.
    pub document: u32,
}

/// One document's entries and obligations.
#[derive(Debug, Clone, Serialize)]
pub struct IndexDocument {
    /// Its number; that of the defaults is the highest.
    pub number: u32,
    /// Allowing entries; absent when the document says nothing about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<u32>>,
    /// Denying entries.
    pub denied: Vec<u32>,
    /// Name of the custom module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<String>,
    /// Rule name of the custom module.
    pub custom_rule: String,
    /// Where the module is named.
    pub custom_position: String,
    /// Obligations of the agent as a whole.
    pub obligations: Vec<Obligation>,
}

/// The names an entry speaks of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Names {
    /// Names in full.
    pub exact: Vec<String>,
    /// Anchored regular expression for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Every name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any: bool,
    /// The globs of `pattern`.
    #[serde(skip)]
    pub globs: Vec<Glob>,
}

impl Names {
    fn new(globs: &[Glob]) -> Self {
        if globs.iter().any(|glob| glob.0 == "*") {
            return Self { any: true, ..Self::default() };
        }
        let (exact, globs): (Vec<&Glob>, Vec<&Glob>) = globs.iter().partition(|glob| glob.is_exact());
        let globs: Vec<Glob> = globs.into_iter().cloned().collect();
        let pattern = (!globs.is_empty()).then(|| glob_pattern(&globs));
        Self { exact: exact.into_iter().map(|glob| glob.0.clone()).collect(), pattern, any: false, globs }
    }

    /// Whether `name` is among them.
    pub fn has(&self, name: &str) -> bool {
        self.any
            || self.exact.iter().any(|exact| exact == name)
            || self.globs.iter().any(|glob| glob.matches(name))
    }
}

/// One entry.
#[derive(Debug, Clone, Serialize)]
pub struct IndexEntry {
    /// Its name in reasons and records.
    pub rule: String,
    /// Where it stands: `file:line:column`.
    pub position: String,
    /// Tools.
    pub tool: Names,
    /// Actions.
    pub action: Names,
    /// The unit of its conditions; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Where each test stands.
    pub positions: Vec<String>,
    /// What has to be done when it lets a call through.
    pub obligations: Vec<Obligation>,
    /// `purpose` and `environment`, where it reads them and would believe the caller.
    pub circumstances: Vec<String>,
    /// Whether it asks even when its conditions hold.
    pub always_ask: bool,
    /// Whether it is enforced.
    pub mode: Mode,
}

/// Builds index and units in one pass over the set.
pub(super) struct Builder<'a> {
    set: &'a PolicySet,
    index: Index,
    units: BTreeMap<String, Unit>,
    zones: BTreeSet<String>,
    custom: Vec<custom::Module>,
    problems: Vec<Diagnostic>,
    /// The numbers of redactions, by their documents.
    redactions: HashMap<String, u32>,
    /// The entries whose units are still to be written, in order, with whether they deny.
    unwritten: Vec<(&'a Entry, bool)>,
    /// Units already written ahead, with the zones they read; the next one last.
    written: Vec<Option<(Unit, Vec<String>)>>,
}

/// Units that are written ahead at once: enough to keep every core busy, few enough to fit in memory while
/// most of them may turn out to be copies.
const UNITS_AHEAD: usize = 4_096;

/// Every entry of the set with whether it denies, in the order in which the index lists them.
fn entries_in_order(set: &PolicySet) -> Vec<(&Entry, bool)> {
    set.documents.iter().chain(&set.defaults).flat_map(document_entries).collect()
}

fn document_entries(document: &Document) -> Vec<(&Entry, bool)> {
    let allowed = document.allowed.iter().flatten().map(|entry| (entry, false));
    allowed.chain(document.denied.iter().map(|entry| (entry, true))).collect()
}

fn write_unit(&(entry, denying): &(&Entry, bool)) -> Option<(Unit, Vec<String>)> {
    if entry.condition.is_always() {
        return None;
    }
    Some(if denying { unit::denying(&entry.condition) } else { unit::allowing(&entry.condition) })
}

impl<'a> Builder<'a> {
    pub(super) fn new(set: &'a PolicySet) -> Self {
        Self {
            set,
            index: Index { observe_only: set.observe_only, ..Index::default() },
            units: BTreeMap::new(),
            zones: BTreeSet::new(),
            custom: Vec::new(),
            problems: Vec::new(),
            redactions: HashMap::new(),
            unwritten: entries_in_order(set),
            written: Vec::new(),
        }
    }

    pub(super) fn build(mut self) -> Result<Compiled, Vec<Diagnostic>> {
        let mut number = 0;
        for document in &self.set.documents {
            let indexed = self.document(document, number);
            self.index.documents.push(indexed);
            number += 1;
        }
        if let Some(defaults) = &self.set.defaults {
            self.index.defaults = Some(self.document(defaults, number));
        }
        if let Some(limits) = &self.set.tenant {
            self.index.obligations =
                limit_obligations("tenant", &Whose::Tenant, limits, Inherited::default());
        }
        self.agents();
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(Compiled {
            units: self.units.into_values().collect(),
            custom: self.custom,
            index: self.index,
            zones: self.zones.into_iter().collect(),
        })
    }

    /// Resolves which documents name which agent. Every exact name is looked up in the patterns once.
    fn agents(&mut self) {
        let mut exact: HashMap<&str, Vec<u32>> = HashMap::new();
        for (number, document) in (0u32..).zip(&self.set.documents) {
            for glob in &document.agents {
                if glob.is_exact() {
                    exact.entry(&glob.0).or_default().push(number);
                }
            }
            let globs: Vec<Glob> = document.agents.iter().filter(|glob| !glob.is_exact()).cloned().collect();
            for glob in globs {
                let pattern = glob_pattern(std::slice::from_ref(&glob));
                self.index.globs.push(AgentGlob { pattern, glob, document: number });
            }
        }
        for (name, mut numbers) in exact {
            numbers.extend(
                self.index.globs.iter().filter(|glob| glob.glob.matches(name)).map(|glob| glob.document),
            );
            numbers.sort_unstable();
            numbers.dedup();
            self.index.agents.insert(name.to_owned(), numbers);
        }
        self.merge_globs();
    }

    /// One pattern per document, so that a document counts once for an agent that two of its globs match.
    fn merge_globs(&mut self) {
        let mut merged: BTreeMap<u32, Vec<Glob>> = BTreeMap::new();
        for glob in self.index.globs.drain(..) {
            merged.entry(glob.document).or_default().push(glob.glob);
        }
        for (document, globs) in merged {
            let pattern = glob_pattern(&globs);
            for glob in globs {
                self.index.globs.push(AgentGlob { pattern: pattern.clone(), glob, document });
            }
        }
    }

    fn document(&mut self, document: &Document, number: u32) -> IndexDocument {
        let inherited = Inherited { unit: document.limits.unit(), zone: document.limits.zone() };
        let allowed = document.allowed.as_ref().map(|entries| self.entries(entries, inherited));
        let denied = self.entries(&document.denied, inherited);
        let custom = document.custom.as_ref().and_then(|module| {
            let name = format!("m_{number}");
            let file = &self.set.files[module.file as usize];
            match custom::module(&name, file, module.file, module.span) {
                Ok(module) => {
                    self.custom.push(module);
                    Some(name)
                }
                Err(problems) => {
                    self.problems.extend(problems);
                    None
                }
            }
        });
        let custom_position =
            document.custom.as_ref().map(|module| position(module.span, &self.set.files)).unwrap_or_default();
        let of_entries = Inherited { unit: document.unit_of_entries(), zone: None };
        let mut obligations = limit_obligations(&document.label, &Whose::Agent, &document.limits, of_entries);
        if let Some(egress) = &document.egress {
            obligations.push(Obligation::egress(&format!("{}/egress", document.label), &egress.allow));
        }
        IndexDocument {
            number,
            allowed,
            denied,
            custom,
            custom_rule: format!("{}/rego", document.label),
            custom_position,
            obligations,
        }
    }

    /// The unit of the next entry, if it has conditions.
    fn next_unit(&mut self) -> Option<(Unit, Vec<String>)> {
        if self.written.is_empty() {
            let ahead = self.unwritten.len().min(UNITS_AHEAD);
            self.written = parallel::map(&self.unwritten[..ahead], write_unit);
            self.written.reverse();
            self.unwritten.drain(..ahead);
        }
        self.written.pop().flatten()
    }

    fn entries(&mut self, entries: &[Entry], inherited: Inherited<'_>) -> Vec<u32> {
        entries.iter().map(|entry| self.entry(entry, inherited)).collect()
    }

    fn entry(&mut self, entry: &Entry, inherited: Inherited<'_>) -> u32 {
        let unit = self.next_unit().map(|(unit, zones)| {
            self.zones.extend(zones);
            let name = unit.name.clone();
            self.units.entry(name.clone()).or_insert(unit);
            name
        });
        let numbers: Vec<u32> = entry.redact.iter().map(|redaction| self.redaction(redaction)).collect();
        let files = &self.set.files;
        let mut positions = Vec::new();
        entry.condition.for_each_test(&mut |test| positions.push(position(test.span, files)));
        let every = [Glob("*".to_owned())];
        let id = u32::try_from(self.index.entries.len()).expect("the size of a set is bounded");
        self.index.entries.push(IndexEntry {
            rule: entry.rule.clone(),
            position: position(entry.span, files),
            tool: Names::new(std::slice::from_ref(&entry.tool)),
            action: Names::new(entry.actions.as_deref().unwrap_or(&every)),
            unit,
            positions,
            obligations: entry_obligations(entry, &numbers, inherited),
            circumstances: circumstances(&entry.condition),
            always_ask: entry.always_ask,
            mode: entry.mode,
        });
        id
    }

    /// The number of a redaction: equal ones have the same, so that agents with the same rules share what is prepared.
    fn redaction(&mut self, redaction: &Redaction) -> u32 {
        let next = u32::try_from(self.index.redactions.len()).expect("the size of a set is bounded");
        *self.redactions.entry(redaction.document.to_string()).or_insert_with(|| {
            self.index.redactions.push((redaction.rule.clone(), redaction.on));
            next
        })
    }
}

impl Compiled {
    /// The rules of a unit by its name.
    pub fn unit_rules(&self, name: &str) -> Option<UnitRules> {
        let found = self.units.binary_search_by(|unit| unit.name.as_str().cmp(name)).ok()?;
        Some(self.units[found].rules)
    }
}

fn circumstances(condition: &Condition) -> Vec<String> {
    let mut names = BTreeSet::new();
    condition.for_each_test(&mut |test| {
        if let Subject::Circumstance { name, verified_only: false } = &test.subject {
            names.insert(name.clone());
        }
    });
    names.into_iter().collect()
}

/// What limits take from beside them where they do not say it themselves: those of an entry from its document, those of a
/// document from its entries.
#[derive(Debug, Clone, Copy, Default)]
struct Inherited<'a> {
    unit: Option<&'a str>,
    zone: Option<&'a str>,
}

fn entry_obligations(entry: &Entry, redactions: &[u32], inherited: Inherited<'_>) -> Vec<Obligation> {
    let whose = Whose::Entry(entry.tool.0.as_str().into());
    let mut obligations = limit_obligations(&entry.rule, &whose, &entry.limits, inherited);
    let redactions = entry.redact.iter().zip(redactions);
    obligations.extend(
        redactions.map(|(redaction, &number)| Obligation::redact(&entry.rule, number, &redaction.document)),
    );
    obligations.extend(entry.approval.iter().map(|terms| Obligation::approval(&entry.rule, terms)));
    obligations
}

/// `rate` and `budget`, each as one obligation.
fn limit_obligations(
    rule: &str,
    whose: &Whose,
    limits: &Limits,
    inherited: Inherited<'_>,
) -> Vec<Obligation> {
    let mut obligations = Vec::new();
    if let Some((rate, _)) = limits.rps_limit {
        let burst = limits.burst.map_or_else(|| usual_burst(rate), |(burst, _)| burst);
        obligations.push(Obligation::rate(obligation::Rate {
            whose: whose.clone(),
            rule: rule.into(),
            rate,
            burst,
        }));
    }
    if limits.daily_budget.is_some() || limits.cost.is_some() {
        obligations.push(Obligation::budget(obligation::Budget {
            whose: whose.clone(),
            rule: rule.into(),
            limit: limits.daily_budget.map(|(budget, _)| budget),
            unit: limits.unit().or(inherited.unit).unwrap_or(obligation::CALLS).into(),
            cost: limits.cost.as_ref().map(|(cost, _)| Price::of(cost)),
            zone: limits.zone().or(inherited.zone).map(Into::into),
        }));
    }
    obligations
}

/// The burst of a rate that states none: the calls of one second, and one at least.
fn usual_burst(rate: Micros) -> u32 {
    u32::try_from(rate.0.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1)
}
