//! Who belongs to the cluster: begin, join, promote, remove, replace, move. Each with its checks before anything changes.
//!
//! All but [`Members::initialize`] are done at the leader. A node's id is random and belongs to one data folder; an id
//! that was removed is retired in the replicated state *before* the membership changes, and never comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_raft_store::types::{NodeId, Peer};
use openraft::error::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use openraft::{ChangeMembers, Membership};
use tokio::time::Instant;

use super::ask;
use super::proposal::{ProposeError, Route};
use super::proposer::Proposer;
use super::shared::{Leader, Shared};

/// Why the membership was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// Another node leads, or none does.
    #[error("this node does not lead; {}", .0.as_ref().map_or_else(|| "no node does".to_owned(), |peer| format!("{peer} does")))]
    NotLeader(Option<Peer>),
    /// The node belongs to a cluster already.
    #[error("this node belongs to a cluster already")]
    AlreadyInitialized,
    /// No member has this id.
    #[error("no member has the id {0:016x}")]
    UnknownNode(NodeId),
    /// The id was removed earlier.
    #[error(
        "the id {0:016x} was removed for good: the node comes back with an empty data folder and a new id"
    )]
    Removed(NodeId),
    /// The id is a member's.
    #[error("node {0:016x} is a member already")]
    AlreadyMember(NodeId),
    /// Another member has this name.
    #[error("another member is called `{0}`")]
    NameTaken(String),
    /// Another member has this address.
    #[error("another member has the address {0}")]
    AddressTaken(String),
    /// The name or the address cannot be used.
    #[error("{0}")]
    BadPeer(String),
    /// The cluster is as large as it may be.
    #[error("the cluster has {} members already, learners included", caps::CONTROL_NODES_MAX)]
    TooMany,
    /// Nobody answers at the address, or not as a control node of this cluster.
    #[error("the node at {address} cannot be asked: {why}")]
    Unreachable {
        /// The address.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// Another node answers at the address.
    #[error("the node at {address} has the id {found:016x}, not {expected:016x}")]
    OtherNode {
        /// The address.
        address: String,
        /// Who answers there.
        found: NodeId,
        /// Who should.
        expected: NodeId,
    },
    /// The node has the data of another life.
    #[error("node {0:016x} holds data of a cluster already: empty its data folder, so that it gets a new id")]
    HasData(NodeId),
    /// Only a learner is promoted.
    #[error("node {0:016x} is a voter already")]
    AlreadyVoter(NodeId),
    /// It would slow every commit.
    #[error(
        "node {node:016x} is {behind} entries behind; at most {} are allowed: wait until it has caught up",
        caps::PROMOTION_LAG_ENTRIES_MAX
    )]
    Lags {
        /// The learner.
        node: NodeId,
        /// By how much it is behind.
        behind: u64,
    },
    /// The last voter stays.
    #[error("node {0:016x} is the only voter")]
    LastVoter(NodeId),
    /// The cluster would stand still.
    #[error("of the {voters} voters that would be left only {alive} answer; {needed} are needed")]
    QuorumLost {
        /// How many voters would be left.
        voters: usize,
        /// How many of them answer now.
        alive: usize,
        /// How many a quorum needs.
        needed: usize,
    },
    /// Another change is under way.
    #[error("another change of the membership is under way")]
    InProgress,
    /// It did not come through in time, and may still.
    #[error("the change did not come through in time; look at the members before trying again")]
    InDoubt,
    /// The id could not be retired.
    #[error("the id could not be retired: {0}")]
    Retire(ProposeError),
    /// The state machine refused to retire the id.
    #[error("the state refused to retire the id {0:016x}: is the cluster set up?")]
    NotRetired(NodeId),
    /// The node stops.
    #[error("the node is stopping")]
    Stopped,
}

impl MemberError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLeader(_) => "not_leader",
            Self::AlreadyInitialized => "already_initialized",
            Self::UnknownNode(_) => "unknown_node",
            Self::Removed(_) => "removed_node",
            Self::AlreadyMember(_) => "already_member",
            Self::NameTaken(_) => "name_taken",
            Self::AddressTaken(_) => "address_taken",
            Self::BadPeer(_) => "bad_peer",
            Self::TooMany => "too_many_members",
            Self::Unreachable { .. } => "node_unreachable",
            Self::OtherNode { .. } => "wrong_node",
            Self::HasData(_) => "node_has_data",
            Self::AlreadyVoter(_) => "already_voter",
            Self::Lags { .. } => "learner_lags",
            Self::LastVoter(_) => "last_voter",
            Self::QuorumLost { .. } => "quorum_lost",
            Self::InProgress => "change_in_progress",
            Self::InDoubt => "unknown_outcome",
            Self::Retire(_) | Self::NotRetired(_) => "not_retired",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the same request may do better later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NotLeader(_)
            | Self::Unreachable { .. }
            | Self::Lags { .. }
            | Self::QuorumLost { .. }
            | Self::InProgress
            | Self::InDoubt
            | Self::Retire(_)
            | Self::NotRetired(_)
            | Self::Stopped => true,
            Self::AlreadyInitialized
            | Self::UnknownNode(_)
            | Self::Removed(_)
            | Self::AlreadyMember(_)
            | Self::NameTaken(_)
            | Self::AddressTaken(_)
            | Self::BadPeer(_)
            | Self::TooMany
            | Self::OtherNode { .. }
            | Self::HasData(_)
            | Self::AlreadyVoter(_)
            | Self::LastVoter(_) => false,
        }
    }
}

