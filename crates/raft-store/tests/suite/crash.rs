//! One node under random work on disks that lose power: after each crash exactly what was acknowledged is there.
//!
//! Every case follows from its seed. A crash may come at any write or sync, also while a crash is being recovered
//! from, and the disk keeps any part of what was not synced.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aegis_raft_store::log::LogStore;
use aegis_raft_store::state::StateStore;
use aegis_raft_store::store::{Files, OpenError, Store, StoreHandle, StoreOptions};
use aegis_raft_store::tables::{StateRead, StateView};
use aegis_raft_store::types::{NodeId, TypeConfig};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{Entry, EntryPayload, RaftLogReader, Vote};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::disk::{Disk, Rig};
use crate::machine::{COUNTS, ROWS, Rows, batch, number};

/// Crashes of one case.
const CRASHES: u64 = 6;
/// Steps between two crashes, at most.
const STEPS: u64 = 12;

/// What a case went through.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Images that were opened after a crash.
    pub(crate) images: u64,
    /// Of these, how many lost power again while being opened.
    pub(crate) recoveries_crashed: u64,
    /// Operations acknowledged.
    pub(crate) acknowledged: u64,
    /// Entries that had to be applied again.
    pub(crate) replayed: u64,
}

impl Tally {
    pub(crate) fn and(self, more: Self) -> Self {
        Self {
            images: self.images + more.images,
            recoveries_crashed: self.recoveries_crashed + more.recoveries_crashed,
            acknowledged: self.acknowledged + more.acknowledged,
            replayed: self.replayed + more.replayed,
        }
    }
}

/// What was acknowledged.
#[derive(Debug, Clone, Default)]
struct Model {
    vote: Option<Vote<NodeId>>,
    /// Every entry, also purged ones.
    entries: BTreeMap<u64, Entry<TypeConfig>>,
    purged_next: u64,
    applied_next: u64,
    /// The state with everything before this is on disk for certain.
    covered_next: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(index, _)| index + 1)
    }

    fn term(&self) -> u64 {
        self.entries.last_key_value().map_or(1, |(_, entry)| entry.log_id.leader_id.term)
    }

    /// The rows after every entry before `next`, and how many commands that were.
    fn rows(&self, next: u64) -> (BTreeMap<Vec<u8>, Vec<u8>>, u64) {
        let (mut rows, mut count) = (BTreeMap::new(), 0);
        for (_, entry) in self.entries.range(..next) {
            let EntryPayload::Normal(batch) = &entry.payload else { continue };
            for command in &batch.commands {
                count += 1;
                let mut words = command.splitn(3, |byte| *byte == b' ');
                let (word, key, value) = (words.next(), words.next(), words.next());
                match (word, key, value) {
                    (Some(b"put"), Some(key), Some(value)) => drop(rows.insert(key.to_vec(), value.to_vec())),
                    (Some(b"delete"), Some(key), None) => drop(rows.remove(key)),
                    _ => {}
                }
            }
        }
        (rows, count)
    }
}

/// One thing that Raft asks of its store.
#[derive(Debug, Clone)]
enum Step {
    Vote(Vote<NodeId>),
    Append(Vec<Entry<TypeConfig>>),
    Truncate(u64),
    Purge(u64),
    Apply(u64),
    Sync,
}

impl Step {
    fn random(random: &mut StdRng, model: &Model) -> Self {
        let next = model.next();
        match random.random_range(0..12) {
            0 => Self::Vote(Vote::new(model.vote.map_or(1, |vote| vote.leader_id().term + 1), 1)),
            1..=5 => {
                let term = model.term() + u64::from(random.random_bool(0.1));
                let count = random.random_range(1..5);
                Self::Append((next..next + count).map(|index| random_entry(random, term, index)).collect())
            }
            6 if model.applied_next < next => Self::Truncate(random.random_range(model.applied_next..next)),
            7 if model.purged_next < model.applied_next => {
                Self::Purge(random.random_range(model.purged_next..model.applied_next))
            }
            8..=10 if model.applied_next < next => {
                Self::Apply(random.random_range(model.applied_next + 1..=next))
            }
            _ => Self::Sync,
        }
    }

