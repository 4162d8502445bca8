//! Runs a data node until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_controlplane::store::{OpenStore, StoreConfig};
use aegis_dataplane::JournalConfig;
use aegis_dataplane::archive::Archive;
use aegis_dataplane::feed::Feed;
use aegis_dataplane::node::{Node, NodeConfig};
use aegis_dataplane::snapshot::Snapshot;
use aegis_identity::cache::TokenCache;
use aegis_identity::tls::{IdentityPem, server_config};
use aegis_identity::trust::{self, TrustedKey};
use aegis_identity::verify::Verifier;
use aegis_model::caps;
use aegis_model::secret::Secret;
use anyhow::{Context, bail};
use rand::Rng;
use rustls::ServerConfig;
use serde_json::json;

use super::Config;
use super::config::{Control, Tenant, Tls};
use super::feed::{self, Certificates};
use crate::ended::Ended;
use crate::enforced::{Enforced, Offered};
use crate::output::Output;
use crate::policy;
use crate::problems::Problems;
use crate::signals::{Signals, Wish};
use crate::state::{DataDir, read_bounded};
use crate::telemetry::{LogTap, Telemetry};
use crate::token::read_public_key;

/// Larger than any PEM file of a node.
const PEM_BYTES_MAX: usize = 4 << 20;

/// How often it is looked whether the certificates of the feed have changed.
const LOOK: Duration = Duration::from_secs(2);

pub(super) fn run(config: &Config, output: Output, tap: &LogTap) -> anyhow::Result<Ended> {
    let data_dir = DataDir::create(&config.data_dir)?;
    let _lock = data_dir.lock()?;
    let telemetry = Telemetry::start(config.telemetry.as_ref(), config.who(), tap)?;
    let ended = match &config.control {
        Some(control) => fed(config, control, &data_dir, &telemetry, output),
        None => from_files(config, &data_dir, &telemetry, output),
    };
    telemetry.finish();
    ended
}

/// A node that follows a control plane, which also counts its starts.
fn fed(
    config: &Config,
    control: &Control,
    data_dir: &DataDir,
    telemetry: &Telemetry,
    output: Output,
) -> anyhow::Result<Ended> {
    let (feed, certificates) = feed::open(config, control, trusted_keys(config)?, data_dir)?;
    let node_config = node_config(config, data_dir, telemetry, 0)?;
    let source = Source::Feed(Box::new(feed), certificates);
    runtime()?.block_on(serve(node_config, source, config, telemetry, output))
}

fn from_files(
    config: &Config,
    data_dir: &DataDir,
    telemetry: &Telemetry,
    output: Output,
) -> anyhow::Result<Ended> {
    let mut numbers = data_dir.numbers()?;
    let incarnation = numbers.next_incarnation()?;
    let mut enforced = Enforced::new(verifier(config)?, numbers);
    let mut complete = true;
    for tenant in &config.tenants {
        complete &= load(&mut enforced, tenant, output)?;
    }
    if !complete {
        return Ok(Ended::Refused);
    }
    let node_config = node_config(config, data_dir, telemetry, incarnation)?;
    runtime()?.block_on(serve(node_config, Source::Files(enforced), config, telemetry, output))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")
}

/// Where the policies of a node come from.
enum Source {
    /// From the files of its configuration, read again on SIGHUP.
    Files(Enforced),
    /// From a control plane.
    Feed(Box<Feed>, Certificates),
}

/// What a running node can read again.
enum Rereads {
    /// Its policies.
    Policies(Enforced),
    /// The certificates of its feed.
    Certificates(Certificates),
}

