//! Answers questions, one at a time, in a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use aegis_audit::record::Chain;
use aegis_audit::search::{Filter, Folder, Found, Growing, Limits, Logs, Position, Sketches, search};
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::TenantId;
use tokio::sync::oneshot;

use super::LogsFolder;

/// What is asked, in forms that cannot be wrong.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) tenant: TenantId,
    pub(super) filter: Filter,
    pub(super) from: Option<Position>,
    pub(super) hits_max: usize,
    pub(super) bytes_max: usize,
}

/// The log of this life, as far as it may be shown.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) life: u64,
    pub(super) origin: String,
    /// How many entries its newest checkpoint covers.
    pub(super) synced: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Too many questions wait.
    Busy,
    /// The logs cannot be read.
    Unreadable,
}

/// Where questions are left. Its thread ends with it.
#[derive(Debug)]
pub(super) struct Desk {
    queue: SyncSender<Job>,
}

#[derive(Debug)]
struct Job {
    question: Question,
    running: Option<Running>,
    answer: oneshot::Sender<Result<Found, NoAnswer>>,
}

impl Desk {
    /// Answers from the logs in `folder`, which other threads write.
    ///
    /// # Errors
    /// There is no thread.
    pub(super) fn open(folder: LogsFolder, clock: Clock) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(caps::SEARCH_QUEUE_MAX);
        let thread = std::thread::Builder::new().name("aegis-search".to_owned());
        thread.spawn(move || work(&folder, &clock, &jobs))?;
        Ok(Self { queue })
    }

    /// Leaves a question: never blocks.
    pub(super) async fn ask(&self, question: Question, running: Option<Running>) -> Result<Found, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let job = Job { question, running, answer };
        self.queue.try_send(job).map_err(|_full_or_gone| NoAnswer::Busy)?;
        // The thread answers, but for one that panicked: then the next question finds nobody.
        answered.await.unwrap_or(Err(NoAnswer::Unreadable))
    }
}

fn work(folder: &LogsFolder, clock: &Clock, jobs: &Receiver<Job>) {
    let mut sketches = Sketches::default();
    for job in jobs {
        // Whoever asked may have gone while it waited.
        if job.answer.is_closed() {
            continue;
        }
        let found = answer(folder, clock, &job, &mut sketches).map_err(|error| {
            tracing::error!(%error, tenant = %job.question.tenant, "the node's logs cannot be searched");
            NoAnswer::Unreadable
        });
        // The same.
        drop(job.answer.send(found));
    }
}

fn answer(folder: &LogsFolder, clock: &Clock, job: &Job, sketches: &mut Sketches) -> std::io::Result<Found> {
    let Job { question, running, .. } = job;
    let shelf = Folder { disk: folder.disk.clone(), root: folder.root.clone() };
    let log = running.as_ref().map(|running| folder.root.join(running.life.to_string()));
    let growing = running.as_ref().zip(log.as_deref()).map(|(running, log)| Growing {
        disk: &*folder.disk,
        folder: log,
        origin: &running.origin,
        life: running.life,
        synced: running.synced,
    });
    let logs = Logs { shelves: &[&shelf], growing };
    let limits = Limits {
        hits: question.hits_max,
        hit_bytes: question.bytes_max,
        read_bytes: caps::SEARCH_READ_BYTES_MAX,
    };
    let began = clock.monotonic();
    let enough = Duration::from_millis(caps::SEARCH_WORK_MS);
    let chain = Chain::Tenant(question.tenant.clone());
    let go_on = || clock.monotonic().since(began) < enough;
    search(&logs, &chain, &question.filter, question.from, limits, sketches, go_on)
}
