//! The audit journal as a node uses it: opened at the start, begun once the node knows which life it is, and given every
//! record before the answer (WALK-2).
//!
//! A node that follows a control plane gets its incarnation, and with it its log, from there; before, it decides nothing, and
//! counts whom it refuses.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use aegis_audit::hash::DigestKey;
use aegis_audit::journal::{
    Closed, Disk, Durability, Home, Journal, JournalError, Means, NotKept, Placed, Settings, SystemDisk,
    Ticket,
};
use aegis_audit::keys::{KeyKind, SigningKey};
use aegis_audit::origin::Origin;
use aegis_audit::receipt;
use aegis_audit::record::{Chain, Draft, RecordId, What};
use aegis_model::caps;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::decision::Receipt;
use aegis_model::ids::ClusterId;
use aegis_model::secret::Secret;
use futures_util::FutureExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::NodeName;
use crate::archive::Counts;
use crate::evidence::Ended;
use crate::occupied::Occupied;
use crate::retention::Deleted;
use crate::search::LogsFolder;
use crate::serve::nearly_done;

/// Where a node keeps its journal.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// The file system that it is on.
    pub disk: Arc<dyn Disk>,
    /// How it is run.
    pub settings: Settings,
}

impl From<PathBuf> for JournalConfig {
    /// In this folder of the machine's own file system.
    fn from(folder: PathBuf) -> Self {
        Self { folder, disk: Arc::new(SystemDisk), settings: Settings::default() }
    }
}

/// The cluster in the name of a log whose node follows no control plane.
pub fn standalone() -> ClusterId {
    "standalone".parse().expect("a constant that is a name")
}

/// The node's journal. Shared by all calls.
pub(crate) struct Records {
    home: Mutex<Home>,
    folder: LogsFolder,
    running: OnceLock<Journal>,
    node: NodeName,
    clock: Clock,
    settings: Settings,
    /// Which start of the machine this is.
    boot: String,
    /// What all randomness here is made from, and how much of it was.
    seed: DigestKey,
    seeded: AtomicU64,
    ids: DigestKey,
    next_id: AtomicU64,
    /// What is known of the copies of its logs elsewhere; nothing is done unless a store is configured.
    pub(crate) copies: Counts,
    /// What retention deleted.
    pub(crate) deleted: Deleted,
    /// How much of the disk they take.
    pub(crate) occupied: Occupied,
    trouble: watch::Sender<Option<Trouble>>,
    /// Whether there is trouble: looked at by every call.
    troubled: AtomicBool,
    /// For tests that stop the runtime's clock, which would run on while the journal's thread works.
    #[cfg(test)]
    pub(crate) wait_in_thread: AtomicBool,
}

/// Why nothing can be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Records wait too long. It may pass.
    Late,
    /// The log of this life cannot be begun. It is tried again.
    NotBegun(Arc<str>),
    /// The journal failed, for good: the node has to be started anew.
    Failed(Arc<str>),
}

impl Trouble {
    /// Every name.
    pub(crate) const NAMES: [&str; 3] = ["late", "not_begun", "failed"];

