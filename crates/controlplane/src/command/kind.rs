//! What every command says of itself.

use aegis_proto::control::{Cluster, Counters, done};
use aegis_raft_store::machine::Place;
use aegis_raft_store::tables::{StateRead, StoreError};

use super::actor::Actor;
use super::refused::Refused;
use super::who::Who;
use crate::state::writer::Writer;

/// A kind of command.
///
/// # Contract
/// - [`Kind::check`] only reads, so that a refused command cannot have written; what it returns is the proof that
///   [`Kind::apply`] needs.
/// - Both depend on the state and their arguments only (RAFT-2).
/// - [`Kind::summary`] holds neither secrets nor what a policy says; it may hold what a client chose, of any length.
pub(crate) trait Kind {
    /// Its name in the control log.
    const NAME: &'static str;
    /// Who may.
    const WHO: Who;
    /// Whether it stands in the control log. Not: what happens all the time by itself, and parts of a larger act.
    const LOGGED: bool = true;
    /// Whether a refusal is remembered under the idempotency key, like what was done. Not where whoever proposes makes the
    /// command anew and tries again under the same key.
    const REFUSALS_REMEMBERED: bool = true;
    /// The command as checked: what is to be written.
    type Checked;

    /// The tenant it is about, or `*`: where its actor needs a role.
    fn scope(&self) -> &str;

    /// A person who may want it without a role: the one it is about.
    fn oneself(&self) -> Option<&str> {
        None
    }

    /// The level that it needs. A new kind answers with the level it came with; a kind that got a new field, with that
    /// field's level where the field is set.
    fn level(&self) -> u32 {
        1
    }

    /// What is wanted, in words.
    fn summary(&self) -> String;

    /// What came of it, in words, for the record of one that was done. Nothing where the summary says all.
    fn outcome(_result: &done::Result) -> String {
        String::new()
    }

    /// Whether it can be done.
    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Self::Checked, Failure>;

    /// Does it: the row that it made or changed.
    fn apply(checked: Self::Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError>;
}

/// By whom, when, and in which cluster a command is wanted.
pub(crate) struct Asked<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) place: Place,
    pub(crate) cluster: &'a Cluster,
    pub(crate) counters: &'a Counters,
}

impl Asked<'_> {
    /// The actor as rows name it.
    pub(crate) fn by(&self) -> String {
        self.actor.to_string()
    }

    /// The log time, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.place.log_time_ms
    }
}

/// A command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused.
    Refused(Refused),
    /// The storage failed: the node stops.
    Store(StoreError),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
