//! `aegis channels`: the ways by which people are told of requests for approval.

use std::path::{Path, PathBuf};

use aegis_model::ids::TenantId;
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::{Ended, WrongUse};
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::{put, told};

/// What can be done with channels.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis channels set '#payments' --tenant acme --kind teams --url-file workflow.url
  aegis channels test '#payments' --tenant acme
  aegis channels list --tenant acme")]
pub(crate) enum Command {
    /// List channels, without their secrets
    List(ListOptions),
    /// Make a channel, or change one as a whole
    Set(Box<SetOptions>),
    /// Send a message that asks nobody for anything
    Test(OneOptions),
    /// Take a channel away that no policy in force names
    Remove(OneOptions),
}

/// What is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A program that is sent signed messages (Standard Webhooks)
    Webhook,
    /// A channel of a Slack workspace
    Slack,
    /// A workflow of Microsoft Teams
    Teams,
}

/// How parameters and context leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Parameters {
    /// What looks sensitive is masked, whatever the policy says
    #[default]
    Masked,
    /// As people are asked about them
    AsAsked,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis channels list --tenant acme")]
pub(crate) struct ListOptions {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis channels test '#payments' --tenant acme
  aegis channels remove '#payments' --tenant acme")]
pub(crate) struct OneOptions {
    /// The channel, as `notify` names it
    #[arg(value_name = "CHANNEL")]
    name: String,
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  (printf whsec_; head -c 32 /dev/urandom | base64) > hook.secret
  aegis channels set hook --tenant acme --kind webhook --url https://hooks.example.com/aegis --secret-file hook.secret
  aegis channels set hook --tenant acme --kind webhook --url https://hooks.example.com/aegis --secret-file new.secret --keep-previous

  aegis channels set '#payments' --tenant acme --kind slack --workspace T024BE7LD --target C024BE91L \\
    --secret-file signing.secret --token-file bot.token --member U024BE7LH=ada@example.com

