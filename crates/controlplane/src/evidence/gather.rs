//! Checkpoints of many data nodes become one command.

use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{CheckpointNoted, CheckpointReport, CheckpointsNoted, NoteCheckpoints, done};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::state::{journals, meta};

/// A report, and who waits for what becomes of it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) report: CheckpointReport,
    pub(super) answer: oneshot::Sender<Result<CheckpointNoted, Status>>,
}

/// Gathers and proposes until `stopping`. One command is under way at a time; what comes meanwhile is in the next one.
pub(super) async fn run(
    control: &Control,
    actor: &Actor,
    mut inbox: mpsc::Receiver<Waiting>,
    stopping: CancellationToken,
) {
    loop {
        let gathered = tokio::select! {
            () = stopping.cancelled() => return,
            gathered = gather(&mut inbox) => gathered,
        };
        if gathered.is_empty() {
            return;
        }
        let (reports, answers): (Vec<_>, Vec<_>) =
            gathered.into_iter().map(|waiting| (waiting.report, waiting.answer)).unzip();
        let proposed = control.propose(NoteCheckpoints { reports: reports.clone() }, actor).await;
        let noted = match proposed.map(|answer| answer.done.result) {
            Ok(Some(done::Result::CheckpointsNoted(CheckpointsNoted { answers }))) => Ok(answers),
            Ok(_) => Err(Status::internal("the answer is of something else")),
            // Whether it was applied or not: the same report may be sent again.
            Err(error) => Err(Status::unavailable(error.to_string())),
        };
        tell(&reports, answers, noted);
    }
}

/// How often it is looked whether something is to be written down.
const LOOK: Duration = Duration::from_secs(10);

/// Has the newest checkpoints written down in time, also where nobody reports any more: with the next report it would be done
/// by the way.
pub(super) async fn write_down(
    control: &Control,
    actor: &Actor,
    leads: watch::Receiver<bool>,
    stopping: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let leading = *leads.borrow();
        if leading && let Err(error) = write_what_is_due(control, actor).await {
            tracing::debug!(%error, "how far the logs of data nodes are could not be written down yet");
        }
    }
}

async fn write_what_is_due(control: &Control, actor: &Actor) -> Result<(), ProposeError> {
    let now_ms = control.applied().borrow().log_time_ms;
    let due = {
        let view = control.view()?;
        journals::is_due(&view, meta::history(&view)?, now_ms)?
    };
    if due {
        control.propose(NoteCheckpoints::default(), actor).await?;
    }
    Ok(())
}

/// What comes within [`caps::EVIDENCE_GATHER_MS`] of the first; an end of a log waits for no more. Nothing: nobody is left.
async fn gather(inbox: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut gathered = Vec::new();
    let Some(first) = inbox.recv().await else { return gathered };
    let until = Instant::now() + Duration::from_millis(caps::EVIDENCE_GATHER_MS);
    let mut hurry = first.report.closing;
    gathered.push(first);
    while gathered.len() < caps::AUDIT_REPORTS_MAX {
        let next = if hurry {
            inbox.try_recv().ok()
        } else {
            tokio::time::timeout_at(until, inbox.recv()).await.ok().flatten()
        };
        let Some(next) = next else { break };
        hurry |= next.report.closing;
        gathered.push(next);
    }
    gathered
}

fn tell(
    reports: &[CheckpointReport],
    answers: Vec<oneshot::Sender<Result<CheckpointNoted, Status>>>,
    noted: Result<Vec<CheckpointNoted>, Status>,
) {
    let mut noted = noted.map(Vec::into_iter);
    for (report, answer) in reports.iter().zip(answers) {
        let noted = match &mut noted {
            Ok(noted) => noted.next().ok_or_else(|| Status::internal("an answer is missing")),
            Err(status) => Err(status.clone()),
        };
        if let Ok(CheckpointNoted { refused, size, .. }) = &noted
            && !refused.is_empty()
            && refused != "checkpoint_stale"
        {
            tracing::warn!(
                node = report.node,
                log = report.origin,
                code = refused,
                size,
                "a checkpoint is refused"
            );
        }
        // Whoever asked may be gone.
        drop(answer.send(noted));
    }
}
