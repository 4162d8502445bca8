//! A set made ready to judge: the index as hash tables, the units as programs.
//!
//! [`Prepared::judge`] does natively what `rego/main.rego` does for a stock OPA: it finds the entries that speak
//! of the agent and the tool, asks their units, and chooses. Only a few entries are looked at however large
//! the set is. The differential test holds the two against each other (POL-1).

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::ast::{Mode, PolicySet};
use crate::bundle::{self, Bundle};
use crate::compile::index::{Index, IndexDocument, IndexEntry};
use crate::compile::{self, Compiled, Reads, Unit, UnitRules};
use crate::custom;
use crate::diagnostic::Diagnostic;
use crate::input::Zones;
use crate::obligation::Obligation;
use crate::parallel;
use crate::program::{Program, UNIT_BUILTINS};
use redactors::Redactors;

pub mod explain;
pub mod inspected;
pub mod redactors;

mod judgement;

/// A policy set, ready to judge. Immutable, shared between threads.
#[derive(Debug)]
pub struct Prepared {
    digest: String,
    zones: Zones,
    zone_names: Vec<String>,
    agents: HashMap<String, Vec<u32>>,
    globs: Vec<(crate::ast::Glob, u32)>,
    documents: Vec<Plan>,
    defaults: Option<Plan>,
    entries: Vec<PlanEntry>,
    observe_only: bool,
    obligations: Vec<Obligation>,
    redactors: Redactors,
}

/// A document, ready to be asked for a tool.
#[derive(Debug)]
struct Plan {
    number: u32,
    allowed: Option<Tools>,
    denied: Tools,
    /// Whether any entry is enforced.
    enforced: bool,
    custom: Option<CustomPlan>,
    obligations: Vec<Obligation>,
}

/// Entries by the tool they speak of.
#[derive(Debug, Default)]
struct Tools {
    exact: HashMap<String, Vec<u32>>,
    globs: Vec<u32>,
}

#[derive(Debug)]
struct CustomPlan {
    program: Program,
    denies: Option<usize>,
    approves: Option<usize>,
    rule: String,
    position: String,
    /// SHA-256 of the module.
    digest: [u8; 32],
}

/// An entry with its unit.
#[derive(Debug)]
struct PlanEntry {
    index: IndexEntry,
    unit: Option<Arc<UnitProgram>>,
}

/// A unit's program; entry points in the order of [`UnitProgram::rules`].
#[derive(Debug)]
struct UnitProgram {
    program: Program,
    asks: bool,
    reads: Reads,
}

/// Entry point `pass` of an allowing unit, `clear` of a denying one.
const HOLDS: usize = 0;
/// Entry point `reasons`.
const REASONS: usize = 1;
/// Entry point `ask`.
const ASK: usize = 2;

impl Prepared {
    /// Compiles a checked set and readies it.
    ///
    /// # Errors
    /// Problems that show only when it is compiled, with their places.
    pub fn new(set: &PolicySet) -> Result<Self, Vec<Diagnostic>> {
        Self::with_bundle(set).map(|(prepared, _)| prepared)
    }

    /// The same, with the bundle that a stock OPA loads: what can be judged here and what is shipped are one.
    ///
    /// # Errors
    /// Problems that show only when it is compiled, with their places.
    pub fn with_bundle(set: &PolicySet) -> Result<(Self, Bundle), Vec<Diagnostic>> {
        let compiled = compile::compile(set)?;
        let bundle = bundle::write(set, &compiled);
        Ok((Self::from_compiled(compiled, bundle.digest.clone(), set)?, bundle))
    }

