//! `aegis audit export`: one tenant's records, with what is needed to verify them, and nothing of others.

use std::path::{Path, PathBuf};

use aegis_audit::export::export;
use aegis_audit::journal::SystemDisk;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::record::Chain;
use aegis_audit::segment;
use aegis_audit::verify::{Scope, verify_pruned};
use aegis_model::ids::TenantId;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::logs::{Log, Place};
use crate::ended::Ended;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis audit export /var/lib/aegis/audit --tenant acme --to acme-2026
  aegis audit verify acme-2026 --tenant acme --key log-keys.txt

Each log gets a folder of its own below the target. Only sealed segments are exported: what a running log has grown since the last one
follows once it is sealed, at the latest when its node ends. Ends with 1 if the tenant has nothing that is sealed.")]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Whose records
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// Where to; made, and must not be there
    #[arg(long, env = "AEGIS_AUDIT_TO", value_name = "FOLDER")]
    to: PathBuf,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let chain = Chain::Tenant(options.tenant.clone());
    if options.to.exists() {
        bail!("`{}` is there already: an export is made into a new folder", options.to.display());
    }
    let (mut exported, mut open) = (Vec::new(), Vec::new());
    let logs = options.place.logs()?;
    let keys: Vec<VerifyingKey> = logs.iter().map(|log| log.own_key.clone()).collect();
    for log in logs {
        if log.is_open() {
            open.push(log.name().to_owned());
        }
        // A tenant that has nothing in a log is not in it, and an export would show nothing.
        if log.folder.join("checkpoint").exists() && log.folder.join(segment::folder(&chain)).exists() {
            exported.push(one(&log, &keys, &chain, &options.to, output)?);
        }
    }
    let told = json!({"tenant": options.tenant, "to": options.to, "logs": exported, "not_ended": open});
    output.result(&told, || {
        let mut lines: Vec<String> = exported.iter().map(|log| format!("{log}: exported")).collect();
        if exported.is_empty() {
            lines.push(format!("{} has no sealed records here", options.tenant));
        }
        lines.extend(open.iter().map(|log| {
            format!("{log}: not ended; what it has grown since its last sealed segment is not in the export")
        }));
        lines.join("\n")
    });
    Ok(if exported.is_empty() { Ended::Refused } else { Ended::Done })
}

fn one(log: &Log, keys: &[VerifyingKey], chain: &Chain, to: &Path, output: Output) -> anyhow::Result<String> {
    output.progress(format_args!("exporting {} …", log.name()));
    let name = log.name().rsplit('/').next().unwrap_or_default();
    std::fs::create_dir_all(to).with_context(|| format!("making `{}`", to.display()))?;
    let target = to.join(name);
    export((&SystemDisk, &log.folder), chain, (&SystemDisk, &target))
        .with_context(|| format!("exporting {} to `{}`", log.name(), target.display()))?;
    // What is handed out is looked at first: a segment may have been sealed during the copy.
    let scope = Scope::Chain(chain.clone());
    if let Err(problem) = verify_pruned(&SystemDisk, &target, &log.own_key, keys, None, &scope) {
        bail!("the export of {} does not hold: {problem}; if its node runs, try again", log.name());
    }
    Ok(log.name().to_owned())
}
