//! Answers questions, one at a time, in a thread of its own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use aegis_audit::record::Chain;
use aegis_audit::search::{
    CopyShelf, Filter, Folder, Found, Growing, Known, Lack, Limits, Logs, Position, Shelf, Sketches, search,
};
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::TenantId;
use tokio::sync::oneshot;

use super::LogsFolder;
use super::copies::{OfStore, Store};
use super::counts::{Counts, Ended};

/// What is asked, in forms that cannot be wrong.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) tenant: TenantId,
    pub(super) filter: Filter,
    pub(super) from: Option<Position>,
    pub(super) hits_max: usize,
    pub(super) bytes_max: usize,
    /// Whether the logs are another node's, of which there are copies only.
    pub(super) copies_only: bool,
    /// What the control log knows of the logs, by life.
    pub(super) known: BTreeMap<u64, Known>,
}

/// What was found, and what could not be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) found: Found,
    /// By life.
    pub(super) lacks: Vec<(u64, Lack)>,
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
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Job {
    question: Question,
    running: Option<Running>,
    answer: oneshot::Sender<Result<Answer, NoAnswer>>,
}

impl Desk {
    /// Answers from the logs in `folder`, which other threads write, and from the copies in `store` of those that are not there.
    ///
    /// # Errors
    /// There is no thread.
    pub(super) fn open(
        folder: LogsFolder,
        clock: Clock,
        counts: Arc<Counts>,
        store: Option<Store>,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(caps::SEARCH_QUEUE_MAX);
        let thread = std::thread::Builder::new().name("aegis-search".to_owned());
        let counted = Arc::clone(&counts);
        thread.spawn(move || work(&Place { folder, clock, store }, &jobs, &counted))?;
        Ok(Self { queue, counts })
    }

    /// Leaves a question: never blocks.
    pub(super) async fn ask(&self, question: Question, running: Option<Running>) -> Result<Answer, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let job = Job { question, running, answer };
        self.queue.try_send(job).map_err(|_full| self.busy())?;
        // The thread answers whatever happens; without an answer it is gone with the process.
        answered.await.unwrap_or(Err(NoAnswer::Unreadable))
    }

    /// Too many questions wait.
    pub(super) fn busy(&self) -> NoAnswer {
        self.counts.refused(Ended::Busy);
        NoAnswer::Busy
    }
}

/// What a thread answers from.
struct Place {
    folder: LogsFolder,
    clock: Clock,
    store: Option<Store>,
}

fn work(place: &Place, jobs: &Receiver<Job>, counts: &Counts) {
    let mut sketches = Sketches::default();
    for job in jobs {
        // Whoever asked may have gone while it waited.
        if job.answer.is_closed() {
            continue;
        }
        let began = place.clock.monotonic();
        // One question that nobody thought of must not take the answers to all others away.
        let found = catch_unwind(AssertUnwindSafe(|| answer(place, &job, &mut sketches)));
        let took = place.clock.monotonic().since(began);
        let tenant = &job.question.tenant;
        let found = match found {
            Ok(Ok(answer)) => {
                counts.worked(Ended::Answered, took, answer.found.read_bytes);
                Ok(answer)
            }
            Ok(Err(error)) => {
                counts.worked(Ended::Unreadable, took, 0);
                tracing::error!(%error, %tenant, "the node's logs cannot be searched");
                Err(NoAnswer::Unreadable)
            }
            Err(_panic) => {
                counts.worked(Ended::Panicked, took, 0);
                tracing::error!(%tenant, "a search panicked; the next question begins anew");
                // It may have been left half changed.
                sketches = Sketches::default();
                Err(NoAnswer::Unreadable)
            }
        };
        // As above.
        drop(job.answer.send(found));
    }
}

