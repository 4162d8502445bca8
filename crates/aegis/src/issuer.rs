//! `aegis issuer`: issuers outside whose tokens prove agents of a tenant.

mod keys;

use aegis_identity::foreign::KeySet;
use aegis_model::ids::TenantId;
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::{put, told};

/// What can be done with issuers.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:
  aegis issuer set ci --tenant acme --iss https://token.actions.example --aud aegis --algorithm RS256 --key-set jwks.json
  aegis agent set deployer --tenant acme --issuer ci --issuer-subject 'repo:acme/shop:ref:refs/heads/main'")]
pub(crate) enum Command {
    /// Pin an issuer: its name in tokens, the audience, one algorithm and its keys
    Set(SetOptions),
    /// List a tenant's issuers
    List(ListOptions),
    /// Show what is pinned for an issuer
    Show(NameOptions),
    /// Take an issuer's keys over as it shows them now; everything else that is pinned stays
    Refresh(RefreshOptions),
    /// End every token that was given out on the strength of an issuer's so far
    Revoke(RevokeOptions),
    /// Remove an issuer, and end every token that was given out on its strength
    Remove(NameOptions),
}

/// What an issuer signs with.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Algorithm {
    /// RSA, PKCS#1 v1.5 with SHA-256
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA over P-256 with SHA-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Whose issuers, and where.
#[derive(Debug, Args)]
struct Of {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    #[command(flatten)]
    server: Server,
}

impl Of {
    fn path(&self) -> String {
        format!("/tenants/{}/issuers", segment(self.tenant.as_str()))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis issuer set ci --tenant acme --iss https://token.actions.example --aud aegis --algorithm RS256 \
    --key-set-url https://token.actions.example/.well-known/jwks
  aegis issuer set cluster --tenant acme --iss https://kubernetes.default.svc --aud aegis --algorithm RS256 --key-set jwks.json

When the issuer changes its keys: aegis issuer refresh")]
pub(crate) struct SetOptions {
    /// Its name within the tenant
    #[arg(value_name = "ISSUER")]
    name: String,
    #[command(flatten)]
    of: Of,
    /// What its tokens say in `iss`
    #[arg(long, env = "AEGIS_ISS", value_name = "TEXT")]
    iss: String,
    /// What they say in `aud`: for whom they are
    #[arg(long, env = "AEGIS_AUD", value_name = "TEXT", default_value = "aegis")]
    aud: String,
    /// What they are signed with; no other algorithm is taken
    #[arg(long, env = "AEGIS_ALGORITHM", value_name = "NAME")]
    algorithm: Algorithm,
    #[command(flatten)]
    keys: keys::Source,
    /// The claim that says who a token is about
    #[arg(long, env = "AEGIS_SUBJECT_CLAIM", value_name = "CLAIM", default_value = "sub")]
    subject_claim: String,
    /// Only if this is its revision; 0: only if it is new
    #[arg(long, env = "AEGIS_ONLY_IF_REVISION", value_name = "NUMBER")]
    only_if_revision: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis issuer refresh ci --tenant acme --key-set-url https://token.actions.example/.well-known/jwks

Nothing is changed if the keys are those that are pinned. Made to be run every few minutes.")]
pub(crate) struct RefreshOptions {
    /// Its name within the tenant
    #[arg(value_name = "ISSUER")]
    name: String,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    keys: keys::Source,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis issuer list --tenant acme")]
pub(crate) struct ListOptions {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis issuer show ci --tenant acme
  aegis issuer remove ci --tenant acme")]
pub(crate) struct NameOptions {
    /// Its name within the tenant
    #[arg(value_name = "ISSUER")]
    name: String,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  aegis issuer revoke ci --tenant acme --reason 'its runners were taken over'"
)]
pub(crate) struct RevokeOptions {
    /// Its name within the tenant
    #[arg(value_name = "ISSUER")]
    name: String,
    #[command(flatten)]
    of: Of,
    /// Why, in words that are kept
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Set(options) => set(&options, output),
        Command::List(options) => list(&options, output),
        Command::Show(options) => {
            let admin = options.of.server.client()?;
            let path = format!("{}/{}", options.of.path(), segment(&options.name));
            told(block_on(async { Ok(admin.get(&path).await) })?, output, in_lines)
        }
        Command::Refresh(options) => refresh(&options, output),
        Command::Revoke(options) => revoke(&options, output),
        Command::Remove(options) => {
            let admin = options.of.server.client()?;
            let path = format!("{}/{}", options.of.path(), segment(&options.name));
            told(block_on(async { Ok(admin.delete(&path).await) })?, output, |issuer| {
                let name = text(issuer, "name");
                format!("issuer {name} was removed; what was given out on its strength ends")
            })
        }
    }
}

fn set(options: &SetOptions, output: Output) -> anyhow::Result<Ended> {
    let keys = public(&options.keys.read()?, options.algorithm.as_str())?;
    let mut body = json!({
        "iss": options.iss, "aud": options.aud, "algorithm": options.algorithm.as_str(),
        "subject_claim": options.subject_claim, "key_set": keys,
    });
    put(&mut body, "only_if_revision", options.only_if_revision);
    let admin = options.of.server.client()?;
    let path = format!("{}/{}", options.of.path(), segment(&options.name));
    told(block_on(async { Ok(admin.put(&path, body).await) })?, output, in_lines)
}

fn refresh(options: &RefreshOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.of.server.client()?;
    let path = format!("{}/{}", options.of.path(), segment(&options.name));
    let mut body = match block_on(async { Ok(admin.get(&path).await) })? {
        Ok(issuer) => issuer,
        Err(failure) => return failure.told(output),
    };
    let keys = public(&options.keys.read()?, &text(&body, "algorithm"))?;
    if text(&body, "key_set") == keys {
        return told(Ok(body), output, in_lines);
    }
    let revision = body["revision"].clone();
    let pinned = ["iss", "aud", "algorithm", "subject_claim"];
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| pinned.contains(&name.as_str()));
        members.insert("key_set".to_owned(), Value::from(keys));
        // Whoever pins something else meanwhile makes this one fail.
        members.insert("only_if_revision".to_owned(), revision);
    }
    told(block_on(async { Ok(admin.put(&path, body).await) })?, output, in_lines)
}

/// The public keys for an algorithm and nothing else: a private one that is in the file by mistake does not leave the machine.
fn public(key_set: &str, algorithm: &str) -> anyhow::Result<String> {
    let keys = KeySet::read(key_set.as_bytes(), algorithm.parse()?).context("reading the key set")?;
    Ok(keys.to_jwks().to_string())
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
            ("ISSUER", |row| text(row, "name")),
            ("ISS", |row| text(row, "iss")),
            ("AUD", |row| text(row, "aud")),
            ("ALGORITHM", |row| text(row, "algorithm")),
            ("CHANGED", |row| text(row, "changed_at")),
        ],
    );
    Ok(Ended::Done)
}

