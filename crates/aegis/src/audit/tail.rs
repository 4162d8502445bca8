//! `aegis audit tail`: the newest records, and those that follow.

use std::time::Duration;

use aegis_audit::journal::{Follower, SystemDisk};
use aegis_audit::read;
use aegis_model::ids::TenantId;
use anyhow::Context;
use clap::Args;

use super::logs::{Log, Place};
use super::show::Line;
use crate::ended::Ended;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit tail                               the last 20 records of `aegis dev`
  aegis audit tail --follow --tenant demo        and what follows, of one tenant
  aegis audit tail /var/lib/aegis/audit --lines 1000 --output json | jq .record.what

Shows what stands in the files; `aegis audit verify` says whether it is true. With `--output json`, each line is
`{\"log\", \"index\", \"record\"}`.")]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// How many of the newest records
    #[arg(long, short = 'n', env = "AEGIS_AUDIT_LINES", default_value_t = 20, value_name = "NUMBER")]
    lines: usize,
    /// Go on with those that follow, until interrupted
    #[arg(long, short = 'f', env = "AEGIS_AUDIT_FOLLOW")]
    follow: bool,
    /// Only the records of this tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: Option<TenantId>,
}

/// How often it is looked for new records.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let mut log = options.place.newest()?;
    let mut follower = follower(&log)?;
    let mut next = first(options, &log, output)?;
    if !options.follow {
        return Ok(Ended::Done);
    }
    loop {
        let records = match follower.more() {
            // Sealed before it was read here: the sealed files have it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                follower = self::follower(&log)?;
                all(&log)?
            }
            records => records.with_context(|| format!("following {}", log.name()))?,
        };
        let quiet = records.is_empty();
        for (index, bytes) in records {
            if index >= next {
                print(options, &log, index, &bytes, output);
                next = index + 1;
            }
        }
        if quiet {
            // A node that was started anew writes another log.
            let newest = options.place.newest()?;
            if newest.folder != log.folder {
                (follower, next, log) = (self::follower(&newest)?, 0, newest);
                continue;
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn follower(log: &Log) -> anyhow::Result<Follower> {
    Follower::new(&log.folder, log.name()).with_context(|| format!("reading `{}`", log.folder.display()))
}

fn all(log: &Log) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
    let records = read::newest(&SystemDisk, &log.folder, usize::MAX);
    records.with_context(|| format!("reading `{}`", log.folder.display()))
}

/// Prints the newest records; the index after them.
fn first(options: &Options, log: &Log, output: Output) -> anyhow::Result<u64> {
    // Of one tenant, nobody knows how far back its newest are.
    let least = if options.tenant.is_some() { usize::MAX } else { options.lines.saturating_add(1) };
    let records = read::newest(&SystemDisk, &log.folder, least);
    let records = records.with_context(|| format!("reading `{}`", log.folder.display()))?;
    let next = records.last().map_or(0, |(index, _)| index + 1);
    let shown: Vec<_> = records.iter().filter(|(_, bytes)| Line::read(bytes).is_shown(options)).collect();
    for (index, bytes) in shown.iter().skip(shown.len().saturating_sub(options.lines)) {
        print(options, log, *index, bytes, output);
    }
    Ok(next)
}

fn print(options: &Options, log: &Log, index: u64, bytes: &[u8], output: Output) {
    let line = Line::read(bytes);
    if line.is_shown(options) {
        output.result(&line.to_json(log.name(), index), || line.to_text(index, output));
    }
}

impl Line {
    fn is_shown(&self, options: &Options) -> bool {
        options.tenant.as_ref().is_none_or(|tenant| self.is_of(tenant))
    }
}
