//! What data nodes have put into force, asked of every control node: each data node follows one of them only.

use std::sync::Arc;
use std::time::Duration;

use aegis_proto::v1;
use aegis_raft_store::types::{NodeId, Peer};
use futures_util::future::join_all;

use super::node::RaftNode;
use super::peers::{CallError, Lane, Peers};
use crate::state::key::EVERYWHERE;

/// What the data nodes that follow *this* control node have put into force: the feed's server in a node.
pub trait Standings: Send + Sync + 'static {
    /// What each has said of `tenant`.
    fn standings(&self, tenant: &str) -> Vec<v1::RaftStanding>;
}

impl RaftNode {
    /// Lets `standings` answer when other control nodes ask. Whoever is named first answers for the life of the node.
    pub fn answer_standings(&self, standings: Arc<dyn Standings>) {
        let _first_one_stays = self.shared().standings.set(standings);
    }

    /// What the data nodes that follow the *other* control nodes have put into force for `tenant`. Of a control node that
    /// does not answer within `within`, nothing is known.
    pub async fn standings_elsewhere(&self, tenant: &str, within: Duration) -> Vec<v1::RaftStanding> {
        let shared = self.shared();
        let members = shared.membership();
        let others = members.nodes().filter(|(id, _)| **id != shared.me());
        let asked = others.map(|(id, peer)| ask(&shared.peers, *id, peer, tenant, within));
        join_all(asked).await.into_iter().filter_map(Result::ok).flatten().collect()
    }
}

impl RaftNode {
    /// How far the data nodes are that follow the *other* control nodes. Nothing if one of those did not answer within `within`: then
    /// nobody knows all of them.
    pub async fn places_elsewhere(&self, within: Duration) -> Option<Vec<v1::RaftStanding>> {
        let shared = self.shared();
        let members = shared.membership();
        let others = members.nodes().filter(|(id, _)| **id != shared.me());
        let asked = others.map(|(id, peer)| ask(&shared.peers, *id, peer, EVERYWHERE, within));
        let answers: Option<Vec<_>> = join_all(asked).await.into_iter().map(Result::ok).collect();
        answers.map(|answers| answers.into_iter().flatten().collect())
    }
}

async fn ask(
    peers: &Peers,
    node: NodeId,
    peer: &Peer,
    tenant: &str,
    within: Duration,
) -> Result<Vec<v1::RaftStanding>, CallError> {
    let sender = Some(peers.envelope().sender());
    let request = v1::RaftStandingsRequest { sender, target: node, tenant: tenant.to_owned() };
    let mut client = peers.client(node, peer, Lane::Ask)?;
    let answer = tokio::time::timeout(within, client.standings(request))
        .await
        .map_err(|_late| CallError::NotReached(format!("`{}` did not answer within {within:?}", peer.name)))?
        .map_err(|status| peers.failed(node, Lane::Ask, &status))?
        .into_inner();
    let checked = peers.envelope().check_answer(answer.sender.as_ref(), node);
    checked.map_err(|refused| peers.misanswered(node, Lane::Ask, &refused))?;
    peers.answered(node, Lane::Ask);
    Ok(answer.standings)
}