    /// What is acknowledged once the step is.
    fn note(&self, model: &mut Model) {
        match self {
            Self::Vote(vote) => model.vote = Some(*vote),
            Self::Append(entries) => {
                model.entries.extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
            }
            Self::Truncate(from) => drop(model.entries.split_off(from)),
            Self::Purge(upto) => {
                model.purged_next = upto + 1;
                model.covered_next = model.covered_next.max(upto + 1);
            }
            Self::Apply(next) => model.applied_next = *next,
            Self::Sync => model.covered_next = model.applied_next,
        }
    }
}

fn random_entry(random: &mut StdRng, term: u64, index: u64) -> Entry<TypeConfig> {
    let commands: Vec<String> = (0..random.random_range(0..4))
        .map(|_| {
            let key = random.random_range(0..20);
            match random.random_range(0..4) {
                0 => format!("delete k{key}"),
                // Now and then more than a page.
                1 => format!("put k{key} {}", "x".repeat(random.random_range(0..6_000))),
                _ => format!("put k{key} v{index}"),
            }
        })
        .collect();
    batch(term, index, index * 10, &commands.iter().map(String::as_str).collect::<Vec<_>>())
}

struct Node {
    rig: Rig,
    log_disk: Disk,
    state_disk: Disk,
    log: LogStore,
    state: StateStore,
    handle: StoreHandle,
}

/// Opens a node over two images, on a rig on which the power may go after `crash_after` operations.
fn open(
    folder: &Path,
    images: (Vec<u8>, Vec<u8>),
    crash_after: Option<u64>,
) -> Result<Node, (Disk, Disk, OpenError)> {
    let rig = Rig::default();
    if let Some(operations) = crash_after {
        rig.crash_after(operations);
    }
    let (log_disk, state_disk) = (Disk::new(&rig, images.0), Disk::new(&rig, images.1));
    let database = |disk: &Disk| {
        let opened = Store::builder(1 << 20).create_with_backend(disk.clone());
        opened.map_err(|error| OpenError::Damaged { path: folder.to_owned(), error: error.into() })
    };
    let opened =
        database(&log_disk).and_then(|log| Ok((log, database(&state_disk)?))).and_then(|(log, state)| {
            let files = Files { log, state, directory: folder.to_owned(), lock: None };
            // A small cache, so that reads go to the disk.
            let options = StoreOptions { log_cache_bytes: 4_096, ..StoreOptions::default() };
            Store::over(files, options, Arc::new(Rows))
        });
    match opened {
        Ok((log, state, handle)) => Ok(Node { rig, log_disk, state_disk, log, state, handle }),
        Err(error) => Err((log_disk, state_disk, error)),
    }
}

impl Node {
    /// Asks for `step`: whether it was acknowledged.
    async fn ask(&mut self, step: &Step, model: &Model) -> bool {
        let id = |index: &u64| model.entries[index].log_id;
        match step {
            Step::Vote(vote) => self.log.save_vote(vote).await.is_ok(),
            Step::Append(entries) => self.log.blocking_append(entries.clone()).await.is_ok(),
            Step::Truncate(from) => self.log.truncate(id(from)).await.is_ok(),
            Step::Purge(upto) => self.log.purge(id(upto)).await.is_ok(),
            Step::Apply(next) => {
                let entries = match self.log.try_get_log_entries(model.applied_next..*next).await {
                    Ok(entries) => entries,
                    Err(_) => return false,
                };
                assert_eq!(entries.len() as u64, next - model.applied_next, "an entry to apply is missing");
                let committed = entries.last().map(|last| last.log_id);
                self.log.save_committed(committed).await.is_ok() && self.state.apply(entries).await.is_ok()
            }
            Step::Sync => self.handle.state().sync().await.is_ok(),
        }
    }

