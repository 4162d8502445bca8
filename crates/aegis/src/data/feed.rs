//! The feed of a data node: from its configuration, with certificates that may be exchanged while it runs.

use std::path::PathBuf;

use aegis_controlplane::node::OwnedPem;
use aegis_dataplane::feed::{Feed, FeedConfig, FeedTls};
use aegis_identity::tls::{IdentityPem, client_config};
use aegis_identity::trust::TrustedKey;
use aegis_model::clock::Clock;
use rand::Rng;
use rustls::ClientConfig;

use super::Config;
use super::config::Control;
use crate::control::Files;
use crate::ended::WrongUse;
use crate::state::DataDir;

/// What stays in hand of a feed that runs: its certificates.
#[derive(Debug)]
pub(super) struct Certificates {
    /// With control nodes, and with other data nodes where others vouch for those.
    sides: Vec<(FeedTls, Files)>,
}

/// The feed that `control` describes, and its certificates.
///
/// # Errors
/// A file cannot be used, or what the node remembers is damaged.
pub(super) fn open(
    config: &Config,
    control: &Control,
    trust: Vec<TrustedKey>,
    data_dir: &DataDir,
) -> anyhow::Result<(Feed, Certificates)> {
    let side = |authorities: &PathBuf| -> anyhow::Result<_> {
        let mut files = Files::new(&control.certificate, &control.key, authorities);
        Ok((FeedTls::new(settings(&files.read()?)?), files))
    };
    let controls = side(&control.authorities)?;
    let peers = control.peer_authorities.as_ref().map(side).transpose()?;
    let addresses = control.addresses().map_err(WrongUse)?;
    let folder = data_dir.root().join("feed");
    let feed = FeedConfig {
        region: control.region.clone(),
        address: control.advertise.clone(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        tls: Some(controls.0.clone()),
        peer_tls: peers.as_ref().map(|(tls, _)| tls.clone()),
        tenant: control.tenant.clone(),
        cluster: control.cluster.clone(),
        trust,
        leases: data_dir.root().join("leases.journal"),
        ..FeedConfig::new(config.node.clone(), addresses, folder, rand::rng().next_u64())
    };
    Ok((
        Feed::open(feed, Clock::System)?,
        Certificates { sides: [controls].into_iter().chain(peers).collect() },
    ))
}

fn settings(pem: &OwnedPem) -> anyhow::Result<ClientConfig> {
    let identity = IdentityPem { chain: &pem.chain, key: pem.key.expose() };
    Ok(client_config(&pem.authorities, Some(identity), &[])?)
}

impl Certificates {
    /// Whether a file has changed since they were read.
    pub(super) fn have_changed(&self) -> bool {
        self.sides.iter().any(|(_, files)| files.have_changed())
    }

    /// Reads them anew; what cannot be used keeps those that are in use.
    pub(super) fn reload(&mut self) {
        for (tls, files) in &mut self.sides {
            match files.read().and_then(|pem| settings(&pem)) {
                Ok(settings) => {
                    tls.replace(settings);
                    tracing::info!("the certificates of the feed were read again");
                }
                Err(error) => {
                    tracing::error!(
                        "the certificates of the feed cannot be used, those before stay: {error:#}"
                    );
                }
            }
        }
    }
}
