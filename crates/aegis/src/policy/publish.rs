//! `aegis policy publish`: a policy folder becomes a version of a tenant.

use std::fs;
use std::path::{Path, PathBuf};

use aegis_model::caps;
use aegis_model::ids::TenantId;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::activate::{Plan, activate_and_tell};
use super::waiting::Waiting;
use crate::admin_client::{Failure, Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::text;
use crate::output::Output;
use crate::problems::Problems;
use crate::sources;
use crate::state::read_bounded;
use crate::tenant::put;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis policy publish examples/payments --tenant acme --message 'first rules'
  aegis policy publish bundle.tar.gz --tenant acme --activate --wait

Checked and compiled as by `aegis policy check`; what is wrong is shown the same way, and nothing is published then.
What has been published already keeps its version. Nothing is in force before it is activated.")]
pub(crate) struct Options {
    /// The policy folder or file, or a bundle of `aegis policy build`
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    /// What you say of it
    #[arg(long, short = 'm', env = "AEGIS_MESSAGE", value_name = "TEXT")]
    message: Option<String>,
    /// Only if this is the tenant's newest version; 0: only if it has none
    #[arg(long, env = "AEGIS_ONLY_IF_NEWEST", value_name = "NUMBER")]
    only_if_newest: Option<u64>,
    /// Make a new version although one with the same content is there
    #[arg(long, env = "AEGIS_FORCE")]
    force: bool,
    /// Put it into force as well, for everybody
    #[arg(long, env = "AEGIS_ACTIVATE")]
    activate: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/versions", segment(options.tenant.as_str()));
    let published = match content(options)? {
        Content::Sources(Ok(body)) => block_on(async { Ok(admin.post(&path, body).await) })?,
        Content::Sources(Err(problems)) => {
            problems.print(output);
            return Ok(Ended::Refused);
        }
        Content::Bundle(bytes) => {
            let path = format!("{path}{}", query(options));
            block_on(async { Ok(admin.post_bundle(&path, bytes).await) })?
        }
    };
    let published = match published {
        Ok(published) => published,
        Err(failure) => return told(failure, &options.path, output),
    };
    for warning in published["warnings"].as_array().into_iter().flatten() {
        output.problem(format!("{}\n", text(warning, "excerpt").trim_end()));
    }
    let version = published["version"]["number"].as_u64().unwrap_or_default();
    if !options.activate {
        output.result(&published, || describe(&published));
        return Ok(Ended::Done);
    }
    output.problem(describe(&published));
    let plan = Plan::everybody(version, options.message.clone());
    activate_and_tell(&admin, &options.tenant, plan, &options.waiting, output)
}

/// `version 3 (sha256:…) was published` or that it was there.
fn describe(published: &Value) -> String {
    let version = &published["version"];
    let what = format!("version {} ({})", text(version, "number"), text(version, "digest"));
    match published["unchanged"] == Value::Bool(true) {
        true => format!("{what} has this content already"),
        false => format!("{what} was published"),
    }
}

/// What is sent.
enum Content {
    /// A JSON body, or why the folder cannot be read.
    Sources(Result<Value, Problems>),
    /// A bundle.
    Bundle(Vec<u8>),
}

fn content(options: &Options) -> anyhow::Result<Content> {
    let path = &options.path;
    if is_bundle(path) {
        let bytes = read_bounded(path, caps::BUNDLE_BYTES_MAX);
        return Ok(Content::Bundle(bytes.with_context(|| format!("reading `{}`", path.display()))?));
    }
    let read = sources::read(path).map_err(|unreadable| Problems::unreadable(path, unreadable));
    Ok(Content::Sources(read.map(|sources| {
        let files: Vec<Value> =
            sources.policy.iter().map(|file| json!({"path": file.path, "text": &*file.text})).collect();
        let mut body = json!({"sources": files, "force": options.force});
        put(&mut body, "message", options.message.clone());
        put(&mut body, "only_if_newest", options.only_if_newest);
        body
    })))
}

/// What a bundle's body has no room for.
fn query(options: &Options) -> String {
    let mut parts = vec![format!("force={}", options.force)];
    parts.extend(options.message.as_ref().map(|message| format!("message={}", segment(message))));
    parts.extend(options.only_if_newest.map(|number| format!("only_if_newest={number}")));
    format!("?{}", parts.join("&"))
}

fn is_bundle(path: &Path) -> bool {
    let named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(".tar.gz"));
    named && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// A refusal, with the count that `policy check` ends with.
fn told(failure: Failure, path: &Path, output: Output) -> anyhow::Result<Ended> {
    let errors = match &failure {
        Failure::Refused(refused) => refused.document["findings"].as_array().map_or(0, Vec::len),
        Failure::Other(_) => 0,
    };
    let ended = failure.told(output)?;
    if errors > 0 && !output.is_json() {
        let found = if errors == 1 { "1 problem".to_owned() } else { format!("{errors} problems") };
        output.problem(format!("{found} in {}; nothing was published", path.display()));
    }
    Ok(ended)
}
