//! The feed of a data node: from its configuration, with certificates that may be exchanged while it runs.

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
    tls: FeedTls,
    files: Files,
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
    let mut files = Files::new(&control.certificate, &control.key, &control.authorities);
    let tls = FeedTls::new(settings(&files.read()?)?);
    let addresses = control.addresses().map_err(WrongUse)?;
    let folder = data_dir.root().join("feed");
    let feed = FeedConfig {
        region: control.region.clone(),
        address: control.advertise.clone(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        tls: Some(tls.clone()),
        tenant: control.tenant.clone(),
        cluster: control.cluster.clone(),
        trust,
        leases: data_dir.root().join("leases.journal"),
        ..FeedConfig::new(config.node.clone(), addresses, folder, rand::rng().next_u64())
    };
    Ok((Feed::open(feed, Clock::System)?, Certificates { tls, files }))
}

fn settings(pem: &OwnedPem) -> anyhow::Result<ClientConfig> {
    let identity = IdentityPem { chain: &pem.chain, key: pem.key.expose() };
    Ok(client_config(&pem.authorities, Some(identity), &[])?)
}

impl Certificates {
    /// Whether a file has changed since they were read.
    pub(super) fn have_changed(&self) -> bool {
        self.files.have_changed()
    }

    /// Reads them anew; what cannot be used keeps those that are in use.
    pub(super) fn reload(&mut self) {
        match self.files.read().and_then(|pem| settings(&pem)) {
            Ok(settings) => {
                self.tls.replace(settings);
                tracing::info!("the certificates of the feed were read again");
            }
            Err(error) => {
                tracing::error!("the certificates of the feed cannot be used, those before stay: {error:#}");
            }
        }
    }
}