    /// Whether everything there is, is what `model` says; else what is not. The state may be behind.
    async fn differs(&mut self, model: &Model) -> Option<String> {
        let vote = self.log.read_vote().await.expect("reads");
        if vote != model.vote {
            return Some(format!("the vote is {vote:?}, not {:?}", model.vote));
        }
        let ends = self.log.get_log_state().await.expect("reads");
        let last = model.entries.last_key_value().map(|(_, entry)| entry.log_id);
        if ends.last_log_id != last {
            return Some(format!("the log ends with {:?}, not {last:?}", ends.last_log_id));
        }
        let purged_next = ends.last_purged_log_id.map_or(0, |log_id| log_id.index + 1);
        if purged_next > model.purged_next {
            return Some(format!("purged up to {purged_next}, not {}", model.purged_next));
        }
        let there = self.log.try_get_log_entries(..).await.expect("reads");
        if !there.iter().eq(model.entries.range(purged_next..).map(|(_, entry)| entry)) {
            return Some("the entries differ".to_owned());
        }
        let committed = self.log.read_committed().await.expect("reads");
        if committed.is_some_and(|committed| committed.index >= model.next()) {
            return Some("more is committed than there is".to_owned());
        }
        let applied = self.state.applied_state().await.expect("reads").0;
        let applied_next = applied.map_or(0, |log_id| log_id.index + 1);
        if applied_next > model.applied_next || applied_next < model.covered_next {
            let (least, most) = (model.covered_next, model.applied_next);
            return Some(format!("applied before {applied_next}, not between {least} and {most}"));
        }
        if applied_next < purged_next {
            return Some(format!("entry {applied_next} is neither in the state nor in the log"));
        }
        state_differs(&self.handle.view().expect("a view"), model, applied_next)
    }
}

fn state_differs(view: &StateView, model: &Model, applied_next: u64) -> Option<String> {
    let (rows, count) = model.rows(applied_next);
    let mut there = BTreeMap::new();
    let collected = view.for_each(ROWS, |key, value| {
        there.insert(key.to_vec(), value.to_vec());
        Ok::<(), aegis_raft_store::tables::StoreError>(())
    });
    collected.expect("reads");
    if there != rows {
        return Some(format!("the rows before entry {applied_next} differ"));
    }
    let counted = view.get(COUNTS, b"count").expect("reads").map_or(0, |count| number(&count));
    (counted != count).then(|| format!("{counted} commands were applied, not {count}"))
}

/// Runs the case of `seed`.
///
/// # Panics
/// Something acknowledged is lost, or something else is there; the message names the seed.
pub(crate) fn run_case(seed: u64) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(case(seed))
}

async fn case(seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a directory");
    let mut tally = Tally::default();
    let mut model = Model::default();
    let mut node =
        open(folder.path(), new_images(), None).map_err(|failed| failed.2).expect("a new node opens");
    // What was asked and not answered: it may be there, whole.
    let mut pending = None;
    for crash in 0..CRASHES {
        let failing = random.random_bool(0.25);
        let operations = random.random_range(0..60);
        if failing {
            node.rig.fail_after(operations)
        } else {
            node.rig.crash_after(operations)
        }
        let unanswered = work(&mut node, &mut model, &mut random, &mut tally, seed).await;
        // After the first one the disk was not touched any more.
        pending = pending.or(unanswered);
        node.rig.crash();
        let images = |log: &Disk, state: &Disk, random: &mut StdRng| {
            (log.image(random.random_range(0..=u64::MAX)), state.image(random.random_range(0..=u64::MAX)))
        };
        let mut left = images(&node.log_disk, &node.state_disk, &mut random);
        drop(node);
        node = loop {
            tally.images += 1;
            let again = random.random_bool(0.4).then(|| random.random_range(0..25));
            match open(folder.path(), left, again) {
                Ok(node) => break node,
                Err((log, state, error)) => {
                    assert!(again.is_some(), "seed {seed}, crash {crash}: it does not open: {error}");
                    tally.recoveries_crashed += 1;
                    left = images(&log, &state, &mut random);
                }
            }
        };
        // A crash planned for the opening may have been planned for later; then it comes later.
        if node.rig.is_broken() {
            continue;
        }
        settle(&mut node, &mut model, pending.take(), seed, crash).await;
        let (replayed, unanswered) = replay(&mut node, &mut model).await;
        tally.replayed += replayed;
        pending = unanswered;
    }
    tally
}

/// Works until the power goes; gives the step that was not answered.
async fn work(
    node: &mut Node,
    model: &mut Model,
    random: &mut StdRng,
    tally: &mut Tally,
    seed: u64,
) -> Option<Step> {
    for _ in 0..random.random_range(0..STEPS) {
        let step = Step::random(random, model);
        if !node.ask(&step, model).await {
            assert!(node.rig.is_broken(), "seed {seed}: {step:?} failed on a good disk");
            assert!(node.handle.failure().get().is_some(), "seed {seed}: the failure was not told");
            let vote = Vote::new(u64::MAX, 1);
            assert!(node.log.save_vote(&vote).await.is_err(), "seed {seed}: it goes on after a failure");
            return Some(step);
        }
        tally.acknowledged += 1;
        step.note(model);
    }
    None
}

