//! What the leader does unasked, now and then: what has ended by itself is removed from the state, and what older software made gets
//! the keys that it lacks: a tenant its secret one, the control log the one that signs it.

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
use crate::keys::{self, KeyKind, KeysError};
use crate::state::keys as rows;
use crate::state::page::PageQuery;
use crate::state::{meta, tenant_keys, tenants};

/// How often it is looked for what has ended. What waits to be removed is bounded, so this may be seldom.
const LOOK: Duration = Duration::from_secs(600);

/// Most sweeps of one thing in a row: the rest waits for the next look.
const SWEEPS_MAX: usize = 16;

/// Looks while this node leads, until `stop`.
pub(super) fn keep(
    tasks: &mut JoinSet<&'static str>,
    parts: Parts,
    mut leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    tasks.spawn(async move {
        loop {
            let leading = *leads.borrow_and_update();
            if leading && let Err(error) = give_log_key(&parts).await {
                tracing::warn!(%error, "the control log could not be given its key yet");
            }
            if leading && let Err(error) = give_keys(&parts).await {
                tracing::warn!(%error, "a tenant could not be given its secret key yet");
            }
            tokio::select! {
                () = stop.cancelled() => return NAME,
                () = tokio::time::sleep(LOOK) => {}
                // Nobody tells any more when the node stops.
                Ok(()) = leads.changed() => continue,
            }
            if *leads.borrow()
                && let Err(error) = sweep(&parts).await
            {
                tracing::debug!(%error, "what has ended could not be removed yet");
            }
        }
    });
}

/// Why a key is missing still.
#[derive(Debug, thiserror::Error)]
enum NoKey {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

const NAME: &str = "the removal of what has ended";

/// Gives a cluster that has no key for its control log one.
async fn give_log_key(parts: &Parts) -> Result<(), NoKey> {
    let command = {
        let view = parts.control.view().map_err(ProposeError::from)?;
        let made = meta::cluster(&view).map_err(ProposeError::from)?.is_some();
        let kind = KeyKind::ControlLog;
        if !made || rows::signing(&view, kind.into()).map_err(ProposeError::from)?.is_some() {
            return Ok(());
        }
        keys::rotation(&view, &parts.cluster_keys, kind, &mut rand::rng())?
    };
    parts.control.propose(command, &Actor::ControlNode(parts.raft.status().node)).await?;
    Ok(())
}

/// Gives every living tenant without a secret key its first.
async fn give_keys(parts: &Parts) -> Result<(), NoKey> {
    for tenant in without_key(parts)? {
        let command = {
            let view = parts.control.view().map_err(ProposeError::from)?;
            keys::tenant_key_rotation(&view, &parts.cluster_keys, &tenant, &mut rand::rng())?
        };
        let actor = Actor::ControlNode(parts.raft.status().node);
        parts.control.propose(command, &actor).await?;
    }
    Ok(())
}

fn without_key(parts: &Parts) -> Result<Vec<TenantId>, ProposeError> {
    let view = parts.control.view()?;
    let mut without = Vec::new();
    let mut query = PageQuery::first();
    loop {
        let page = tenants::tenants(&view, &query)?;
        for row in page.rows.iter().filter(|row| row.retired_ms == 0) {
            let Ok(tenant) = row.name.parse::<TenantId>() else { continue };
            if tenant_keys::newest(&tenant_keys::tenant_keys(&view, &tenant)?) == 0 {
                without.push(tenant);
            }
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(without),
        }
    }
}

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
