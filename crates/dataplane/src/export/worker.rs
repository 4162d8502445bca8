//! The worker of one export: reads what is synced, sends it, and notes how far it is, for as long as the node runs.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_audit::forward::{Forward, Most};
use aegis_audit::read::own_key;
use aegis_audit::record::RecordError;
use aegis_audit::siem::{Format, Message, Placed};
use aegis_audit::upload;
use aegis_model::caps;
use aegis_model::metric::Family;
use tokio::time::Instant;

use super::Export;
use super::line::Line;
use super::position::{Position, PositionFile};
use crate::decider::Decider;

/// How an export goes, for operators.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    name: String,
    sent: AtomicU64,
    bytes: AtomicU64,
    /// Records that were not sent yet.
    behind: AtomicU64,
    /// Milliseconds for which it has not been up to date.
    behind_ms: AtomicU64,
    /// Connections in a row that failed.
    failures: AtomicU64,
}

/// Why nothing is sent at present.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("the collector: {0}")]
    Line(#[source] io::Error),
    #[error("the node's own files: {0}")]
    Disk(#[from] io::Error),
    /// Never passed over: what is damaged has to be seen.
    #[error("record {index} of `{origin}` is damaged: {error}")]
    Record { origin: String, index: u64, error: RecordError },
}

/// Sends one export. Owned by the node, which runs it.
pub(crate) struct Worker {
    decider: Arc<Decider>,
    export: Export,
    file: PositionFile,
    counts: Arc<Counts>,
    /// What was told last, so that a collector that is down is told of once.
    told: Option<String>,
    /// Since when it has not been up to date.
    behind_since: Option<Instant>,
}

/// What was sent, and waits until it is certain that it arrived.
struct Sent {
    began: Instant,
    last: Instant,
    then: Position,
}

/// A log that is read.
struct Reading {
    life: u64,
    origin: String,
    closed: bool,
    folder: PathBuf,
    forward: Forward,
}

/// What is written at once.
const MOST: Most = Most { records: caps::EXPORT_BATCH_RECORDS, bytes: caps::EXPORT_BATCH_BYTES };

/// How long it waits for new records.
const LOOK: Duration = Duration::from_millis(caps::EXPORT_LOOK_MS);

/// After so long on a connection that lives, bytes were acknowledged.
const SETTLED: Duration =
    Duration::from_secs(caps::EXPORT_UNACKNOWLEDGED_SECONDS + caps::EXPORT_UNACKNOWLEDGED_SECONDS / 2);

/// What was sent within so long of each other counts as sent at once.
const TOGETHER: Duration = Duration::from_millis(500);

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

    /// One connection, from what was noted last. With `to_the_end` it ends once nothing is left, and the collector has it all.
    async fn session(&mut self, to_the_end: bool) -> Result<(), NotSent> {
        let file = self.file.clone();
        let mut noted = blocking(move || file.read()).await?;
        let mut place = noted;
        let mut line = Line::open(&self.export.collector).await.map_err(NotSent::Line)?;
        let (mut reading, mut sent, mut noted_at) = (None, VecDeque::<Sent>::new(), Instant::now());
        loop {
            let batch = self.next(&mut reading, &mut place).await?;
            let idle = batch.is_none();
            if let Some(Batch { messages, bytes }) = batch {
                if messages > 0 {
                    line.send(&bytes).await.map_err(NotSent::Line)?;
                }
                self.counts.sent.fetch_add(messages, Ordering::Relaxed);
                self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                note_sent(&mut sent, place);
            }
            let lag = self.lag(reading.as_ref(), place).await;
            self.note_lag(Some(lag));
            if idle && to_the_end {
                line.close().await.map_err(NotSent::Line)?;
                return Ok(self.note(place).await?);
            }
            if idle {
                self.well();
                line.rest(LOOK).await.map_err(NotSent::Line)?;
            }
            let now = Instant::now();
            let mut settled = noted;
            while let Some(first) = sent.pop_front_if(|first| now.duration_since(first.last) >= SETTLED) {
                settled = first.then;
            }
            if settled != noted && now.duration_since(noted_at) >= Duration::from_secs(1) {
                self.note(settled).await?;
                (noted, noted_at) = (settled, now);
            } else if settled != noted {
                // Not yet: it is told with the next one.
                sent.push_front(Sent { began: now - SETTLED, last: now - SETTLED, then: settled });
            }
        }
    }

    async fn note(&self, position: Position) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.note(position)).await
    }

    /// The next records as messages, and the place after them. Nothing if there are none at present.
    async fn next(
        &self,
        reading: &mut Option<Reading>,
        place: &mut Position,
    ) -> Result<Option<Batch>, NotSent> {
        loop {
            let mut of = match reading.take() {
                Some(of) => of,
                None => match self.open(*place).await? {
                    Some(of) => of,
                    None => return Ok(None),
                },
            };
            if of.life != place.life {
                *place = Position { life: of.life, next: 0 };
            }
            let limit = self.limit(&of);
            let wanted = Wanted::of(&self.export);
            let (of, taken) = blocking(move || {
                let taken = of.forward.take(limit, MOST)?;
                let batch = (!taken.is_empty()).then(|| wanted.frames(&of.origin, &taken));
                Ok((of, batch))
            })
            .await?;
            place.next = of.forward.next();
            if let Some(batch) = taken {
                *reading = Some(of);
                return batch.map(Some);
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
            let origin = own_key(&*decider.records.disk(), &folder)?.name().to_string();
            let next = if life == place.life { place.next } else { 0 };
            let forward = Forward::new(&folder, &origin, next);
            Ok(Some(Reading { life, origin, closed, folder, forward }))
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
    async fn lag(&self, reading: Option<&Reading>, place: Position) -> u64 {
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
    fn note_lag(&mut self, records: Option<u64>) {
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

    fn tell(&mut self, error: &str) {
        if self.told.as_deref() != Some(error) {
            tracing::warn!(export = %self.export.name, error, "events are not sent; it is tried again");
            self.told = Some(error.to_owned());
        }
    }

    fn well(&mut self) {
        self.counts.failures.store(0, Ordering::Relaxed);
        if self.told.take().is_some() {
            tracing::info!(export = %self.export.name, "events are sent again");
        }
    }
}

/// Framed messages.
struct Batch {
    messages: u64,
    bytes: Vec<u8>,
}

/// What is made of records, away from the threads that decide.
struct Wanted {
    format: Format,
    /// The only chain; nothing if it is all of them.
    chain: Option<String>,
}

impl Wanted {
    fn of(export: &Export) -> Self {
        let chain = export.tenant.as_ref().map(|tenant| format!("tenant/{tenant}"));
        Self { format: export.format, chain }
    }

    /// The records as framed messages; those of other chains left out (TEN-1).
    fn frames(&self, origin: &str, records: &[(u64, Vec<u8>)]) -> Result<Batch, NotSent> {
        let mut batch = Batch { messages: 0, bytes: Vec::new() };
        for (index, record) in records {
            let placed = Placed { origin, index: *index, record };
            let message = Message::of(self.format, placed, env!("CARGO_PKG_VERSION"));
            let message = message.map_err(|error| NotSent::Record {
                origin: origin.to_owned(),
                index: *index,
                error,
            })?;
            if self.chain.as_ref().is_none_or(|chain| *chain == message.chain) {
                message.frame(&mut batch.bytes);
                batch.messages += 1;
            }
        }
        Ok(batch)
    }
}

fn note_sent(sent: &mut VecDeque<Sent>, then: Position) {
    let now = Instant::now();
    match sent.back_mut() {
        Some(last) if now.duration_since(last.began) < TOGETHER => (last.last, last.then) = (now, then),
        _ => sent.push_back(Sent { began: now, last: now, then }),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
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
                Family::gauge("aegis_export_failures", "Connections to the collector in a row that failed."),
                |it| it.failures.load(Ordering::Relaxed) as f64,
            ),
        ]
    }
}