fn answer(place: &Place, job: &Job, sketches: &mut Sketches) -> std::io::Result<Answer> {
    let Job { question, running, .. } = job;
    let Place { folder, clock, store } = place;
    let began = clock.monotonic();
    let mine = Folder { disk: folder.disk.clone(), root: folder.root.clone() };
    let here = if question.copies_only { Vec::new() } else { mine.lives()? };
    // What is in the folder is read there alone: what its node deleted is not to come back from the store.
    let mut known = question.known.clone();
    known.iter_mut().for_each(|(life, known)| known.wanted &= !here.contains(life));
    let gone: Vec<u64> = known.iter().filter(|(_, known)| known.wanted).map(|(life, _)| *life).collect();
    let copies = store.as_ref().map(|store| OfStore::new(store, clock, &known));
    let copies = copies.as_ref().map(|copies| CopyShelf::new(copies, known));

    let log = running.as_ref().map(|running| folder.root.join(running.life.to_string()));
    let growing = running.as_ref().zip(log.as_deref()).filter(|_| !question.copies_only);
    let growing = growing.map(|(running, log)| Growing {
        disk: &*folder.disk,
        folder: log,
        origin: &running.origin,
        life: running.life,
        synced: running.synced,
    });
    let mut shelves: Vec<&dyn Shelf> = Vec::new();
    if !question.copies_only {
        shelves.push(&mine);
    }
    shelves.extend(copies.as_ref().map(|copies| copies as &dyn Shelf));
    let logs = Logs { shelves: &shelves, growing };
    let limits = Limits {
        hits: question.hits_max,
        hit_bytes: question.bytes_max,
        read_bytes: caps::SEARCH_READ_BYTES_MAX,
    };
    let enough = Duration::from_millis(caps::SEARCH_WORK_MS);
    let chain = Chain::Tenant(question.tenant.clone());
    let go_on = || clock.monotonic().since(began) < enough;
    // What is remembered of segments is of this node's; lives are never another's, but why rely on it.
    let mut of_others = Sketches::default();
    let sketches = if question.copies_only { &mut of_others } else { sketches };
    let mut found = search(&logs, &chain, &question.filter, question.from, limits, sketches, go_on)?;
    let lacks = match &copies {
        Some(copies) => {
            copies.vouch(&mut found.hits);
            copies.lacks()
        }
        None => {
            let (top, end) = (question.from.map(|from| from.life), found.rest.map(|rest| rest.life));
            let passed = |life: &u64| top.is_none_or(|top| *life <= top) && end.is_none_or(|end| *life > end);
            gone.into_iter().filter(passed).map(|life| (life, Lack::NotCopied)).collect()
        }
    };
    Ok(Answer { found, lacks })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use aegis_audit::journal::{Disk, DiskFile, SystemDisk};
    use aegis_model::metric::Value;

    use super::*;

    /// The machine's file system, which panics once it is told to.
    struct Trap {
        armed: AtomicBool,
    }

    impl Disk for Trap {
        fn create_dir(&self, path: &Path) -> io::Result<()> {
            SystemDisk.create_dir(path)
        }

        fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            SystemDisk.create(path)
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            SystemDisk.open(path)
        }

        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            SystemDisk.read(path)
        }

        fn list(&self, path: &Path) -> io::Result<Vec<String>> {
            if self.armed.swap(false, Ordering::SeqCst) {
                panic!("put in on purpose");
            }
            SystemDisk.list(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            SystemDisk.rename(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            SystemDisk.remove(path)
        }

        fn remove_dir(&self, path: &Path) -> io::Result<()> {
            SystemDisk.remove_dir(path)
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            SystemDisk.sync_dir(path)
        }

        fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
            SystemDisk.lock(path)
        }
    }

    fn question() -> Question {
        Question {
            tenant: "acme".parse().unwrap(),
            filter: Filter::default(),
            from: None,
            hits_max: 10,
            bytes_max: 1 << 20,
            copies_only: false,
            known: BTreeMap::new(),
        }
    }

    fn ended(counts: &Counts, result: &str) -> f64 {
        let families = counts.families();
        let of = |label: &[(String, String)]| label.iter().any(|(_, value)| value == result);
        let series = families[0].series.iter().find(|series| of(&series.labels)).unwrap();
        let Value::Number(number) = series.value else { return f64::NAN };
        number
    }

    #[tokio::test]
    async fn a_search_that_panics_takes_nothing_from_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Trap { armed: AtomicBool::new(true) });
        let counts = Arc::new(Counts::default());
        let logs = LogsFolder { disk: disk.clone(), root: folder.path().to_owned() };
        let desk = Desk::open(logs, Clock::System, Arc::clone(&counts), None).unwrap();
        assert_eq!(desk.ask(question(), None).await, Err(NoAnswer::Unreadable));
        let Answer { found, lacks } = desk.ask(question(), None).await.unwrap();
        assert!(lacks.is_empty());
        assert_eq!((found.hits.len(), found.rest), (0, None));
        disk.armed.store(true, Ordering::SeqCst);
        assert_eq!(desk.ask(question(), None).await, Err(NoAnswer::Unreadable));
        assert!(desk.ask(question(), None).await.is_ok());
        assert_eq!((ended(&counts, "panicked"), ended(&counts, "answered")), (2.0, 2.0));
        let Value::Distribution(seconds) = &counts.families()[1].series[0].value else {
            panic!("a histogram")
        };
        assert_eq!(seconds.count(), 4);
    }
}
