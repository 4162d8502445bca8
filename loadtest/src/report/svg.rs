//! The report as a plot: per load, latency percentiles on the left and CPU time per call on the right.
//!
//! Written by hand: a page of shapes needs no library, and the same report always gives the same bytes.

use std::fmt::Write as _;

use super::{Report, Row};
use crate::compare::Load;
use crate::target::Target;

const WIDTH: f64 = 1040.0;
const HEAD: f64 = 64.0;
const ROW: f64 = 345.0;

/// A rectangle that is plotted into.
#[derive(Debug, Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// The whole plot as an SVG document.
pub fn render(report: &Report) -> String {
    let mut loads: Vec<&str> = report.rows.iter().map(|row| row.load.as_str()).collect();
    loads.dedup();
    let height = HEAD + ROW * loads.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    text(
        &mut svg,
        (20.0, 26.0),
        "start",
        "Latency and server CPU time per call",
        " font-size=\"17\" font-weight=\"bold\"",
    );
    legend(&mut svg, report);
    for (at, load) in loads.iter().enumerate() {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.load == *load).collect();
        let top = HEAD + ROW * at as f64;
        text(&mut svg, (20.0, top + 16.0), "start", load, " font-weight=\"bold\"");
        let height = ROW - 110.0;
        latency(&mut svg, Area { left: 78.0, top: top + 48.0, width: 450.0, height }, &rows);
        cpu(&mut svg, Area { left: 610.0, top: top + 48.0, width: 410.0, height }, &rows);
    }
    svg.push_str("</svg>\n");
    svg
}

fn color(target: Target) -> &'static str {
    match target {
        Target::Echo => "#7f7f7f",
        Target::Decide => "#1f5fbf",
        Target::DecideId => "#12a0b8",
        Target::Stream => "#2c9a3f",
        Target::Http => "#e07b00",
        Target::Opa => "#c8283c",
        Target::Fed => "#6b4fa0",
        Target::Limited => "#b0438f",
        Target::Unrecorded => "#7ab8f0",
    }
}

fn legend(svg: &mut String, report: &Report) {
    let mut targets: Vec<Target> = report.rows.iter().map(|row| row.target).collect();
    targets.sort_unstable();
    targets.dedup();
    for (at, target) in targets.into_iter().enumerate() {
        let left = 20.0 + 110.0 * at as f64;
        rectangle(svg, Area { left, top: 40.0, width: 12.0, height: 12.0 }, color(target), 1.0);
        text(svg, (left + 18.0, 51.0), "start", target.name(), "");
    }
}

/// Percentiles to the right, microseconds upwards in powers of ten.
fn latency(svg: &mut String, area: Area, rows: &[&Row]) {
    let values = || rows.iter().flat_map(|row| row.latency.steps()).map(|(_, value)| value.max(1.0));
    let lowest = values().fold(f64::INFINITY, f64::min).log10().floor();
    let highest = values().fold(10.0, f64::max).log10().ceil().max(lowest + 1.0);
    let lowest = if lowest.is_finite() { lowest } else { 0.0 };
    let y = |value: f64| {
        let part = (value.max(1.0).log10() - lowest) / (highest - lowest);
        area.top + area.height * (1.0 - part)
    };
    let mut power = lowest;
    while power <= highest {
        let value = 10_f64.powf(power);
        grid(svg, area, y(value), &microseconds(value));
        power += 1.0;
    }
    let names = rows.first().map(|row| row.latency.steps()).unwrap_or_default();
    let x = |at: usize| area.left + area.width * (at as f64 + 0.5) / names.len() as f64;
    for (at, (name, _)) in names.iter().enumerate() {
        text(svg, (x(at), area.top + area.height + 18.0), "middle", name, "");
    }
    for row in rows {
        let steps = row.latency.steps();
        let points: Vec<String> = steps
            .iter()
            .enumerate()
            .map(|(at, (_, value))| format!("{:.1},{:.1}", x(at), y(*value)))
            .collect();
        let color = color(row.target);
        _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for (at, (_, value)) in steps.iter().enumerate() {
            _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{color}\"/>",
                x(at),
                y(*value)
            );
        }
    }
    // At full load nothing is due: each call follows an answer.
    let full = rows.iter().any(|row| row.load == Load::Full.to_string());
    let from = if full {
        "latency, each call following an answer"
    } else {
        "latency from the moment a call was due"
    };
    axes(svg, area, &format!("{from} (log scale)"), "percentile of the calls");
}

/// One bar per target: kernel time pale, on top of the server's own.
fn cpu(svg: &mut String, area: Area, rows: &[&Row]) {
    let highest = rows.iter().map(|row| row.cpu_us).fold(1.0, f64::max) * 1.1;
    let step = round_step(highest / 6.0);
    let y = |value: f64| area.top + area.height * (1.0 - value / highest);
    let mut value = 0.0;
    while value <= highest {
        grid(svg, area, y(value), &format!("{value} us"));
        value += step;
    }
    let slot = area.width / rows.len().max(1) as f64;
    let width = (slot * 0.6).min(70.0);
    for (at, row) in rows.iter().enumerate() {
        let middle = area.left + slot * (at as f64 + 0.5);
        let user = row.cpu_us_user.min(row.cpu_us);
        let part = |from: f64, to: f64| Area {
            left: middle - width / 2.0,
            top: y(to),
            width,
            height: y(from) - y(to),
        };
        rectangle(svg, part(0.0, user), color(row.target), 1.0);
        rectangle(svg, part(user, row.cpu_us), color(row.target), 0.45);
        text(svg, (middle, y(row.cpu_us) - 5.0), "middle", &format!("{:.1}", row.cpu_us), "");
        text(svg, (middle, area.top + area.height + 18.0), "middle", row.target.name(), "");
    }
    axes(svg, area, "server CPU time per call (full: own code, pale: kernel)", "target");
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-3).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|it| it * power).find(|it| *it >= least).unwrap_or(10.0 * power)
}

fn microseconds(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} s", value / 1e6),
        value if value >= 1e3 => format!("{} ms", value / 1e3),
        value => format!("{value} us"),
    }
}

fn grid(svg: &mut String, area: Area, y: f64, label: &str) {
    let (left, right) = (area.left, area.left + area.width);
    _ = writeln!(svg, "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>");
    text(svg, (left - 8.0, y + 4.0), "end", label, "");
}

fn axes(svg: &mut String, area: Area, above: &str, below: &str) {
    let Area { left, top, width, height } = area;
    let bottom = top + height;
    _ = writeln!(
        svg,
        "<path d=\"M{left} {top} V{bottom} H{}\" fill=\"none\" stroke=\"#444\"/>",
        left + width
    );
    text(svg, (left, top - 8.0), "start", above, " fill=\"#555\"");
    text(svg, (left + width / 2.0, bottom + 38.0), "middle", below, " fill=\"#555\"");
}

fn rectangle(svg: &mut String, area: Area, color: &str, opacity: f64) {
    let Area { left, top, width, height } = area;
    _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{color}\" \
         fill-opacity=\"{opacity}\"/>",
        height.max(0.0)
    );
}

/// The texts are ours: names of targets, loads and percentiles hold nothing that XML would read as its own.
fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, content: &str, more: &str) {
    _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{content}</text>");
}
