//! Changes of the membership asked for at any node: made here, or by the leader for this node.

use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::raft_change_members_request::Change as Asked;
use aegis_proto::v1::raft_change_members_response::Outcome;
use aegis_raft_store::types::{NodeId, Peer};

use super::membership::{MemberError, Members};
use super::node::RaftNode;
use super::peers::{CallError, Lane};
use super::shared::Leader;
use super::wire::Malformed;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The node that runs there joins as a learner.
    Join(Peer),
    /// The learner becomes a voter, once it has caught up within [`caps::MEMBER_CATCH_UP_SECONDS`].
    Promote(NodeId),
    /// The node is removed for good.
    Remove(NodeId),
}

/// Why the membership was not changed, as the node says that would have changed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotChanged {
    /// A stable word, e.g. `not_leader`.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// Whether it is as wanted already: the node is a member, a voter or removed.
    pub already: bool,
    /// Whether it may be changed nevertheless, now or later.
    pub in_doubt: bool,
}

/// Longest time for the change itself.
const CHANGE: Duration = Duration::from_secs(caps::MEMBER_CHANGE_SECONDS);

/// Longest wait for a learner to catch up.
const CATCH_UP: Duration = Duration::from_secs(caps::MEMBER_CATCH_UP_SECONDS);

impl RaftNode {
    /// Changes the membership, here or at the leader, and returns when this node shows it: the id of the node that it was
    /// about.
    ///
    /// # Errors
    /// [`NotChanged`]
    pub async fn change_members(&self, change: Change) -> Result<NodeId, NotChanged> {
        match self.shared().leader() {
            Leader::There(node, peer) => {
                let changed = self.ask_leader(node, &peer, &change).await?;
                self.until_shown(&change, changed).await;
                Ok(changed)
            }
            Leader::Here | Leader::Nobody | Leader::Unfit => Ok(make(&self.members(), change).await?),
        }
    }

    async fn ask_leader(&self, leader: NodeId, peer: &Peer, change: &Change) -> Result<NodeId, NotChanged> {
        let peers = &self.shared().peers;
        let request = v1::RaftChangeMembersRequest {
            sender: Some(peers.envelope().sender()),
            target: leader,
            change: Some(change.into()),
        };
        let mut client = peers.client(leader, peer, Lane::Ask).map_err(not_asked)?;
        let asked = tokio::time::timeout(CATCH_UP + CHANGE, client.change_members(request)).await;
        let late =
            |_elapsed| not_asked(CallError::Interrupted(format!("`{}` did not answer in time", peer.name)));
        let answer = asked.map_err(late)?;
        let answer =
            answer.map_err(|status| not_asked(peers.failed(leader, Lane::Ask, &status)))?.into_inner();
        let checked = peers.envelope().check_answer(answer.sender.as_ref(), leader);
        checked.map_err(|refused| not_asked(peers.misanswered(leader, Lane::Ask, &refused)))?;
        peers.answered(leader, Lane::Ask);
        match answer.outcome {
            Some(Outcome::Changed(node)) => Ok(node),
            Some(Outcome::NotChanged(why)) => Err(why.into()),
            None => Err(not_asked(CallError::Interrupted(format!("`{}` answered with nothing", peer.name)))),
        }
    }

    /// Waits until this node shows what the leader has changed, but not for long: it is changed all the same.
    async fn until_shown(&self, change: &Change, node: NodeId) {
        // Nobody tells a node that was removed.
        if *change == Change::Remove(self.shared().me()) {
            return;
        }
        let mut metrics = self.raft().metrics();
        let shown = metrics.wait_for(|metrics| {
            let members = metrics.membership_config.membership();
            match change {
                Change::Join(_) => members.get_node(&node).is_some(),
                Change::Promote(_) => members.voter_ids().any(|voter| voter == node),
                Change::Remove(_) => members.get_node(&node).is_none(),
            }
        });
        let _late_or_stopped = tokio::time::timeout(SHOWN_WITHIN, shown).await;
    }
}

/// How long an entry that was committed may take to reach a node that follows.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// Makes the change, at the leader.
async fn make(members: &Members, change: Change) -> Result<NodeId, MemberError> {
    match change {
        Change::Join(peer) => members.join(peer, CHANGE).await,
        Change::Promote(node) => {
            members.caught_up(node, CATCH_UP).await?;
            members.promote(node, CHANGE).await.map(|()| node)
        }
        Change::Remove(node) => members.remove(node, CHANGE).await.map(|()| node),
    }
}

/// Answers another node for which this one is the leader.
pub(super) async fn answer(members: &Members, change: Option<Asked>) -> Result<Outcome, Malformed> {
    let change = match change.ok_or(Malformed("change"))? {
        Asked::Join(peer) => Change::Join(Peer { name: peer.name, address: peer.address }),
        Asked::Promote(node) => Change::Promote(node),
        Asked::Remove(node) => Change::Remove(node),
    };
    tracing::info!(?change, "another control node was asked to change the membership");
    Ok(match make(members, change).await {
        Ok(node) => Outcome::Changed(node),
        Err(error) => Outcome::NotChanged(NotChanged::from(error).into()),
    })
}

fn not_asked(error: CallError) -> NotChanged {
    let (code, in_doubt) = match error {
        CallError::NotReached(_) => ("leader_unreachable", false),
        CallError::Interrupted(_) => ("unknown_outcome", true),
    };
    let message = format!("the leader cannot be asked to change the membership: {error}");
    NotChanged { code: code.to_owned(), message, retryable: true, already: false, in_doubt }
}

impl From<&Change> for Asked {
    fn from(change: &Change) -> Self {
        match change {
            Change::Join(Peer { name, address }) => {
                Self::Join(v1::RaftMember { node: 0, name: name.clone(), address: address.clone() })
            }
            Change::Promote(node) => Self::Promote(*node),
            Change::Remove(node) => Self::Remove(*node),
        }
    }
}

impl From<MemberError> for NotChanged {
    fn from(error: MemberError) -> Self {
        let already = matches!(
            error,
            MemberError::AlreadyMember(_)
                | MemberError::AlreadyVoter(_)
                | MemberError::Removed(_)
                | MemberError::NameTaken(_)
                | MemberError::AddressTaken(_)
        );
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            retryable: error.retryable(),
            already,
            in_doubt: matches!(error, MemberError::InDoubt),
        }
    }
}

impl From<v1::RaftNotChanged> for NotChanged {
    fn from(told: v1::RaftNotChanged) -> Self {
        let v1::RaftNotChanged { code, message, retryable, already, in_doubt } = told;
        Self { code, message, retryable, already, in_doubt }
    }
}

impl From<NotChanged> for v1::RaftNotChanged {
    fn from(why: NotChanged) -> Self {
        let NotChanged { code, message, retryable, already, in_doubt } = why;
        Self { code, message, retryable, already, in_doubt }
    }
}