    /// Its name in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Late => Self::NAMES[0],
            Self::NotBegun(_) => Self::NAMES[1],
            Self::Failed(_) => Self::NAMES[2],
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("records wait too long for the disk of the journal"),
            Self::NotBegun(why) => write!(f, "the journal cannot be begun: {why}"),
            Self::Failed(why) => write!(f, "{why}; the node has to be started anew once that is put right"),
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Records {
    /// Opens the folder, takes it for this process, and closes the logs of earlier lives. Blocks.
    ///
    /// `secret` is random and made at this start.
    ///
    /// # Errors
    /// [`JournalError`]: another process has the folder, it is another node's, it is damaged, or the disk refuses.
    pub(crate) fn open(
        config: JournalConfig,
        node: &NodeName,
        clock: &Clock,
        secret: &Secret<[u8; 32]>,
    ) -> Result<Self, JournalError> {
        #[cfg(aegis_unrecorded)]
        tracing::error!("this build answers without records: it is for measurements, and for nothing else");
        let secret = DigestKey::new(secret);
        let part = |name: &[u8]| DigestKey::new(&Secret::new(secret.digest(name).0));
        let folder = LogsFolder { disk: Arc::clone(&config.disk), root: config.folder.clone() };
        let home = Home::of_node(config.disk, &config.folder, &node.to_string())?;
        let records = Self {
            home: Mutex::new(home),
            folder,
            running: OnceLock::new(),
            node: node.clone(),
            clock: clock.clone(),
            settings: config.settings,
            boot: boot(&secret),
            seed: part(b"aegis/journal/randomness/v1"),
            seeded: AtomicU64::new(0),
            ids: part(b"aegis/journal/ids/v1"),
            next_id: AtomicU64::new(0),
            copies: Counts::default(),
            deleted: Deleted::default(),
            occupied: Occupied::default(),
            trouble: watch::Sender::new(None),
            troubled: AtomicBool::new(false),
            #[cfg(test)]
            wait_in_thread: AtomicBool::new(false),
        };
        let home = records.home();
        if home.cluster().is_some() {
            home.close_earlier(&records.boot, || records.means())?.iter().for_each(tell_closed);
        }
        drop(home);
        Ok(records)
    }

    /// Begins the log of this life, under a key made for it; at once if that was done. Blocks.
    ///
    /// # Errors
    /// [`JournalError`]. It may be tried again.
    pub(crate) fn begin(&self, cluster: &ClusterId, incarnation: u64) -> Result<(), JournalError> {
        let mut home = self.home();
        if self.running.get().is_some() {
            return Ok(());
        }
        match self.begin_in(&mut home, cluster, incarnation) {
            Ok(journal) => {
                tracing::info!(log = %journal.key().name(), key = %journal.key(), "the audit log of this life begins");
                drop(self.running.set(journal));
                self.pass(|trouble| matches!(trouble, Trouble::NotBegun(_)));
                Ok(())
            }
            Err(error) => {
                self.meet(Trouble::NotBegun(error.to_string().into()));
                Err(error)
            }
        }
    }

    fn begin_in(
        &self,
        home: &mut Home,
        cluster: &ClusterId,
        incarnation: u64,
    ) -> Result<Journal, JournalError> {
        home.belong_to(cluster)?;
        let origin = Origin::new(cluster.clone(), &self.node.to_string(), incarnation);
        let origin = origin.map_err(|_a_node_name_fits| JournalError::Key)?;
        let key = SigningKey::generate(origin.key_name(), KeyKind::Note, &mut self.randomness());
        home.begin(&origin, key, &self.boot, self.means())
    }

    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn means(&self) -> Means {
        let randomness = Box::new(self.randomness());
        Means { clock: self.clock.clone(), randomness, settings: self.settings }
    }

    fn randomness(&self) -> StdRng {
        let number = self.seeded.fetch_add(1, Ordering::Relaxed);
        StdRng::from_seed(self.seed.digest(&number.to_be_bytes()).0)
    }

    /// The logs of earlier lives whose ends were not reported, the newest last; those that cannot be read are left out.
    pub(crate) fn ended(&self) -> Vec<Arc<Ended>> {
        let home = self.home();
        let lives = home.lives().unwrap_or_default().into_iter().filter(|(_, closed)| *closed);
        lives
            .filter_map(|(life, _)| Ended::read(&self.folder.disk, &home.folder(life)))
            .map(Arc::new)
            .collect()
    }

    /// The lives that have a log here, oldest first: number, whether it is closed, and its folder. Blocks.
    pub(crate) fn lives(&self) -> Vec<(u64, bool, PathBuf)> {
        let home = self.home();
        let lives = home.lives().unwrap_or_default().into_iter();
        lives.map(|(life, closed)| (life, closed, home.folder(life))).collect()
    }

    /// The folder of the log of this life, once there is one.
    pub(crate) fn folder_of_running(&self) -> Option<PathBuf> {
        let origin: Origin = self.running.get()?.key().name().as_str().parse().ok()?;
        Some(self.home().folder(origin.incarnation()))
    }

    /// The file system that the logs are on.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.folder.disk)
    }

