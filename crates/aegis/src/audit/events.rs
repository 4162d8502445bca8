//! `aegis audit events`: records of a log as events for other people's tools.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use aegis_audit::pruned;
use aegis_audit::record::Chain;
use aegis_audit::segment;
use aegis_audit::siem::{Format, Placed, event};
use anyhow::{Context, bail};
use clap::Args;

use crate::ended::Ended;
use crate::output::Output;
use crate::state::read_bounded;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit events data-1/audit/7 --format ocsf > events.jsonl
  aegis audit events export/ --format cef --chain tenant/acme --after 41000 --to acme.cef

Sealed records are written, one event a line, in the order of the log; `--after` goes on where an earlier run ended. Each event
names log, index and leaf, by which it can be proved. Nothing is verified here: `aegis audit control verify` does that.")]
pub(crate) struct Options {
    /// The folder of a log, or of an export of one
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The form: `ocsf` (1.8, API Activity), `cef`, `ecs` or `json-lines`
    #[arg(long, env = "AEGIS_AUDIT_FORMAT", value_name = "FORMAT")]
    format: Format,
    /// Only the records of this chain: `tenant/NAME`, `node` or `log` [default: all that are there]
    #[arg(long, env = "AEGIS_AUDIT_CHAIN", value_name = "CHAIN")]
    chain: Option<Chain>,
    /// Only records after this index
    #[arg(long, env = "AEGIS_AUDIT_AFTER", value_name = "INDEX")]
    after: Option<u64>,
    /// The file that is written, and not overwritten [default: standard output]
    #[arg(long, env = "AEGIS_AUDIT_TO", value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Twice as large as a segment gets unless somebody configured it otherwise.
const SEGMENT_BYTES_MAX: usize = 1 << 30;

pub(crate) fn run(options: &Options, _output: Output) -> anyhow::Result<Ended> {
    let segments = segments(options)?;
    match &options.to {
        None => write(options, &segments, &mut std::io::stdout().lock()),
        Some(path) => {
            let making = || format!("making `{}`", path.display());
            let file = File::options().write(true).create_new(true).open(path).with_context(making)?;
            let mut file = BufWriter::new(file);
            write(options, &segments, &mut file)?;
            let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
            file.and_then(|file| file.sync_all()).with_context(|| format!("writing `{}`", path.display()))
        }
    }?;
    Ok(Ended::Done)
}

/// The files of each segment, in the order of the log.
fn segments(options: &Options) -> anyhow::Result<BTreeMap<String, Vec<PathBuf>>> {
    let root = options.folder.join("segments");
    let folders: Vec<PathBuf> = match &options.chain {
        Some(chain) => vec![options.folder.join(segment::folder(chain))],
        None => names(&root)?.into_iter().map(|name| root.join(name)).collect(),
    };
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for folder in folders {
        for name in names(&folder)?.into_iter().filter(|name| name != pruned::NAME) {
            files.entry(name.clone()).or_default().push(folder.join(name));
        }
    }
    Ok(files)
}

fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let reading = || format!("reading `{}`", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        names.push(entry.with_context(reading)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn write(
    options: &Options,
    segments: &BTreeMap<String, Vec<PathBuf>>,
    to: &mut impl Write,
) -> anyhow::Result<()> {
    for paths in segments.values() {
        // The records of one segment lie in a file per chain.
        let mut events: BTreeMap<u64, String> = BTreeMap::new();
        for path in paths {
            let shown = path.display();
            let bytes =
                read_bounded(path, SEGMENT_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
            let Some(read) = segment::read(&bytes) else { bail!("`{shown}` is no segment of a log") };
            for (index, record) in read.records {
                if options.after.is_some_and(|after| index <= after) {
                    continue;
                }
                let placed = Placed { origin: read.origin, index, record };
                let line = event(options.format, placed, env!("CARGO_PKG_VERSION"))
                    .with_context(|| format!("record {index} in `{shown}`"))?;
                events.insert(index, line);
            }
        }
        for line in events.values() {
            writeln!(to, "{line}").context("writing events")?;
        }
    }
    to.flush().context("writing events")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path, format: Format, after: Option<u64>) -> Options {
        Options { folder: folder.to_owned(), format, chain: None, after, to: None }
    }

    /// Two chains of one segment, as the journal seals them.
    fn log() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let id = "0".repeat(32);
        let record = |chain: &str, seq: u64| {
            format!(
                r#"{{"at":"2026-11-23T05:16:00.000000001Z","chain":"{chain}","id":"{id}","seq":{seq},"v":1,"what":{{"refusals":{{"code":"Overloaded","count":1,"source":"others"}}}}}}"#
            )
        };
        let tenant: Chain = "tenant/acme".parse().unwrap();
        for (chain, indexes) in [(Chain::Node, [0, 2]), (tenant, [1, 3])] {
            let path = folder.path().join(segment::folder(&chain));
            fs::create_dir_all(&path).unwrap();
            let mut text = format!("aegis-segment/v1 c-1/data-1/1 0 {chain}\n");
            for (seq, index) in (1..).zip(indexes) {
                text += &format!("{index} {}\n", record(&chain.to_string(), seq));
            }
            fs::write(path.join(segment::file_name(0)), text).unwrap();
        }
        folder
    }

    fn indexes(options: &Options) -> Vec<u64> {
        let mut written = Vec::new();
        write(options, &segments(options).unwrap(), &mut written).unwrap();
        let text = String::from_utf8(written).unwrap();
        let index =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].as_u64().unwrap();
        text.lines().map(index).collect()
    }

    #[test]
    fn events_come_in_the_order_of_the_log_and_go_on_after_an_index() {
        let folder = log();
        let all = options(folder.path(), Format::JsonLines, None);
        assert_eq!(indexes(&all), [0, 1, 2, 3]);
        assert_eq!(indexes(&options(folder.path(), Format::JsonLines, Some(1))), [2, 3]);
        let chain = Some("tenant/acme".parse().unwrap());
        assert_eq!(indexes(&Options { chain, ..all }), [1, 3]);
    }

    #[test]
    fn a_damaged_file_ends_it_and_no_file_is_overwritten() {
        let folder = log();
        let to = folder.path().join("out");
        let wanted = Options { to: Some(to.clone()), ..options(folder.path(), Format::Cef, None) };
        let output = Output::new(crate::output::Format::Json);
        run(&wanted, output).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap().lines().count(), 4);
        assert!(run(&wanted, output).is_err());
        let path = folder.path().join(segment::folder(&Chain::Node)).join(segment::file_name(0));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"v\":1", "\"v\": 1")).unwrap();
        let error = run(&options(folder.path(), Format::Ocsf, None), output).unwrap_err();
        assert!(format!("{error:#}").contains("record 0 in"), "{error:#}");
    }
}
