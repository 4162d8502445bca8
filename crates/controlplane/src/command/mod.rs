//! The commands: one file each, with its fields' check, its apply, and its tests.
//!
//! Start at [`kind`]: what every command says of itself. [`run`] is the story of one command's application, the same
//! for all. This file only leads each kind of command there.
//!
//! # Older and newer nodes
//!
//! While a cluster is upgraded, its nodes run different software, and must still end up with the same state (RAFT-2).
//! The cluster's row holds a *level*; a command, or a new field of one, belongs to the level with which it came
//! ([`kind::Kind::level`]). What is above the cluster's level is refused as `unknown_command` and writes *nothing*, no
//! record and no remembered answer: a newer node knows the command and compares levels, an older one sees content that
//! it does not know, and both do the same. Once every node runs the newer software, `RaiseLevel` makes the commands
//! usable; it is refused while a member that was not retired has said that it understands less. A node that meets a
//! state above its own level stops ([`StoreError::Newer`]) instead of following it half.

pub mod actor;
pub mod envelope;
pub mod refused;
pub mod response;
pub mod who;

pub(crate) mod approvals;
pub(crate) mod checks;
pub(crate) mod kind;
pub(crate) mod once;
pub(crate) mod run;

mod init_cluster;

mod advance_history;
mod note_membership;
mod note_reveal;
mod raise_level;
mod retire_member;
mod set_member;

mod create_tenant;
mod lift_hold;
mod place_hold;
mod retire_tenant;
pub(crate) mod rewrap_tenant_keys;
mod rotate_tenant_key;
mod set_tenant;

mod add_agent_key;
pub(crate) mod agent_bounds;
mod disable_agent;
mod register_agent;
mod remove_issuer;
mod retire_agent_key;
mod set_agent;
mod set_agent_keys;
mod set_issuer;

mod label_version;
mod publish_version;
mod put_chunk;
mod retire_version;

mod activate;
mod rollback;

mod register_data_node;
mod retire_data_node;
mod set_shard_map;

mod set_organization_limits;

mod add_key;
mod retire_key;
mod rewrap_keys;
mod rotate_key;
mod settle_keys;

mod grant_role;
mod issue_person_token;
mod put_person;
mod revoke_person_token;
mod revoke_role;

mod revoke;

mod grant_agent_token;
mod issue_agent_token;

mod cancel_approval;
mod give_back_approval;
mod keep_cosignatures;
mod note_checkpoints;
mod open_approval;
mod open_journal;
mod redeem_approval;
mod vote_approval;

mod note_delivery;
mod remove_channel;
mod set_channel;

mod adjust_budget;
mod lend;
mod take_lending;

mod sweep_approvals;
mod sweep_chunks;
mod sweep_expired;
mod sweep_limits;

#[cfg(test)]
mod tests;

use aegis_proto::control::{CommandResponse, GrantAgentToken};
use aegis_raft_store::machine::Place;
use aegis_raft_store::tables::{StateRead, StateWrite, StoreError};

use crate::control::Applied;
use crate::state::meta;

pub use envelope::{Command, Request};
pub use refused::{Code, Refused};
pub(crate) use set_channel::kind_name as set_channel_kind_name;
pub(crate) use settle_keys::is_due as keys_are_to_settle;

/// The highest level of commands that this software understands. See the module's documentation.
pub const LEVEL: u32 = 1;

/// Why `command` would be refused if it were applied now, where the newest entry is `applied`: what is hopeless is not worth a place
/// in the log. What is applied meanwhile may change the answer either way.
pub(crate) fn would_be_refused(
    command: &GrantAgentToken,
    state: &impl StateRead,
    actor: &actor::Actor,
    applied: Applied,
) -> Result<Option<Refused>, StoreError> {
    let cluster = meta::cluster(state)?.unwrap_or_default();
    let counters = meta::counters(state)?;
    let place = Place { index: applied.index, position: 0, log_time_ms: applied.log_time_ms };
    let asked = kind::Asked { actor, place, cluster: &cluster, counters: &counters };
    match kind::Kind::check(command, state, &asked) {
        Ok(_) => Ok(None),
        Err(kind::Failure::Refused(refused)) => Ok(Some(refused)),
        Err(kind::Failure::Store(error)) => Err(error),
    }
}

