//! One span per decision: made where its record is made, handed on when it is answered, exported elsewhere.
//!
//! Nothing here waits. What the exporter does not take in time is dropped and counted, so that a collector that is slow or gone
//! costs a decision nothing. A span holds names and codes, no parameter, no circumstance and no token (AUD-2).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_audit::hash::DigestKey;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::{Outcome, PolicyRef, Reason};
use aegis_model::ids::{ActionName, ToolName};
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use aegis_model::trace::{SpanId, TraceContext, TraceId};
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::case::{Case, Surface};
use crate::laps::{Laps, Stage};

/// A decision, or the refusal to make one, as a span.
#[derive(Debug, Clone)]
pub struct DecisionSpan {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub span: SpanId,
    /// The caller's span, if it told one.
    pub parent: Option<SpanId>,
    /// The caller's `tracestate`; may be empty.
    pub state: String,
    /// When the request began to arrive.
    pub start: UnixNanos,
    /// The stages that the walk reached, in order, and how long each took in nanoseconds.
    pub stages: Vec<(&'static str, u64)>,
    /// By which way the call came.
    pub surface: Surface,
    /// Who asked, once proven.
    pub principal: Option<Arc<Principal>>,
    /// The tool.
    pub tool: ToolName,
    /// The action.
    pub action: ActionName,
    /// What was decided; nothing if the call was refused without a decision.
    pub outcome: Option<Outcome>,
    /// Why: the code of each reason, the first one first; of a refusal, its code.
    pub reasons: Vec<ReasonCode>,
    /// The policy that judged.
    pub policy: Option<PolicyRef>,
    /// The decision's id.
    pub decision_id: Option<String>,
    /// Whether nothing was to come of it.
    pub dry_run: bool,
    /// Whether it was decided before, and only answered again.
    pub replayed: bool,
}

impl DecisionSpan {
    /// How long it took in all.
    pub fn nanos(&self) -> u64 {
        self.stages.iter().fold(0, |total, (_, nanos)| total.saturating_add(*nanos))
    }
}

/// Which spans are exported. Denials, requests for approval, refusals, and calls that were cleaned always are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling(u64);

impl Sampling {
    /// Every one.
    pub const ALL: Self = Self(1 << 56);

    /// This share of those that were allowed, chosen by the trace: nodes with the same share choose the same traces. Nothing if it is
    /// not between 0 and 1.
    pub fn ratio(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self((ratio * (1_u64 << 56) as f64) as u64))
    }

    /// Whether allowed calls of this trace are exported: by its last seven bytes, which W3C Trace Context wants to be random.
    fn takes(self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g] = trace.0;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) < self.0
    }
}

/// Where spans go. Cheap to clone.
#[derive(Clone)]
pub struct SpanSink {
    queue: mpsc::Sender<Box<DecisionSpan>>,
    dropped: Arc<AtomicU64>,
    sampling: Sampling,
}

impl SpanSink {
    /// A queue of [`caps::SPAN_QUEUE_MAX`] spans, and its end for the exporter, who had better look now and then than wait: to be woken
    /// would cost the decision more than the span.
    pub fn new(sampling: Sampling) -> (Self, mpsc::Receiver<Box<DecisionSpan>>) {
        let (queue, spans) = mpsc::channel(caps::SPAN_QUEUE_MAX);
        (Self { queue, dropped: Arc::default(), sampling }, spans)
    }

    /// How many spans found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, span: Box<DecisionSpan>) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for SpanSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanSink").field("sampling", &self.sampling).finish_non_exhaustive()
    }
}

/// Where a call stands in a trace.
#[derive(Debug, Clone)]
pub(crate) struct CallTrace {
    /// What the caller said.
    caller: Option<TraceContext>,
    /// What is passed on to those who are asked for this call: as the caller said it, unless there is a span for it here.
    own: TraceContext,
}

impl CallTrace {
    pub(crate) fn trace(&self) -> TraceId {
        self.own.trace
    }

    /// What is passed on to those who are asked for this call.
    pub(crate) fn passed_on(&self) -> &TraceContext {
        &self.own
    }
}

