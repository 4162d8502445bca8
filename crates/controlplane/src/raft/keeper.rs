//! What a node does without being asked: it looks at the members' clocks and states, lets log time tick while it leads, and
//! finishes a change of the membership that another leader left half done.

use std::sync::Arc;
use std::time::Duration;

use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::types::{Batch, NodeId};
use openraft::ServerState;
use tokio::task::JoinSet;

use super::agreement::Difference;
use super::ask;
use super::clocks::Verdict;
use super::shared::{Leader, Shared, count};
use super::submit::{Submitted, submit};

/// Looks at the members' clocks and states until the node stops; keeps a node whose clock is off from leading, and ends one
/// whose state is wrong.
pub(super) async fn watch_members(shared: Arc<Shared>) {
    loop {
        let asked = ask_all(&shared);
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = asked => {}
        }
        // First, so that a node which was started anew with a wrong state does not stand for election.
        if let Some(wrong) = compare_states(&shared) {
            return shared.fail(wrong).await;
        }
        let (before, now) = shared.judge();
        follow_verdict(&shared, before, now);
        let pause = if now == Verdict::Unknown { shared.timings.tick / 10 } else { shared.timings.tick };
        let mut members = shared.raft.server_metrics();
        members.mark_unchanged();
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            // A new voter's clock counts at once; a change of the leader is looked at, too, and costs a question each.
            _ = members.changed() => {}
        }
    }
}

async fn ask_all(shared: &Arc<Shared>) {
    let members = shared.membership();
    shared.peers.keep(|node| node == 0 || members.get_node(&node).is_some());
    shared.clocks().keep(|node| members.get_node(&node).is_some());
    shared.states().keep(|node| members.get_node(&node).is_some());
    shared.states().begin_round();
    let within = shared.timings.tick / 2;
    let mut asked = JoinSet::new();
    for (node, peer) in members.nodes().filter(|(node, _)| **node != shared.me()) {
        let (shared, node, peer) = (Arc::clone(shared), *node, peer.clone());
        asked.spawn(async move {
            if let Ok(answer) = ask::status(&shared.peers, node, &peer, within).await {
                shared.clocks().note(node, answer.wall_ms, answer.at);
                shared.states().note(node, answer.checkpoints);
            }
        });
    }
    while asked.join_next().await.is_some() {}
}

/// Compares what the members said of their states with this node's (RAFT-2): why this node has to end, if it has to.
fn compare_states(shared: &Shared) -> Option<String> {
    let compared = shared.states().compare(&shared.local.checkpoints());
    count(&shared.counters.state_comparisons, compared.members);
    count(&shared.counters.state_differences, compared.began.len());
    if let Some(wrong) = compared.wrong {
        let members: Vec<String> = wrong.members.iter().map(|node| format!("{node:016x}")).collect();
        let Checkpoint { index, history, digest } = wrong.point;
        tracing::error!(index, history, %digest, theirs = %wrong.theirs, ?members, "the state of this node is wrong");
        return Some(format!(
            "the state of this node is wrong: after entry {index} of history {history} its digest differs from the one on \
             which {} other nodes agree ({}); replace it like a node that lost its data, and keep its data directory to find out why",
            members.len(),
            members.join(", ")
        ));
    }
    for (node, Difference { history, index, doubt }) in compared.began {
        let node = format!("{node:016x}");
        match doubt {
            true => tracing::error!(
                node,
                index,
                history,
                "the states of this node and another differ after the same entry, and nobody can tell which is right"
            ),
            false => tracing::error!(
                node,
                index,
                history,
                "the state of another node is wrong: it differs after the same entry from the one on which this node agrees \
                 with others"
            ),
        }
    }
    for node in compared.ended {
        tracing::warn!(
            node = format!("{node:016x}"),
            "the state of another node, which differed, is equal again"
        );
    }
    None
}

