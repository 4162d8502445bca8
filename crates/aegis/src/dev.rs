//! `aegis dev`: one process on this machine, with a policy folder that reloads by itself.
//!
//! There is no control plane yet: this process reads the folder itself, and its store is the data directory, plain
//! files. What it prints when it is ready is a contract with CI: three lines that begin with two spaces and a command
//! to paste, then a line with `ready`.

mod policies;
mod samples;
mod shell;
mod watch;
mod welcome;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aegis_dataplane::node::{Node, NodeConfig};
use aegis_identity::cache::TokenCache;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::ids::{OrgId, TenantId};
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use crate::arguments;
use crate::data::digest_key;
use crate::ended::Ended;
use crate::enforced::Enforced;
use crate::output::Output;
use crate::signals::{Signals, Wish};
use crate::state::{DataDir, DevNode};
use crate::token::DEV_ISSUER;
use policies::{First, Policies};
use watch::Watch;
use welcome::Welcome;

#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:
  aegis dev                                   with a built-in demo policy
  aegis dev --policies examples/payments      with your own; an edit is live at once

Prints a token and three commands to paste. The data directory holds the signing key, the decision log and the last
good policy. A broken edit keeps the last good version and prints what is wrong. Never for production: it hands out
tokens freely.")]
pub(crate) struct Options {
    /// The policy folder [default: a built-in demo]
    #[arg(long, env = "AEGIS_POLICIES", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<PathBuf>,
    /// Where the process keeps its data; made if it is not there
    #[arg(long, env = "AEGIS_DATA_DIR", default_value = ".aegis", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where HTTP is answered; port 0 takes a free one
    #[arg(
        long, env = "AEGIS_LISTEN_HTTP", default_value = "127.0.0.1:7080",
        value_parser = arguments::loopback, value_name = "ADDRESS"
    )]
    listen_http: SocketAddr,
    /// Where gRPC is answered
    #[arg(
        long, env = "AEGIS_LISTEN_GRPC", default_value = "127.0.0.1:7081",
        value_parser = arguments::loopback, value_name = "ADDRESS"
    )]
    listen_grpc: SocketAddr,
    /// Where `/metrics` is
    #[arg(
        long, env = "AEGIS_LISTEN_METRICS", default_value = "127.0.0.1:7090",
        value_parser = arguments::loopback, value_name = "ADDRESS"
    )]
    listen_metrics: SocketAddr,
}

/// The demo tenant.
fn tenant() -> TenantId {
    "demo".parse().expect("a constant that is a name")
}

/// The demo organization.
fn org() -> OrgId {
    "demo".parse().expect("a constant that is a name")
}

pub(crate) fn run(options: Options, output: Output) -> anyhow::Result<Ended> {
    let data_dir = DataDir::create(&options.data_dir)?;
    let _lock = data_dir.lock()?;
    let key = data_dir.signing_key(true)?;
    let issuer = DEV_ISSUER.parse().expect("a constant that is an issuer");
    let trust = Trust::single(issuer, key.verifying_key().clone());
    let verifier = Verifier::new(Arc::new(trust), Arc::new(TokenCache::default()));
    let mut numbers = data_dir.numbers()?;
    let incarnation = numbers.next_incarnation()?;

    // Before the first look: an edit between the two would otherwise be missed.
    let watch = options.policies.as_deref().map(|place| Watch::start(place, data_dir.root())).transpose()?;
    let mut policies =
        Policies::new(options.policies.clone(), Enforced::new(verifier, numbers), data_dir.clone());
    let Some(first) = policies.load_first(output)? else { return Ok(Ended::Refused) };

    let config = NodeConfig {
        http: Some(options.listen_http),
        grpc: Some(options.listen_grpc),
        metrics: Some(options.listen_metrics),
        ..NodeConfig::new("dev".parse()?, incarnation, digest_key(), data_dir.decision_log())
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    runtime.block_on(serve(config, policies, first, watch, &data_dir, output))
}

async fn serve(
    config: NodeConfig,
    mut policies: Policies,
    first: First,
    mut watch: Option<Watch>,
    data_dir: &DataDir,
    output: Output,
) -> anyhow::Result<Ended> {
    let mut signals = Signals::listen()?;
    let snapshot = policies.snapshot().context("there is no policy")?;
    let mut node = Node::start(config, snapshot).await.context("`aegis dev` does not start")?;
    let addresses = node.addresses();
    let welcome = Welcome::prepare(&first, addresses, data_dir);
    data_dir.write_dev_node(&DevNode {
        org: org(),
        tenant: tenant(),
        agent: welcome.agent().clone(),
        http: addresses.http,
        grpc: addresses.grpc,
    })?;
    welcome.print(data_dir, output)?;
    drop(first);
    let fault = loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = changed(&mut watch) => Wish::Reload,
            task = node.faulted() => break Some(task),
        };
        match wish {
            Wish::Stop => break None,
            Wish::Reload => policies = policies.reload(&node, output).await?,
        }
    };
    let ended = node.shutdown().await;
    ended.log.context("closing the decision log")?;
    match fault {
        Some(task) => bail!("`aegis dev` stopped, since {task} ended"),
        None => Ok(Ended::Done),
    }
}

/// Ends when the policy folder has changed; never for the built-in policy.
async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