fn revoke(options: &RevokeOptions, output: Output) -> anyhow::Result<Ended> {
    let mut body = json!({"kind": "issuer", "subject": options.name});
    put(&mut body, "reason", options.reason.clone());
    let admin = options.of.server.client()?;
    let path = format!("/tenants/{}/revocations", segment(options.of.tenant.as_str()));
    told(block_on(async { Ok(admin.post(&path, body).await) })?, output, |row| {
        let (subject, at) = (text(row, "subject"), text(row, "at"));
        format!("what was given out on the strength of {subject} until {at} counts no more")
    })
}

/// An issuer in lines for people.
fn in_lines(issuer: &Value) -> String {
    let mut lines = vec![
        format!("issuer     {} of {}", text(issuer, "name"), text(issuer, "tenant")),
        format!("iss        {}", text(issuer, "iss")),
        format!("aud        {}", text(issuer, "aud")),
        format!("algorithm  {}", text(issuer, "algorithm")),
        format!("subject    {}", text(issuer, "subject_claim")),
    ];
    let keys: Value = serde_json::from_str(&text(issuer, "key_set")).unwrap_or_default();
    for key in keys["keys"].as_array().into_iter().flatten() {
        lines.push(format!("key        {}", text(key, "kid")));
    }
    lines.push(format!("changed    {} by {}", text(issuer, "changed_at"), text(issuer, "changed_by")));
    lines.push(format!("revision   {}", text(issuer, "revision")));
    lines.join("\n")
}
