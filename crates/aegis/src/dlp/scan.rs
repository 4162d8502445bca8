//! `aegis dlp scan`: files and folders, one after the other.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use aegis_dlp::scanner::{Detectors, Precision, Scanner};
use clap::{Args, ValueEnum};

use super::file;
use super::report::Report;
use crate::ended::{Ended, WrongUse};
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis dlp scan notes.txt
  git diff | aegis dlp scan -
  aegis dlp scan . --precision strict --kinds secrets --output sarif > aegis.sarif

Finds what a node finds, encoded and packed data included. Values are masked unless you ask for them. In folders, `.git` and symbolic
links are passed over. docs/detectors.md lists the kinds.

Exit codes: 0 nothing was found, 1 something was, or a file could not be read, 2 wrong use.")]
pub(crate) struct Options {
    /// Files or folders; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How sure a finding has to be
    #[arg(long, env = "AEGIS_DLP_PRECISION", value_enum, default_value_t, value_name = "PRECISION")]
    precision: Sure,
    /// What is looked for: kinds and groups (`personal`, `financial`, `health`, `network`, `secrets`, `all`), with commas
    #[arg(long, env = "AEGIS_DLP_KINDS", value_delimiter = ',', default_value = "all", value_name = "NAMES")]
    kinds: Vec<String>,
    /// Show whole values
    #[arg(long, env = "AEGIS_DLP_SHOW")]
    show: bool,
}

/// How sure a finding has to be.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Sure {
    /// It looks like it
    #[default]
    Lenient,
    /// Checksums and ranges hold
    Strict,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let scanner = scanner(options)?;
    let files = files(&options.paths)?;
    let mut report = Report::new(output);
    let mut progress = Progress::new(files.len(), options, output);
    for path in &files {
        progress.show(&report);
        let name = path.display().to_string();
        let read = look(path, &scanner, options.show, &mut |found| {
            progress.clear();
            report.add(&name, found);
        });
        match read {
            Ok(bytes) => (report.files, report.bytes) = (report.files + 1, report.bytes + bytes),
            Err(error) => report.unreadable.push((name, error.to_string())),
        }
    }
    progress.clear();
    let clean = report.found == 0 && report.unreadable.is_empty();
    report.end();
    Ok(if clean { Ended::Done } else { Ended::Refused })
}

fn scanner(options: &Options) -> anyhow::Result<Scanner> {
    let precision = match options.precision {
        Sure::Lenient => Precision::Lenient,
        Sure::Strict => Precision::Strict,
    };
    let mut detectors = Detectors::new();
    for name in &options.kinds {
        detectors = detectors
            .named(name.trim(), precision)
            .map_err(|bad| WrongUse(format!("`--kinds`: {bad}; docs/detectors.md lists them")))?;
    }
    Ok(Scanner::new(detectors)?)
}

fn look(
    path: &Path,
    scanner: &Scanner,
    show: bool,
    each: &mut impl FnMut(file::Found),
) -> std::io::Result<u64> {
    match path.as_os_str() == "-" {
        true => file::scan(&mut std::io::stdin().lock(), scanner, show, each),
        false => file::scan(&mut File::open(path)?, scanner, show, each),
    }
}

/// Every file that the paths name, those of folders in order.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(path.clone());
            continue;
        }
        let named = std::fs::metadata(path)
            .map_err(|error| WrongUse(format!("`{}` cannot be read: {error}", path.display())))?;
        match named.is_dir() {
            true => below(path, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let unreadable = |error| WrongUse(format!("`{}` cannot be read: {error}", folder.display()));
    let mut entries =
        std::fs::read_dir(folder).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && entry.file_name() != ".git" {
            below(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// A bar on the terminal while folders are looked through; nothing elsewhere.
struct Progress {
    files: usize,
    terminal: bool,
    shown: bool,
}

const BAR: usize = 30;

impl Progress {
    fn new(files: usize, options: &Options, output: Output) -> Self {
        let folders = files > options.paths.len();
        let terminal = folders && std::io::stderr().is_terminal() && output.is_text();
        Self { files, terminal, shown: false }
    }

    fn show(&mut self, report: &Report) {
        if self.terminal {
            let done = usize::try_from(report.files).unwrap_or(usize::MAX).min(self.files);
            let filled = BAR * done / self.files.max(1);
            let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR - filled));
            let (files, bytes, found) = (self.files, report.bytes >> 20, report.found);
            // A terminal that is gone does not want to see it.
            let _ = write!(
                std::io::stderr().lock(),
                "\r\x1b[K[{bar}] {done} of {files} files, {bytes} MiB, {found} findings"
            );
            self.shown = true;
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
