//! Who belongs to the cluster, as Raft knows it: what the admin API asks of replication beside commands.

use std::time::Duration;

use aegis_model::caps;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::types::Peer;
use futures_util::future::{BoxFuture, FutureExt};

use crate::raft::membership::MemberError;
use crate::raft::node::RaftNode;

/// The membership and its changes. Raft in a cluster; a fixed one in tests.
///
/// # Contract
/// - All changes are made at the leader; elsewhere they fail with [`MembershipError::leader`].
/// - A removed node's id is retired in the state before the membership changes.
pub trait Membership: Send + Sync + 'static {
    /// How it is, as far as this node knows.
    fn status(&self) -> RaftStatus;

    /// Lets the node at `address` join as a learner: its id.
    fn join(&self, name: String, address: String) -> BoxFuture<'_, Result<u64, MembershipError>>;

    /// Waits until `node` has caught up, and makes it a voter.
    fn promote(&self, node: u64) -> BoxFuture<'_, Result<(), MembershipError>>;

    /// Removes `node` for good.
    fn remove(&self, node: u64) -> BoxFuture<'_, Result<(), MembershipError>>;
}

/// The membership as one node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// The node that answers.
    pub node: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// Who belongs to the cluster, by id.
    pub members: Vec<RaftMember>,
}

/// A node that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftMember {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its gRPC address.
    pub address: String,
    /// Whether it decides.
    pub voter: bool,
    /// How far its state has come, as far as the node that answers knows, and the digest there.
    pub checkpoint: Option<Checkpoint>,
    /// Whether its state differs from that of the node that answers after the same entry.
    pub differs: bool,
}

/// Why the membership was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MembershipError {
    /// A stable word, e.g. `not_leader`.
    pub code: &'static str,
    /// Why, for people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// Whether it is as wanted already: the node is a member, a voter or removed.
    pub already: bool,
    /// Whether it may be changed nevertheless, now or later.
    pub in_doubt: bool,
    /// Where it has to be done instead: the name and the address of the leader.
    pub leader: Option<(String, String)>,
}

impl Membership for RaftNode {
    fn status(&self) -> RaftStatus {
        let status = Self::status(self);
        let (mut agreement, own) = (self.agreement(), self.checkpoint());
        let member = |(id, (peer, voter)): (u64, (Peer, bool))| RaftMember {
            id,
            name: peer.name,
            address: peer.address,
            voter,
            checkpoint: if id == status.node { own } else { agreement.told.remove(&id) },
            differs: agreement.differing.contains_key(&id),
        };
        RaftStatus {
            node: status.node,
            leader: status.leader,
            term: status.term,
            members: status.members.into_iter().map(member).collect(),
        }
    }

    fn join(&self, name: String, address: String) -> BoxFuture<'_, Result<u64, MembershipError>> {
        async move { Ok(self.members().join(Peer { name, address }, CHANGE).await?) }.boxed()
    }

    fn promote(&self, node: u64) -> BoxFuture<'_, Result<(), MembershipError>> {
        async move {
            let members = self.members();
            members.caught_up(node, Duration::from_secs(caps::MEMBER_CATCH_UP_SECONDS)).await?;
            Ok(members.promote(node, CHANGE).await?)
        }
        .boxed()
    }

    fn remove(&self, node: u64) -> BoxFuture<'_, Result<(), MembershipError>> {
        async move { Ok(self.members().remove(node, CHANGE).await?) }.boxed()
    }
}

const CHANGE: Duration = Duration::from_secs(caps::MEMBER_CHANGE_SECONDS);

impl From<MemberError> for MembershipError {
    fn from(error: MemberError) -> Self {
        let already = matches!(
            error,
            MemberError::AlreadyMember(_)
                | MemberError::AlreadyVoter(_)
                | MemberError::Removed(_)
                | MemberError::NameTaken(_)
                | MemberError::AddressTaken(_)
        );
        let leader = match &error {
            MemberError::NotLeader(Some(peer)) => Some((peer.name.clone(), peer.address.clone())),
            _ => None,
        };
        Self {
            code: error.code(),
            message: error.to_string(),
            retryable: error.retryable(),
            already,
            in_doubt: matches!(error, MemberError::InDoubt),
            leader,
        }
    }
}
