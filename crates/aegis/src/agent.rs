//! `aegis agent`: the agents of a tenant, and the keys that prove them.

mod key;

use std::path::{Path, PathBuf};

use aegis_model::ids::{AgentId, TenantId};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::{Ended, WrongUse};
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
    /// Show an agent: its keys, and what tokens it gets by itself
    Show(NameOptions),
    /// Change what tokens an agent gets by itself
    Set(SetOptions),
    /// Bar an agent from tokens
    Disable(NameOptions),
    /// Permit an agent tokens again
    Enable(NameOptions),
    /// Revoke every token that an agent was given so far
    Revoke(RevokeOptions),
    /// The keys that prove an agent
    #[command(subcommand)]
    Key(key::Command),
}

/// What tokens an agent gets by itself.
#[derive(Debug, Args)]
struct Bounds {
    /// What they may be used for, at most; none: it gets none by itself
    #[arg(long, env = "AEGIS_SCOPE", value_name = "SCOPE")]
    scope: Option<String>,
    /// How long they live at most, up to 900 [default: 900]
    #[arg(long, env = "AEGIS_LIFE_SECONDS", value_name = "SECONDS")]
    life_seconds: Option<u32>,
    /// A claim that each of them has, such as purpose=care; may be repeated
    #[arg(long = "claim", env = "AEGIS_CLAIMS", value_delimiter = ',', value_parser = claim, value_name = "NAME=VALUE")]
    claims: Vec<Claim>,
    /// The SPIFFE id of the certificates that prove it
    #[arg(long, env = "AEGIS_SPIFFE_ID", value_name = "ID")]
    spiffe_id: Option<String>,
    /// The issuer outside whose tokens prove it, as `aegis issuer set` named it
    #[arg(long, env = "AEGIS_ISSUER_NAME", value_name = "ISSUER")]
    issuer: Option<String>,
    /// Whom those tokens are about
    #[arg(long, env = "AEGIS_ISSUER_SUBJECT", value_name = "TEXT")]
    issuer_subject: Option<String>,
}

/// A claim that is fixed where an agent is registered.
#[derive(Debug, Clone)]
struct Claim {
    name: String,
    value: String,
}

fn claim(text: &str) -> Result<Claim, String> {
    let (name, value) = text.split_once('=').ok_or("a claim is `NAME=VALUE`")?;
    Ok(Claim { name: name.to_owned(), value: value.to_owned() })
}

