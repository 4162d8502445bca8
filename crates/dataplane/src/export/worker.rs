//! The worker of one export: reads what is synced, sends it, and notes how far it is, for as long as the node runs. How something is
//! sent, and when it counts as sent, is in [`super::line`] for syslog and in [`super::kept`] for all that say when they have it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_audit::forward::{Forward, Most};
use aegis_audit::read::own_key;
use aegis_audit::record::RecordError;
use aegis_audit::siem::{Event, Format, Message, Placed};
use aegis_audit::upload;
use aegis_model::caps;
use aegis_model::metric::Family;
use tokio::time::Instant;

use super::position::{Noted, Position, PositionFile};
use super::{Export, To, kept, line};
use crate::archive::ArchiveError;
use crate::decider::Decider;

/// How an export goes, for operators.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    name: String,
    sent: AtomicU64,
    bytes: AtomicU64,
    /// Records that the collector refused for good, while it took others.
    refused: AtomicU64,
    /// Records that were not sent yet.
    behind: AtomicU64,
    /// Milliseconds for which it has not been up to date.
    behind_ms: AtomicU64,
    /// Attempts in a row that failed.
    failures: AtomicU64,
}

/// Why nothing is sent at present.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    #[error("the collector: {0}")]
    Line(#[source] io::Error),
    /// In the words of whoever speaks to it, without secrets.
    #[error("{0}")]
    Collector(String),
    #[error("the folder `{}`: {error}", folder.display())]
    Folder { folder: PathBuf, error: io::Error },
    #[error("{0}")]
    Store(#[from] ArchiveError),
    #[error("the node's own files: {0}")]
    Disk(#[from] io::Error),
    /// Never passed over: what is damaged has to be seen.
    #[error("record {index} of `{origin}` is damaged: {error}")]
    Record { origin: String, index: u64, error: RecordError },
}

/// Sends one export. Owned by the node, which runs it.
pub(crate) struct Worker {
    decider: Arc<Decider>,
    pub(super) export: Export,
    file: PositionFile,
    counts: Arc<Counts>,
    /// What was told last, so that a collector that is down is told of once.
    told: Option<String>,
    /// Since when it has not been up to date.
    behind_since: Option<Instant>,
}

/// A log that is read.
pub(super) struct Reading {
    life: u64,
    origin: String,
    /// The id of the key of the log: what tells it from every other log of this name.
    key: String,
    closed: bool,
    folder: PathBuf,
    forward: Forward,
}

/// What is written at once.
const MOST: Most = Most { records: caps::EXPORT_BATCH_RECORDS, bytes: caps::EXPORT_BATCH_BYTES };

/// Makes of records, each with its index, what is sent.
type Made<T> = fn(&Wanted, &Source, &[(u64, Vec<u8>)]) -> Result<T, NotSent>;

/// How long it waits for new records.
pub(super) const LOOK: Duration = Duration::from_millis(caps::EXPORT_LOOK_MS);

impl Worker {
    pub(crate) fn new(decider: Arc<Decider>, export: Export, journal: &std::path::Path) -> Self {
        let file = PositionFile::new(journal, &export.name);
        let counts = Arc::new(Counts { name: export.name.to_string(), ..Counts::default() });
        Self { decider, export, file, counts, told: None, behind_since: None }
    }

    /// What it counts.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Sends for as long as it is polled. It never fails: what goes wrong is told, and tried again.
    pub(crate) async fn run(&mut self) {
        let mut failures = 0_u32;
        loop {
            let before = self.counts.sent.load(Ordering::Relaxed);
            if let Err(error) = self.session(false).await {
                self.tell(&error.to_string());
            }
            let moved = self.counts.sent.load(Ordering::Relaxed) > before;
            failures = if moved { 1 } else { failures.saturating_add(1) };
            self.counts.failures.store(u64::from(failures), Ordering::Relaxed);
            self.note_lag(None);
            tokio::time::sleep(pause(failures)).await;
        }
    }

    /// Sends what is left, now that the log is closed: this node may never start again. What it does not bring away in
    /// [`caps::EXPORT_END_SECONDS`], the next start sends.
    pub(crate) async fn finish(&mut self) {
        let within = Duration::from_secs(caps::EXPORT_END_SECONDS);
        match tokio::time::timeout(within, self.session(true)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(export = %self.export.name, %error, "the end of the audit log was not sent; the next start does it");
            }
            Err(_elapsed) => {
                tracing::warn!(export = %self.export.name, "the end of the audit log was not sent in time; the next start does it");
            }
        }
    }

    /// One attempt, from what was noted last. With `to_the_end` it ends once nothing is left, and all of it was taken.
    async fn session(&mut self, to_the_end: bool) -> Result<(), NotSent> {
        match self.export.to.clone() {
            To::Syslog(collector) => line::session(self, &collector, to_the_end).await,
            To::Otlp(collector) => kept::session(self, kept::otlp(collector), to_the_end).await,
            To::Files(files) => kept::session(self, kept::files(files, self.export.format), to_the_end).await,
            To::Store(store) => {
                kept::session(self, kept::objects(store, self.export.format), to_the_end).await
            }
        }
    }

    /// What was noted last.
    pub(super) async fn noted(&self) -> io::Result<Noted> {
        let file = self.file.clone();
        blocking(move || file.read()).await
    }

    pub(super) async fn note(&self, noted: Noted) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.note(noted)).await
    }

    /// So many records were handed over, and so many bytes.
    pub(super) fn count(&self, records: u64, bytes: u64) {
        self.counts.sent.fetch_add(records, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many records were refused for good. They stay in the audit log.
    pub(super) fn count_refused(&self, records: u64) {
        self.counts.refused.fetch_add(records, Ordering::Relaxed);
    }

    /// The next records of one log, as `made` makes them, and the place after them; of the log of the place not from `end` on. Nothing
    /// if there are none at present.
    pub(super) async fn next<T: Send + 'static>(
        &self,
        reading: &mut Option<Reading>,
        place: &mut Position,
        end: Option<u64>,
        made: Made<T>,
    ) -> Result<Option<T>, NotSent> {
        loop {
            let mut of = match reading.take() {
                Some(of) => of,
                None => match self.open(*place).await? {
                    Some(of) => of,
                    None => return Ok(None),
                },
            };
            let same = of.life == place.life;
            if !same {
                *place = Position { life: of.life, next: 0 };
            }
            let end = end.filter(|_| same);
            let limit = self.limit(&of).min(end.unwrap_or(u64::MAX));
            let wanted = Wanted::of(&self.export);
            let from = *place;
            let (of, taken) = blocking(move || {
                let taken = of.forward.take(limit, MOST)?;
                let source = Source { from, origin: of.origin.clone(), key: of.key.clone() };
                let batch = (!taken.is_empty()).then(|| made(&wanted, &source, &taken));
                Ok((of, batch))
            })
            .await?;
            place.next = of.forward.next();
            if let Some(batch) = taken {
                *reading = Some(of);
                return batch.map(Some);
            }
            if end.is_some() {
                *reading = Some(of);
                return Ok(None);
            }
            // A log that was closed before it was read to its end has nothing more, ever.
            let after = Position { life: of.life + 1, next: 0 };
            match of.closed && self.is_there(after).await? {
                true => *place = after,
                false => {
                    // Whether it is closed meanwhile, the next look tells.
                    *reading = (!of.closed && self.is_running(&of.origin)).then_some(of);
                    return Ok(None);
                }
            }
        }
    }

    /// The log of this life, or of the first one after it that is here.
    async fn open(&self, place: Position) -> Result<Option<Reading>, NotSent> {
        let decider = Arc::clone(&self.decider);
        let opened = blocking(move || {
            let lives = decider.records.lives();
            let Some((life, closed, folder)) = lives.into_iter().find(|(life, ..)| *life >= place.life)
            else {
                return Ok(None);
            };
            let own = own_key(&*decider.records.disk(), &folder)?;
            let origin = own.name().to_string();
            let key = own.id().iter().map(|byte| format!("{byte:02x}")).collect();
            let next = if life == place.life { place.next } else { 0 };
            let forward = Forward::new(&folder, &origin, next);
            Ok(Some(Reading { life, origin, key, closed, folder, forward }))
        });
        Ok(opened.await?)
    }

    async fn is_there(&self, place: Position) -> io::Result<bool> {
        let decider = Arc::clone(&self.decider);
        blocking(move || Ok(decider.records.lives().iter().any(|(life, ..)| *life >= place.life))).await
    }

    fn is_running(&self, origin: &str) -> bool {
        self.decider.records.journal().is_some_and(|journal| journal.key().name().as_str() == origin)
    }

    /// Up to which index records of a log are under a checkpoint, and so are there for good.
    fn limit(&self, of: &Reading) -> u64 {
        match self.decider.records.journal().filter(|_| self.is_running(&of.origin)) {
            Some(journal) => journal.newest().map_or(0, |newest| newest.checkpoint.size),
            None => u64::MAX,
        }
    }

    /// How many records are not sent yet: at least so many, while earlier logs are under way.
    pub(super) async fn lag(&self, reading: Option<&Reading>, place: Position) -> u64 {
        let running = self.decider.records.journal();
        let newest = running.and_then(|journal| journal.newest()).map_or(0, |newest| newest.checkpoint.size);
        match reading {
            Some(of) if self.is_running(&of.origin) => newest.saturating_sub(place.next),
            Some(of) => {
                let (disk, folder) = (self.decider.records.disk(), of.folder.clone());
                let sealed = blocking(move || upload::sealed(&*disk, &folder)).await;
                let sealed = sealed.ok().flatten().map_or(0, |(size, _)| size);
                sealed.saturating_sub(place.next) + newest
            }
            None => 0,
        }
    }

    /// Without a number: nothing is sent at present, and how far it is behind is as it was, or more.
    pub(super) fn note_lag(&mut self, records: Option<u64>) {
        if records == Some(0) {
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert_with(Instant::now);
        }
        if let Some(records) = records {
            self.counts.behind.store(records, Ordering::Relaxed);
        }
        let ms = self.behind_since.map_or(0, |since| since.elapsed().as_millis());
        self.counts.behind_ms.store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// All that was there a moment ago was taken: what is not sent yet, is newer.
    pub(super) fn caught_up(&mut self) {
        self.behind_since = None;
    }

    fn tell(&mut self, error: &str) {
        if self.told.as_deref() != Some(error) {
            tracing::warn!(export = %self.export.name, error, "events are not sent; it is tried again");
            self.told = Some(error.to_owned());
        }
    }

    pub(super) fn well(&mut self) {
        self.counts.failures.store(0, Ordering::Relaxed);
        if self.told.take().is_some() {
            tracing::info!(export = %self.export.name, "events are sent again");
        }
    }
}

/// Where records are from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The place of the first of them, or before it.
    pub(super) from: Position,
    /// The name of their log, and the id of its key.
    pub(super) origin: String,
    pub(super) key: String,
}

