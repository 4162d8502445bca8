//! How far the object store is, asked of the leader: it keeps the store, and nobody else knows.

use std::sync::Arc;
use std::time::Duration;

use aegis_proto::v1;
use aegis_raft_store::types::{NodeId, Peer};

use super::node::RaftNode;
use super::peers::{CallError, Lane, Peers};
use super::shared::Leader;

/// Says how far *this* control node's object store is: the worker in a node.
pub trait StoreKeeper: Send + Sync + 'static {
    /// How far it is; nothing where this node does not keep it.
    fn kept(&self) -> Option<v1::RaftObjectStore>;
}

/// Nobody could say how far the object store is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// Nobody leads, as far as this node knows.
    #[error("no leader is known")]
    NoLeader,
    /// The leader did not answer.
    #[error("the leader cannot be asked: {0}")]
    NotReached(String),
}

impl RaftNode {
    /// Lets `keeper` answer, also when other control nodes ask. Whoever is named first answers for the life of the node.
    pub fn answer_object_store(&self, keeper: Arc<dyn StoreKeeper>) {
        let _first_one_stays = self.shared().object_store.set(keeper);
    }

    /// How far the object store is that the leader keeps; nothing where it keeps none. From any node.
    ///
    /// # Errors
    /// [`NotTold`]
    pub async fn object_store_at_leader(
        &self,
        within: Duration,
    ) -> Result<Option<v1::RaftObjectStore>, NotTold> {
        let shared = self.shared();
        match shared.leader() {
            Leader::Here => Ok(shared.object_store.get().and_then(|it| it.kept())),
            Leader::There(node, peer) => {
                let told = ask(&shared.peers, node, &peer, within).await;
                told.map_err(|error| NotTold::NotReached(error.to_string()))
            }
            Leader::Nobody | Leader::Unfit => Err(NotTold::NoLeader),
        }
    }
}

async fn ask(
    peers: &Peers,
    node: NodeId,
    peer: &Peer,
    within: Duration,
) -> Result<Option<v1::RaftObjectStore>, CallError> {
    let request = v1::RaftObjectStoreRequest { sender: Some(peers.envelope().sender()), target: node };
    let mut client = peers.client(node, peer, Lane::Ask)?;
    let answer = tokio::time::timeout(within, client.object_store(request))
        .await
        .map_err(|_late| CallError::NotReached(format!("`{}` did not answer within {within:?}", peer.name)))?
        .map_err(|status| peers.failed(node, Lane::Ask, &status))?
        .into_inner();
    let checked = peers.envelope().check_answer(answer.sender.as_ref(), node);
    checked.map_err(|refused| peers.misanswered(node, Lane::Ask, &refused))?;
    peers.answered(node, Lane::Ask);
    Ok(answer.store)
}
