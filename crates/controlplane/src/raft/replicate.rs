//! The state machine over Raft: what [`Control`](crate::control::Control) needs of this module.
//!
//! Beside passing on, a node does two things here that are commands of its own. It announces itself, so that the state
//! knows every member's name, address and level. And after a restore it begins the new history, before it takes
//! anything from others: the store counts restores by itself, and where its count is ahead of the state's, the state has
//! to follow.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{AdvanceHistory, RetireMember, SetMember};
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::store::StoreHandle;
use aegis_raft_store::tables::{StateRead, StateView, StoreError};
use aegis_raft_store::types::{NodeId, Peer};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::watch;

use super::node::RaftNode;
use super::proposal::{NotAccepted, ProposeError as RaftProposeError};
use super::read::ReadError as RaftReadError;
use super::shared::Local;
use crate::command::actor::Actor;
use crate::command::{LEVEL, Request, response};
use crate::control::{Applied, ProposeError, ReadError, Replicate};
use crate::state::{members, meta};

/// The state of the control plane, as replication asks of it.
pub struct ControlState {
    store: StoreHandle,
}

impl ControlState {
    /// That of `store`.
    pub fn new(store: StoreHandle) -> Arc<Self> {
        Arc::new(Self { store })
    }
}

impl Local for ControlState {
    fn log_time_ms(&self) -> u64 {
        self.store.applied().borrow().log_time_ms
    }

    fn is_retired(&self, node: NodeId) -> bool {
        let member = self.store.view().and_then(|view| members::member(&view, node));
        matches!(member, Ok(Some(member)) if member.retired_ms > 0)
    }

    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.store.checkpoints()
    }

    fn retire(&self, node: NodeId, peer: &Peer) -> Vec<Vec<u8>> {
        let actor = Actor::ControlNode(self.store.node_id());
        let known = self.store.view().and_then(|view| members::member(&view, node));
        let retire = Request::from(RetireMember { id: node }).encode(&actor);
        match known {
            Ok(Some(_)) => vec![retire],
            // A node that died before it announced itself has no row that could be marked yet.
            Ok(None) | Err(_) => {
                let announced = SetMember {
                    id: node,
                    name: peer.name.clone(),
                    address: peer.address.clone(),
                    software: "unknown".to_owned(),
                    level: LEVEL,
                };
                vec![Request::from(announced).encode(&actor), retire]
            }
        }
    }
}

/// The control plane's state over Raft.
#[derive(Clone)]
pub struct Replicated {
    node: RaftNode,
    store: StoreHandle,
    applied: watch::Receiver<Applied>,
}

impl Replicated {
    /// That of `node`, which was started over `store` and [`ControlState`]. `software` is the version that the node
    /// announces.
    ///
    /// # Errors
    /// The storage failed.
    pub fn new(node: RaftNode, store: StoreHandle, software: &str) -> Result<Self, StoreError> {
        let sender = watch::Sender::new(read_applied(&store)?);
        let replicated = Self { applied: sender.subscribe(), node: node.clone(), store };
        node.own(publish(replicated.clone(), sender));
        node.own(introduce(replicated.clone(), software.to_owned()));
        Ok(replicated)
    }

    /// The node.
    pub fn node(&self) -> &RaftNode {
        &self.node
    }

    /// The history of the state and the one that the store knows of, where the state has not followed yet.
    fn pending_history(&self) -> Result<Option<AdvanceHistory>, StoreError> {
        let counted = self.store.applied().borrow().history;
        let known = meta::history(&self.store.view()?)?;
        Ok((known > 0 && known < counted).then_some(AdvanceHistory { from: known, to: counted }))
    }
}

