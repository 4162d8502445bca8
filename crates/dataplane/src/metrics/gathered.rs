//! What a registry has gathered, as families.

use aegis_model::metric::{Distribution, Family, Kind, Series, Value};
use prometheus::Registry;
use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};

/// Everything that is registered, by name.
pub(super) fn families(registry: &Registry) -> Vec<Family> {
    registry.gather().iter().map(family).collect()
}

fn family(gathered: &MetricFamily) -> Family {
    let kind = match gathered.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => Kind::Gauge,
    };
    let series = gathered.get_metric().iter().map(|metric| series(metric, kind)).collect();
    Family { name: gathered.name().to_owned(), help: gathered.help().to_owned(), kind, series }
}

fn series(metric: &Metric, kind: Kind) -> Series {
    let labels = metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().to_owned()));
    let value = match kind {
        Kind::Counter => Value::Number(metric.get_counter().get_value()),
        Kind::Gauge => Value::Number(metric.get_gauge().get_value()),
        Kind::Histogram => Value::Distribution(distribution(metric.get_histogram())),
    };
    Series { labels: labels.collect(), value }
}

fn distribution(histogram: &Histogram) -> Distribution {
    let buckets = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in buckets {
        bounds.push(bucket.upper_bound());
        // What is counted meanwhile may be seen in one place and not yet in another.
        counts.push(bucket.cumulative_count().saturating_sub(below));
        below = below.max(bucket.cumulative_count());
    }
    counts.push(histogram.get_sample_count().saturating_sub(below));
    Distribution { bounds, counts, sum: histogram.get_sample_sum(), exemplars: Vec::new() }
}
