//! The thread that empties the queues: each signal by itself, so that one that is stuck does not hold up the others.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_controlplane::spans::CallSpan;
use aegis_dataplane::spans::DecisionSpan;
use aegis_model::caps;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::metric::Source;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::calls;
use super::link::{Link, Message, Sender, Unsent};
use super::logs::{self, Line};
use super::measures::{self, Window};
use super::spans;
use super::tallies::{Signal, Tallies, Tally};

/// The name of the thread.
pub(super) const THREAD: &str = "aegis-telemetry";

/// How often it is looked into the queues.
const LOOK: Duration = Duration::from_millis(200);

/// The pause after a message that was not taken: from the first to the longest, each twice the one before.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Longest that is waited for a collector when the node stops.
const FLUSH: Duration = Duration::from_secs(caps::TELEMETRY_FLUSH_SECONDS);

/// What is exported, and where to.
pub(super) struct Exporter {
    pub(super) link: Link,
    pub(super) resource: Resource,
    pub(super) started: UnixNanos,
    pub(super) metrics_every: Duration,
    pub(super) spans: Option<mpsc::Receiver<Box<DecisionSpan>>>,
    pub(super) calls: Option<mpsc::Receiver<Box<CallSpan>>>,
    pub(super) logs: Option<mpsc::Receiver<Line>>,
    /// Where metrics come from, if they are pushed, once the node runs.
    pub(super) source: Option<Arc<OnceLock<Source>>>,
    pub(super) tallies: Arc<Tallies>,
    /// Whether the node stops.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Exporter {
    /// Exports until the node stops. Blocks.
    pub(super) fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ran = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(self.export()));
        if let Err(error) = ran {
            tracing::error!("telemetry is not exported: {error:#}");
        }
    }

    async fn export(self) -> anyhow::Result<()> {
        let Self { link, resource, started, metrics_every, spans, calls, logs, source, tallies, stopping } =
            self;
        let sender = link.open()?;
        // One for each signal: what is said of a collector is said once.
        let told: [Rc<Cell<bool>>; Signal::ALL.len()] = Default::default();
        let pump = |signal| Pump {
            sender: sender.clone(),
            signal,
            tally: tallies.of(signal),
            stopping: stopping.clone(),
            told: Rc::clone(&told[signal as usize]),
        };
        let of_spans = async {
            if let Some(queue) = spans {
                let made = |batch: &[Box<DecisionSpan>]| Message::Spans(spans::message(&resource, batch));
                pump(Signal::Spans).empty(queue, made).await;
            }
        };
        let of_calls = async {
            if let Some(queue) = calls {
                let made = |batch: &[Box<CallSpan>]| Message::Spans(calls::message(&resource, batch));
                pump(Signal::Spans).empty(queue, made).await;
            }
        };
        let of_logs = async {
            if let Some(queue) = logs {
                let made = |batch: &[Line]| Message::Logs(logs::message(&resource, batch));
                pump(Signal::Logs).empty(queue, made).await;
            }
        };
        let of_metrics = async {
            if let Some(source) = source {
                let made = |source: &Source| {
                    let window = Window { start: started, now: Clock::System.now() };
                    let families = source.families();
                    let points = families.iter().map(|family| family.series.len() as u64).sum();
                    (points, Message::Metrics(measures::message(&resource, &families, window)))
                };
                pump(Signal::Metrics).push(&source, metrics_every, made).await;
            }
        };
        tokio::join!(of_spans, of_calls, of_logs, of_metrics);
        Ok(())
    }
}

/// One signal on its way.
struct Pump<'t> {
    sender: Sender,
    signal: Signal,
    tally: &'t Tally,
    stopping: watch::Receiver<bool>,
    /// Whether the log says that the collector does not take anything.
    told: Rc<Cell<bool>>,
}