impl Replicate for Replicated {
    fn propose(&self, command: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, ProposeError>> {
        async move {
            if self.pending_history()?.is_some() {
                return Err(ProposeError::Unavailable(
                    "the restored cluster begins a new history".to_owned(),
                ));
            }
            let bytes = command.len();
            let within = Duration::from_secs(caps::PROPOSE_SECONDS);
            match self.node.propose(command, within).await {
                Ok(done) => Ok(done.response),
                Err(RaftProposeError::Unknown) => Err(ProposeError::Unknown(
                    "the leader was lost, or did not answer in time, while it had the command".to_owned(),
                )),
                Err(RaftProposeError::NotAccepted(why)) => Err(match why {
                    NotAccepted::TooLarge => ProposeError::TooLarge { bytes },
                    NotAccepted::Overloaded => ProposeError::Overloaded,
                    NotAccepted::TooLate
                    | NotAccepted::NotLeader(_)
                    | NotAccepted::Clock
                    | NotAccepted::Stopped => ProposeError::Unavailable(why.to_string()),
                }),
            }
        }
        .boxed()
    }

    fn linearize(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        async move {
            match self.node.linearize(Duration::from_secs(caps::READ_SECONDS)).await {
                Ok(_) => Ok(()),
                Err(
                    why @ (RaftReadError::NotLeader(_)
                    | RaftReadError::TooLate
                    | RaftReadError::Overloaded
                    | RaftReadError::Stopped),
                ) => Err(ReadError::Unavailable(why.to_string())),
            }
        }
        .boxed()
    }

    fn view(&self) -> Result<StateView, StoreError> {
        self.store.view()
    }

    fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }
}

fn read_applied(store: &StoreHandle) -> Result<Applied, StoreError> {
    let view = store.view()?;
    let at = view.applied()?;
    // Never an older history than the store knows of, also before the state has followed (POL-2).
    let history = match meta::history(&view)? {
        0 => 0,
        known => known.max(at.history),
    };
    Ok(Applied { history, index: at.index, log_time_ms: at.log_time_ms, digest: at.digest })
}

/// Tells who watches how far the state has come, until the node stops.
async fn publish(replicated: Replicated, sender: watch::Sender<Applied>) {
    let mut store = replicated.store.applied();
    loop {
        tokio::select! {
            () = replicated.node.stopping() => return,
            changed = store.changed() => if changed.is_err() { return },
        }
        store.mark_unchanged();
        match read_applied(&replicated.store) {
            Ok(applied) => {
                sender.send_if_modified(|now| {
                    *now != applied && {
                        *now = applied;
                        true
                    }
                });
            }
            // The store says so itself, and ends the node.
            Err(error) => return tracing::error!(%error, "the applied state cannot be read"),
        }
    }
}

/// Begins the history of a restored cluster, and keeps this node's row in the state what it should be.
async fn introduce(replicated: Replicated, software: String) {
    let mut applied = replicated.applied.clone();
    loop {
        if let Err(error) = introduce_once(&replicated, &software).await {
            tracing::debug!(%error, "this node could not introduce itself yet");
        }
        applied.mark_unchanged();
        tokio::select! {
            () = replicated.node.stopping() => return,
            () = tokio::time::sleep(INTRODUCE_PAUSE) => {}
        }
        // Nothing to look at while nothing changes.
        tokio::select! {
            () = replicated.node.stopping() => return,
            changed = applied.changed() => if changed.is_err() { return },
        }
    }
}

/// Pause between two looks at the state: what is looked for changes with a restore or an upgrade.
const INTRODUCE_PAUSE: Duration = Duration::from_secs(1);

async fn introduce_once(replicated: &Replicated, software: &str) -> Result<(), ProposeError> {
    let me = replicated.store.node_id();
    let actor = Actor::ControlNode(me);
    if let Some(pending) = replicated.pending_history()? {
        if replicated.node.leads() {
            tracing::warn!(
                history = pending.to,
                "this cluster was restored from a backup: a new history begins"
            );
            command(replicated, pending.into(), &actor).await?;
        }
        return Ok(());
    }
    let view = replicated.store.view()?;
    let Some(peer) = replicated.node.status().members.get(&me).map(|(peer, _)| peer.clone()) else {
        return Ok(());
    };
    if meta::cluster(&view)?.is_none() || is_announced(&view, me, &peer, software)? {
        return Ok(());
    }
    drop(view);
    let announced = SetMember {
        id: me,
        name: peer.name,
        address: peer.address,
        software: software.to_owned(),
        level: LEVEL,
    };
    command(replicated, announced.into(), &actor).await
}

fn is_announced(view: &impl StateRead, me: NodeId, peer: &Peer, software: &str) -> Result<bool, StoreError> {
    Ok(members::member(view, me)?.is_some_and(|row| {
        row.name == peer.name && row.address == peer.address && row.software == software && row.level == LEVEL
    }))
}

async fn command(replicated: &Replicated, request: Request, actor: &Actor) -> Result<(), ProposeError> {
    let within = Duration::from_secs(caps::PROPOSE_SECONDS);
    let done = replicated.node.propose(request.encode(actor), within).await;
    let done = done.map_err(|error| ProposeError::Unavailable(error.to_string()))?;
    response::read(&done.response)??;
    Ok(())
}
