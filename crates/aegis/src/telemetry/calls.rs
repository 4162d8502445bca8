//! Calls of control nodes as OTLP spans: one each, with an event at the end of what was waited for.

use aegis_controlplane::spans::{CallSpan, Outcome, Step};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::resource::{attribute, text};
use super::spans;

/// The message with spans of calls.
pub(super) fn message(resource: &Resource, calls: &[Box<CallSpan>]) -> ExportTraceServiceRequest {
    spans::told(resource, calls.iter().map(|call| made(call)).collect())
}

fn made(call: &CallSpan) -> Span {
    Span {
        trace_id: call.trace.0.to_vec(),
        span_id: call.span.0.to_vec(),
        parent_span_id: call.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        trace_state: call.state.clone(),
        flags: spans::flags(call.parent),
        name: format!("aegis.control.{}", call.operation),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: call.start.0,
        end_time_unix_nano: call.start.0.saturating_add(call.nanos),
        attributes: attributes(call),
        events: call.steps.iter().map(|step| event(call, step)).collect(),
        status: Some(status(call)),
        ..Span::default()
    }
}

fn attributes(call: &CallSpan) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("aegis.operation", call.operation),
        text("aegis.outcome", call.outcome.as_str()),
        text("aegis.surface", call.surface.as_str()),
    ];
    let known = [
        ("aegis.code", call.code.as_deref()),
        ("aegis.tenant", call.tenant.as_ref().map(|tenant| tenant.as_str())),
        ("aegis.person_token", call.person_token.as_deref()),
        ("aegis.data_node", call.data_node.as_deref()),
    ];
    attributes.extend(known.into_iter().filter_map(|(name, value)| Some(text(name, value?))));
    if call.replayed {
        attributes.push(attribute("aegis.replayed", Value::BoolValue(true)));
    }
    attributes
}

fn event(call: &CallSpan, step: &Step) -> Event {
    let took = Value::IntValue(i64::try_from(step.nanos).unwrap_or(i64::MAX));
    Event {
        time_unix_nano: call.start.0.saturating_add(step.at),
        name: step.name.to_owned(),
        attributes: vec![attribute("aegis.duration_ns", took)],
        ..Event::default()
    }
}

/// A refusal is an answer like any other. An error is what the node could not do.
fn status(call: &CallSpan) -> Status {
    match call.outcome {
        Outcome::Failed => {
            Status { code: StatusCode::Error.into(), message: call.code.clone().unwrap_or_default() }
        }
        Outcome::Done | Outcome::Refused | Outcome::Gone => Status::default(),
    }
}
