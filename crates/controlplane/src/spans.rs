//! One span per call that people, their tools and data nodes make of a control node: made when it comes in, handed on when it is
//! answered, exported elsewhere.
//!
//! ```text
//!  HTTP ─▶ Rest ───┐                      ┌─▶ Caller, Approvals: who, about which tenant, what was waited for
//!  gRPC ─▶ Traced ─┴─▶ OpenCall ─▶ Notes ─┘
//!                          └─ answered, or gone ──▶ CallSink ──▶ exporter
//! ```
//!
//! Nothing here waits. What the exporter does not take in time is dropped and counted. A span holds names, ids and codes: no body, no
//! token, and no name of a person, who is known by the id of the token (AUD-2).

mod counts;
mod door;
mod notes;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::caps;
use aegis_model::clock::{Clock, Monotonic, UnixNanos};
use aegis_model::ids::TenantId;
use aegis_model::metric::Family;
use aegis_model::trace::{SpanId, TraceContext, TraceId};
use http::HeaderMap;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;

use crate::admin::Randomness;

use counts::Counts;
pub(crate) use door::Traced;
pub(crate) use notes::Notes;

/// A call of a control node, as a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSpan {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub span: SpanId,
    /// The caller's span, if it told one.
    pub parent: Option<SpanId>,
    /// The caller's `tracestate`; may be empty.
    pub state: String,
    /// When the call came in.
    pub start: UnixNanos,
    /// How long it took until it was answered, in nanoseconds; of what is streamed, until the stream began.
    pub nanos: u64,
    /// What was asked for, e.g. `CreateTenant`: the same over both surfaces.
    pub operation: &'static str,
    /// By which way it came.
    pub surface: Surface,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not done, as a stable code.
    pub code: Option<String>,
    /// The tenant that it was about.
    pub tenant: Option<TenantId>,
    /// The id of the token by which a person was proven.
    pub person_token: Option<String>,
    /// The data node that asked.
    pub data_node: Option<String>,
    /// Whether the answer is an earlier one, given again.
    pub replayed: bool,
    /// What was waited for on the way, in the order in which it ended.
    pub steps: Vec<Step>,
}

/// Something that was waited for during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What: `identify`, `read` or `propose`.
    pub name: &'static str,
    /// When it ended, in nanoseconds after the call came in.
    pub at: u64,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
}

/// By which way a call comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The admin API over HTTP, the page of approvals, and callbacks.
    Http,
    /// gRPC.
    Grpc,
}

impl Surface {
    /// Its name in spans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// What was asked for was done.
    Done,
    /// It was answered with a refusal.
    Refused,
    /// The node could not do it.
    Failed,
    /// Whoever asked went away before there was an answer. What was proposed may be done all the same.
    Gone,
}

impl Outcome {
    /// Its name in spans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// Where calls are counted, and their spans go. Cheap to clone.
#[derive(Clone)]
pub struct CallSink {
    /// Nothing: they are only counted.
    queue: Option<mpsc::Sender<Box<CallSpan>>>,
    dropped: Arc<AtomicU64>,
    counts: Arc<Counts>,
    clock: Clock,
    randomness: Arc<Randomness>,
}

impl CallSink {
    /// A queue of [`caps::CALL_SPAN_QUEUE_MAX`] spans, and its end for the exporter. Ids are made of `randomness`.
    pub fn new(clock: Clock, randomness: StdRng) -> (Self, mpsc::Receiver<Box<CallSpan>>) {
        let (queue, spans) = mpsc::channel(caps::CALL_SPAN_QUEUE_MAX);
        let randomness = Arc::new(Randomness::new(randomness));
        let counts = Arc::default();
        (Self { queue: Some(queue), dropped: Arc::default(), counts, clock, randomness }, spans)
    }

    /// Counts calls, and tells nobody of each.
    pub(crate) fn counting(clock: Clock) -> Self {
        Self { queue: None, ..Self::of_system(clock).0 }
    }

    /// The same with ids of the system's randomness.
    pub fn of_system(clock: Clock) -> (Self, mpsc::Receiver<Box<CallSpan>>) {
        Self::new(clock, StdRng::from_rng(&mut rand::rng()))
    }

    /// How many spans found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What was counted, as metrics.
    pub(crate) fn families(&self) -> [Family; 2] {
        self.counts.families()
    }

    /// A call that comes in with `headers`.
    pub(crate) fn open(&self, surface: Surface, headers: &HeaderMap) -> OpenCall {
        let notes = Notes::new(self.clock.clone());
        let caller = told_by(headers);
        let start = self.clock.now();
        OpenCall { sink: self.clone(), surface, caller, start, began: notes.began(), notes, closed: false }
    }

    fn push(&self, span: Box<CallSpan>) {
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(span).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for CallSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSink").finish_non_exhaustive()
    }
}

/// A call that is not answered yet. Dropped, its caller is gone.
pub(crate) struct OpenCall {
    sink: CallSink,
    surface: Surface,
    caller: Option<TraceContext>,
    start: UnixNanos,
    began: Monotonic,
    notes: Notes,
    closed: bool,
}

impl OpenCall {
    /// Where those who work on it write what is to stand in its span.
    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Hands its span on, now that it is answered.
    pub(crate) fn close(mut self, answered: Answered) {
        self.closed = true;
        self.finish(answered);
    }

    /// What nobody has named has no span: paths at which nothing is, and whether the node is alive.
    fn finish(&self, answered: Answered) {
        let noted = self.notes.take();
        let Some(operation) = noted.operation else { return };
        let Answered { mut outcome, mut code, replayed } = answered;
        if let (Outcome::Done, Some(refused)) = (outcome, noted.refused) {
            (outcome, code) = (Outcome::Refused, Some(refused));
        }
        let nanos = nanos(self.sink.clock.monotonic(), self.began);
        self.sink.counts.count(operation, outcome, nanos);
        if self.sink.queue.is_none() {
            return;
        }
        let mut randomness = self.sink.randomness.fork();
        let trace = self
            .caller
            .as_ref()
            .map_or_else(|| TraceId(randomness.random::<u128>().max(1).to_be_bytes()), |caller| caller.trace);
        self.sink.push(Box::new(CallSpan {
            trace,
            span: SpanId(randomness.random::<u64>().max(1).to_be_bytes()),
            parent: self.caller.as_ref().map(|caller| caller.span),
            state: self.caller.as_ref().map(|caller| caller.state.clone()).unwrap_or_default(),
            start: self.start,
            nanos,
            operation,
            surface: self.surface,
            outcome,
            code,
            tenant: noted.tenant,
            person_token: noted.person_token,
            data_node: noted.data_node,
            replayed,
            steps: noted.steps,
        }));
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if !self.closed {
            self.finish(Answered { outcome: Outcome::Gone, code: None, replayed: false });
        }
    }
}

/// What was answered to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    pub(crate) code: Option<String>,
    pub(crate) replayed: bool,
}

/// What the caller says of its trace; nothing if that is not well-formed, or stands twice.
fn told_by(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states = headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok());
    TraceContext::read(parent.to_str().ok()?, &states.collect::<Vec<_>>().join(",")).ok()
}

fn nanos(now: Monotonic, earlier: Monotonic) -> u64 {
    u64::try_from(now.since(earlier).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
