//! What a cluster begins with: one voter, the first keys, the first person with the first token. And the way back in for a
//! person whose tokens are all over.

use std::time::Duration;

use aegis_identity::mint::{MintRefusal, Minted};
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{ClusterId, PersonId};
use aegis_proto::control::IssuePersonToken;
use aegis_raft_store::tables::StoreError;
use tokio::time::Instant;

use super::Parts;
use crate::admin::bootstrap::{Beginning, BootstrapError, NewCluster, bootstrap};
use crate::command::actor::Actor;
use crate::control::{ProposeError, ReadError};
use crate::keys::{self, KeyKind, KeysError};
use crate::raft::membership::MemberError;
use crate::state::meta;

/// Why no cluster was made, or no token given out.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// It is there.
    #[error("the cluster `{0}` was made before")]
    Exists(String),
    /// The node takes part in a cluster of others.
    #[error("this node belongs to a cluster already, of which it has received nothing yet")]
    Joined,
    /// The membership was not begun.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// Nobody leads.
    #[error("no node leads the cluster: a majority of its nodes has to run")]
    NoLeader,
    /// The command was not done.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The state cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The token cannot be made.
    #[error("the token cannot be made: {0}")]
    Mint(#[from] MintRefusal),
    /// The first command was not done.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long it may take until a node that is alone, or a cluster that starts, is led.
const LED_WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked whether the cluster is led.
const LOOK: Duration = Duration::from_millis(50);

/// By how much less than the bound a token lives: log time may be behind the wall clock.
const LIFE_SLACK: Duration = Duration::from_secs(60);

/// Makes the cluster with this node as its only voter and `admin` as its first person: that person's token, which is
/// nowhere else. A crash in the middle leaves nothing that a second attempt cannot finish.
///
/// # Errors
/// [`FoundError`]
pub async fn found(parts: &Parts, cluster: &ClusterId, admin: &PersonId) -> Result<Beginning, FoundError> {
    if let Some(row) = meta::cluster(&parts.control.view()?)? {
        return Err(FoundError::Exists(row.id));
    }
    match parts.raft.members().initialize(parts.me.clone()).await {
        Ok(()) => {}
        Err(MemberError::AlreadyInitialized) if is_alone(parts) => {}
        Err(MemberError::AlreadyInitialized) => return Err(FoundError::Joined),
        Err(error) => return Err(error.into()),
    }
    led(parts, true).await?;
    let (node, new) =
        (parts.raft.status().node, NewCluster { cluster: cluster.clone(), admin: admin.clone() });
    Ok(bootstrap(&parts.control, &parts.cluster_keys, node, new, &parts.clock, &mut rand::rng()).await?)
}

/// Gives out a token of `person`, who is known, without asking who wants it: for those who have this node's files.
///
/// # Errors
/// [`FoundError`]
pub async fn issue_token(parts: &Parts, person: &PersonId) -> Result<Minted, FoundError> {
    led(parts, false).await?;
    let deadline = Instant::now() + LED_WITHIN;
    loop {
        match issue(parts, person).await {
            // A leader that was just elected, or a restored cluster that begins its new history.
            Err(FoundError::Propose(ProposeError::Unavailable(_)) | FoundError::Read(_))
                if Instant::now() < deadline =>
            {
                tokio::time::sleep(LOOK).await;
            }
            issued => return issued,
        }
    }
}

async fn issue(parts: &Parts, person: &PersonId) -> Result<Minted, FoundError> {
    let view = parts.control.read().await?;
    let minter = keys::minter(&view, &parts.cluster_keys, KeyKind::PersonToken)?;
    drop(view);
    let minted = minter.mint_person(person, life(), now(parts), &mut rand::rng())?;
    let command = IssuePersonToken {
        person: person.to_string(),
        token_id: minted.token_id.clone(),
        expires_ms: millis(minted.expires_at),
    };
    parts.control.propose(command, &me(parts)).await?;
    Ok(minted)
}

/// Whether this node is its cluster's only member, as after a crash in the middle of [`found`].
fn is_alone(parts: &Parts) -> bool {
    let status = parts.raft.status();
    status.members.len() == 1 && status.members.contains_key(&status.node)
}

/// Waits until somebody, or this node, leads.
async fn led(parts: &Parts, here: bool) -> Result<(), FoundError> {
    let deadline = Instant::now() + LED_WITHIN;
    loop {
        let led = if here { parts.raft.leads() } else { parts.raft.status().leader.is_some() };
        if led {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(FoundError::NoLeader);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn me(parts: &Parts) -> Actor {
    Actor::ControlNode(parts.raft.status().node)
}

fn life() -> Duration {
    Duration::from_secs(caps::PERSON_TOKEN_LIFE_SECONDS_MAX) - LIFE_SLACK
}

/// Never before log time: the token would be over before it begins.
fn now(parts: &Parts) -> UnixNanos {
    let log_time_ms = parts.control.applied().borrow().log_time_ms;
    parts.clock.now().max(UnixNanos(log_time_ms.saturating_mul(1_000_000)))
}

fn millis(moment: UnixNanos) -> u64 {
    moment.0 / 1_000_000
}
