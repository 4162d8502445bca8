//! Which calls have spans, what stands in them, and what a full queue costs.

use aegis_model::call::ToolCall;
use aegis_model::trace::TraceContext;

use super::*;
use crate::testing::{Bench, by_amount, call, call_again};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn spans(sampling: Sampling) -> (Spans, mpsc::Receiver<Box<DecisionSpan>>) {
    let (sink, queue) = SpanSink::new(sampling);
    (Spans::new(Some(sink), &Secret::new([7; 32])), queue)
}

#[test]
fn a_call_goes_on_in_its_callers_trace() {
    let caller = TraceContext::read(PARENT, "k=v").unwrap();
    let (spans, _queue) = spans(Sampling::ALL);
    let traced = spans.begin(Some(&caller)).unwrap();
    let passed_on = traced.passed_on();
    assert_eq!((passed_on.trace, passed_on.state.as_str()), (caller.trace, "k=v"));
    assert_ne!(passed_on.span, caller.span, "who is asked next is called by this span");
    let silent = Spans::new(None, &Secret::new([7; 32]));
    assert_eq!(silent.begin(Some(&caller)).unwrap().passed_on(), &caller, "nobody stands in between");
    assert!(silent.begin(None).is_none());
}

#[test]
fn ids_do_not_come_again() {
    let (spans, _queue) = spans(Sampling::ALL);
    let traced: Vec<_> = (0..10_000).map(|_| spans.begin(None).unwrap()).collect();
    let traces: std::collections::HashSet<_> = traced.iter().map(|it| it.trace()).collect();
    let ids: std::collections::HashSet<_> = traced.iter().map(|it| it.passed_on().span).collect();
    assert_eq!((traces.len(), ids.len()), (10_000, 10_000));
}

#[test]
fn a_share_of_traces_is_that_share() {
    let (spans, _queue) = spans(Sampling::ALL);
    let taken = |ratio: f64| {
        let sampling = Sampling::ratio(ratio).unwrap();
        (0..10_000).filter(|_| sampling.takes(spans.begin(None).unwrap().trace())).count()
    };
    assert_eq!(taken(0.0), 0);
    assert_eq!(taken(1.0), 10_000);
    assert!((2_200..2_800).contains(&taken(0.25)), "{}", taken(0.25));
    assert_eq!(Sampling::ratio(1.1), None);
    assert_eq!(Sampling::ratio(f64::NAN), None);
}

/// What happened is told whole, whatever the share of allowed calls.
#[tokio::test]
async fn what_does_not_go_on_is_always_told() {
    let (sink, mut queue) = SpanSink::new(Sampling::ratio(0.0).unwrap());
    let bench = Bench::with_spans(by_amount, sink);
    let token = bench.token("acme", "finance-agent", "*:*");
    for amount in [1, 6_000, 20_000] {
        bench.ask(&token, call(amount)).await;
    }
    bench.ask("no token", call(1)).await;
    let mut told = Vec::new();
    while let Ok(span) = queue.try_recv() {
        told.push((span.outcome, span.reasons.first().copied()));
    }
    assert_eq!(
        told,
        [
            (Some(Outcome::ApprovalRequired), Some(ReasonCode::ParameterOutOfRange)),
            (Some(Outcome::Deny), Some(ReasonCode::ToolDenied)),
            (None, Some(ReasonCode::Unauthenticated)),
        ]
    );
}

/// Neither the first answer nor the repetition tells a name that is somebody's number (AUD-2).
#[tokio::test]
async fn a_name_that_is_a_persons_number_stands_in_no_span() {
    let (sink, mut queue) = SpanSink::new(Sampling::ALL);
    let bench = Bench::with_spans(by_amount, sink);
    let token = bench.token("acme", "finance-agent", "*:*");
    for _ in 0..2 {
        let asked = ToolCall { tool: "4111111111111111".parse().unwrap(), ..call_again(1, "r-1") };
        assert!(matches!(bench.ask(&token, asked).await, Answer::Decided(_)));
    }
    let told: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok()).collect();
    assert_eq!(told.iter().map(|span| span.replayed).collect::<Vec<_>>(), [false, true]);
    assert!(!format!("{told:?}").contains("41111111"), "{told:?}");
    let page = aegis_proto::exposition::Format::OpenMetrics.page(&bench.decider.families(&[]));
    assert!(!page.contains("41111111"), "{page}");
    let exemplar = format!("trace_id=\"{}\"", told[1].trace);
    assert!(page.contains(&exemplar), "the newest example of its bucket: {exemplar}");
}

/// Nobody empties the queue: every call is answered all the same, and what found no room is counted.
#[tokio::test]
async fn an_exporter_that_is_gone_costs_nothing_but_its_spans() {
    let (sink, queue) = SpanSink::new(Sampling::ALL);
    let bench = Bench::with_spans(by_amount, sink.clone());
    let token = bench.token("acme", "finance-agent", "*:*");
    for _ in 0..caps::SPAN_QUEUE_MAX {
        sink.push(Box::new(sample()));
    }
    assert_eq!(sink.dropped(), 0);
    for _ in 0..3 {
        assert!(matches!(bench.ask(&token, call(1)).await, Answer::Decided(_)));
    }
    assert_eq!(sink.dropped(), 3);
    drop(queue);
    assert!(matches!(bench.ask(&token, call(1)).await, Answer::Decided(_)));
    assert_eq!(sink.dropped(), 4);
}

fn sample() -> DecisionSpan {
    DecisionSpan {
        trace: TraceId([1; 16]),
        span: SpanId([1; 8]),
        parent: None,
        state: String::new(),
        start: UnixNanos(1),
        stages: vec![("authorize", 5), ("record", 7)],
        surface: Surface::Grpc,
        principal: None,
        tool: "pay".parse().unwrap(),
        action: "call".parse().unwrap(),
        outcome: None,
        reasons: Vec::new(),
        policy: None,
        decision_id: None,
        dry_run: false,
        replayed: false,
    }
}

/// What it costs a call to hand its span on. `cargo test --release -p aegis-dataplane --lib handing_on -- --nocapture` prints it.
#[test]
fn handing_on_a_span_takes_next_to_no_time() {
    let (sink, mut queue) = SpanSink::new(Sampling::ALL);
    let mut nanos = u64::MAX;
    for _ in 0..20 {
        let made: Vec<_> = (0..1_000).map(|_| Box::new(sample())).collect();
        let began = crate::laps::instant();
        made.into_iter().for_each(|span| sink.push(span));
        nanos = nanos.min(u64::try_from(began.elapsed().as_nanos()).unwrap() / 1_000);
        while queue.try_recv().is_ok() {}
    }
    println!("{{\"name\": \"telemetry/push\", \"value\": {nanos}, \"unit\": \"ns\"}}");
    // Even without optimization; a bound for broken code, such as one that wakes somebody each time.
    assert!(nanos < 20_000, "{nanos} ns");
}
