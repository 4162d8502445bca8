//! Who belongs to the cluster, as Raft knows it: what the admin API asks of replication beside commands.

use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::types::Peer;
use futures_util::future::{BoxFuture, FutureExt};

use crate::raft::changes::{Change, NotChanged};
use crate::raft::node::RaftNode;

/// The membership and its changes. Raft in a cluster; a fixed one in tests.
///
/// # Contract
/// - A change is made at the leader, wherever it is asked for; when it is answered, [`Membership::status`] shows it.
/// - A removed node's id is retired in the state before the membership changes.
pub trait Membership: Send + Sync + 'static {
    /// How it is, as far as this node knows.
    fn status(&self) -> RaftStatus;

    /// Lets the node at `address` join as a learner: its id.
    fn join(&self, name: String, address: String) -> BoxFuture<'_, Result<u64, NotChanged>>;

    /// Waits until `node` has caught up, and makes it a voter.
    fn promote(&self, node: u64) -> BoxFuture<'_, Result<(), NotChanged>>;

    /// Removes `node` for good.
    fn remove(&self, node: u64) -> BoxFuture<'_, Result<(), NotChanged>>;
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

    fn join(&self, name: String, address: String) -> BoxFuture<'_, Result<u64, NotChanged>> {
        self.change_members(Change::Join(Peer { name, address })).boxed()
    }

    fn promote(&self, node: u64) -> BoxFuture<'_, Result<(), NotChanged>> {
        async move { self.change_members(Change::Promote(node)).await.map(drop) }.boxed()
    }

    fn remove(&self, node: u64) -> BoxFuture<'_, Result<(), NotChanged>> {
        async move { self.change_members(Change::Remove(node)).await.map(drop) }.boxed()
    }
}