    /// The same for a set that came out of the bundle with `digest`, which spares writing the bundle once more.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn of_bundle(set: &PolicySet, digest: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::from_compiled(compile::compile(set)?, digest.to_owned(), set)
    }

    fn from_compiled(compiled: Compiled, digest: String, set: &PolicySet) -> Result<Self, Vec<Diagnostic>> {
        let units = build_units(&compiled.units, set)?;
        let modules = build_custom(&compiled.custom, set)?;
        let zones = Zones::resolve(&compiled.zones)
            .map_err(|error| vec![whole_set("unknown-zone", error.to_string())])?;
        let Index { agents, globs, documents, defaults, entries, observe_only, obligations, redactions } =
            compiled.index;
        let customs = set.detectors.iter().map(|detector| detector.custom.clone()).collect();
        let of_entries = entries.iter().map(|entry| entry.obligations.as_slice());
        let redactors = Redactors::new(redactions, customs, of_entries)
            .map_err(|bad| vec![whole_set("bad-detector", bad.to_string())])?;
        let mut modules = modules;
        let documents: Vec<Plan> =
            documents.into_iter().map(|document| Plan::new(document, &entries, &mut modules)).collect();
        let defaults = defaults.map(|document| Plan::new(document, &entries, &mut modules));
        let unit = |entry: &IndexEntry| entry.unit.as_ref().and_then(|name| units.get(name)).cloned();
        let entries = entries.into_iter().map(|index| PlanEntry { unit: unit(&index), index }).collect();
        Ok(Self {
            digest,
            zones,
            zone_names: compiled.zones,
            agents: agents.into_iter().collect(),
            globs: globs.into_iter().map(|glob| (glob.glob, glob.document)).collect(),
            documents,
            defaults,
            entries,
            observe_only,
            obligations,
            redactors,
        })
    }

    /// `sha256:…` of the bundle.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The zones that `input.local` has to give.
    pub fn zones(&self) -> &[String] {
        &self.zone_names
    }

    /// The same, resolved.
    pub fn resolved_zones(&self) -> &Zones {
        &self.zones
    }

    /// A digest of what the rules of these names say: of the entries and custom modules that decided about a call. It stays the
    /// same where a later version has moved them, or has changed others.
    pub fn digest_of_rules(&self, rules: &[String]) -> [u8; 32] {
        let named = |rule: &String| rules.contains(rule);
        let entries = self.entries.iter().filter(|entry| named(&entry.index.rule));
        let mut parts: Vec<[u8; 32]> = entries.map(|entry| digest_of_entry(&entry.index)).collect();
        let customs = self.documents.iter().chain(&self.defaults).filter_map(|plan| plan.custom.as_ref());
        parts.extend(customs.filter(|custom| named(&custom.rule)).map(|custom| custom.digest));
        parts.sort_unstable();
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        digest.finalize().into()
    }

    /// What cleans parameters and results.
    pub fn redactors(&self) -> &Redactors {
        &self.redactors
    }

    /// How many agents are named exactly.
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    /// How many entries the set has.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }
}

/// What an entry says, whatever it is called and wherever it stands.
fn digest_of_entry(entry: &IndexEntry) -> [u8; 32] {
    let obligations = entry.obligations.iter().map(|obligation| {
        let mut document = obligation.document().clone();
        if let Some(members) = document.as_object_mut() {
            members.remove("rule");
        }
        document
    });
    let said = serde_json::json!({
        "tool": entry.tool,
        "action": entry.action,
        "unit": entry.unit,
        "always_ask": entry.always_ask,
        "mode": entry.mode,
        "obligations": obligations.collect::<Vec<_>>(),
    });
    Sha256::digest(aegis_model::json::canonical(&said)).into()
}

impl Plan {
    fn new(
        document: IndexDocument,
        entries: &[IndexEntry],
        modules: &mut HashMap<String, CustomProgram>,
    ) -> Self {
        let ids = document.allowed.iter().flatten().chain(&document.denied);
        let enforced = ids.into_iter().any(|&id| entries[id as usize].mode == Mode::Enforce);
        let custom =
            document.custom.as_ref().and_then(|name| modules.remove(name)).map(|custom| CustomPlan {
                program: custom.program,
                denies: custom.denies,
                approves: custom.approves,
                rule: document.custom_rule,
                position: document.custom_position,
                digest: custom.digest,
            });
        Self {
            number: document.number,
            allowed: document.allowed.map(|ids| Tools::new(ids, entries)),
            denied: Tools::new(document.denied, entries),
            enforced,
            custom,
            obligations: document.obligations,
        }
    }
}

impl Tools {
    fn new(ids: Vec<u32>, entries: &[IndexEntry]) -> Self {
        let mut tools = Self::default();
        for id in ids {
            let names = &entries[id as usize].tool;
            if names.exact.is_empty() {
                tools.globs.push(id);
            }
            for name in &names.exact {
                tools.exact.entry(name.clone()).or_default().push(id);
            }
        }
        tools
    }

