//! What data nodes have put into force, as the feed's server knows it from their acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::watch;

use crate::feed::{Acks, NodeStanding};
use crate::raft::node::RaftNode;
use crate::raft::standings::Standings;
use crate::state::key::EVERYWHERE;

/// The acknowledgements of data nodes. The feed's server in a node; a fixed one in tests.
pub trait Acknowledgements: Send + Sync + 'static {
    /// Changes whenever a data node acknowledges something, comes or goes.
    fn changes(&self) -> watch::Receiver<u64>;

    /// What each data node has said of `tenant`, and nothing of a node that has said nothing. Where a node stands twice,
    /// the better one counts.
    fn of<'s>(&'s self, tenant: &'s TenantId) -> BoxFuture<'s, Vec<Acknowledged>>;

    /// After which pause to look again where nothing has changed here, since others know something that does not show
    /// in [`Acknowledgements::changes`]. Nothing: nobody else knows anything.
    fn pause(&self) -> Option<Duration> {
        None
    }
}

/// What one data node has said of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The data node.
    pub node: u64,
    /// The activation that it has in force; 0: none.
    pub activation: u64,
    /// Why a newer one is not in force; nothing if none is known.
    pub failure: Option<NotInForce>,
    /// The newest state that it has taken over: history and index.
    pub taken_over: (u64, u64),
}

/// Why an activation is not in force at a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotInForce {
    /// The activation.
    pub activation: u64,
    /// A stable word.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// Whether the node tries again by itself.
    pub retrying: bool,
}

/// What the data nodes of the whole cluster say: those that follow this control node, told as they say it, and those that
/// follow others, asked for.
#[derive(Clone)]
pub struct ClusterAcknowledgements {
    here: Acks,
    node: RaftNode,
}

impl ClusterAcknowledgements {
    /// Those of the feed's server `here`, and of the other members of `node`'s cluster; who is answered in turn when they
    /// ask.
    pub fn new(here: Acks, node: RaftNode) -> Self {
        node.answer_standings(Arc::new(here.clone()));
        Self { here, node }
    }
}

impl Acknowledgements for ClusterAcknowledgements {
    fn changes(&self) -> watch::Receiver<u64> {
        self.here.changes()
    }

    fn pause(&self) -> Option<Duration> {
        let others = self.node.status().members.len() > 1;
        others.then_some(Duration::from_millis(caps::STANDINGS_PAUSE_MS))
    }

    fn of<'s>(&'s self, tenant: &'s TenantId) -> BoxFuture<'s, Vec<Acknowledged>> {
        async move {
            let within = Duration::from_millis(caps::STANDINGS_ASK_MS);
            let elsewhere = self.node.standings_elsewhere(tenant.as_str(), within).await;
            let mut all: Vec<Acknowledged> = elsewhere.into_iter().map(read).collect();
            // Later than those of others: a node that came here a moment ago may still stand in another list.
            all.extend(self.here.nodes().iter().map(|node| acknowledged(node, tenant)));
            all
        }
        .boxed()
    }
}

/// What the data nodes say that follow this control node: for a cluster of one.
impl Acknowledgements for Acks {
    fn changes(&self) -> watch::Receiver<u64> {
        Self::changes(self)
    }

    fn of<'s>(&'s self, tenant: &'s TenantId) -> BoxFuture<'s, Vec<Acknowledged>> {
        ready(self.nodes().iter().map(|node| acknowledged(node, tenant)).collect()).boxed()
    }
}

impl Standings for Acks {
    fn standings(&self, tenant: &str) -> Vec<v1::RaftStanding> {
        if tenant == EVERYWHERE {
            let how_far = |node: &NodeStanding| Acknowledged {
                node: node.id,
                taken_over: (node.history, node.index),
                ..Acknowledged::default()
            };
            return self.nodes().iter().map(|node| written(how_far(node))).collect();
        }
        let Ok(tenant) = tenant.parse() else { return Vec::new() };
        self.nodes().iter().map(|node| written(acknowledged(node, &tenant))).collect()
    }
}

fn written(said: Acknowledged) -> v1::RaftStanding {
    let failure = said.failure.unwrap_or_default();
    v1::RaftStanding {
        node: said.node,
        activation: said.activation,
        failed_activation: failure.activation,
        code: failure.code,
        message: failure.message,
        retrying: failure.retrying,
        history: said.taken_over.0,
        index: said.taken_over.1,
    }
}

fn read(standing: v1::RaftStanding) -> Acknowledged {
    let v1::RaftStanding { node, activation, failed_activation, code, message, retrying, history, index } =
        standing;
    let failure = NotInForce { activation: failed_activation, code, message, retrying };
    let failure = (failed_activation > 0).then_some(failure);
    Acknowledged { node, activation, failure, taken_over: (history, index) }
}

fn acknowledged(node: &NodeStanding, tenant: &TenantId) -> Acknowledged {
    let standing = node.tenants.get(tenant);
    let failure = standing.and_then(|it| it.trouble.as_ref()).map(|trouble| NotInForce {
        activation: trouble.activation,
        code: trouble.code.clone(),
        message: trouble.message.clone(),
        retrying: trouble.retrying,
    });
    let activation = standing.map_or(0, |it| it.activation);
    Acknowledged { node: node.id, activation, failure, taken_over: (node.history, node.index) }
}

/// No data node ever says anything: for a control node without the feed.
#[derive(Debug)]
pub struct NoAcknowledgements(watch::Sender<u64>);

impl Default for NoAcknowledgements {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Acknowledgements for NoAcknowledgements {
    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn of<'s>(&'s self, _tenant: &'s TenantId) -> BoxFuture<'s, Vec<Acknowledged>> {
        ready(Vec::new()).boxed()
    }
}
