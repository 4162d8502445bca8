//! `aegis agent key`: the keys that prove an agent.

use std::path::PathBuf;

use aegis_model::ids::AgentId;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Of, in_lines, read_key, revoked};
use crate::admin_client::{block_on, segment};
use crate::ended::Ended;
use crate::output::Output;
use crate::tenant::told;

/// What can be done with the keys of an agent.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example: a new key takes the place of an old one within an hour
  aegis agent key add finance-agent --tenant acme --key new.pub.pem
  aegis agent key remove finance-agent KEY-ID --tenant acme --overlap-seconds 3600")]
pub(crate) enum Command {
    /// Add a key beside those that there are
    Add(AddOptions),
    /// Retire a key, at once or after a while; tokens that it got stay good
    Remove(RemoveOptions),
    /// Revoke a key: tokens that were given out on its strength count no more
    Revoke(RevokeOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis agent key add finance-agent --tenant acme --key new.pub.pem")]
pub(crate) struct AddOptions {
    /// The agent
    #[arg(value_name = "AGENT")]
    name: AgentId,
    #[command(flatten)]
    of: Of,
    /// The public key (Ed25519, PEM or JSON Web Key)
    #[arg(long, env = "AEGIS_AGENT_KEY", value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  aegis agent key remove finance-agent KEY-ID --tenant acme --overlap-seconds 3600"
)]
pub(crate) struct RemoveOptions {
    /// The agent
    #[arg(value_name = "AGENT")]
    name: AgentId,
    /// The key's id, as `aegis agent show` lists it
    #[arg(value_name = "KEY-ID")]
    id: String,
    #[command(flatten)]
    of: Of,
    /// For how long it still proves the agent, in seconds, up to a week
    #[arg(long, env = "AEGIS_OVERLAP_SECONDS", value_name = "SECONDS", default_value_t = 0)]
    overlap_seconds: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis agent key revoke KEY-ID --tenant acme --reason 'it was in a log'")]
pub(crate) struct RevokeOptions {
    /// The key's id
    #[arg(value_name = "KEY-ID")]
    id: String,
    #[command(flatten)]
    of: Of,
    /// Why, in words that are kept
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Add(options) => add(&options, output),
        Command::Remove(options) => remove(&options, output),
        Command::Revoke(options) => {
            revoked(&options.of, "key", &options.id, options.reason.as_deref(), output)
        }
    }
}

fn add(options: &AddOptions, output: Output) -> anyhow::Result<Ended> {
    let body = json!({"public_key": read_key(&options.key)?});
    let admin = options.of.server.client()?;
    let path = format!("{}/{}/keys", options.of.path(), segment(options.name.as_str()));
    let added = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(added, output, in_lines)
}

fn remove(options: &RemoveOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.of.server.client()?;
    let (agent, id) = (segment(options.name.as_str()), segment(&options.id));
    let overlap = options.overlap_seconds;
    let path = format!("{}/{agent}/keys/{id}?overlap_seconds={overlap}", options.of.path());
    let removed = block_on(async { Ok(admin.delete(&path).await) })?;
    told(removed, output, in_lines)
}
