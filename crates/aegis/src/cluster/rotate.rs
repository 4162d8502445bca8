//! `aegis cluster keys` and `rotate-keys`: the keys that sign, and a new one in the place of the one before.

use clap::Args;
use serde_json::json;

use crate::admin_client::{Server, block_on};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::told;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis cluster rotate-keys --server https://control-1:7070 --server-ca certs/ca.pem

A new key of agent tokens signs once every data node that can be reached knows it, or after a minute. The one before signs nothing more
then, and goes once its last token has ended.")]
pub(crate) struct Options {
    /// What the key signs: `agent-token`, `person-token` or `manifest`
    #[arg(long, env = "AEGIS_KEY_KIND", value_name = "KIND", default_value = "agent-token")]
    kind: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis cluster keys --output json")]
pub(crate) struct ListOptions {
    #[command(flatten)]
    server: Server,
}

pub(super) fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let rows = match block_on(async { Ok(admin.all("/keys").await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("KEY", |row| text(row, "id")),
            ("SIGNS", |row| text(row, "kind")),
            ("SINCE", |row| text(row, "created_at")),
            ("WAITS UNTIL", |row| text(row, "signs_from")),
            ("RETIRED", |row| text(row, "retired_at")),
            ("REVOKED", |row| text(row, "revoked_at")),
        ],
    );
    Ok(Ended::Done)
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let body = json!({"kind": options.kind});
    let done = block_on(async { Ok(admin.post("/keys/rotate", body).await) })?;
    told(done, output, |answer| {
        let (id, from) = (text(&answer["key"], "id"), text(&answer["key"], "signs_from"));
        match from.as_str() {
            "" => format!("the key {id} signs from now on"),
            from => format!("the key {id} signs once every data node knows it, at the latest at {from}"),
        }
    })
}
