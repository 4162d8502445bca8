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
mod note_search;
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

/// `$does` with the message of a command of whichever kind.
macro_rules! of_kind {
    ($command:expr, $it:ident => $does:expr) => {
        of_kind!($command, $it => $does,
            InitCluster, AdvanceHistory, RaiseLevel, SetMember, RetireMember, NoteMembership, CreateTenant,
            SetTenant, RetireTenant, RotateTenantKey, RewrapTenantKeys, NoteReveal, NoteSearch, PlaceHold, LiftHold,
            RegisterAgent, SetAgentKeys, DisableAgent, SetAgent, AddAgentKey, RetireAgentKey, SetIssuer,
            RemoveIssuer, PutChunk, PublishVersion, LabelVersion, RetireVersion, Activate, Rollback,
            RegisterDataNode, RetireDataNode, AddKey, RetireKey, RewrapKeys, RotateKey, SettleKeys,
            PutPerson, GrantRole, RevokeRole, IssuePersonToken, RevokePersonToken, Revoke, IssueAgentToken,
            GrantAgentToken, SweepChunks, SweepExpired, Lend, TakeLending, SweepLimits, AdjustBudget,
            SetOrganizationLimits, SetShardMap, OpenApproval, VoteApproval, CancelApproval, RedeemApproval,
            GiveBackApproval, SweepApprovals, OpenJournal, NoteCheckpoints, KeepCosignatures, SetChannel,
            RemoveChannel, NoteDelivery
        )
    };
    ($command:expr, $it:ident => $does:expr, $($kind:ident),*) => {
        match $command {
            $(Command::$kind($it) => $does,)*
        }
    };
}

/// The tenant that `command` is about, or `*`.
pub(crate) fn scope(command: &Command) -> &str {
    of_kind!(command, it => kind::Kind::scope(it))
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
    of_kind!(&opened.command, it => run::run(it, on))
}
