//! `aegis person`: those who administer, and their tokens.

use std::path::PathBuf;
use std::time::Duration;

use aegis_model::ids::PersonId;
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::arguments;
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::state::{Readers, write_whole};
use crate::tenant::{put, told};

/// What can be done with people.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  aegis person put alice@example.com && aegis role grant alice@example.com author --scope acme"
)]
pub(crate) enum Command {
    /// Make a person, or change one
    Put(PutOptions),
    /// List people
    List(ListOptions),
    /// Say who you are to the control plane, and which roles you have
    Whoami(ListOptions),
    /// Give out a token of a person
    Token(TokenOptions),
    /// Revoke a token of a person
    Revoke(RevokeOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis person put alice@example.com --display-name 'Alice'
  aegis person put alice@example.com --disabled")]
pub(crate) struct PutOptions {
    /// The name
    #[arg(value_name = "PERSON")]
    name: PersonId,
    /// For people
    #[arg(long, env = "AEGIS_DISPLAY_NAME", value_name = "TEXT")]
    display_name: Option<String>,
    /// Nothing is permitted any more
    #[arg(long, env = "AEGIS_DISABLED")]
    disabled: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  aegis person list\n  aegis person whoami")]
pub(crate) struct ListOptions {
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis person token alice@example.com --life 8h --write alice.token

The token is in the answer and nowhere else. Every hour spent with it ends at the latest after 12 hours.")]
pub(crate) struct TokenOptions {
    /// The name
    #[arg(value_name = "PERSON")]
    name: PersonId,
    /// How long it is good for, at most 12h
    #[arg(long, env = "AEGIS_PERSON_TOKEN_FILE_LIFE", default_value = "1h", value_parser = arguments::duration, value_name = "TIME")]
    life: Duration,
    /// A file that gets the token, readable by you alone, instead of stdout
    #[arg(long, env = "AEGIS_PERSON_TOKEN_FILE_WRITE", value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis person revoke alice@example.com 2f1c…")]
pub(crate) struct RevokeOptions {
    /// The name
    #[arg(value_name = "PERSON")]
    name: PersonId,
    /// The token's id (`jti`)
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Put(options) => make(&options, output),
        Command::List(options) => list(&options, output),
        Command::Whoami(options) => whoami(&options, output),
        Command::Token(options) => token(&options, output),
        Command::Revoke(options) => revoke(&options, output),
    }
}

fn make(options: &PutOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let mut body = json!({"disabled": options.disabled});
    put(&mut body, "display_name", options.display_name.clone());
    let path = format!("/people/{}", segment(options.name.as_str()));
    let made = block_on(async { Ok(admin.put(&path, body).await) })?;
    told(made, output, |person| {
        let may = if options.disabled { "may do nothing any more" } else { "is known" };
        format!("{} {may}", text(person, "name"))
    })
}

fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let rows = match block_on(async { Ok(admin.all("/people").await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("PERSON", |row| text(row, "name")),
            ("DISPLAY NAME", |row| text(row, "display_name")),
            ("STATE", |row| {
                if row["disabled"] == Value::Bool(true) { "disabled".to_owned() } else { String::new() }
            }),
        ],
    );
    Ok(Ended::Done)
}

fn whoami(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let me = block_on(async { Ok(admin.get("/whoami").await) })?;
    told(me, output, |me| {
        let mut lines = vec![format!("{}, until {}", text(me, "person"), text(me, "expires_at"))];
        for binding in me["roles"].as_array().into_iter().flatten() {
            let roles: Vec<&str> =
                binding["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            lines.push(format!("  {} on {}", roles.join(", "), text(binding, "scope")));
        }
        lines.join("\n")
    })
}

fn token(options: &TokenOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/people/{}/tokens", segment(options.name.as_str()));
    let body = json!({"life_seconds": options.life.as_secs()});
    let issued = match block_on(async { Ok(admin.post(&path, body).await) })? {
        Ok(issued) => issued,
        Err(failure) => return failure.told(output),
    };
    let Some(file) = &options.write else {
        output.result(&issued, || text(&issued, "token"));
        return Ok(Ended::Done);
    };
    let token = text(&issued, "token");
    write_whole(file, format!("{token}\n").as_bytes(), Readers::Owner)
        .with_context(|| format!("writing `{}`", file.display()))?;
    let told = json!({"person": options.name, "token_file": file, "token_id": issued["token_id"], "expires_at": issued["expires_at"]});
    output.result(&told, || {
        format!(
            "a token of {}, until {}, is in {}",
            options.name,
            text(&issued, "expires_at"),
            file.display()
        )
    });
    Ok(Ended::Done)
}

fn revoke(options: &RevokeOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/people/{}/tokens/{}", segment(options.name.as_str()), segment(&options.id));
    let revoked = block_on(async { Ok(admin.delete(&path).await) })?;
    told(revoked, output, |_| format!("the token of {} counts no more", options.name))
}
