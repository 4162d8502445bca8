//! Looks whether a control node should be sent requests: it belongs to a cluster, knows who leads, its news are fresh, and its
//! state and its clock are those of the others.

use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use openraft::ServerState;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::lending::Lead;
use crate::raft::node::RaftNode;
use crate::readiness::{Readiness, Standing};
use crate::state::meta;

/// How often the node is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Log time ticks every second; so many missed ones are no hiccup any more.
const FRESH: Duration = Duration::from_secs(5);

/// Looks at the node again and again, until `stop`.
pub(super) fn watch(tasks: &mut JoinSet<&'static str>, parts: &Parts, stop: CancellationToken) -> Readiness {
    let sender = watch::Sender::new(Standing::Starting);
    let readiness = Readiness::new(sender.subscribe());
    let parts = parts.clone();
    tasks.spawn(async move {
        let mut news = News::new(&parts);
        while !stop.is_cancelled() {
            let standing = news.look(&parts);
            if sender.send_if_modified(|known| std::mem::replace(known, standing) != standing) {
                tracing::info!(%standing, "readiness changed");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        sender.send_replace(Standing::Stopping);
        "the watch over readiness"
    });
    readiness
}

/// The newest confirmed moment, and when it became known.
struct News {
    began: Instant,
    log_time_ms: u64,
    since: Option<Instant>,
}

impl News {
    fn new(parts: &Parts) -> Self {
        // What was applied at an earlier start is no news.
        let log_time_ms = parts.control.applied().borrow().log_time_ms;
        Self { began: Instant::now(), log_time_ms, since: None }
    }

    fn look(&mut self, parts: &Parts) -> Standing {
        let log_time_ms = parts.control.applied().borrow().log_time_ms;
        if log_time_ms > self.log_time_ms {
            (self.log_time_ms, self.since) = (log_time_ms, Some(Instant::now()));
        }
        let status = parts.raft.status();
        if !status.members.contains_key(&status.node) {
            return Standing::Alone;
        }
        if status.leader.is_none() {
            return Standing::NoLeader;
        }
        match parts.control.view().and_then(|view| meta::cluster(&view)) {
            // A storage that fails ends the node.
            Ok(None) | Err(_) => return Standing::NoState,
            Ok(Some(_)) => {}
        }
        if parts.raft.agreement().is_in_doubt() {
            return Standing::InDoubt;
        }
        match self.since {
            Some(since) if since.elapsed() < FRESH => clock_standing(parts.clock.now(), log_time_ms),
            None if self.began.elapsed() < FRESH => Standing::Starting,
            Some(_) | None => Standing::Stale,
        }
    }
}

/// What the node's clock says of it, once log time is fresh: tokens are judged by the clock.
fn clock_standing(now: UnixNanos, log_time_ms: u64) -> Standing {
    let off_ms = (now.0 / 1_000_000).abs_diff(log_time_ms);
    if off_ms > caps::READY_LAG_SECONDS_MAX * 1_000 { Standing::ClockOff } else { Standing::Ready }
}

/// Whether this node leads, as it changes.
pub(super) fn watch_leading(
    tasks: &mut JoinSet<&'static str>,
    raft: RaftNode,
    stop: CancellationToken,
) -> watch::Receiver<bool> {
    let sender = watch::Sender::new(false);
    let leads = sender.subscribe();
    tasks.spawn(async move {
        let mut metrics = raft.raft().server_metrics();
        loop {
            let leading = metrics.borrow_and_update().state == ServerState::Leader;
            sender.send_if_modified(|known| std::mem::replace(known, leading) != leading);
            tokio::select! {
                () = stop.cancelled() => return "the watch over leadership",
                changed = metrics.changed() => if changed.is_err() {
                    // Raft is gone: whoever waits for its end is told so there.
                    stop.cancelled().await;
                    return "the watch over leadership";
                },
            }
        }
    });
    leads
}

/// Who leads, as it changes.
pub(super) fn watch_lead(
    tasks: &mut JoinSet<&'static str>,
    raft: RaftNode,
    stop: CancellationToken,
) -> watch::Receiver<Lead> {
    let sender = watch::Sender::new(Lead::Nobody);
    let lead = sender.subscribe();
    tasks.spawn(async move {
        let mut metrics = raft.raft().server_metrics();
        loop {
            let newest = {
                let metrics = metrics.borrow_and_update();
                let leader = metrics.current_leader.filter(|_| metrics.state != ServerState::Leader);
                let members = metrics.membership_config.membership();
                match leader.and_then(|leader| members.get_node(&leader)) {
                    Some(peer) => Lead::There(peer.address.clone()),
                    None if metrics.state == ServerState::Leader => Lead::Here,
                    None => Lead::Nobody,
                }
            };
            sender.send_if_modified(|known| {
                let changed = *known != newest;
                *known = newest;
                changed
            });
            tokio::select! {
                () = stop.cancelled() => return "the watch over the leader",
                changed = metrics.changed() => if changed.is_err() {
                    // Raft is gone: whoever waits for its end is told so there.
                    stop.cancelled().await;
                    return "the watch over the leader";
                },
            }
        }
    });
    lead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_from_log_time_is_not_ready() {
        let (now, seconds) = (UnixNanos::from_seconds(1_800_000_000), caps::READY_LAG_SECONDS_MAX);
        for (log_time_s, standing) in [
            (1_800_000_000, Standing::Ready),
            (1_800_000_000 - seconds, Standing::Ready),
            (1_800_000_001 + seconds, Standing::ClockOff),
            (1_799_999_999 - seconds, Standing::ClockOff),
        ] {
            assert_eq!(clock_standing(now, log_time_s * 1_000), standing, "{log_time_s}");
        }
    }
}
