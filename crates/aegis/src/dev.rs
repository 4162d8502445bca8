//! `aegis dev`: one control node and one data node in one process, with a policy folder that reloads by itself.
//!
//! It is the whole product on one machine: the folder is published to the control plane as versions, and the data node
//! follows the feed as any other does. What it prints when it is ready is a contract with CI: three lines that begin with two spaces and a command
//! to paste, then a line with `ready`.

mod plane;
mod policies;
mod samples;
mod shell;
mod watch;
mod welcome;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_dataplane::feed::{Feed, FeedConfig};
use aegis_dataplane::node::{Node, NodeConfig};
use aegis_dataplane::snapshot::Snapshot;
use aegis_identity::trust::TrustedKey;
use aegis_model::clock::Clock;
use aegis_model::ids::{OrgId, TenantId};
use aegis_model::metric::Source;
use anyhow::{Context, bail};
use clap::Args;
use rand::Rng;
use serde::Serialize;

use crate::arguments;
use crate::data::secret;
use crate::ended::{Ended, WrongUse};
use crate::output::Output;
use crate::signals::{Signals, Wish};
use crate::state::{DataDir, DevNode};
use crate::telemetry::{LogTap, Protocol, Settings, Telemetry, Who};
use crate::token::DEV_ISSUER;
use plane::{Listen, Plane};
use policies::{First, Policies};
use watch::Watch;
use welcome::Welcome;

#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:
  aegis dev                                   with a built-in demo policy
  aegis dev --policies examples/payments      with your own; an edit is live at once
  aegis dev --otlp-endpoint http://127.0.0.1:4317   with spans, metrics and log lines to a collector

Prints a token and three commands to paste. The data directory holds the control plane's state with every version, the
keys and the audit journal, and in admin.token what the other commands (`aegis policy versions`, `aegis tenant list`, …)
need to administer it. A broken edit keeps the last good version and prints what is wrong. Never for production: it hands out
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
    /// Where the control plane answers HTTP
    #[arg(
        long, env = "AEGIS_LISTEN_CONTROL_HTTP", default_value = "127.0.0.1:7070",
        value_parser = arguments::loopback, value_name = "ADDRESS"
    )]
    listen_control_http: SocketAddr,
    /// Where the control plane answers gRPC. The data node's gRPC is at 7081, so this is at 7071
    #[arg(
        long, env = "AEGIS_LISTEN_CONTROL_GRPC", default_value = "127.0.0.1:7071",
        value_parser = arguments::loopback, value_name = "ADDRESS"
    )]
    listen_control_grpc: SocketAddr,
    /// An OpenTelemetry collector on this machine that is told of every decision, e.g. http://127.0.0.1:4317
    #[arg(long, env = "AEGIS_OTLP_ENDPOINT", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_endpoint: Option<String>,
    /// How the collector is told
    #[arg(long, env = "AEGIS_OTLP_PROTOCOL", value_enum, default_value_t, value_name = "PROTOCOL")]
    otlp_protocol: Protocol,
}

impl Options {
    /// Everything to the collector, if there is one.
    fn telemetry(&self, tap: &LogTap) -> anyhow::Result<Telemetry> {
        let settings = self.otlp_endpoint.as_deref().map(|url| Settings::to(url, self.otlp_protocol));
        settings.as_ref().map_or(Ok(()), Settings::check).map_err(WrongUse)?;
        let who = Who {
            service: "aegis-dev",
            node: "dev".to_owned(),
            cluster: plane::cluster().to_string(),
            region: String::new(),
        };
        Telemetry::start(settings.as_ref(), who, tap)
    }
}

/// The demo tenant.
fn tenant() -> TenantId {
    "demo".parse().expect("a constant that is a name")
}

/// The demo organization.
fn org() -> OrgId {
    "demo".parse().expect("a constant that is a name")
}

pub(crate) fn run(options: Options, output: Output, tap: &LogTap) -> anyhow::Result<Ended> {
    let telemetry = options.telemetry(tap)?;
    let data_dir = DataDir::create(&options.data_dir)?;
    let _lock = data_dir.lock()?;
    // Before the first look: an edit between the two would otherwise be missed.
    let watch = options.policies.as_deref().map(|place| Watch::start(place, data_dir.root())).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let ended = runtime.block_on(with_plane(options, watch, &data_dir, &telemetry, output));
    telemetry.finish();
    ended
}

/// Starts the control node, and ends it in order whatever happens.
async fn with_plane(
    options: Options,
    watch: Option<Watch>,
    data_dir: &DataDir,
    telemetry: &Telemetry,
    output: Output,
) -> anyhow::Result<Ended> {
    let mut signals = Signals::listen()?;
    let listen = Listen { http: options.listen_control_http, grpc: options.listen_control_grpc };
    let mut plane = Plane::start(data_dir, listen, telemetry.calls()).await?;
    let ended = with_policies(&options, watch, &mut plane, &mut signals, data_dir, telemetry, output).await;
    let closed = plane.node.shutdown().await.context("closing the control plane's storage");
    let ended = ended?;
    closed?;
    Ok(ended)
}