/// Reads a tenant's policies and offers them; prints what is wrong. Whether they are in force now.
fn load(enforced: &mut Enforced, tenant: &Tenant, output: Output) -> anyhow::Result<bool> {
    let loaded = match policy::load(&tenant.policies) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.print(output);
            return Ok(false);
        }
    };
    loaded.warnings.print(output);
    match enforced.offer(&tenant.name, &loaded.set)? {
        Offered::Taken(policy) => {
            tracing::info!(tenant = %tenant.name, version = policy.version, activation = policy.activation, digest = &*policy.digest, "policy loaded");
            Ok(true)
        }
        Offered::Same => Ok(true),
        Offered::Refused(diagnostics) => {
            Problems::found(&tenant.policies, &loaded.set.files, diagnostics, 0).print(output);
            Ok(false)
        }
    }
}

fn verifier(config: &Config) -> anyhow::Result<Verifier> {
    let trust = trust::Trust::new(trusted_keys(config)?)?;
    Ok(Verifier::new(Arc::new(trust), Arc::new(TokenCache::default())))
}

fn trusted_keys(config: &Config) -> anyhow::Result<Vec<TrustedKey>> {
    let keys = config.trust.iter().map(|trusted| {
        let issuer = trusted.issuer.parse().with_context(|| format!("the issuer `{}`", trusted.issuer))?;
        Ok(TrustedKey { issuer, key: read_public_key(&trusted.key)? })
    });
    keys.collect()
}

fn node_config(
    config: &Config,
    data_dir: &DataDir,
    telemetry: &Telemetry,
    incarnation: u64,
) -> anyhow::Result<NodeConfig> {
    let audit_dir = config.audit_dir.clone().unwrap_or_else(|| data_dir.audit());
    let mut journal = JournalConfig::from(audit_dir.clone());
    let who = config.who();
    let exports = config.audit.export.iter().map(|export| export.open(&who));
    journal.settings.segment_after = Duration::from_secs(config.audit.segment_minutes * 60);
    Ok(NodeConfig {
        http: Some(config.listen.http),
        grpc: Some(config.listen.grpc),
        metrics: Some(config.listen.metrics),
        tls: config.tls.as_ref().map(tls).transpose()?.map(Arc::new),
        public_url: config.public_url.clone(),
        body_bytes_max: config.body_bytes_max,
        calls_in_progress_max: config.calls_in_progress_max,
        archive: config.audit.store.as_ref().map(archive).transpose()?,
        exports: exports.collect::<anyhow::Result<_>>()?,
        spans: telemetry.spans(),
        more_metrics: Some(telemetry.more_metrics()),
        journal,
        ..NodeConfig::new(config.node.clone(), incarnation, secret(), audit_dir)
    })
}

/// The store that copies of audit logs go to. It may be down; only what can be read off its settings is refused.
///
/// # Errors
/// The settings.
pub(crate) fn archive(store: &StoreConfig) -> anyhow::Result<Archive> {
    let opened = store.open_store(Duration::from_secs(caps::ARCHIVE_CALL_SECONDS));
    let OpenStore { store: opened, prefix, hidden } = opened.context("the store of audit logs")?;
    Ok(Archive::new(opened, prefix, store.url.clone(), &store.identity(), hidden))
}

/// What a node makes keys, ids and digests of records from: new at every start, known to nobody.
pub(crate) fn secret() -> Secret<[u8; 32]> {
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    Secret::new(key)
}

fn tls(tls: &Tls) -> anyhow::Result<ServerConfig> {
    let pem = |path: &Path| {
        read_bounded(path, PEM_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))
    };
    let (chain, key) = (pem(&tls.certificate)?, Secret::new(pem(&tls.key)?));
    let authorities = tls.client_authorities.as_deref().map(pem).transpose()?;
    let identity = IdentityPem { chain: &chain, key: key.expose() };
    // The node chooses the protocols of each listener itself.
    Ok(server_config(identity, authorities.as_deref(), &[])?)
}