impl Pump<'_> {
    /// Empties `queue` until the node stops, and then what is left, as far as the time goes.
    async fn empty<T>(mut self, mut queue: mpsc::Receiver<T>, made: impl Fn(&[T]) -> Message) {
        let (mut stopping, over) = (self.stopping.clone(), over(self.stopping.clone()));
        let mut batch = Vec::new();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let emptied = async {
            loop {
                let last = tokio::select! {
                    _ = looks.tick() => false,
                    () = stopped(&mut stopping) => true,
                };
                self.drain(&mut queue, &mut batch, &made).await;
                if last {
                    return;
                }
            }
        };
        // What is on its way when the node stops is waited for: told again, it would be there twice.
        tokio::select! {
            () = emptied => {}
            () = over => {}
        }
        self.tally.unsent.fetch_add((batch.len() + queue.len()) as u64, Ordering::Relaxed);
    }

    /// Tells what is in `batch`, and then what is in the queue.
    async fn drain<T>(
        &mut self,
        queue: &mut mpsc::Receiver<T>,
        batch: &mut Vec<T>,
        made: &impl Fn(&[T]) -> Message,
    ) {
        loop {
            if batch.is_empty() {
                take(queue, batch);
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(batch.len() as u64, || made(batch)).await;
            batch.clear();
        }
    }

    /// Tells a batch until the collector has taken or refused it.
    async fn deliver(&mut self, parts: u64, made: impl Fn() -> Message) {
        let mut pause = PAUSE / 2;
        loop {
            match self.sender.send(made()).await {
                Ok(refused) => return self.taken(parts, refused),
                Err(unsent) => {
                    self.failed(&unsent);
                    if let Unsent::ForGood(_) = unsent {
                        self.tally.refused.fetch_add(parts, Ordering::Relaxed);
                        return;
                    }
                }
            }
            match *self.stopping.borrow() {
                // Time is short.
                true => pause = PAUSE,
                false => pause = (pause * 2).min(PAUSE_MAX),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped(&mut self.stopping), if pause > PAUSE => {}
            }
        }
    }

    /// Tells metrics now and then, and once more at the end. Those that do not get there are left out: newer ones hold all that they say.
    async fn push(
        mut self,
        source: &OnceLock<Source>,
        every: Duration,
        made: impl Fn(&Source) -> (u64, Message),
    ) {
        let (mut stopping, over) = (self.stopping.clone(), over(self.stopping.clone()));
        let mut rounds = tokio::time::interval(every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pushed = async {
            loop {
                let last = tokio::select! {
                    _ = rounds.tick() => false,
                    () = stopped(&mut stopping) => true,
                };
                self.push_once(source, &made).await;
                if last {
                    return;
                }
            }
        };
        tokio::select! {
            () = pushed => {}
            () = over => {}
        }
    }

    async fn push_once(&mut self, source: &OnceLock<Source>, made: &impl Fn(&Source) -> (u64, Message)) {
        let Some(source) = source.get() else { return };
        let (points, message) = made(source);
        match self.sender.send(message).await {
            Ok(refused) => self.taken(points, refused),
            Err(unsent) => self.failed(&unsent),
        }
    }

    fn taken(&mut self, parts: u64, refused: u64) {
        self.tally.exported.fetch_add(parts.saturating_sub(refused), Ordering::Relaxed);
        self.tally.refused.fetch_add(refused, Ordering::Relaxed);
        if self.told.take() {
            tracing::info!(signal = self.signal.as_str(), "the collector takes telemetry again");
        }
    }

    fn failed(&mut self, unsent: &Unsent) {
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        if !self.told.replace(true) {
            tracing::warn!(signal = self.signal.as_str(), "telemetry is not exported for now: {unsent}");
        }
    }
}

/// Ends when the node stops. Who would have said it may be gone, which comes to the same.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _said = stopping.wait_for(|stops| *stops).await;
}

/// Ends when the node has stopped, and waited long enough.
async fn over(mut stopping: watch::Receiver<bool>) {
    stopped(&mut stopping).await;
    tokio::time::sleep(FLUSH).await;
}

/// Takes what is in the queue into `batch`, as much as fits into one message. Does not wait.
fn take<T>(queue: &mut mpsc::Receiver<T>, batch: &mut Vec<T>) {
    while batch.len() < caps::TELEMETRY_BATCH_MAX
        && let Ok(item) = queue.try_recv()
    {
        batch.push(item);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::telemetry::{LogTap, Protocol, Settings, Telemetry, Who};

    #[test]
    fn a_collector_that_does_not_answer_holds_nobody_up() {
        // Takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let who = Who {
            service: "aegis-data",
            node: "data-1".to_owned(),
            cluster: String::new(),
            region: String::new(),
        };
        let tap = LogTap::default();
        let telemetry = Telemetry::start(Some(&Settings::to(&endpoint, Protocol::Grpc)), who, &tap).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(tap), || {
            tracing::warn!("nobody will read this");
        });
        let source = telemetry.more_metrics();
        let began = Clock::System.monotonic();
        telemetry.finish();
        assert!(Clock::System.monotonic().since(began) < FLUSH + Duration::from_secs(5));
        let page = aegis_proto::exposition::Format::Text.page(&source.families());
        let unsent = "aegis_telemetry_dropped_total{cause=\"unsent\",signal=\"logs\"} 1";
        assert!(page.contains(unsent) && page.contains("aegis_build_info{node=\"data-1\""), "{page}");
    }
}
