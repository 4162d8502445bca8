//! What the leader does unasked, now and then: what has ended by itself is removed from the state.

use std::time::Duration;

use aegis_model::ids::TenantId;
use aegis_proto::control::{SweepChunks, SweepExpired, SweepLimits, done};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::command::Request;
use crate::command::actor::Actor;
use crate::control::ProposeError;
use crate::state::page::PageQuery;
use crate::state::{meta, tenants};

/// How often it is looked for what has ended. What waits to be removed is bounded, so this may be seldom.
const LOOK: Duration = Duration::from_secs(600);

/// Most sweeps of one thing in a row: the rest waits for the next look.
const SWEEPS_MAX: usize = 16;

/// Looks while this node leads, until `stop`.
pub(super) fn keep(
    tasks: &mut JoinSet<&'static str>,
    parts: Parts,
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
            if leading && let Err(error) = sweep(&parts).await {
                tracing::debug!(%error, "what has ended could not be removed yet");
            }
        }
    });
}

const NAME: &str = "the removal of what has ended";

async fn sweep(parts: &Parts) -> Result<(), ProposeError> {
    for request in due(parts)? {
        for _ in 0..SWEEPS_MAX {
            let actor = Actor::ControlNode(parts.raft.status().node);
            let answer = parts.control.propose(request.clone(), &actor).await?;
            if !matches!(answer.result(), Some(done::Result::Swept(swept)) if swept.more) {
                break;
            }
        }
    }
    Ok(())
}

/// The sweeps that may find something.
fn due(parts: &Parts) -> Result<Vec<Request>, ProposeError> {
    let view = parts.control.view()?;
    let mut due = Vec::new();
    let counters = meta::counters(&view)?;
    if counters.remembered > 0 {
        due.push(SweepExpired { tenant: String::new() }.into());
    }
    if counters.budgets > 0 || counters.rates > 0 {
        due.push(SweepLimits {}.into());
    }
    let mut query = PageQuery::first();
    loop {
        let page = tenants::tenants(&view, &query)?;
        for row in &page.rows {
            let Ok(tenant) = row.name.parse::<TenantId>() else { continue };
            let counters = tenants::counters(&view, &tenant)?;
            if counters.chunks_loose > 0 {
                due.push(SweepChunks { tenant: row.name.clone() }.into());
            }
            if counters.revocations > 0 {
                due.push(SweepExpired { tenant: row.name.clone() }.into());
            }
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(due),
        }
    }
}