    /// Nothing is recorded any more, since the control log refuses the log of this life: fail closed.
    pub(crate) fn refuse(&self, why: &str) {
        self.meet(Trouble::Failed(format!("the control log refuses this node's audit log: {why}").into()));
    }

    /// The folder with all of its logs.
    pub(crate) fn root(&self) -> &Path {
        &self.folder.root
    }

    /// Where all of its logs are.
    pub(crate) fn folder(&self) -> LogsFolder {
        self.folder.clone()
    }

    /// The running log, once there is one.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.running.get()
    }

    /// Whether the log of this life is still to be begun, and nothing speaks against it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.running.get().is_none() && !self.troubled.load(Ordering::Relaxed)
    }

    /// Takes a record. It is on its way once this returns. Never blocks.
    ///
    /// # Errors
    /// [`NotKept`]: it was not taken, and nothing may be answered on the strength of it.
    pub(crate) fn append(&self, at: UnixNanos, chain: Chain, what: &What) -> Result<Ticket, NotKept> {
        self.append_for(Durability::Synced, at, chain, what)
    }

    /// The same; the ticket resolves once the record is as safe as `durability` says.
    ///
    /// # Errors
    /// As [`Records::append`].
    pub(crate) fn append_for(
        &self,
        durability: Durability,
        at: UnixNanos,
        chain: Chain,
        what: &What,
    ) -> Result<Ticket, NotKept> {
        let journal = self.running.get().ok_or(NotKept::Closed)?;
        if self.troubled.load(Ordering::Relaxed)
            && let Some(Trouble::Failed(why)) = &*self.trouble.borrow()
        {
            return Err(NotKept::Failed(Arc::clone(why)));
        }
        let draft = Draft::new(at, chain, self.new_id(), what).map_err(|error| {
            tracing::error!(%error, "a record breaks a bound, so its call is refused");
            NotKept::Own
        })?;
        journal.append(draft, durability).inspect_err(|not_kept| self.look_at(not_kept))
    }

    /// A random id of 128 bits, which nobody can tell who has not the secret of this start.
    fn new_id(&self) -> RecordId {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let digest = self.ids.digest(&number.to_be_bytes());
        RecordId(*digest.0.first_chunk().expect("a digest is longer"))
    }

    /// Waits until a record is on disk, at most [`caps::RECORD_WAIT_SECONDS`].
    ///
    /// # Errors
    /// [`NotKept`]: whether it is there is not known.
    pub(crate) async fn kept(&self, ticket: Ticket) -> Result<Placed, NotKept> {
        let wait = Duration::from_secs(caps::RECORD_WAIT_SECONDS);
        #[cfg(test)]
        if self.wait_in_thread.load(Ordering::Relaxed) {
            return ticket.wait(wait);
        }
        let mut waiting = pin!(tokio::time::timeout(wait, ticket.clone()));
        let mut ticket = ticket;
        let kept = std::future::poll_fn(|cx| {
            // Who only has a look need not be woken when the time is over.
            let looks = cx.waker().will_wake(Waker::noop());
            let polled = if looks { ticket.poll_unpin(cx).map(Ok) } else { waiting.as_mut().poll(cx) };
            if polled.is_pending() {
                nearly_done();
            }
            polled
        });
        let kept = kept.await.unwrap_or(Err(NotKept::Busy));
        match &kept {
            Ok(_) if self.troubled.load(Ordering::Relaxed) => self.pass(|trouble| *trouble == Trouble::Late),
            Ok(_) => {}
            Err(not_kept) => self.look_at(not_kept),
        }
        kept
    }

    /// Where a record stands, as answers say it; signed at the moment `signed_at`, if there is one. Who asks for that waited for
    /// the sync: a signed receipt of a record that a power cut undoes would speak against the log.
    pub(crate) fn receipt(&self, placed: &Placed, signed_at: Option<UnixNanos>) -> Option<Receipt> {
        let journal = self.running.get()?;
        let (time, signature) = signed_at
            .map(|at| {
                let (receipt, signature) = journal.receipt(placed, at);
                (receipt.time_text(), receipt::signature_text(&signature))
            })
            .unzip();
        let log = journal.key().name().as_str().into();
        Some(Receipt { log, index: placed.index, leaf: placed.leaf.to_string(), time, signature })
    }

    fn look_at(&self, not_kept: &NotKept) {
        match not_kept {
            NotKept::Busy => self.meet(Trouble::Late),
            NotKept::Failed(why) => self.meet(Trouble::Failed(Arc::clone(why))),
            NotKept::Closed | NotKept::Chains | NotKept::Own => {}
        }
    }

    /// Looks whether the journal is well. To be called every second: a node that is sent no calls learns it this way.
    pub(crate) fn look(&self) {
        let Some(journal) = self.running.get() else { return };
        match journal.failure() {
            Some(why) => self.meet(Trouble::Failed(why)),
            None if journal.waiting() == 0 => self.pass(|trouble| *trouble == Trouble::Late),
            None => {}
        }
    }

    fn meet(&self, met: Trouble) {
        let changed = self.trouble.send_if_modified(|trouble| match trouble {
            Some(Trouble::Failed(_)) => false,
            Some(known) if *known == met => false,
            _ => {
                *trouble = Some(met.clone());
                // Within the lock, so that what passes at the same time cannot hide it.
                self.troubled.store(true, Ordering::Relaxed);
                true
            }
        });
        if changed {
            tracing::error!(trouble = %met, "nothing can be recorded, so calls are refused");
        }
    }

    fn pass(&self, passes: impl Fn(&Trouble) -> bool) {
        let passed = self.trouble.send_if_modified(|trouble| {
            let passes = trouble.as_ref().is_some_and(&passes);
            *trouble = trouble.take().filter(|_| !passes);
            if passes {
                self.troubled.store(false, Ordering::Relaxed);
            }
            passes
        });
        if passed {
            tracing::info!("records are kept again");
        }
    }

    /// Why nothing can be recorded, if so; to be watched.
    pub(crate) fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.subscribe()
    }

    /// How many records wait for the disk.
    pub(crate) fn waiting(&self) -> usize {
        self.running.get().map_or(0, Journal::waiting)
    }

    /// Takes no more records, keeps what was taken, and ends and seals the log. Blocks.
    ///
    /// # Errors
    /// The log is not closed; the next start does it.
    pub(crate) fn close(&self) -> io::Result<()> {
        let Some(journal) = self.running.get() else { return Ok(()) };
        match journal.close() {
            Ok(last) => {
                tracing::info!(log = %last.checkpoint.origin, size = last.checkpoint.size, root = %last.checkpoint.root, "the audit log of this life is closed");
                Ok(())
            }
            Err(not_kept) => Err(io::Error::other(not_kept)),
        }
    }
}

fn tell_closed(closed: &Closed) {
    let Closed { origin, last, gaps } = closed;
    let (size, root) = (last.checkpoint.size, last.checkpoint.root);
    tracing::info!(log = %origin, size, %root, "the audit log of an earlier life was closed");
    for chain in gaps {
        tracing::warn!(log = %origin, %chain, "acknowledged records may be missing; the log says where");
    }
}

/// Names this start of the machine: what was written before it, and not synced, may be gone. Where the system does not
/// say, every start of the process counts as one.
fn boot(secret: &DigestKey) -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match id.trim() {
        "" => String::from(secret.digest(b"aegis/journal/boot/v1")),
        id => id.to_owned(),
    }
}

#[cfg(test)]
mod tests;
