//! The story of one command's application, the same for all: known before? permitted? possible? then it is done,
//! recorded and remembered, all in one transaction.

use aegis_proto::control::{CommandResponse, Done, command_response};
use aegis_raft_store::machine::Place;
use aegis_raft_store::tables::{StateWrite, StoreError};

use super::actor::Actor;
use super::envelope::OnceChecked;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::{LEVEL, init_cluster, once, response, who};
use crate::state::control_log::{self, Act};
use crate::state::key::Scope;
use crate::state::tenants;
use crate::state::writer::Writer;

/// What a command is applied to.
pub(crate) struct On<'a, 't> {
    pub(crate) state: &'a mut StateWrite<'t>,
    pub(crate) place: Place,
    pub(crate) actor: &'a Actor,
    pub(crate) once: Option<&'a OnceChecked>,
}

/// Applies `command`, and answers it.
pub(crate) fn run<K: Kind>(command: &K, on: On<'_, '_>) -> Result<CommandResponse, StoreError> {
    let mut write = Writer::new(on.state, on.place)?;
    let level = write.cluster().level;
    if level > LEVEL {
        return Err(StoreError::Newer { level, own: LEVEL });
    }
    if let Some(refused) = out_of_order(command, &write) {
        return Ok(response::refused(&refused));
    }
    if let Some(answer) = once::recall(&write, on.actor, on.once)? {
        return Ok(answer);
    }
    let answer = match attempt(command, &mut write, on.actor) {
        Ok(done) => response::done(done),
        Err(Failure::Refused(refused)) => response::refused(&refused),
        Err(Failure::Store(error)) => return Err(error),
    };
    record(command, &mut write, on.actor, &answer)?;
    if K::REFUSALS_REMEMBERED || response::code(&answer).is_none() {
        once::remember(&mut write, on.actor, on.once, &answer)?;
    }
    write.finish()?;
    Ok(answer)
}

/// What is refused without any trace, because nothing can hold one, or because older nodes could not leave the same.
fn out_of_order<K: Kind>(command: &K, write: &Writer<'_, '_>) -> Option<Refused> {
    let made = !write.cluster().id.is_empty();
    if !made && K::NAME != init_cluster::NAME {
        return Some(Refused::new(Code::NotInitialized, "the cluster was not made yet"));
    }
    // Before the cluster is made there is no level, and so only what has always been.
    let level = write.cluster().level.max(1);
    (command.level() > level).then(Refused::unknown_command)
}

fn attempt<K: Kind>(command: &K, write: &mut Writer<'_, '_>, actor: &Actor) -> Result<Done, Failure> {
    let scope = command.scope();
    let scope: Scope =
        scope.parse().map_err(|error| Refused::invalid("tenant", error).with("name", short(scope)))?;
    let checked = {
        let asked =
            Asked { actor, place: write.place(), cluster: write.cluster(), counters: write.counters() };
        who::authorize(write, &asked, &K::WHO, &scope, command.oneself())?;
        command.check(write, &asked)?
    };
    let result = K::apply(checked, write)?;
    Ok(Done {
        history: write.cluster().history,
        index: write.place().index,
        log_time_ms: write.now_ms(),
        result: Some(result),
    })
}

/// A record of the control log: below the tenant, if there is such a tenant, and otherwise below the cluster, so that
/// nobody makes logs by inventing names.
fn record<K: Kind>(
    command: &K,
    write: &mut Writer<'_, '_>,
    actor: &Actor,
    answer: &CommandResponse,
) -> Result<(), StoreError> {
    if !K::LOGGED {
        return Ok(());
    }
    let scope = match command.scope().parse() {
        Ok(Scope::Tenant(tenant)) if tenants::tenant(write, &tenant)?.is_some() => Scope::Tenant(tenant),
        Ok(_) | Err(_) => Scope::Cluster,
    };
    let refused = response::code(answer).map_or("", Code::as_str);
    let (actor, summary) = (actor.to_string(), in_words(command, answer));
    let act = Act { scope: &scope, actor: &actor, command: K::NAME, refused, summary: &summary };
    control_log::append(write, &act)
}

fn in_words<K: Kind>(command: &K, answer: &CommandResponse) -> String {
    let outcome = match &answer.outcome {
        Some(command_response::Outcome::Done(Done { result: Some(result), .. })) => K::outcome(result),
        Some(_) | None => String::new(),
    };
    let summary = command.summary();
    if outcome.is_empty() { summary } else { format!("{summary}; {outcome}") }
}

fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(aegis_model::caps::NAME_BYTES_MAX)).unwrap_or_default()
}
