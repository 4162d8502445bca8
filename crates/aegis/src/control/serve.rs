//! Runs a control node until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_controlplane::keys::ClusterKeys;
use aegis_controlplane::node::found::found;
use aegis_controlplane::node::{ControlNode, NodeConfig};
use aegis_controlplane::raft::timings::Timings;
use aegis_controlplane::spans::CallSink;
use aegis_controlplane::state::meta;
use aegis_model::clock::Clock;
use aegis_model::metric::Source;
use anyhow::{Context, bail};
use serde_json::json;

use super::config::Bootstrap;
use super::{Config, Files};
use crate::ended::{Ended, WrongUse};
use crate::output::Output;
use crate::signals::{Signals, Wish};
use crate::state::{Readers, write_whole};
use crate::telemetry::{LogTap, Telemetry};

/// How often it is looked whether certificates have changed.
const LOOK: Duration = Duration::from_secs(2);

pub(super) fn run(config: &Config, output: Output, tap: &LogTap) -> anyhow::Result<Ended> {
    let telemetry = Telemetry::start(config.telemetry.as_ref(), config.who(), tap)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let ended = runtime.block_on(serve(config, &telemetry, output));
    telemetry.finish();
    ended
}

async fn serve(config: &Config, telemetry: &Telemetry, output: Output) -> anyhow::Result<Ended> {
    let mut signals = Signals::listen()?;
    let mut files = config.files();
    let watched = Watched { more_metrics: Some(telemetry.more_metrics()), spans: telemetry.calls() };
    let mut node = start(config, &mut files, watched).await?;
    telemetry.push(node.metrics().source());
    let begun = begin(config, &node, output).await;
    let ended = match begun {
        Ok(()) => until_told(&mut node, &mut signals, &mut files, config, output).await,
        Err(error) => Err(error),
    };
    let closed = node.shutdown().await.context("closing the node's storage");
    let ended = ended?;
    closed?;
    Ok(ended)
}

/// How a node is watched. Nothing: what is done in passing is not.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    more_metrics: Option<Source>,
    spans: Option<CallSink>,
}

/// A node from its configuration.
///
/// # Errors
/// A file cannot be used, or the node does not start.
pub(crate) async fn start(
    config: &Config,
    files: &mut Files,
    watched: Watched,
) -> anyhow::Result<ControlNode> {
    ControlNode::start(node_config(config, files, watched)?)
        .await
        .with_context(|| format!("`{}` does not start", config.node))
}

/// What a node is started from.
fn node_config(config: &Config, files: &mut Files, watched: Watched) -> anyhow::Result<NodeConfig> {
    let shelf = config.store.as_ref().map(|store| store.open()).transpose()?;
    Ok(NodeConfig {
        name: config.node.clone(),
        cluster: config.cluster.clone(),
        advertise: config.advertise.clone(),
        directory: config.data_dir.join("raft"),
        grpc: config.listen.grpc,
        http: Some(config.listen.http),
        public_url: config.public_url.clone(),
        http_plain: config.listen.http_plain,
        metrics: Some(config.listen.metrics),
        more_metrics: watched.more_metrics,
        spans: watched.spans,
        tls: files.read()?,
        cluster_keys: Arc::new(ClusterKeys::read(&config.cluster_keys)?),
        shelf,
        witnesses: config.witnesses().map_err(WrongUse)?,
        deliver_to_private: config.deliveries.private,
        staleness_seconds_max: config.staleness_seconds_max,
        timings: Timings::default(),
        clock: Clock::System,
        software: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Says that the node runs, and makes the cluster if that is wished.
async fn begin(config: &Config, node: &ControlNode, output: Output) -> anyhow::Result<()> {
    let addresses = node.addresses();
    let id = format!("{:016x}", node.store().node_id());
    let told = json!({
        "event": "started", "node": config.node, "id": id, "cluster": config.cluster,
        "http": addresses.http, "grpc": addresses.grpc, "metrics": addresses.metrics,
    });
    output.result(&told, || {
        let shown = |address: Option<std::net::SocketAddr>| {
            address.map(|address| address.to_string()).unwrap_or_default()
        };
        let (http, metrics) = (shown(addresses.http), shown(addresses.metrics));
        format!("{} ({id}) listens: HTTP {http}, gRPC {}, metrics {metrics}", config.node, addresses.grpc)
    });
    match &config.bootstrap {
        Some(bootstrap) => make_cluster(config, bootstrap, node, output).await,
        None => Ok(()),
    }
}

async fn make_cluster(
    config: &Config,
    bootstrap: &Bootstrap,
    node: &ControlNode,
    output: Output,
) -> anyhow::Result<()> {
    let parts = node.parts();
    let made = meta::cluster(&parts.control.view()?)?.is_some();
    let status = parts.raft.status();
    if made || status.members.len() > 1 {
        return Ok(());
    }
    let file = &bootstrap.token_file;
    // A node that is alone in its cluster was interrupted while it made it, and may go on.
    if file.exists() && !status.members.contains_key(&status.node) {
        bail!(
            "`{}` has no cluster's data, but `{}` says that it made the cluster before: a node that lost its data comes \
             back without `[bootstrap]`, by `aegis cluster add`",
            config.data_dir.display(),
            file.display()
        );
    }
    // Written before and after: whatever happens in between, a second cluster of this name is not made by itself.
    keep(file, "the cluster is being made\n")?;
    let minted = found(parts, &config.cluster, &bootstrap.admin).await?;
    keep(file, &format!("{}\n", minted.token.expose()))?;
    let told = json!({"event": "cluster_made", "cluster": config.cluster, "admin": bootstrap.admin, "token_file": file});
    output.result(&told, || {
        format!(
            "cluster {} was made; the token of {} is in {}",
            config.cluster,
            bootstrap.admin,
            file.display()
        )
    });
    Ok(())
}

fn keep(file: &Path, text: &str) -> anyhow::Result<()> {
    write_whole(file, text.as_bytes(), Readers::Owner)
        .with_context(|| format!("writing `{}`", file.display()))
}

/// Until a signal or a fault ends it.
async fn until_told(
    node: &mut ControlNode,
    signals: &mut Signals,
    files: &mut Files,
    config: &Config,
    output: Output,
) -> anyhow::Result<Ended> {
    let mut readiness = node.readiness();
    let mut ready = false;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if !ready && readiness.is_ready() {
            ready = true;
            output.result(&json!({"event": "ready", "node": config.node}), || {
                format!("{} is ready", config.node)
            });
        }
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => return Ok(Ended::Done),
                Wish::Reload => reload(node, files),
            },
            fault = node.faulted() => bail!("`{}` stopped: {fault}", config.node),
            true = readiness.changed() => {}
            _ = looks.tick() => if files.have_changed() {
                reload(node, files);
            },
        }
    }
}

/// Reads certificates anew; what cannot be used keeps those that are in use.
fn reload(node: &ControlNode, files: &mut Files) {
    let replaced = files.read().and_then(|pem| Ok(node.replace_tls(&pem)?));
    match replaced {
        Ok(()) => tracing::info!("certificates were read again"),
        Err(error) => tracing::error!("certificates cannot be used, those before stay: {error:#}"),
    }
}
