//! Writes a measurement down: JSON for machines, Markdown for people, side by side.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::run::Measurement;

/// Writes `NAME.json` and `NAME.md` into `folder` and gives the path of the latter.
///
/// # Errors
/// When a file cannot be written.
pub fn write(measured: &Measurement, folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating `{}`", folder.display()))?;
    let json = serde_json::to_string_pretty(measured)? + "\n";
    std::fs::write(folder.join(format!("{}.json", measured.bar)), json)?;
    let path = folder.join(format!("{}.md", measured.bar));
    let mut page = markdown(measured);
    // A command of the bar may have left a plot there.
    let plot = format!("{}.svg", measured.bar);
    if folder.join(&plot).is_file() {
        _ = write!(page, "\n![{}]({plot})\n", measured.question);
    }
    std::fs::write(&path, page).with_context(|| format!("writing `{}`", path.display()))?;
    Ok(path)
}

/// The measurement as a page.
pub fn markdown(measured: &Measurement) -> String {
    let machine = &measured.machine;
    let mut page = format!("# {}\n\n{}\n\n", measured.bar, measured.question);
    let rows = [
        ("date", machine.date.clone()),
        ("revision", machine.revision.clone()),
        ("processor", format!("{}, {} threads", machine.cpu, machine.cores)),
        ("memory", format!("{} MiB", machine.memory_mib)),
        ("kernel", machine.kernel.clone()),
        ("compiler", machine.rustc.clone()),
        ("load before", machine.load.clone()),
    ];
    page.push_str("| machine | |\n|---|---|\n");
    for (name, value) in rows {
        _ = writeln!(page, "| {name} | {value} |");
    }
    if !measured.goals.is_empty() {
        page.push_str("\n| figure | goal | measured | met |\n|---|---|---|---|\n");
    }
    for goal in &measured.goals {
        let value = goal.value.map_or_else(|| "no figure".to_owned(), round);
        let met = if goal.met { "yes" } else { "**no**" };
        _ = writeln!(page, "| {} | {} | {value} | {met} |", goal.figure, goal.goal);
    }
    for run in &measured.runs {
        _ = write!(page, "\n`{}` took {} s.\n", run.command, round(run.seconds));
        if !run.figures.is_empty() {
            page.push_str("\n| figure | value | unit |\n|---|---|---|\n");
        }
        for figure in &run.figures {
            _ = writeln!(page, "| {} | {} | {} |", figure.name, round(figure.value), figure.unit);
        }
        for value in &run.other {
            _ = write!(page, "\n```json\n{value}\n```\n");
        }
    }
    page
}

/// Three digits after the point for small numbers, none for large ones: more would claim too much.
fn round(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::Figure;
    use crate::bar::run::{Run, Verdict};
    use crate::machine::Machine;

    #[test]
    fn a_page_says_what_was_measured_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let figure = Figure { name: "walk/allow".into(), value: 14_321.7, unit: "ns".into() };
        let other = serde_json::json!({"percentiles": [1, 2]});
        let run =
            Run { command: "cargo bench".into(), seconds: 1.25, figures: vec![figure], other: vec![other] };
        let goal = Verdict { figure: "walk/allow".into(), goal: "<= 1".into(), value: Some(2.0), met: false };
        let machine = Machine::here(folder.path());
        let measured = Measurement {
            bar: "walk".into(),
            question: "How?".into(),
            machine,
            runs: vec![run],
            goals: vec![goal],
        };

        let path = write(&measured, folder.path()).unwrap();
        let page = std::fs::read_to_string(path).unwrap();
        assert!(
            page.contains("| walk/allow | 14322 | ns |")
                && page.contains("| walk/allow | <= 1 | 2.000 | **no** |")
        );
        assert!(page.contains("| revision | ") && page.contains("\"percentiles\""));
        let json = std::fs::read_to_string(folder.path().join("walk.json")).unwrap();
        assert!(json.contains("\"met\": false"));
        assert!(!page.contains(".svg"));

        std::fs::write(folder.path().join("walk.svg"), "<svg/>").unwrap();
        let page = std::fs::read_to_string(write(&measured, folder.path()).unwrap()).unwrap();
        assert!(page.ends_with("\n![How?](walk.svg)\n"), "{page}");
    }
}
