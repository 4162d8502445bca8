//! The lender's task: it waits until this node leads, takes over, and lends until another one leads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{Lender, TakeLending, done};
use aegis_proto::v1::lend_farewell::Reason;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::reign::{End, Reign, Taken};
use super::stream::{Event, farewell, not_leader};
use super::{Lead, Shared};
use crate::command::actor::Actor;
use crate::control::ProposeError;
use crate::state::{lender, meta};

/// Pause before this node tries again to become the lender.
const PAUSE: Duration = Duration::from_millis(100);

/// Lends whenever this node leads, until `stop`.
pub(super) async fn run(shared: &Shared, mut inbox: mpsc::Receiver<Event>, stop: CancellationToken) {
    while until_leading(shared, &mut inbox, &stop).await {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            taken = take(shared) => taken,
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::debug!(%error, "this node leads and cannot lend yet");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        tracing::info!(term = taken.term, history = taken.history, "this node lends to data nodes");
        shared.counters.reigns.fetch_add(1, Ordering::Relaxed);
        let mut reign = Reign::new(shared, taken);
        let end = reign.run(&mut inbox, &stop).await;
        shared.live.send_replace(Arc::default());
        match &end {
            End::Stopping => reign.end(|| Ok(farewell(Reason::Stopping, "this control node stops"))),
            End::NotLeading => {
                let lead = shared.lead.borrow().clone();
                reign.end(|| Ok(not_leader(&lead)));
            }
            End::History => {
                let message = "the cluster's history has changed; the data node has to start anew";
                reign.end(|| Ok(farewell(Reason::History, message)));
            }
            End::Doubt(why) => {
                tracing::warn!(why, "this node lends no more, until it is the lender anew");
                reign.end(|| Err(Status::unavailable("it is unknown what became of what was asked for")));
            }
        }
        if matches!(end, End::Stopping) {
            break;
        }
    }
    // Whoever is on the way in is told by the end of its stream.
    inbox.close();
    while let Some(event) = inbox.recv().await {
        if let Event::Joined(guest) = event {
            guest.way.end(Ok(farewell(Reason::Stopping, "this control node stops")));
        }
    }
}

/// Waits until this node leads, and sends everybody away until then; `false` when it stops.
async fn until_leading(shared: &Shared, inbox: &mut mpsc::Receiver<Event>, stop: &CancellationToken) -> bool {
    let mut lead = shared.lead.clone();
    loop {
        tokio::select! {
            () = stop.cancelled() => return false,
            leading = lead.wait_for(|lead| *lead == Lead::Here) => return leading.is_ok(),
            Some(event) = inbox.recv() => {
                if let Event::Joined(guest) = event {
                    guest.way.end(Ok(not_leader(&shared.lead.borrow())));
                }
            }
        }
    }
}

/// Why this node could not become the lender.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("there is no cluster yet")]
    NoCluster,
    #[error("another node was faster")]
    Outrun,
    #[error("no quorum answers")]
    Late,
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Read(#[from] crate::control::ReadError),
    #[error(transparent)]
    Store(#[from] aegis_raft_store::tables::StoreError),
}

/// Becomes the newest lender. Everything that older ones had replicated is applied here then, and what they still have on its
/// way will be refused.
async fn take(shared: &Shared) -> Result<Taken, NotTaken> {
    if meta::cluster(&shared.control.view()?)?.is_none() {
        return Err(NotTaken::NoCluster);
    }
    let within = Duration::from_secs(caps::LEND_PROPOSE_SECONDS);
    let actor = Actor::ControlNode(shared.config.id);
    let taken = tokio::time::timeout(within, shared.control.propose(TakeLending {}, &actor)).await;
    let answer = taken.map_err(|_late| NotTaken::Late)??;
    let Some(done::Result::Lending(Lender { term, .. })) = answer.done.result else {
        return Err(NotTaken::Outrun);
    };
    let view =
        tokio::time::timeout(within, shared.control.read()).await.map_err(|_late| NotTaken::Late)??;
    let row = lender::lender(&view)?;
    let cluster = meta::cluster(&view)?.ok_or(NotTaken::NoCluster)?;
    if row.term != term {
        return Err(NotTaken::Outrun);
    }
    let led_since = shared.config.clock.monotonic();
    Ok(Taken { term, history: cluster.history, cluster: cluster.id, led_since, nodes: row.nodes })
}