async fn with_policies(
    options: &Options,
    watch: Option<Watch>,
    plane: &mut Plane,
    signals: &mut Signals,
    data_dir: &DataDir,
    telemetry: &Telemetry,
    output: Output,
) -> anyhow::Result<Ended> {
    let acks = plane.node.feed().acks().clone();
    let parts = plane.node.parts().clone();
    let mut policies = Policies::new(options.policies.clone(), parts, acks, data_dir.clone());
    let Some(first) = policies.load_first(output).await? else { return Ok(Ended::Refused) };
    let mut node = start_data_node(options, plane, data_dir, telemetry).await?;
    let (of_node, of_plane) = (node.metrics(), plane.node.metrics());
    telemetry.push(Source::new(move || [of_node.families(), of_plane.families()].concat()));
    let served = async {
        ready(&mut node, &first).await?;
        let addresses = node.addresses();
        let welcome = Welcome::prepare(&first, addresses, plane, data_dir);
        data_dir.write_dev_node(&DevNode {
            org: org(),
            tenant: tenant(),
            agent: welcome.agent().clone(),
            http: addresses.http,
            grpc: addresses.grpc,
            control: plane.node.addresses().http,
        })?;
        welcome.print(data_dir, output)?;
        drop(first);
        until_told(&mut policies, &mut node, plane, watch, signals, output).await
    };
    let served = served.await;
    let ended = node.shutdown().await;
    let served = served?;
    ended.log.context("closing the audit log")?;
    Ok(served)
}

/// How long the data node may take until it enforces what it found at its start.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the data node enforces what is in force. That it is ready is not enough: the first news it gets may be those from just
/// before the policy was published, and then it rightly enforces nothing.
async fn ready(node: &mut Node, first: &First) -> anyhow::Result<()> {
    let (ready, decider, version) = (node.ready(), Arc::clone(node.decider()), first.policy.version);
    let enforced = async {
        ready.await;
        while !decider.snapshot().policies().any(|(_, policy)| policy.version >= version) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let waited = tokio::select! {
        waited = tokio::time::timeout(READY_WITHIN, enforced) => waited,
        task = node.faulted() => bail!("`aegis dev` does not start, since {task} ended"),
    };
    waited.with_context(|| format!("the data node did not put policy version {version} into force"))
}

/// Reloads on every edit, until a signal or a fault ends it.
async fn until_told(
    policies: &mut Policies,
    node: &mut Node,
    plane: &mut Plane,
    mut watch: Option<Watch>,
    signals: &mut Signals,
    output: Output,
) -> anyhow::Result<Ended> {
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = changed(&mut watch) => Wish::Reload,
            task = node.faulted() => bail!("`aegis dev` stopped, since {task} ended"),
            fault = plane.node.faulted() => bail!("`aegis dev` stopped: {fault}"),
        };
        match wish {
            Wish::Stop => return Ok(Ended::Done),
            Wish::Reload => policies.reload(output).await?,
        }
    }
}

/// A data node that follows the control node of this process.
async fn start_data_node(
    options: &Options,
    plane: &Plane,
    data_dir: &DataDir,
    telemetry: &Telemetry,
) -> anyhow::Result<Node> {
    let key = data_dir.signing_key(true)?;
    let issuer = DEV_ISSUER.parse().expect("a constant that is an issuer");
    let control = format!("https://127.0.0.1:{}", plane.node.addresses().grpc.port());
    let control = match plane.node.addresses().grpc.is_ipv6() {
        true => control.replace("127.0.0.1", "[::1]"),
        false => control,
    };
    let folder = data_dir.root().join("feed");
    let feed = FeedConfig {
        tls: Some(plane.client.clone()),
        cluster: Some(plane::cluster()),
        // The key of `aegis token mint`, which asks nobody.
        trust: vec![TrustedKey { issuer, key: key.verifying_key().clone() }],
        leases: data_dir.root().join("leases.journal"),
        ..FeedConfig::new("dev".parse()?, vec![control.parse()?], folder, rand::rng().next_u64())
    };
    let feed = Feed::open(feed, Clock::System)?;
    let config = NodeConfig {
        http: Some(options.listen_http),
        grpc: Some(options.listen_grpc),
        metrics: Some(options.listen_metrics),
        spans: telemetry.spans(),
        more_metrics: Some(telemetry.more_metrics()),
        ..NodeConfig::new("dev".parse()?, 0, secret(), data_dir.audit())
    };
    let mut node = Node::start(config, Snapshot::awaiting()).await.context("`aegis dev` does not start")?;
    node.follow(feed);
    Ok(node)
}

/// Ends when the policy folder has changed; never for the built-in policy.
async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
