//! Decisions as OTLP spans: one each, with an event at the end of each stage.

use aegis_dataplane::spans::DecisionSpan;
use aegis_model::reason::ReasonCode;
use aegis_model::trace::SpanId;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::resource::{attribute, scope, text};

/// The message with spans of decisions.
pub(super) fn message(resource: &Resource, spans: &[Box<DecisionSpan>]) -> ExportTraceServiceRequest {
    told(resource, spans.iter().map(|span| made(span)).collect())
}

/// The message with `spans`.
pub(super) fn told(resource: &Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scoped = ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() };
    let told = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![scoped],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![told] }
}

fn made(span: &DecisionSpan) -> Span {
    Span {
        trace_id: span.trace.0.to_vec(),
        span_id: span.span.0.to_vec(),
        parent_span_id: span.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        trace_state: span.state.clone(),
        flags: flags(span.parent),
        name: "aegis.decide".to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: span.start.0,
        end_time_unix_nano: span.start.0.saturating_add(span.nanos()),
        attributes: attributes(span),
        events: events(span),
        status: Some(status(span)),
        ..Span::default()
    }
}

/// Sampled; and that the parent is of another process is known, and it is.
pub(super) fn flags(parent: Option<SpanId>) -> u32 {
    if parent.is_some() { 0x301 } else { 0x101 }
}

fn attributes(span: &DecisionSpan) -> Vec<KeyValue> {
    let outcome = span.outcome.map_or("refused", |outcome| outcome.as_str());
    let mut attributes = vec![
        text("aegis.outcome", outcome),
        text("aegis.tool", span.tool.as_str()),
        text("aegis.action", span.action.as_str()),
        text("aegis.surface", span.surface.as_str()),
    ];
    if let Some(principal) = &span.principal {
        attributes.push(text("aegis.organization", principal.org.as_str()));
        attributes.push(text("aegis.tenant", principal.tenant.as_str()));
        attributes.push(text("aegis.agent", principal.agent.as_str()));
    }
    if let Some(first) = span.reasons.first() {
        attributes.push(text("aegis.reason", first.as_str()));
    }
    if span.reasons.len() > 1 {
        let values = span
            .reasons
            .iter()
            .map(|code: &ReasonCode| AnyValue { value: Some(Value::StringValue(code.as_str().to_owned())) });
        attributes
            .push(attribute("aegis.reasons", Value::ArrayValue(ArrayValue { values: values.collect() })));
    }
    if let Some(policy) = &span.policy {
        let number = |value: u64| Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX));
        attributes.push(attribute("aegis.policy.version", number(policy.version)));
        attributes.push(attribute("aegis.policy.activation", number(policy.activation)));
        attributes.push(text("aegis.policy.digest", &*policy.digest));
    }
    if let Some(id) = &span.decision_id {
        attributes.push(text("aegis.decision_id", id.as_str()));
    }
    for (name, holds) in [("aegis.dry_run", span.dry_run), ("aegis.replayed", span.replayed)] {
        if holds {
            attributes.push(attribute(name, Value::BoolValue(true)));
        }
    }
    attributes
}

fn events(span: &DecisionSpan) -> Vec<Event> {
    let mut at = span.start.0;
    let event = |&(stage, nanos): &(&'static str, u64)| {
        at = at.saturating_add(nanos);
        let took = Value::IntValue(i64::try_from(nanos).unwrap_or(i64::MAX));
        Event {
            time_unix_nano: at,
            name: stage.to_owned(),
            attributes: vec![attribute("aegis.duration_ns", took)],
            ..Event::default()
        }
    };
    span.stages.iter().map(event).collect()
}

/// A denial is an answer like any other. An error is what the node could not do.
fn status(span: &DecisionSpan) -> Status {
    let failed = span.outcome.is_none() && span.reasons.first().is_some_and(|code| code.retryable());
    match failed {
        true => Status {
            code: StatusCode::Error.into(),
            message: span.reasons.first().map(|code| code.meaning().to_owned()).unwrap_or_default(),
        },
        false => Status::default(),
    }
}