/// Changes the membership. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    shared: Arc<Shared>,
    proposer: Proposer,
}

impl Members {
    pub(super) fn new(shared: Arc<Shared>, proposer: Proposer) -> Self {
        Self { shared, proposer }
    }

    /// Begins a cluster with this node as its only voter. Once in the life of a cluster; the others join.
    ///
    /// # Errors
    /// [`MemberError::AlreadyInitialized`], [`MemberError::Stopped`].
    pub async fn initialize(&self, me: Peer) -> Result<(), MemberError> {
        self.check_form(&me)?;
        let members = BTreeMap::from([(self.shared.me(), me)]);
        self.shared.raft.initialize(members).await.map_err(|error| match error {
            RaftError::APIError(InitializeError::NotAllowed(_)) => MemberError::AlreadyInitialized,
            RaftError::APIError(InitializeError::NotInMembers(_)) | RaftError::Fatal(_) => {
                MemberError::Stopped
            }
        })
    }

    /// Lets a node that runs at `peer` and holds nothing join as a learner: its id. It then receives everything and
    /// decides nothing.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn join(&self, peer: Peer, within: Duration) -> Result<NodeId, MemberError> {
        let deadline = Instant::now() + within;
        let _changing = self.begin()?;
        let members = self.shared.membership();
        self.check_form(&peer)?;
        check_unused(&members, None, &peer)?;
        if members.nodes().count() >= caps::CONTROL_NODES_MAX {
            return Err(MemberError::TooMany);
        }
        let found = self.find(0, &peer, deadline).await?;
        if found.initialized {
            return Err(match members.get_node(&found.node).is_some() {
                true => MemberError::AlreadyMember(found.node),
                false => MemberError::HasData(found.node),
            });
        }
        self.check_new(&members, found.node)?;
        let change = ChangeMembers::AddNodes(BTreeMap::from([(found.node, peer)]));
        self.change(change, true, deadline).await?;
        Ok(found.node)
    }

    /// Waits until the learner `node` is close enough to be promoted, and answers.
    ///
    /// # Errors
    /// [`MemberError::Lags`] when the time is over; [`MemberError::UnknownNode`], [`MemberError::NotLeader`].
    pub async fn caught_up(&self, node: NodeId, within: Duration) -> Result<(), MemberError> {
        let mut data = self.shared.raft.data_metrics();
        let deadline = Instant::now() + within;
        loop {
            self.check_leads()?;
            if self.shared.membership().get_node(&node).is_none() {
                return Err(MemberError::UnknownNode(node));
            }
            let lag = self.lag(node);
            let close = lag.is_some_and(|behind| behind <= caps::PROMOTION_LAG_ENTRIES_MAX);
            if close && self.is_heard(node) {
                return Ok(());
            }
            let late = || MemberError::Lags { node, behind: lag.unwrap_or(u64::MAX) };
            let changed = tokio::time::timeout_at(deadline, data.changed()).await.map_err(|_late| late())?;
            changed.map_err(|_closed| MemberError::Stopped)?;
        }
    }

    /// Makes the learner `node` a voter.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn promote(&self, node: NodeId, within: Duration) -> Result<(), MemberError> {
        let _changing = self.begin()?;
        let members = self.shared.membership();
        if members.get_node(&node).is_none() {
            return Err(MemberError::UnknownNode(node));
        }
        let mut voters: BTreeSet<NodeId> = members.voter_ids().collect();
        if !voters.insert(node) {
            return Err(MemberError::AlreadyVoter(node));
        }
        let behind = self.lag(node).unwrap_or(u64::MAX);
        if behind > caps::PROMOTION_LAG_ENTRIES_MAX {
            return Err(MemberError::Lags { node, behind });
        }
        self.check_quorum(&members, &voters).await?;
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node])), true, Instant::now() + within).await
    }

    /// Removes `node` for good.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn remove(&self, node: NodeId, within: Duration) -> Result<(), MemberError> {
        let deadline = Instant::now() + within;
        let _changing = self.begin()?;
        let members = self.shared.membership();
        let Some(peer) = members.get_node(&node) else {
            return Err(match self.shared.local.is_retired(node) {
                true => MemberError::Removed(node),
                false => MemberError::UnknownNode(node),
            });
        };
        let mut voters: BTreeSet<NodeId> = members.voter_ids().collect();
        let gone = BTreeSet::from([node]);
        let change = match voters.remove(&node) {
            true if voters.is_empty() => return Err(MemberError::LastVoter(node)),
            true => ChangeMembers::RemoveVoters(gone),
            false => ChangeMembers::RemoveNodes(gone),
        };
        self.check_quorum(&members, &voters).await?;
        self.retire(node, peer, deadline).await?;
        self.change(change, false, deadline).await
    }

    /// Replaces `dead` by the learner `node` in one step, so that the number of voters stays the same.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn replace(&self, dead: NodeId, node: NodeId, within: Duration) -> Result<(), MemberError> {
        let deadline = Instant::now() + within;
        let _changing = self.begin()?;
        let members = self.shared.membership();
        let mut voters: BTreeSet<NodeId> = members.voter_ids().collect();
        if members.get_node(&node).is_none() {
            return Err(MemberError::UnknownNode(node));
        }
        let peer = members.get_node(&dead).filter(|_| voters.remove(&dead));
        let peer = peer.ok_or(MemberError::UnknownNode(dead))?;
        if !voters.insert(node) {
            return Err(MemberError::AlreadyVoter(node));
        }
        let behind = self.lag(node).unwrap_or(u64::MAX);
        if behind > caps::PROMOTION_LAG_ENTRIES_MAX {
            return Err(MemberError::Lags { node, behind });
        }
        self.check_quorum(&members, &voters).await?;
        self.retire(dead, peer, deadline).await?;
        self.change(ChangeMembers::ReplaceAllVoters(voters), false, deadline).await
    }

    /// Notes a new address of `node`, which has to answer there already. Its name, which is in its certificate, stays.
    ///
    /// # Errors
    /// [`MemberError`].
    pub async fn move_to(&self, node: NodeId, address: String, within: Duration) -> Result<(), MemberError> {
        let deadline = Instant::now() + within;
        let _changing = self.begin()?;
        let members = self.shared.membership();
        let name = members.get_node(&node).ok_or(MemberError::UnknownNode(node))?.name.clone();
        let peer = Peer { name, address };
        self.check_form(&peer)?;
        check_unused(&members, Some(node), &peer)?;
        if node != self.shared.me() {
            let found = self.find(0, &peer, deadline).await?;
            if found.node != node {
                return Err(MemberError::OtherNode {
                    address: peer.address,
                    found: found.node,
                    expected: node,
                });
            }
        }
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(node, peer)])), true, deadline).await
    }

    fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, MemberError> {
        let changing = self.shared.changing.try_lock().map_err(|_held| MemberError::InProgress)?;
        self.check_leads()?;
        if self.shared.membership().get_joint_config().len() > 1 {
            return Err(MemberError::InProgress);
        }
        Ok(changing)
    }

    fn check_leads(&self) -> Result<(), MemberError> {
        match self.shared.leader() {
            Leader::Here => Ok(()),
            Leader::There(_, peer) => Err(MemberError::NotLeader(Some(peer))),
            Leader::Nobody | Leader::Unfit => Err(MemberError::NotLeader(None)),
        }
    }

    fn check_form(&self, peer: &Peer) -> Result<(), MemberError> {
        if peer.name.len() > caps::NODE_NAME_BYTES_MAX {
            return Err(MemberError::BadPeer(format!(
                "the name of a node has at most {} bytes",
                caps::NODE_NAME_BYTES_MAX
            )));
        }
        let named = self.shared.peers.envelope().names.node(&peer.name);
        named.map_err(|error| MemberError::BadPeer(error.to_string()))?;
        let address: Result<http::Uri, _> = peer.address.parse();
        match address.ok().filter(|uri| uri.scheme_str() == Some("https") && uri.host().is_some()) {
            Some(_) => Ok(()),
            None => Err(MemberError::BadPeer(format!(
                "`{}` is no address of a control node: one looks like `https://control-1:7071`",
                peer.address
            ))),
        }
    }

    fn check_new(&self, members: &Membership<NodeId, Peer>, node: NodeId) -> Result<(), MemberError> {
        if members.get_node(&node).is_some() {
            return Err(MemberError::AlreadyMember(node));
        }
        match self.shared.local.is_retired(node) {
            true => Err(MemberError::Removed(node)),
            false => Ok(()),
        }
    }

    async fn find(&self, node: NodeId, peer: &Peer, deadline: Instant) -> Result<ask::Answer, MemberError> {
        let within = deadline.saturating_duration_since(Instant::now()).min(ASK_TIME);
        let found = ask::status(&self.shared.peers, node, peer, within).await;
        let found = found.map_err(|error| MemberError::Unreachable {
            address: peer.address.clone(),
            why: error.to_string(),
        })?;
        match found.name == peer.name {
            true => Ok(found),
            false => Err(MemberError::BadPeer(format!(
                "the node at {} calls itself `{}`, not `{}`",
                peer.address, found.name, peer.name
            ))),
        }
    }

    /// How many entries `node` is behind this leader; nothing if it has not answered yet.
    fn lag(&self, node: NodeId) -> Option<u64> {
        let metrics = self.shared.raft.data_metrics();
        let metrics = metrics.borrow();
        let matching = (*metrics.replication.as_ref()?.get(&node)?)?;
        Some(metrics.last_log.map_or(0, |last| last.index).saturating_sub(matching.index))
    }

    /// Asks all of `voters` and refuses unless enough of them answer for them to decide anything. What they answered a
    /// moment ago is not enough: a change that the rest cannot commit could not be taken back, either.
    async fn check_quorum(
        &self,
        members: &Membership<NodeId, Peer>,
        voters: &BTreeSet<NodeId>,
    ) -> Result<(), MemberError> {
        let me = self.shared.me();
        let others = voters.iter().filter(|node| **node != me);
        let asked =
            others.filter_map(|node| Some((*node, members.get_node(node)?))).map(|(node, peer)| async move {
                ask::status(&self.shared.peers, node, peer, ALIVE_TIME).await.is_ok()
            });
        let answered = futures_util::future::join_all(asked).await.into_iter().filter(|alive| *alive).count();
        let alive = answered + usize::from(voters.contains(&me));
        let needed = voters.len() / 2 + 1;
        match alive >= needed {
            true => Ok(()),
            false => Err(MemberError::QuorumLost { voters: voters.len(), alive, needed }),
        }
    }

    fn is_heard(&self, node: NodeId) -> bool {
        let within = self.shared.timings.tick * TICKS_UNHEARD_MAX;
        node == self.shared.me() || self.shared.clocks().heard(node, Instant::now(), within)
    }

    async fn retire(&self, node: NodeId, peer: &Peer, deadline: Instant) -> Result<(), MemberError> {
        for command in self.shared.local.retire(node, peer) {
            self.proposer.propose(command, Route::HereOnly, deadline).await.map_err(MemberError::Retire)?;
        }
        // What was answered was applied here.
        match self.shared.local.is_retired(node) {
            true => Ok(()),
            false => Err(MemberError::NotRetired(node)),
        }
    }

    async fn change(
        &self,
        change: ChangeMembers<NodeId, Peer>,
        retain: bool,
        deadline: Instant,
    ) -> Result<(), MemberError> {
        let changed = self.shared.raft.change_membership(change, retain);
        let changed =
            tokio::time::timeout_at(deadline, changed).await.map_err(|_late| MemberError::InDoubt)?;
        let changed = changed.map_err(|error| match error {
            RaftError::Fatal(_) => MemberError::Stopped,
            // It may have been taken before leadership was lost.
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => MemberError::InDoubt,
            RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
                ChangeMembershipError::InProgress(_) => MemberError::InProgress,
                ChangeMembershipError::EmptyMembership(_) => MemberError::LastVoter(self.shared.me()),
                ChangeMembershipError::LearnerNotFound(lacking) => MemberError::UnknownNode(lacking.node_id),
            },
        })?;
        // openraft answers a moment before it shows the new members to anybody.
        let mut shown = self.shared.raft.server_metrics();
        let shown = shown.wait_for(|it| *it.membership_config.log_id() >= Some(changed.log_id));
        match tokio::time::timeout_at(deadline, shown).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_closed)) => Err(MemberError::Stopped),
            Err(_late) => Err(MemberError::InDoubt),
        }
    }
}

/// Longest wait for a node that is asked who it is.
const ASK_TIME: Duration = Duration::from_secs(5);

/// Longest wait for a voter that is asked whether it lives.
const ALIVE_TIME: Duration = Duration::from_secs(1);

/// Ticks without an answer after which a voter does not count as alive.
const TICKS_UNHEARD_MAX: u32 = 5;

fn check_unused(
    members: &Membership<NodeId, Peer>,
    but: Option<NodeId>,
    peer: &Peer,
) -> Result<(), MemberError> {
    let others = || members.nodes().filter(|(node, _)| Some(**node) != but).map(|(_, other)| other);
    if others().any(|other| other.name == peer.name) {
        return Err(MemberError::NameTaken(peer.name.clone()));
    }
    match others().any(|other| other.address == peer.address) {
        true => Err(MemberError::AddressTaken(peer.address.clone())),
        false => Ok(()),
    }
}
