//! Idempotency, once for all commands: a repetition gets the first answer, and changes nothing.
//!
//! Refusals are remembered like what was done: otherwise a late copy of a command that was refused could still be
//! applied, after its author was told that it was not.

use aegis_model::caps;
use aegis_proto::control::{CommandResponse, Remembered};
use aegis_raft_store::tables::StoreError;
use prost::Message;

use super::actor::Actor;
use super::envelope::OnceChecked;
use super::refused::{Code, Refused};
use super::response;
use crate::state::idempotency;
use crate::state::writer::Writer;

/// The answer that needs no application: the first one again, or why this one cannot be remembered.
pub(crate) fn recall(
    write: &Writer<'_, '_>,
    actor: &Actor,
    once: Option<&OnceChecked>,
) -> Result<Option<CommandResponse>, StoreError> {
    let Some(once) = once else { return Ok(None) };
    let actor = actor.to_string();
    let Some(first) = idempotency::remembered(write, &actor, &once.key, write.now_ms())? else {
        return Ok(no_room(write, &actor)?.map(|refused| response::refused(&refused)));
    };
    if first.request_digest != once.digest {
        let message = "the idempotency key was used for another request";
        return Ok(Some(response::refused(&Refused::new(Code::IdempotencyConflict, message))));
    }
    let answer = CommandResponse::decode(first.response.as_slice())
        .map_err(|_uninformative| StoreError::Damaged { table: idempotency::REMEMBERED.name().to_owned() })?;
    Ok(Some(CommandResponse { replayed: true, ..answer }))
}

fn no_room(write: &Writer<'_, '_>, actor: &str) -> Result<Option<Refused>, StoreError> {
    if write.counters().remembered >= caps::IDEMPOTENCY_ENTRIES_MAX {
        return Ok(Some(Refused::too_many("idempotency keys of the cluster", caps::IDEMPOTENCY_ENTRIES_MAX)));
    }
    let max = caps::IDEMPOTENCY_ACTOR_ENTRIES_MAX;
    let full = idempotency::count(write, actor)? >= max;
    Ok(full.then(|| Refused::too_many("idempotency keys of one actor", max)))
}

/// Remembers `answer`. One for somebody who did not count is not remembered: they have no claim on the room.
pub(crate) fn remember(
    write: &mut Writer<'_, '_>,
    actor: &Actor,
    once: Option<&OnceChecked>,
    answer: &CommandResponse,
) -> Result<(), StoreError> {
    let Some(once) = once else { return Ok(()) };
    if response::code(answer) == Some(Code::Unauthenticated) {
        return Ok(());
    }
    let row = Remembered {
        request_digest: once.digest.to_vec(),
        response: answer.encode_to_vec(),
        at_ms: write.now_ms(),
    };
    idempotency::put(write, &actor.to_string(), &once.key, &row)
}