/// Framed messages of syslog.
pub(super) struct Frames {
    pub(super) messages: u64,
    pub(super) bytes: Vec<u8>,
}

/// Events, and where their records are from.
pub(super) struct Events {
    pub(super) source: Source,
    pub(super) events: Vec<Event>,
}

/// What is made of records, away from the threads that decide.
pub(super) struct Wanted {
    format: Format,
    /// The only chain; nothing if it is all of them.
    chain: Option<String>,
}

impl Wanted {
    fn of(export: &Export) -> Self {
        let chain = export.tenant.as_ref().map(|tenant| format!("tenant/{tenant}"));
        Self { format: export.format, chain }
    }

    fn holds(&self, chain: &str) -> bool {
        self.chain.as_ref().is_none_or(|wanted| wanted == chain)
    }

    /// The records as framed messages; those of other chains left out (TEN-1).
    pub(super) fn frames(&self, source: &Source, records: &[(u64, Vec<u8>)]) -> Result<Frames, NotSent> {
        let mut frames = Frames { messages: 0, bytes: Vec::new() };
        for (index, record) in records {
            let placed = Placed { origin: &source.origin, index: *index, record };
            let message = Message::of(self.format, placed, env!("CARGO_PKG_VERSION"));
            let message = message.map_err(|error| damaged(placed, error))?;
            if self.holds(&message.chain) {
                message.frame(&mut frames.bytes);
                frames.messages += 1;
            }
        }
        Ok(frames)
    }

