//! Metrics as OTLP: the same names, labels and values as at `/metrics`.

use aegis_model::clock::UnixNanos;
use aegis_model::metric::{Distribution, Exemplar, Family, Kind, Series, Value};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar as OtlpExemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::resource::{scope, text};

/// From when to when values were counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) start: UnixNanos,
    pub(super) now: UnixNanos,
}

/// The message with `families`.
pub(super) fn message(
    resource: &Resource,
    families: &[Family],
    window: Window,
) -> ExportMetricsServiceRequest {
    let told = families.iter().filter(|family| !family.series.is_empty());
    let scoped = ScopeMetrics {
        scope: Some(scope()),
        metrics: told.map(|family| metric(family, window)).collect(),
        ..ScopeMetrics::default()
    };
    let told = ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics: vec![scoped],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![told] }
}

fn metric(family: &Family, window: Window) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = || family.series.iter().filter_map(|series| number(series, window)).collect();
    let data = match family.kind {
        Kind::Counter => {
            Data::Sum(Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: true })
        }
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram => {
            let points = family.series.iter().filter_map(|series| distribution(series, window));
            Data::Histogram(Histogram { data_points: points.collect(), aggregation_temporality: cumulative })
        }
    };
    Metric {
        name: family.name.clone(),
        description: family.help.clone(),
        unit: unit(&family.name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// The unit that a name ends with, in the words of UCUM.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("milliseconds") => "ms",
        Some("bytes") => "By",
        Some(_) | None => "1",
    }
}

fn labels(series: &Series) -> Vec<KeyValue> {
    series.labels.iter().map(|(name, value)| text(name, value.as_str())).collect()
}

fn number(series: &Series, window: Window) -> Option<NumberDataPoint> {
    let Value::Number(value) = series.value else { return None };
    Some(NumberDataPoint {
        attributes: labels(series),
        start_time_unix_nano: window.start.0,
        time_unix_nano: window.now.0,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn distribution(series: &Series, window: Window) -> Option<HistogramDataPoint> {
    let Value::Distribution(distribution) = &series.value else { return None };
    let Distribution { bounds, counts, sum, exemplars } = distribution;
    Some(HistogramDataPoint {
        attributes: labels(series),
        start_time_unix_nano: window.start.0,
        time_unix_nano: window.now.0,
        count: distribution.count(),
        sum: Some(*sum),
        bucket_counts: counts.clone(),
        explicit_bounds: bounds.clone(),
        exemplars: exemplars.iter().flatten().map(example).collect(),
        ..HistogramDataPoint::default()
    })
}

fn example(exemplar: &Exemplar) -> OtlpExemplar {
    OtlpExemplar {
        time_unix_nano: exemplar.at.0,
        trace_id: exemplar.trace.0.to_vec(),
        span_id: exemplar.span.0.to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..OtlpExemplar::default()
    }
}
