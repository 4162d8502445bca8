//! `aegis cluster snapshot`: a backup, taken while the cluster serves.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::admin_client::{Server, block_on};
use crate::ended::{Ended, WrongUse};
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis cluster snapshot --file backup-2026-11-26.aegis && aegis cluster restore --check backup-2026-11-26.aegis

Any control node makes it and goes on serving. It holds everything that was acknowledged before: private keys only
wrapped, so that it is of no use without the cluster keys. Keep both, apart from each other.")]
pub(crate) struct Options {
    /// Where the backup is written; it must not be there
    #[arg(long, env = "AEGIS_BACKUP_FILE", value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let file = &options.file;
    if file.exists() {
        return Err(WrongUse(format!("`{}` is there already: name another file", file.display())).into());
    }
    let admin = options.server.client()?;
    let taken = block_on(async { Ok(admin.download("/cluster/snapshot", file).await) })?;
    let bytes = match taken {
        Ok(bytes) => bytes,
        Err(failure) => return failure.told(output),
    };
    let head = aegis_raft_store::backup::check(file)
        .with_context(|| format!("the backup `{}` is not whole: take another one", file.display()))?;
    let index = head.last_log_id.map_or(0, |id| id.index);
    let told = json!({"file": file, "bytes": bytes, "history": head.history, "index": index});
    output.result(&told, || {
        format!("{}: {bytes} bytes, history {}, index {index}; checked", file.display(), head.history)
    });
    Ok(Ended::Done)
}