    /// The records as events; those of other chains left out (TEN-1).
    pub(super) fn events(&self, source: &Source, records: &[(u64, Vec<u8>)]) -> Result<Events, NotSent> {
        let mut events = Vec::new();
        for (index, record) in records {
            let placed = Placed { origin: &source.origin, index: *index, record };
            let event = Event::of(self.format, placed, env!("CARGO_PKG_VERSION"));
            let event = event.map_err(|error| damaged(placed, error))?;
            if self.holds(&event.chain) {
                events.push(event);
            }
        }
        Ok(Events { source: source.clone(), events })
    }
}

fn damaged(placed: Placed<'_>, error: RecordError) -> NotSent {
    NotSent::Record { origin: placed.origin.to_owned(), index: placed.index, error }
}

/// Work that waits for the disk or takes long, away from the threads that decide.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = caps::STORE_PAUSE_MS_FIRST.saturating_mul(1 << failures.min(20).saturating_sub(1));
    Duration::from_millis(doubled.min(caps::STORE_PAUSE_MS_MAX))
}

impl Counts {
    /// All exports as metrics.
    pub(crate) fn families(all: &[Arc<Self>]) -> Vec<Family> {
        let with = |family: Family, count: fn(&Self) -> f64| {
            all.iter().fold(family, |family, it| family.with(&[("export", &it.name)], count(it)))
        };
        vec![
            with(
                Family::counter(
                    "aegis_export_sent_records_total",
                    "Records that were handed to the collector, again ones included.",
                ),
                |it| it.sent.load(Ordering::Relaxed) as f64,
            ),
            with(
                Family::counter("aegis_export_sent_bytes_total", "Bytes that were handed to the collector."),
                |it| it.bytes.load(Ordering::Relaxed) as f64,
            ),
            with(
                Family::gauge(
                    "aegis_export_behind_records",
                    "Records under a checkpoint that were not handed to the collector yet.",
                ),
                |it| it.behind.load(Ordering::Relaxed) as f64,
            ),
            with(
                Family::gauge(
                    "aegis_export_behind_seconds",
                    "For how long the collector has not had all of them.",
                ),
                |it| it.behind_ms.load(Ordering::Relaxed) as f64 / 1_000.0,
            ),
            with(
                Family::counter(
                    "aegis_export_refused_records_total",
                    "Records that the collector refused for good, while it took others with them.",
                ),
                |it| it.refused.load(Ordering::Relaxed) as f64,
            ),
            with(Family::gauge("aegis_export_failures", "Attempts in a row that failed."), |it| {
                it.failures.load(Ordering::Relaxed) as f64
            }),
        ]
    }
}