    /// The entries that speak of `tool`, ascending within each of the two kinds.
    fn speaking_of<'a>(
        &'a self,
        tool: &str,
        entries: &'a [PlanEntry],
    ) -> impl Iterator<Item = u32> + use<'a> {
        let exact = self.exact.get(tool).map(Vec::as_slice).unwrap_or_default();
        let tool = tool.to_owned();
        let globs = self.globs.iter().filter(move |&&id| entries[id as usize].index.tool.has(&tool));
        exact.iter().chain(globs).copied()
    }
}

struct CustomProgram {
    digest: [u8; 32],
    program: Program,
    denies: Option<usize>,
    approves: Option<usize>,
}

fn build_units(
    units: &[Unit],
    set: &PolicySet,
) -> Result<HashMap<String, Arc<UnitProgram>>, Vec<Diagnostic>> {
    let build = |unit: &Unit| {
        let (rules, asks): (&[&str], bool) = match unit.rules {
            UnitRules::Allowing { ask: false } => (&["pass", "reasons"], false),
            UnitRules::Allowing { ask: true } => (&["pass", "reasons", "ask"], true),
            UnitRules::Denying => (&["clear", "reasons"], false),
        };
        let package = format!("aegis.unit.{}", unit.name);
        let program = Program::build(&package, &unit.rego, rules, UNIT_BUILTINS, &unit.patterns);
        program.map(|program| {
            (unit.name.clone(), Arc::new(UnitProgram { program, asks, reads: unit.reads.clone() }))
        })
    };
    let mut built = HashMap::with_capacity(units.len());
    let mut problems = Vec::new();
    for (unit, result) in units.iter().zip(parallel::map(units, build)) {
        match result {
            Ok((name, program)) => drop(built.insert(name, program)),
            Err(error) => problems.push(too_large(set, &unit.name, &error.to_string())),
        }
    }
    if problems.is_empty() { Ok(built) } else { Err(problems) }
}

/// The first entry that uses the unit is the place to point at.
fn too_large(set: &PolicySet, unit: &str, error: &str) -> Diagnostic {
    let entries = set.documents.iter().chain(&set.defaults).flat_map(|document| {
        let allowed =
            document.allowed.iter().flatten().map(|entry| (entry, compile::allowing_name(&entry.condition)));
        allowed.chain(document.denied.iter().map(|entry| (entry, compile::denying_name(&entry.condition))))
    });
    let span =
        entries.into_iter().find(|(_, name)| name == unit).map(|(entry, _)| entry.span).unwrap_or_default();
    Diagnostic::error(
        "conditions-too-large",
        span,
        format!("these conditions are too large to evaluate: {error}"),
    )
    .help("split the entry into several, or shorten its lists and schema")
}

fn build_custom(
    modules: &[custom::Module],
    set: &PolicySet,
) -> Result<HashMap<String, CustomProgram>, Vec<Diagnostic>> {
    let mut built = HashMap::new();
    for module in modules {
        let mut rules = Vec::new();
        let mut point = |wanted: bool, rule: &'static str| {
            wanted.then(|| {
                rules.push(rule);
                rules.len() - 1
            })
        };
        let (denies, approves) = (point(module.denies, "deny"), point(module.approves, "approval"));
        let package = format!("aegis.custom.{}", module.name);
        let program = Program::build(&package, &module.machine, &rules, custom::BUILTINS, &module.patterns)
            .map_err(|error| {
            let span = custom_span(set, &module.name);
            vec![Diagnostic::error("custom-rego", span, error.to_string())]
        })?;
        let digest = Sha256::digest(&module.machine).into();
        built.insert(module.name.clone(), CustomProgram { digest, program, denies, approves });
    }
    Ok(built)
}

fn custom_span(set: &PolicySet, name: &str) -> crate::ast::Span {
    let number: usize = name.trim_start_matches("m_").parse().unwrap_or(usize::MAX);
    let document = set.documents.iter().chain(&set.defaults).nth(number);
    document.and_then(|document| document.custom.as_ref()).map(|module| module.span).unwrap_or_default()
}

fn whole_set(code: &'static str, message: String) -> Diagnostic {
    Diagnostic::error(code, crate::ast::Span { file: u32::MAX, ..Default::default() }, message)
}