/// Stands for election and sends heartbeats only with a fit clock.
///
/// openraft cannot hand over leadership. A leader that sends nothing any more loses it: the others elect somebody else
/// when they have not heard of it for an election timeout, and it follows as soon as it hears of that.
fn follow_verdict(shared: &Shared, before: Verdict, now: Verdict) {
    let config = shared.raft.runtime_config();
    config.elect(now == Verdict::Fit);
    config.heartbeat(!matches!(now, Verdict::Off { .. }));
    match (before, now) {
        (Verdict::Off { .. }, Verdict::Off { .. }) => {}
        (_, Verdict::Off { ahead_ms }) => tracing::error!(
            ahead_ms,
            "the clock of this node is off the median of the voters: it does not lead until that is put right"
        ),
        (Verdict::Off { .. }, Verdict::Fit) => {
            tracing::info!("the clock of this node is right again: it may lead")
        }
        (_, Verdict::Fit | Verdict::Unknown) => {}
    }
}

/// Lets log time tick while this node leads and nothing else is proposed.
pub(super) async fn tick(shared: Arc<Shared>) {
    loop {
        let due = shared.timings.tick.saturating_sub(shared.log_time_age());
        let leads = shared.leader() == Leader::Here;
        if leads && due.is_zero() {
            // An answer that does not come is waited for: more of the same would not come either.
            let ticked = async {
                if tick_once(&shared).await != Ticked::Done {
                    tokio::time::sleep(shared.timings.tick).await;
                }
            };
            tokio::select! {
                () = shared.stop.cancelled() => return,
                () = ticked => {}
                () = lost(&shared) => {}
            }
            continue;
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(due.max(SHORTEST_PAUSE)), if leads => {}
            () = shared.leader_may_have_changed(), if !leads => {}
        }
    }
}

/// Shortest pause between two looks at whether a tick is due.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// Waits until this node does not lead.
async fn lost(shared: &Shared) {
    let mut metrics = shared.raft.server_metrics();
    // An error means that Raft has stopped: then it leads no more, either.
    let _ = metrics.wait_for(|metrics| metrics.state != ServerState::Leader).await;
}

/// What became of a tick.
#[derive(PartialEq, Eq)]
enum Ticked {
    Done,
    NotTaken,
}

/// Proposes empty entries until log time has reached the clock: one, unless the clock is confirmed and far ahead.
async fn tick_once(shared: &Shared) -> Ticked {
    loop {
        let stamp = shared.stamp();
        count(&shared.counters.ticks, 1);
        let entry = Batch { log_time_ms: stamp.log_time_ms, commands: Vec::new() };
        match submit(&shared.raft, shared.me(), entry).await {
            Submitted::Applied { .. } if stamp.behind => {}
            Submitted::Applied { .. } => return Ticked::Done,
            Submitted::NotTaken | Submitted::Unknown | Submitted::Stopped => return Ticked::NotTaken,
        }
    }
}

/// Finishes a change of the membership that an earlier leader left between its two steps.
pub(super) async fn finish_changes(shared: Arc<Shared>) {
    let mut metrics = shared.raft.server_metrics();
    loop {
        let half_done = {
            let metrics = metrics.borrow_and_update();
            let members = metrics.membership_config.membership();
            (metrics.state == ServerState::Leader && members.get_joint_config().len() > 1)
                .then(|| members.get_joint_config().last().cloned().unwrap_or_default())
        };
        if let Some(voters) = half_done
            // Whoever is changing it here does the second step as well.
            && let Ok(_changing) = shared.changing.try_lock()
        {
            let voters: std::collections::BTreeSet<NodeId> = voters;
            tracing::info!(?voters, "finishing a change of the membership");
            let changed = shared.raft.change_membership(voters, false);
            let within = shared.timings.election_max * 4;
            match tokio::time::timeout(within, changed).await {
                Ok(Ok(_)) => tracing::info!("a change of the membership is finished"),
                Ok(Err(error)) => tracing::warn!(%error, "a change of the membership cannot be finished yet"),
                Err(_late) => tracing::warn!("a change of the membership takes long to finish"),
            }
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            changed = metrics.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(shared.timings.tick) => {}
        }
    }
}