/// Applies one encoded command, and answers it.
pub(crate) fn apply(
    state: &mut StateWrite<'_>,
    place: Place,
    bytes: &[u8],
) -> Result<CommandResponse, StoreError> {
    let opened = match envelope::open(bytes) {
        Ok(opened) => opened,
        Err(refused) => return Ok(response::refused(&refused)),
    };
    let on = run::On { state, place, actor: &opened.actor, once: opened.once.as_ref() };
    match &opened.command {
        Command::InitCluster(it) => run::run(it, on),
        Command::AdvanceHistory(it) => run::run(it, on),
        Command::RaiseLevel(it) => run::run(it, on),
        Command::SetMember(it) => run::run(it, on),
        Command::RetireMember(it) => run::run(it, on),
        Command::NoteMembership(it) => run::run(it, on),
        Command::CreateTenant(it) => run::run(it, on),
        Command::SetTenant(it) => run::run(it, on),
        Command::RetireTenant(it) => run::run(it, on),
        Command::RotateTenantKey(it) => run::run(it, on),
        Command::RewrapTenantKeys(it) => run::run(it, on),
        Command::NoteReveal(it) => run::run(it, on),
        Command::PlaceHold(it) => run::run(it, on),
        Command::LiftHold(it) => run::run(it, on),
        Command::RegisterAgent(it) => run::run(it, on),
        Command::SetAgentKeys(it) => run::run(it, on),
        Command::DisableAgent(it) => run::run(it, on),
        Command::SetAgent(it) => run::run(it, on),
        Command::AddAgentKey(it) => run::run(it, on),
        Command::RetireAgentKey(it) => run::run(it, on),
        Command::SetIssuer(it) => run::run(it, on),
        Command::RemoveIssuer(it) => run::run(it, on),
        Command::PutChunk(it) => run::run(it, on),
        Command::PublishVersion(it) => run::run(it, on),
        Command::LabelVersion(it) => run::run(it, on),
        Command::RetireVersion(it) => run::run(it, on),
        Command::Activate(it) => run::run(it, on),
        Command::Rollback(it) => run::run(it, on),
        Command::RegisterDataNode(it) => run::run(it, on),
        Command::RetireDataNode(it) => run::run(it, on),
        Command::AddKey(it) => run::run(it, on),
        Command::RetireKey(it) => run::run(it, on),
        Command::RewrapKeys(it) => run::run(it, on),
        Command::RotateKey(it) => run::run(it, on),
        Command::SettleKeys(it) => run::run(it, on),
        Command::PutPerson(it) => run::run(it, on),
        Command::GrantRole(it) => run::run(it, on),
        Command::RevokeRole(it) => run::run(it, on),
        Command::IssuePersonToken(it) => run::run(it, on),
        Command::RevokePersonToken(it) => run::run(it, on),
        Command::Revoke(it) => run::run(it, on),
        Command::IssueAgentToken(it) => run::run(it, on),
        Command::GrantAgentToken(it) => run::run(it, on),
        Command::SweepChunks(it) => run::run(it, on),
        Command::SweepExpired(it) => run::run(it, on),
        Command::Lend(it) => run::run(it, on),
        Command::TakeLending(it) => run::run(it, on),
        Command::SweepLimits(it) => run::run(it, on),
        Command::AdjustBudget(it) => run::run(it, on),
        Command::SetOrganizationLimits(it) => run::run(it, on),
        Command::SetShardMap(it) => run::run(it, on),
        Command::OpenApproval(it) => run::run(it, on),
        Command::VoteApproval(it) => run::run(it, on),
        Command::CancelApproval(it) => run::run(it, on),
        Command::RedeemApproval(it) => run::run(it, on),
        Command::GiveBackApproval(it) => run::run(it, on),
        Command::SweepApprovals(it) => run::run(it, on),
        Command::OpenJournal(it) => run::run(it, on),
        Command::NoteCheckpoints(it) => run::run(it, on),
        Command::KeepCosignatures(it) => run::run(it, on),
        Command::SetChannel(it) => run::run(it, on),
        Command::RemoveChannel(it) => run::run(it, on),
        Command::NoteDelivery(it) => run::run(it, on),
    }
}
