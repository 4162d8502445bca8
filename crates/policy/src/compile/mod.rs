//! From the checked set to what is evaluated: Rego units for the conditions, and an index for the dispatch.

mod canonical;
mod checks;
pub mod index;
pub(crate) mod literals;
mod messages;
mod need;
mod reasons;
mod schema;
mod unit;

use std::collections::BTreeSet;

use crate::ast::{Condition, PolicySet, Segment, Subject};
use crate::custom;
use crate::diagnostic::Diagnostic;

/// The compiled set: the same for a stock OPA and for this process.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The condition units, without duplicates, by name.
    pub units: Vec<Unit>,
    /// The custom modules, packages already rewritten, in order of the documents.
    pub custom: Vec<custom::Module>,
    /// Who may do what, and which unit decides.
    pub index: index::Index,
    /// IANA zones that the units read from `input.local`.
    pub zones: Vec<String>,
}

/// The Rego module of one condition. Entries with equal conditions share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `u_` and 16 hexadecimal digits of the SHA-256 of its rules.
    pub name: String,
    /// The module's text, Rego v1, package `aegis.unit.NAME`.
    pub rego: String,
    /// Which rules it has.
    pub rules: UnitRules,
    /// The regular expressions that it matches with.
    pub patterns: Vec<String>,
    /// The parts of `input` that it reads.
    pub reads: Reads,
}

/// Parts of `input`. What a unit does not read is not built for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// All of `params`, whatever `params_members` says.
    pub params_whole: bool,
    /// Members of `params`.
    pub params_members: BTreeSet<String>,
    /// `context`.
    pub context: bool,
    /// `token`.
    pub token: bool,
    /// `callers`.
    pub callers: bool,
    /// `local`.
    pub local: bool,
}

impl Reads {
    fn of(condition: &Condition) -> Self {
        let mut reads = Self::default();
        condition.for_each_test(&mut |test| match &test.subject {
            Subject::Params(path) => match path.0.first() {
                Some(Segment::Key(key)) => drop(reads.params_members.insert(key.clone())),
                Some(Segment::Index(_) | Segment::Every) | None => reads.params_whole = true,
            },
            Subject::Context(_) => reads.context = true,
            Subject::Token(_) => reads.token = true,
            Subject::Circumstance { .. } => (reads.context, reads.token) = (true, true),
            Subject::Callers { .. } | Subject::ChainDepth(_) => reads.callers = true,
            Subject::Time(_) => reads.local = true,
        });
        reads
    }
}

/// The rules of a unit that are asked for from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitRules {
    /// `pass`, `reasons`; and `ask` where some failing conditions only ask.
    Allowing {
        /// Whether there is a rule `ask`.
        ask: bool,
    },
    /// `clear`, `reasons`.
    Denying,
}

/// Compiles a checked set. Problems that only show here (too large for the virtual machine, custom Rego
/// outside the permitted subset) come back as diagnostics.
pub fn compile(set: &PolicySet) -> Result<Compiled, Vec<Diagnostic>> {
    index::Builder::new(set).build()
}

/// The name of the unit that an allowing entry with this condition gets.
pub(crate) fn allowing_name(condition: &Condition) -> String {
    unit::allowing(condition).0.name
}

/// The name of the unit that a denying entry with this condition gets.
pub(crate) fn denying_name(condition: &Condition) -> String {
    unit::denying(condition).0.name
}
