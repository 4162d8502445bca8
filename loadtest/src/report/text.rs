//! The report for people.

use std::fmt::Write as _;

use super::{Report, Row};

/// The whole report as text.
pub fn render(report: &Report) -> String {
    let setup = &report.setup;
    let mut text = format!(
        "{} rounds of {} s after {} s of warm-up, {} connections per server, {} threads shared by all;\n\
         a gRPC request has {} bytes, its answer {} (means, without headers)\n",
        setup.rounds,
        setup.seconds,
        setup.warm_up_seconds,
        setup.connections,
        setup.cores,
        setup.request_bytes,
        setup.answer_bytes,
    );
    let mut load = "";
    for row in &report.rows {
        if row.load != load {
            load = &row.load;
            text.push_str(&heading(report, load));
        }
        text.push_str(&line(row));
    }
    if !report.skipped.is_empty() {
        _ = write!(text, "\n{}\n", report.skipped.join("\n"));
    }
    for row in &report.rows {
        let outcomes: Vec<String> =
            row.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let of = if row.target == report.rows[0].target { "\n" } else { "" };
        _ = writeln!(text, "{of}{:<10} {:<14} {}", row.target.name(), row.load, outcomes.join(", "));
    }
    text.push_str(&servers(report));
    text
}

fn heading(report: &Report, load: &str) -> String {
    let mut text = format!("\n{load}\n");
    let ratios = report.ratios.iter().filter(|ratio| ratio.load == load);
    for ratio in ratios {
        let rounds: Vec<String> = ratio.cpu_rounds.iter().map(|round| format!("{round:.2}")).collect();
        let pair = format!("{} / {}", ratio.target.name(), ratio.over.name());
        _ = write!(text, "  {pair:<18} {:.2} times the CPU per call ({})", ratio.cpu, rounds.join(" "));
        text.push_str(&ratio.throughput.map_or_else(String::new, |it| format!(", {it:.2} times the calls")));
        text.push('\n');
    }
    _ = writeln!(
        text,
        "  {:<10} {:>10} {:>9} {:>9} | {:>8} {:>8} {:>8} {:>8} {:>9} | {:>8} {:>7}",
        "target",
        "calls/s",
        "CPU us",
        "of user",
        "p50 us",
        "p90",
        "p99",
        "p99.9",
        "max",
        "late p99",
        "errors",
    );
    text
}

fn line(row: &Row) -> String {
    let latency = &row.latency;
    format!(
        "  {:<10} {:>10.0} {:>9.2} {:>9.2} | {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>9.0} | {:>8.0} {:>7}\n",
        row.target.name(),
        row.per_second,
        row.cpu_us,
        row.cpu_us_user,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p999,
        latency.max,
        row.late_us_p99,
        row.errors.values().sum::<u64>(),
    )
}

fn servers(report: &Report) -> String {
    let mut text = "\nCPU seconds of each server, by /proc and by RUSAGE_CHILDREN\n".to_owned();
    for lifetime in &report.lifetimes {
        let (shown, charged) = (lifetime.shown_seconds, lifetime.charged_seconds);
        _ = writeln!(text, "  {:<10} {shown:>9.2} {charged:>9.2}", lifetime.name);
    }
    text
}
