//! Reads what criterion leaves behind: one folder per benchmark, with its estimates in nanoseconds.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde_json::Value;

use super::Figure;

/// The medians of every benchmark under `folder` that was measured at or after `begun`, sorted by name.
///
/// # Errors
/// When a file that criterion wrote cannot be read.
pub fn figures_since(folder: &Path, begun: SystemTime) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.ends_with("new") && path.join("estimates.json").is_file() {
                figures.extend(read_one(&path, begun)?);
            } else if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    figures.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(figures)
}

fn read_one(folder: &Path, begun: SystemTime) -> anyhow::Result<Option<Figure>> {
    let estimates = folder.join("estimates.json");
    if std::fs::metadata(&estimates)?.modified()? < begun {
        return Ok(None);
    }
    let name = read_json(folder.join("benchmark.json"))?;
    let name = name["full_id"].as_str().context("criterion named no benchmark")?.to_owned();
    let value = read_json(estimates)?["median"]["point_estimate"].as_f64();
    let value = value.with_context(|| format!("criterion gave no median for `{name}`"))?;
    Ok(Some(Figure { name, value, unit: "ns".to_owned() }))
}

fn read_json(path: PathBuf) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn medians_of_this_run_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("walk/allow/new");
        std::fs::create_dir_all(&new).unwrap();
        std::fs::write(new.join("benchmark.json"), r#"{"full_id": "walk/allow"}"#).unwrap();
        std::fs::write(new.join("estimates.json"), r#"{"median": {"point_estimate": 12.5}}"#).unwrap();

        let written = std::fs::metadata(new.join("estimates.json")).unwrap().modified().unwrap();
        let figure = Figure { name: "walk/allow".into(), value: 12.5, unit: "ns".into() };
        assert_eq!(figures_since(folder.path(), written).unwrap(), [figure]);
        let later = written + Duration::from_secs(1);
        assert_eq!(figures_since(folder.path(), later).unwrap(), []);
    }

    #[test]
    fn no_folder_means_no_figures() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(figures_since(&folder.path().join("none"), SystemTime::UNIX_EPOCH).unwrap(), []);
    }
}
