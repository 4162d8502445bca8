//! Writes down at the leader which requests have ended by themselves. Nothing depends on when: how a request stands follows from the
//! log time.

use std::time::Duration;

use aegis_proto::control::{SweepApprovals, done};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::state::approvals;

/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_secs(1);

/// Looks while `leads`, until `stop`.
pub(crate) async fn keep(control: Control, me: Actor, leads: watch::Receiver<bool>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let leading = *leads.borrow();
        if leading && let Err(error) = sweep(&control, &me).await {
            tracing::debug!(%error, "what has ended of approvals could not be written down yet");
        }
    }
}

async fn sweep(control: &Control, me: &Actor) -> Result<(), ProposeError> {
    loop {
        let now_ms = control.applied().borrow().log_time_ms;
        if approvals::next_due_ms(&control.view()?)?.is_none_or(|due_ms| due_ms > now_ms) {
            return Ok(());
        }
        let answer = control.propose(SweepApprovals {}, me).await?;
        if !matches!(answer.result(), Some(done::Result::Swept(swept)) if swept.more) {
            return Ok(());
        }
    }
}