impl Bounds {
    /// Adds what was said to a request.
    fn put_into(&self, body: &mut Value) {
        put(body, "scope", self.scope.clone());
        put(body, "life_seconds_max", self.life_seconds);
        put(body, "spiffe_id", self.spiffe_id.clone());
        put(body, "issuer", self.issuer.clone());
        put(body, "issuer_subject", self.issuer_subject.clone());
        if !self.claims.is_empty() {
            let claim = |claim: &Claim| json!({"name": claim.name, "value": claim.value});
            put(body, "claims", Some(self.claims.iter().map(claim).collect::<Vec<_>>()));
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis agent set finance-agent --tenant acme --scope 'stripe-payments:*' --life-seconds 300
  aegis agent set finance-agent --tenant acme --claim purpose=billing,environment=prod
  aegis agent set deployer --tenant acme --issuer ci --issuer-subject 'repo:acme/shop:ref:refs/heads/main'")]
pub(crate) struct SetOptions {
    /// Its name
    #[arg(value_name = "AGENT")]
    name: AgentId,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    bounds: Bounds,
    /// Its tokens have no claims of their own from now on
    #[arg(long, env = "AEGIS_WITHOUT_CLAIMS", conflicts_with = "claims")]
    without_claims: bool,
    /// Only if this is its revision
    #[arg(long, env = "AEGIS_ONLY_IF_REVISION", value_name = "NUMBER")]
    only_if_revision: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis agent revoke finance-agent --tenant acme --reason 'its machine was stolen'")]
pub(crate) struct RevokeOptions {
    /// Its name
    #[arg(value_name = "AGENT")]
    name: AgentId,
    #[command(flatten)]
    of: Of,
    /// Why, in words that are kept
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis agent create finance-agent --tenant acme --key finance-agent.pub.pem --scope 'stripe-payments:*' \\
    --claim purpose=billing --description 'pays invoices'")]
pub(crate) struct CreateOptions {
    /// Its name
    #[arg(value_name = "AGENT")]
    name: AgentId,
    #[command(flatten)]
    of: Of,
    /// A public key with which it proves who it is (Ed25519, PEM or JSON Web Key); may be repeated
    #[arg(long = "key", env = "AEGIS_AGENT_KEY", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// For people
    #[arg(long, env = "AEGIS_DESCRIPTION", value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    bounds: Bounds,
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
        Command::Show(options) => show(&options, output),
        Command::Set(options) => set(&options, output),
        Command::Revoke(options) => revoke(&options, output),
        Command::Key(command) => key::run(command, output),
        Command::Disable(options) => bar(&options, true, output),
        Command::Enable(options) => bar(&options, false, output),
    }
}

fn create(options: &CreateOptions, output: Output) -> anyhow::Result<Ended> {
    let keys: Vec<String> = options.keys.iter().map(|path| read_key(path)).collect::<anyhow::Result<_>>()?;
    let mut body = json!({"name": options.name, "public_keys": keys});
    put(&mut body, "description", options.description.clone());
    options.bounds.put_into(&mut body);
    let admin = options.of.server.client()?;
    let made = block_on(async { Ok(admin.post(&options.of.path(), body).await) })?;
    told(made, output, |agent| {
        format!("agent {} of {} was registered", text(agent, "name"), text(agent, "tenant"))
    })
}

/// The text of a public key.
fn read_key(path: &Path) -> anyhow::Result<String> {
    let bytes = read_bounded(path, KEY_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))?;
    let text = String::from_utf8(bytes).ok();
    text.with_context(|| format!("`{}` is neither PEM nor a JSON Web Key", path.display()))
}

fn show(options: &NameOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.of.server.client()?;
    let path = format!("{}/{}", options.of.path(), segment(options.name.as_str()));
    let found = block_on(async { Ok(admin.get(&path).await) })?;
    told(found, output, in_lines)
}

/// An agent in lines for people.
fn in_lines(agent: &Value) -> String {
    let mut lines = vec![format!("agent        {} of {}", text(agent, "name"), text(agent, "tenant"))];
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name:<12} {value}"));
        }
    };
    line("description", text(agent, "description"));
    line("scope", text(agent, "scope"));
    line("life", text(agent, "life_seconds_max"));
    for claim in agent["claims"].as_array().into_iter().flatten() {
        line("claim", format!("{}={}", text(claim, "name"), text(claim, "value")));
    }
    line("SPIFFE id", text(agent, "spiffe_id"));
    line("issuer", text(agent, "issuer"));
    line("subject", text(agent, "issuer_subject"));
    for key in agent["keys"].as_array().into_iter().flatten() {
        let until = text(key, "ends_at");
        let until = if until.is_empty() { until } else { format!(" until {until}") };
        line("key", format!("{}{until}", text(key, "id")));
    }
    line("revision", text(agent, "revision"));
    lines.join("\n")
}

fn set(options: &SetOptions, output: Output) -> anyhow::Result<Ended> {
    let mut body = json!({});
    options.bounds.put_into(&mut body);
    if options.without_claims {
        put(&mut body, "without_claims", Some(true));
    }
    if body.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(WrongUse("nothing is to be changed".to_owned()).into());
    }
    put(&mut body, "only_if_revision", options.only_if_revision);
    let admin = options.of.server.client()?;
    let path = format!("{}/{}", options.of.path(), segment(options.name.as_str()));
    let changed = block_on(async { Ok(admin.patch(&path, body).await) })?;
    told(changed, output, in_lines)
}

fn revoke(options: &RevokeOptions, output: Output) -> anyhow::Result<Ended> {
    let subject = options.name.as_str();
    revoked(&options.of, "agent", subject, options.reason.as_deref(), output)
}

/// Revokes something of a tenant.
fn revoked(
    of: &Of,
    kind: &'static str,
    subject: &str,
    reason: Option<&str>,
    output: Output,
) -> anyhow::Result<Ended> {
    let mut body = json!({"kind": kind, "subject": subject});
    put(&mut body, "reason", reason.map(str::to_owned));
    let admin = of.server.client()?;
    let path = format!("/tenants/{}/revocations", segment(of.tenant.as_str()));
    let done = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(done, output, |row| {
        format!("{} {} is revoked since {}", text(row, "kind"), text(row, "subject"), text(row, "at"))
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
            ("SCOPE", |row| text(row, "scope")),
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
