//! `aegis cluster rewrap-keys`: private keys from one cluster key to the next.

use clap::Args;

use crate::admin_client::{Server, block_on};
use crate::ended::Ended;
use crate::listing::text;
use crate::output::Output;
use crate::tenant::told;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis cluster rewrap-keys --server https://control-1:7070 --server-ca certs/ca.pem

To replace the cluster key:
  1. put the new file first in `cluster_keys` on every control node, and restart them one by one
  2. run this command, at any node
  3. take the old file out of `cluster_keys` on every control node, and restart them one by one

Keep the old file as long as you keep backups of its time. The same command again changes nothing.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let done = block_on(async { Ok(admin.post_nothing("/keys/rewrap").await) })?;
    told(done, output, |answer| {
        let count = answer["rewrapped"].as_array().map_or(0, Vec::len);
        format!(
            "{count} private keys were wrapped anew; all are under the cluster key {}",
            text(answer, "cluster_key")
        )
    })
}