async fn serve(
    node_config: NodeConfig,
    source: Source,
    config: &Config,
    telemetry: &Telemetry,
    output: Output,
) -> anyhow::Result<Ended> {
    let mut signals = Signals::listen()?;
    if config.tls.is_none()
        && !(config.listen.http.ip().is_loopback() && config.listen.grpc.ip().is_loopback())
    {
        tracing::warn!(
            "calls and tokens travel in the clear: there is no `[tls]`, and not only this machine is listened to"
        );
    }
    let (mut node, mut rereads) = match source {
        Source::Files(mut enforced) => {
            let snapshot = enforced.snapshot().context("no tenant has a policy")?;
            (Node::start(node_config, snapshot).await?, Rereads::Policies(enforced))
        }
        Source::Feed(feed, certificates) => {
            let mut node = Node::start(node_config, Snapshot::awaiting()).await?;
            node.follow(*feed);
            (node, Rereads::Certificates(certificates))
        }
    };
    telemetry.push(node.metrics());
    let mut ready = node.is_ready();
    tell(if ready { "ready" } else { "started" }, &node, config, output);
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let fault = loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = node.ready(), if !ready => {
                ready = true;
                if node.is_ready() {
                    tell("ready", &node, config, output);
                }
                continue;
            }
            _ = looks.tick() => match &rereads {
                Rereads::Certificates(certificates) if certificates.have_changed() => Wish::Reload,
                Rereads::Certificates(_) | Rereads::Policies(_) => continue,
            },
            task = node.faulted() => break Some(task),
        };
        rereads = match (wish, rereads) {
            (Wish::Stop, _) => break None,
            (Wish::Reload, Rereads::Policies(enforced)) => {
                Rereads::Policies(reload(enforced, config, &node, output).await?)
            }
            (Wish::Reload, Rereads::Certificates(mut certificates)) => {
                certificates.reload();
                Rereads::Certificates(certificates)
            }
        };
    };
    let ended = node.shutdown().await;
    if ended.cut_off > 0 {
        tracing::warn!(
            cut_off = ended.cut_off,
            "connections were cut off, unanswered, when the time to drain was over"
        );
    }
    ended.log.context("closing the audit log")?;
    match fault {
        Some(task) => bail!("the node stopped, since {task} ended"),
        None => Ok(Ended::Done),
    }
}

/// Says where the node listens: that it has started, or that it takes calls.
fn tell(event: &str, node: &Node, config: &Config, output: Output) {
    let addresses = node.addresses();
    let told = json!({
        "event": event, "node": config.node, "http": addresses.http, "grpc": addresses.grpc, "metrics": addresses.metrics,
    });
    let shown = |address: Option<std::net::SocketAddr>| {
        address.map(|address| address.to_string()).unwrap_or_default()
    };
    output.result(&told, || {
        let (http, grpc, metrics) = (shown(addresses.http), shown(addresses.grpc), shown(addresses.metrics));
        let is = if event == "ready" { "is ready" } else { "waits for the control plane" };
        format!("{} {is}: HTTP {http}, gRPC {grpc}, metrics {metrics}", config.node)
    });
}

/// Reads all policies again, away from the threads that answer calls; what is broken keeps its last good version.
async fn reload(
    mut enforced: Enforced,
    config: &Config,
    node: &Node,
    output: Output,
) -> anyhow::Result<Enforced> {
    let tenants = config.tenants.clone();
    let work = tokio::task::spawn_blocking(move || {
        for tenant in &tenants {
            match load(&mut enforced, tenant, output) {
                Ok(true) => {}
                Ok(false) => stays(&enforced, tenant, output),
                Err(error) => {
                    output.error(&error);
                    stays(&enforced, tenant, output);
                }
            }
        }
        enforced
    });
    let mut enforced = work.await.context("reading the policies again")?;
    if let Some(snapshot) = enforced.snapshot() {
        node.swap(snapshot)?;
    }
    tracing::info!("policies were read again");
    Ok(enforced)
}

fn stays(enforced: &Enforced, tenant: &Tenant, output: Output) {
    let version = enforced.policy(&tenant.name).map_or(0, |policy| policy.version);
    output.problem(format!("tenant {}: policy version {version} stays in force", tenant.name));
}