/// The spans of a node.
pub(crate) struct Spans {
    sink: Option<SpanSink>,
    seeds: [u64; 3],
    next: AtomicU64,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl Spans {
    /// With ids from `secret`, which is random and made at this start. Without a sink there are no spans, and what callers say of
    /// traces is recorded and passed on.
    pub(crate) fn new(sink: Option<SpanSink>, secret: &Secret<[u8; 32]>) -> Self {
        let digest = DigestKey::new(secret).digest(b"aegis/trace/ids/v1").0;
        let seed = |at: usize| {
            u64::from_be_bytes(*digest[8 * at..].first_chunk().expect("32 bytes are four of eight"))
        };
        Self { sink, seeds: [seed(0), seed(1), seed(2)], next: AtomicU64::new(0) }
    }

    /// The place of a new call, whose caller said this. Nothing if nobody said anything, and there are no spans.
    pub(crate) fn begin(&self, caller: Option<&TraceContext>) -> Option<Box<CallTrace>> {
        let Some(sink) = &self.sink else {
            let caller = caller?;
            return Some(Box::new(CallTrace { caller: Some(caller.clone()), own: caller.clone() }));
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let [high, low, span] = self.seeds.map(|seed| mixed(seed, number));
        let span = SpanId(span.max(1).to_be_bytes());
        let trace = caller.map_or_else(
            || TraceId((u128::from(high) << 64 | u128::from(low)).max(1).to_be_bytes()),
            |caller| caller.trace,
        );
        let state = caller.map(|caller| caller.state.clone()).unwrap_or_default();
        let sampled = sink.sampling.takes(trace) || caller.is_some_and(|caller| caller.sampled);
        Some(Box::new(CallTrace {
            caller: caller.cloned(),
            own: TraceContext { trace, span, sampled, state },
        }))
    }

    /// The span of `case`, as far as it is known when its record is made. Nothing if none is wanted of it.
    pub(crate) fn open(&self, case: &Case, outcome: Outcome) -> Option<Box<DecisionSpan>> {
        let (sink, traced) = (self.sink.as_ref()?, case.trace.as_deref()?);
        if outcome == Outcome::Allow && !sink.sampling.takes(traced.own.trace) {
            return None;
        }
        Some(Box::new(DecisionSpan {
            trace: traced.own.trace,
            span: traced.own.span,
            parent: traced.caller.as_ref().map(|caller| caller.span),
            state: traced.own.state.clone(),
            start: UnixNanos(case.now.0.saturating_sub(case.laps.nanos(Stage::Receive))),
            stages: Vec::new(),
            surface: case.surface,
            principal: case.principal.clone(),
            tool: case.call.tool.clone(),
            action: case.call.action.clone(),
            outcome: None,
            reasons: Vec::new(),
            policy: case.version.as_deref().map(|version| version.policy().clone()),
            decision_id: None,
            dry_run: case.call.dry_run,
            replayed: false,
        }))
    }

    /// Hands the span on, now that its call is answered.
    pub(crate) fn close(&self, mut span: Box<DecisionSpan>, answer: &Answer, laps: &Laps) {
        let Some(sink) = &self.sink else { return };
        let reached = Stage::ALL.map(|stage| (stage.as_str(), laps.nanos(stage)));
        span.stages = reached.into_iter().filter(|(_, nanos)| *nanos > 0).collect();
        match answer {
            Answer::Decided(decision) => {
                span.outcome = Some(decision.outcome);
                span.reasons = codes(&decision.reasons);
                span.decision_id = Some(decision.decision_id.clone());
                span.replayed = decision.replayed;
            }
            Answer::Refused(refused) => span.reasons = vec![refused.code],
        }
        sink.push(span);
    }
}

fn codes(reasons: &[Reason]) -> Vec<ReasonCode> {
    reasons.iter().take(caps::SPAN_REASONS_MAX).map(|reason| reason.code).collect()
}

/// A number that looks random and does not come again for any other `number`: `SplitMix64`.
fn mixed(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests;
