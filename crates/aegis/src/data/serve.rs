//! Runs a data node until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use aegis_dataplane::node::{Node, NodeConfig};
use aegis_identity::cache::TokenCache;
use aegis_identity::tls::{IdentityPem, server_config};
use aegis_identity::trust::{self, TrustedKey};
use aegis_identity::verify::Verifier;
use aegis_model::secret::Secret;
use anyhow::{Context, bail};
use rand::Rng;
use rustls::ServerConfig;
use serde_json::json;

use super::Config;
use super::config::{Tenant, Tls};
use crate::ended::Ended;
use crate::enforced::{Enforced, Offered};
use crate::output::Output;
use crate::policy;
use crate::problems::Problems;
use crate::signals::{Signals, Wish};
use crate::state::{DataDir, read_bounded};
use crate::token::read_public_key;

/// Larger than any PEM file of a node.
const PEM_BYTES_MAX: usize = 4 << 20;

pub(super) fn run(config: &Config, output: Output) -> anyhow::Result<Ended> {
    let data_dir = DataDir::create(&config.data_dir)?;
    let _lock = data_dir.lock()?;
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
    let node_config = node_config(config, &data_dir, incarnation)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    runtime.block_on(serve(node_config, enforced, config, output))
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
    let keys = config.trust.iter().map(|trusted| {
        let issuer = trusted.issuer.parse().with_context(|| format!("the issuer `{}`", trusted.issuer))?;
        Ok(TrustedKey { issuer, key: read_public_key(&trusted.key)? })
    });
    let trust = trust::Trust::new(keys.collect::<anyhow::Result<Vec<_>>>()?)?;
    Ok(Verifier::new(Arc::new(trust), Arc::new(TokenCache::default())))
}

fn node_config(config: &Config, data_dir: &DataDir, incarnation: u64) -> anyhow::Result<NodeConfig> {
    let log = config.record_file.clone().unwrap_or_else(|| data_dir.decision_log());
    Ok(NodeConfig {
        http: Some(config.listen.http),
        grpc: Some(config.listen.grpc),
        metrics: Some(config.listen.metrics),
        tls: config.tls.as_ref().map(tls).transpose()?.map(Arc::new),
        public_url: config.public_url.clone(),
        body_bytes_max: config.body_bytes_max,
        calls_in_progress_max: config.calls_in_progress_max,
        ..NodeConfig::new(config.node.clone(), incarnation, digest_key(), log)
    })
}

/// The key of the digests in records: new at every start, known to nobody.
pub(crate) fn digest_key() -> Secret<[u8; 32]> {
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
    mut enforced: Enforced,
    config: &Config,
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
    let snapshot = enforced.snapshot().context("no tenant has a policy")?;
    let mut node = Node::start(node_config, snapshot).await?;
    let addresses = node.addresses();
    let told = json!({
        "event": "ready", "node": config.node, "http": addresses.http, "grpc": addresses.grpc, "metrics": addresses.metrics,
    });
    let shown = |address: Option<std::net::SocketAddr>| {
        address.map(|address| address.to_string()).unwrap_or_default()
    };
    output.result(&told, || {
        let (http, grpc, metrics) = (shown(addresses.http), shown(addresses.grpc), shown(addresses.metrics));
        format!("{} is ready: HTTP {http}, gRPC {grpc}, metrics {metrics}", config.node)
    });
    let fault = loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            task = node.faulted() => break Some(task),
        };
        match wish {
            Wish::Stop => break None,
            Wish::Reload => enforced = reload(enforced, config, &node, output).await?,
        }
    };
    let ended = node.shutdown().await;
    if ended.cut_off > 0 {
        tracing::warn!(
            cut_off = ended.cut_off,
            "connections were cut off, unanswered, when the time to drain was over"
        );
    }
    ended.log.context("closing the decision log")?;
    match fault {
        Some(task) => bail!("the node stopped, since {task} ended"),
        None => Ok(Ended::Done),
    }
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
