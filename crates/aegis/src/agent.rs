//! `aegis agent`: the agents of a tenant, and the keys that prove them.

use std::path::PathBuf;

use aegis_model::ids::{AgentId, TenantId};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::state::read_bounded;
use crate::tenant::{put, told};

/// Larger than any PEM file of an Ed25519 public key.
const KEY_BYTES_MAX: usize = 4 << 10;

/// What can be done with agents.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  aegis agent create finance-agent --tenant acme --key finance-agent.pub.pem"
)]
pub(crate) enum Command {
    /// Register an agent
    Create(CreateOptions),
    /// List a tenant's agents
    List(ListOptions),
    /// Bar an agent from tokens
    Disable(NameOptions),
    /// Permit an agent tokens again
    Enable(NameOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis agent create finance-agent --tenant acme --key finance-agent.pub.pem --description 'pays invoices'")]
pub(crate) struct CreateOptions {
    /// Its name
    #[arg(value_name = "AGENT")]
    name: AgentId,
    #[command(flatten)]
    of: Of,
    /// A public key with which it proves who it is (Ed25519, PEM); may be repeated
    #[arg(long = "key", env = "AEGIS_AGENT_KEY", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// For people
    #[arg(long, env = "AEGIS_DESCRIPTION", value_name = "TEXT")]
    description: Option<String>,
}

/// Whose agents, and where.
#[derive(Debug, Args)]
struct Of {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis agent list --tenant acme")]
pub(crate) struct ListOptions {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis agent disable finance-agent --tenant acme
  aegis agent enable finance-agent --tenant acme")]
pub(crate) struct NameOptions {
    /// Its name
    #[arg(value_name = "AGENT")]
    name: AgentId,
    #[command(flatten)]
    of: Of,
}

impl Of {
    fn path(&self) -> String {
        format!("/tenants/{}/agents", segment(self.tenant.as_str()))
    }
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Create(options) => create(&options, output),
        Command::List(options) => list(&options, output),
        Command::Disable(options) => bar(&options, true, output),
        Command::Enable(options) => bar(&options, false, output),
    }
}

fn create(options: &CreateOptions, output: Output) -> anyhow::Result<Ended> {
    let read = |path: &PathBuf| -> anyhow::Result<String> {
        let bytes =
            read_bounded(path, KEY_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))?;
        String::from_utf8(bytes).ok().with_context(|| format!("`{}` is not PEM", path.display()))
    };
    let keys: Vec<String> = options.keys.iter().map(read).collect::<anyhow::Result<_>>()?;
    let mut body = json!({"name": options.name, "public_keys": keys});
    put(&mut body, "description", options.description.clone());
    let admin = options.of.server.client()?;
    let made = block_on(async { Ok(admin.post(&options.of.path(), body).await) })?;
    told(made, output, |agent| {
        format!("agent {} of {} was registered", text(agent, "name"), text(agent, "tenant"))
    })
}

fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.of.server.client()?;
    let rows = match block_on(async { Ok(admin.all(&options.of.path()).await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("AGENT", |row| text(row, "name")),
            ("KEYS", |row| row["keys"].as_array().map_or(0, Vec::len).to_string()),
            ("STATE", |row| {
                if row["disabled"] == Value::Bool(true) { "disabled".to_owned() } else { String::new() }
            }),
            ("DESCRIPTION", |row| text(row, "description")),
        ],
    );
    Ok(Ended::Done)
}

fn bar(options: &NameOptions, disabled: bool, output: Output) -> anyhow::Result<Ended> {
    let admin = options.of.server.client()?;
    let path = format!("{}/{}", options.of.path(), segment(options.name.as_str()));
    let changed = block_on(async { Ok(admin.patch(&path, json!({"disabled": disabled})).await) })?;
    told(changed, output, |agent| {
        let now = if disabled { "gets no tokens any more" } else { "gets tokens again" };
        format!("agent {} {now}", text(agent, "name"))
    })
}
