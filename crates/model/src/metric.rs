//! What a node tells of itself in numbers, whatever form the numbers travel in.

use std::fmt;
use std::sync::Arc;

use crate::clock::UnixNanos;
use crate::trace::{SpanId, TraceId};

/// Where metrics come from: asked whenever they are wanted. Cheap to clone.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Vec<Family> + Send + Sync>);

impl Source {
    /// One that is asked by calling `families`.
    pub fn new(families: impl Fn() -> Vec<Family> + Send + Sync + 'static) -> Self {
        Self(Arc::new(families))
    }

    /// The metrics as of now.
    pub fn families(&self) -> Vec<Family> {
        (self.0)()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// One metric: all its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name; that of a counter ends in `_total`.
    pub name: String,
    /// What it counts or measures, as a sentence.
    pub help: String,
    /// How its values are to be read.
    pub kind: Kind,
    /// Its series; no two have the same labels.
    pub series: Vec<Series>,
}

/// How values are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by their size, from zero at the start of the process.
    Histogram,
}

/// The value under one set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// The value: a distribution for a histogram, a number for everything else.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Distribution(Distribution),
}

/// How many values lie in each bucket.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Distribution {
    /// The upper ends of the buckets, inclusive, rising; after the last one comes a bucket without an end.
    pub bounds: Vec<f64>,
    /// How many values lie in each bucket: one more than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
    /// An example of each bucket, where there is one: as many as there are buckets, or none at all.
    pub exemplars: Vec<Option<Exemplar>>,
}

/// One value of a bucket, with the trace that it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace: TraceId,
    /// The span in it.
    pub span: SpanId,
    /// The value.
    pub value: f64,
    /// When it was measured.
    pub at: UnixNanos,
}

impl Family {
    /// A counter without series.
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, Kind::Counter)
    }

    /// A gauge without series.
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// A histogram without series.
    pub fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, Kind::Histogram)
    }

    fn new(name: &str, help: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), help: help.to_owned(), kind, series: Vec::new() }
    }

    /// The same, with a number under these labels.
    #[must_use]
    pub fn with(self, labels: &[(&str, &str)], number: f64) -> Self {
        self.with_value(labels, Value::Number(number))
    }

    /// The same, with a distribution under these labels.
    #[must_use]
    pub fn with_distribution(self, labels: &[(&str, &str)], distribution: Distribution) -> Self {
        self.with_value(labels, Value::Distribution(distribution))
    }

    fn with_value(mut self, labels: &[(&str, &str)], value: Value) -> Self {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.series.push(Series { labels, value });
        self
    }
}

impl Distribution {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}
