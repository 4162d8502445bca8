//! Metrics as text: the format of Prometheus (0.0.4), and OpenMetrics 1.0, which has exemplars.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::Write;

use aegis_model::metric::{Distribution, Exemplar, Family, Kind, Value};

/// A form of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// That of Prometheus.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The form to answer in to a client that sent this `Accept`: OpenMetrics for who names it.
    pub fn accepted(accept: &str) -> Self {
        let names = |part: &str| part.trim().starts_with("application/openmetrics-text");
        if accept.split(',').any(names) { Self::OpenMetrics } else { Self::Text }
    }

    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The page with `families`; those without series are left out.
    pub fn page(self, families: &[Family]) -> String {
        let mut page = String::with_capacity(16 << 10);
        families
            .iter()
            .filter(|family| !family.series.is_empty())
            .for_each(|family| self.put(&mut page, family));
        if self == Self::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }

    fn put(self, page: &mut String, family: &Family) {
        let Family { name, help, kind, series } = family;
        let kind_name = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Of a counter, OpenMetrics names the family without the suffix of its samples.
        let family_name = match (self, kind) {
            (Self::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            (Self::OpenMetrics, Kind::Gauge | Kind::Histogram) | (Self::Text, _) => name,
        };
        line(page, format_args!("# HELP {family_name} {}", escaped(help, self == Self::OpenMetrics)));
        line(page, format_args!("# TYPE {family_name} {kind_name}"));
        for one in series {
            let labels = labels(&one.labels);
            match &one.value {
                Value::Number(number) => line(page, format_args!("{name}{} {number}", braced(&labels, ""))),
                Value::Distribution(distribution) => self.histogram(page, name, &labels, distribution),
            }
        }
    }

    fn histogram(self, page: &mut String, name: &str, labels: &str, distribution: &Distribution) {
        let mut below = 0;
        for (at, count) in distribution.counts.iter().enumerate() {
            below += count;
            // A whole number is written with its fraction, as OpenMetrics wants: the same series in both forms.
            let end =
                distribution.bounds.get(at).map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let labels = braced(labels, &format!("le=\"{end}\""));
            let exemplar = distribution.exemplars.get(at).copied().flatten();
            match exemplar.filter(|_| self == Self::OpenMetrics) {
                Some(exemplar) => {
                    line(page, format_args!("{name}_bucket{labels} {below} # {}", example(&exemplar)));
                }
                None => line(page, format_args!("{name}_bucket{labels} {below}")),
            }
        }
        let labels = braced(labels, "");
        line(page, format_args!("{name}_sum{labels} {}", distribution.sum));
        line(page, format_args!("{name}_count{labels} {below}"));
    }
}

fn example(exemplar: &Exemplar) -> String {
    let Exemplar { trace, span, value, at } = exemplar;
    let (seconds, millis) = (at.seconds(), at.0 / 1_000_000 % 1_000);
    format!("{{trace_id=\"{trace}\",span_id=\"{span}\"}} {value} {seconds}.{millis:03}")
}

/// Writing to text does not fail.
fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
    page.push('\n');
}

fn labels(labels: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{name}=\"{}\"", escaped(value, true));
    }
    text
}

fn braced(labels: &str, more: &str) -> String {
    match (labels, more) {
        ("", "") => String::new(),
        (one, "") | ("", one) => format!("{{{one}}}"),
        (labels, more) => format!("{{{labels},{more}}}"),
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use aegis_model::clock::UnixNanos;
    use aegis_model::trace::{SpanId, TraceId};

    use super::*;

    fn families() -> Vec<Family> {
        let exemplar = Exemplar {
            trace: TraceId([0xab; 16]),
            span: SpanId([0xcd; 8]),
            value: 0.7,
            at: UnixNanos(1_700_000_000_123_000_000),
        };
        let distribution = Distribution {
            bounds: vec![0.5, 1.0],
            counts: vec![2, 1, 0],
            sum: 1.2,
            exemplars: vec![None, Some(exemplar), None],
        };
        vec![
            Family::counter("calls_total", "Calls\nof \"all\".").with(&[("tool", "a\"b\\c")], 3.0),
            Family::gauge("left", "What is left.").with(&[], 0.25),
            Family::gauge("nothing", "Without series."),
            Family::histogram("seconds", "Time.").with_distribution(&[("kind", "x")], distribution),
        ]
    }

    #[test]
    fn prometheus_gets_its_text() {
        let expected = "# HELP calls_total Calls\\nof \"all\".\n# TYPE calls_total counter\n\
                        calls_total{tool=\"a\\\"b\\\\c\"} 3\n# HELP left What is left.\n# TYPE left gauge\nleft 0.25\n\
                        # HELP seconds Time.\n# TYPE seconds histogram\nseconds_bucket{kind=\"x\",le=\"0.5\"} 2\n\
                        seconds_bucket{kind=\"x\",le=\"1.0\"} 3\nseconds_bucket{kind=\"x\",le=\"+Inf\"} 3\n\
                        seconds_sum{kind=\"x\"} 1.2\nseconds_count{kind=\"x\"} 3\n";
        assert_eq!(Format::Text.page(&families()), expected);
    }

    #[test]
    fn open_metrics_has_exemplars_and_an_end() {
        let page = Format::OpenMetrics.page(&families());
        for line in [
            "# TYPE calls counter",
            "calls_total{tool=\"a\\\"b\\\\c\"} 3",
            "# HELP calls Calls\\nof \\\"all\\\".",
            "seconds_bucket{kind=\"x\",le=\"1.0\"} 3 # {trace_id=\"abababababababababababababababab\",\
             span_id=\"cdcdcdcdcdcdcdcd\"} 0.7 1700000000.123",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert!(page.ends_with("\n# EOF\n"));
    }

    #[test]
    fn who_names_open_metrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("text/plain"), Format::Text);
        assert_eq!(Format::accepted(""), Format::Text);
    }
}