/// Compares with what was acknowledged, and with that plus the step that was not answered, which may be there whole.
async fn settle(node: &mut Node, model: &mut Model, unanswered: Option<Step>, seed: u64, crash: u64) {
    let without = node.differs(model).await;
    if without.is_some() {
        let mut more = model.clone();
        if let Some(step) = &unanswered {
            step.note(&mut more);
            more.covered_next = model.covered_next;
        }
        let with = node.differs(&more).await;
        assert!(
            with.is_none(),
            "seed {seed}, crash {crash}: {without:?}; with the unanswered {unanswered:?}: {with:?}"
        );
        *model = more;
    }
    // It goes on from what is there: the state may be behind, and purged entries may be back.
    let ends = node.log.get_log_state().await.expect("reads");
    model.purged_next = ends.last_purged_log_id.map_or(0, |log_id| log_id.index + 1);
}

/// Applies again what the state lost, as Raft does: how many entries, and the step if it was not answered.
async fn replay(node: &mut Node, model: &mut Model) -> (u64, Option<Step>) {
    let applied = node.state.applied_state().await.expect("reads").0;
    let from = applied.map_or(0, |log_id| log_id.index + 1);
    let until = std::mem::replace(&mut model.applied_next, from);
    if from == until {
        return (0, None);
    }
    let step = Step::Apply(until);
    if !node.ask(&step, model).await {
        assert!(node.rig.is_broken(), "a replay failed on a good disk");
        return (0, Some(step));
    }
    step.note(model);
    let view = node.handle.view().expect("a view");
    assert_eq!(state_differs(&view, model, until), None, "after a replay");
    (until - from, None)
}

/// The two files of a node that worked, and what is in them.
pub(crate) struct Sample {
    pub(crate) log: Vec<u8>,
    pub(crate) state: Vec<u8>,
    model: Model,
}

impl Sample {
    /// A node that took `steps` random steps, and was closed or else lost power with everything synced.
    pub(crate) async fn make(seed: u64, steps: u64, closed: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().expect("a directory");
        let mut model = Model::default();
        let opened = open(folder.path(), new_images(), None);
        let mut node = opened.map_err(|failed| failed.2).expect("a new node opens");
        for _ in 0..steps {
            let step = Step::random(&mut random, &model);
            assert!(node.ask(&step, &model).await, "{step:?}");
            step.note(&mut model);
        }
        // The last is a vote, so that what is purged is synced too.
        let vote = Step::Vote(Vote::new(u64::MAX, 1));
        for step in [Step::Sync, vote] {
            assert!(node.ask(&step, &model).await);
            step.note(&mut model);
        }
        if closed {
            node.handle.close().await.expect("closes");
        } else {
            node.rig.crash();
        }
        Self { log: node.log_disk.seen(), state: node.state_disk.seen(), model }
    }

    /// Opens files of this node that may be damaged: whether that is noticed, at open or by the first read.
    ///
    /// # Panics
    /// It was not, and something else than what was written was served.
    pub(crate) async fn notices(&self, log: Vec<u8>, state: Vec<u8>, what: &str) -> bool {
        let folder = tempfile::tempdir().expect("a directory");
        match open(folder.path(), (log, state), None) {
            Ok(mut node) => {
                let differs = node.differs(&self.model).await;
                assert_eq!(differs, None, "{what}: opened, and served something else");
                false
            }
            Err(_noticed) => true,
        }
    }
}

/// Two empty databases, whole: how a file comes to be is the directory's matter.
fn new_images() -> (Vec<u8>, Vec<u8>) {
    let make = || {
        let disk = Disk::new(&Rig::default(), Vec::new());
        let database = Store::builder(1 << 20).create_with_backend(disk.clone()).expect("a database");
        database.close().expect("closes");
        disk.seen()
    };
    (make(), make())
}

/// Runs the cases of `seeds`.
pub(crate) fn run_cases(seeds: std::ops::Range<u64>) -> Tally {
    seeds.map(run_case).fold(Tally::default(), Tally::and)
}
