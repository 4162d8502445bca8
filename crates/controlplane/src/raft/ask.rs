//! Asking another control node how it is.

use std::time::Duration;

use aegis_proto::v1;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::types::{NodeId, Peer};
use tokio::time::Instant;

use super::peers::{CallError, Lane, Peers};
use super::wire;

/// How another node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its id.
    pub(super) node: NodeId,
    /// Its name.
    pub(super) name: String,
    /// What its wall clock showed, in milliseconds since 1970.
    pub(super) wall_ms: u64,
    /// When it did, halfway between question and answer.
    pub(super) at: Instant,
    /// The index of the last entry it has applied.
    pub(super) applied_index: u64,
    /// Whether it has ever been part of a cluster.
    pub(super) initialized: bool,
    /// Digests of its state, the oldest first.
    pub(super) checkpoints: Vec<Checkpoint>,
}

/// Asks the node at the address of `peer`; `node` is 0 when its id is not known yet.
pub(super) async fn status(
    peers: &Peers,
    node: NodeId,
    peer: &Peer,
    within: Duration,
) -> Result<Answer, CallError> {
    let request = v1::RaftStatusRequest { sender: Some(peers.envelope().sender()), target: node };
    let mut client = peers.client(node, peer, Lane::Ask)?;
    let asked = Instant::now();
    let answer = tokio::time::timeout(within, client.status(request))
        .await
        .map_err(|_late| CallError::NotReached(format!("`{}` did not answer within {within:?}", peer.name)))?
        .map_err(|status| peers.failed(node, Lane::Ask, &status))?
        .into_inner();
    let found = answer.sender.as_ref().map_or(0, |sender| sender.node);
    let expected = if node == 0 { found } else { node };
    let checked = peers.envelope().check_answer(answer.sender.as_ref(), expected);
    let read = checked.and_then(|()| Ok(wire::read_checkpoints(&answer.checkpoints)?));
    let checkpoints = read.map_err(|refused| peers.misanswered(node, Lane::Ask, &refused))?;
    peers.answered(node, Lane::Ask);
    Ok(Answer {
        node: found,
        name: answer.sender.map(|sender| sender.name).unwrap_or_default(),
        wall_ms: answer.wall_ms,
        at: asked + asked.elapsed() / 2,
        applied_index: answer.applied_index,
        initialized: answer.initialized,
        checkpoints,
    })
}
