//! What the leader does while keys of agent tokens rotate: a new key signs once every data node that can be reached knows it.

use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{Key, KeyKind, SettleKeys};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::command::actor::Actor;
use crate::command::keys_are_to_settle;
use crate::control::ProposeError;
use crate::feed::Acks;
use crate::state::page::PageQuery;
use crate::state::{keys, meta};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_millis(500);

/// How old a key is before it is said of it that everybody knows it: a leader that has just begun has not heard of all data nodes.
const AGE_MIN_MS: u64 = 2_000;

const NAME: &str = "the rotation of keys";

/// Looks while this node leads, until `stop`.
pub(super) fn keep(
    tasks: &mut JoinSet<&'static str>,
    parts: Parts,
    acks: Acks,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    tasks.spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return NAME,
                () = tokio::time::sleep(LOOK) => {}
            }
            let leading = *leads.borrow();
            if leading && let Err(error) = settle(&parts, &acks).await {
                tracing::debug!(%error, "a rotation of keys could not be ended yet");
            }
        }
    });
}

async fn settle(parts: &Parts, acks: &Acks) -> Result<(), ProposeError> {
    let (rows, history) = {
        let view = parts.control.view()?;
        (keys::keys(&view, &PageQuery::first())?.rows, meta::history(&view)?)
    };
    let now_ms = parts.control.applied().borrow().log_time_ms;
    let waiting = rows
        .iter()
        .filter(|key| key.kind() == KeyKind::AgentToken && keys::may_sign(key) && keys::waits(key));
    let known = match waiting.max_by_key(|key| key.created_ms) {
        Some(key) if is_known(parts, acks, key, history, now_ms).await => key.id.clone(),
        Some(_) | None => String::new(),
    };
    if !keys_are_to_settle(&rows, now_ms, &known) {
        return Ok(());
    }
    let actor = Actor::ControlNode(parts.raft.status().node);
    parts.control.propose(SettleKeys { known }, &actor).await.map(|_answer| ())
}

/// Whether every data node that follows a control node has taken over the state with `key`. Not while a control node does not say
/// which follow it.
async fn is_known(parts: &Parts, acks: &Acks, key: &Key, history: u64, now_ms: u64) -> bool {
    if now_ms < key.created_ms.saturating_add(AGE_MIN_MS) {
        return false;
    }
    let enough = |taken_over: (u64, u64)| taken_over >= (history, key.added_index);
    if !acks.nodes().iter().all(|node| enough((node.history, node.index))) {
        return false;
    }
    let within = Duration::from_millis(caps::STANDINGS_ASK_MS);
    let elsewhere = parts.raft.places_elsewhere(within).await;
    elsewhere.is_some_and(|all| all.iter().all(|node| enough((node.history, node.index))))
}