  aegis channels set finance --tenant acme --kind teams --url-file workflow.url

Secrets are read from files, and never shown again. Those that are left out stay as they are.")]
pub(crate) struct SetOptions {
    /// The channel, as `notify` names it
    #[arg(value_name = "CHANNEL")]
    name: String,
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// What is at its other end
    #[arg(long, env = "AEGIS_CHANNEL_KIND", value_enum, value_name = "KIND")]
    kind: Kind,
    /// Where messages go: for a webhook; for Slack where its Web API is, if it is elsewhere
    #[arg(long, env = "AEGIS_CHANNEL_URL", value_name = "URL", conflicts_with = "url_file")]
    url: Option<String>,
    /// File that holds the address, where it is a secret: for Teams
    #[arg(long, env = "AEGIS_CHANNEL_URL_FILE", value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// File that holds what messages are signed with: `whsec_…` for a webhook, the app's signing secret for Slack
    #[arg(long, env = "AEGIS_CHANNEL_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Sign with the secret before as well, until the receiver has changed over: for a webhook
    #[arg(long, env = "AEGIS_CHANNEL_KEEP_PREVIOUS")]
    keep_previous: bool,
    /// File that holds the bot's token: for Slack
    #[arg(long, env = "AEGIS_CHANNEL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The id of the channel at Slack
    #[arg(long, env = "AEGIS_CHANNEL_TARGET", value_name = "ID")]
    target: Option<String>,
    /// The id of the workspace at Slack
    #[arg(long, env = "AEGIS_CHANNEL_WORKSPACE", value_name = "ID")]
    workspace: Option<String>,
    /// Who may answer there: a member id of Slack and the person they are here; may be given several times
    #[arg(long = "member", env = "AEGIS_CHANNEL_MEMBERS", value_name = "ID=PERSON", value_delimiter = ',')]
    members: Vec<String>,
    /// How parameters leave: with what looks sensitive masked, or as people are asked about them
    #[arg(long, env = "AEGIS_CHANNEL_PARAMETERS", value_enum, default_value_t, value_name = "HOW")]
    parameters: Parameters,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::List(options) => list(&options, output),
        Command::Set(options) => set(&options, output),
        Command::Test(options) => test(&options, output),
        Command::Remove(options) => remove(&options, output),
    }
}

fn path_of(tenant: &TenantId, name: &str) -> String {
    format!("/tenants/{}/channels/{}", segment(tenant.as_str()), segment(name))
}

fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/channels", segment(options.tenant.as_str()));
    let rows = match block_on(async { Ok(admin.all(&path).await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("CHANNEL", |row| text(row, "name")),
            ("KIND", |row| text(row, "kind")),
            ("HOST", |row| text(row, "host")),
            ("TARGET", |row| text(row, "target")),
            ("PARAMETERS", |row| text(row, "parameters")),
            ("MEMBERS", |row| row["members"].as_array().map_or(0, Vec::len).to_string()),
            ("CALLBACK", |row| text(row, "callback")),
        ],
    );
    Ok(Ended::Done)
}

fn set(options: &SetOptions, output: Output) -> anyhow::Result<Ended> {
    let kind = options.kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut body = json!({"kind": kind, "members": members(&options.members)?});
    let url = match &options.url_file {
        Some(file) => Some(secret(file)?),
        None => options.url.clone(),
    };
    put(&mut body, "url", url);
    put(&mut body, "secret", options.secret_file.as_deref().map(secret).transpose()?);
    put(&mut body, "token", options.token_file.as_deref().map(secret).transpose()?);
    put(&mut body, "target", options.target.clone());
    put(&mut body, "workspace", options.workspace.clone());
    if options.parameters == Parameters::AsAsked {
        put(&mut body, "parameters", Some("as_asked"));
    }
    put(&mut body, "keep_previous", options.keep_previous.then_some(true));
    let admin = options.server.client()?;
    let path = path_of(&options.tenant, &options.name);
    let set = block_on(async { Ok(admin.put(&path, body).await) })?;
    told(set, output, |row| {
        let to = format!(
            "channel {} leads to {} (revision {})",
            text(row, "name"),
            text(row, "host"),
            text(row, "revision")
        );
        match text(row, "callback").as_str() {
            "" => to,
            callback => format!(
                "{to}\nlet Slack send interactions to the address of the control nodes, followed by {callback}"
            ),
        }
    })
}

/// The text of a file, without the end of its line.
fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading `{}`", file.display()))?;
    Ok(text.trim().to_owned())
}

fn members(pairs: &[String]) -> anyhow::Result<Vec<Value>> {
    let member = |pair: &String| match pair.split_once('=') {
        Some((user, person)) => Ok(json!({"user": user, "person": person})),
        None => Err(WrongUse(format!(
            "`--member {pair}` has to be an id and a person: `U024BE7LH=ada@example.com`"
        ))
        .into()),
    };
    pairs.iter().map(member).collect()
}

fn test(options: &OneOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("{}/test", path_of(&options.tenant, &options.name));
    let tested = match block_on(async { Ok(admin.post_nothing(&path).await) })? {
        Ok(tested) => tested,
        Err(failure) => return failure.told(output),
    };
    let delivered = tested["delivered"] == Value::Bool(true);
    output.result(&tested, || match delivered {
        true => "the message was taken".to_owned(),
        false => format!("the message was not taken: {}", text(&tested, "error")),
    });
    Ok(if delivered { Ended::Done } else { Ended::Refused })
}

fn remove(options: &OneOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = path_of(&options.tenant, &options.name);
    let removed = block_on(async { Ok(admin.delete(&path).await) })?;
    told(removed, output, |row| format!("channel {} was taken away", text(row, "name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_pairs() {
        let read = members(&["U1=ann@example.com".to_owned()]).unwrap();
        assert_eq!(read, [json!({"user": "U1", "person": "ann@example.com"})]);
        assert!(members(&["U1".to_owned()]).is_err());
    }
}
