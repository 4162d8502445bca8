//! The feed: what a data node has to know comes from any control node, and counts only once this node has checked it.
//!
//! ```text
//! control node ──▶ follow ──▶ rounds ──▶ keeper ──▶ builds (fetch ─▶ cache ─▶ prepare) ──▶ keeper ──▶ swap ──▶ ack
//!                  one        whole      what is    off the hot path, tenants              floor     Snapshot
//!                  stream     or not     wanted     side by side                           first
//! ```
//!
//! Start at [`Feed::run`]. `docs/internals/feed.md` tells the states, what survives a crash, and what each failure means.

mod follow;

mod rounds;

mod keeper;

mod told;

mod builds;

mod fetch;

mod prepare;

mod cache;

mod floor;

mod files;

mod connect;

mod address;

mod pace;

mod tls;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aegis_identity::trust::TrustedKey;
use aegis_model::caps;
use aegis_model::ids::{ClusterId, TenantId};
use tokio_util::sync::CancellationToken;

use crate::NodeName;
use crate::approvals::{ApprovalLink, ApprovalLinkConfig};
use crate::decider::Decider;
use crate::evidence;
use crate::limits::{Lending, LinkConfig};
use crate::peers::Peers;
use crate::search::AttendanceConfig;
use crate::tokens::TokenLink;

use cache::BundleCache;
pub(crate) use connect::Connector;
use floor::Floor;
pub(crate) use follow::causes;
use follow::{End, follow};
use keeper::Keeper;
pub(crate) use pace::Pauses;

pub use address::{BadAddress, ControlAddress};
pub use pace::Pace;
pub use tls::FeedTls;

/// What a feed is made from: plain data.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// The node's name, as in its certificate.
    pub node: NodeName,
    /// The label of its region; may be empty.
    pub region: String,
    /// Where agents reach it, e.g. `https://data-1:7081`; may be empty.
    pub address: String,
    /// The version of its software.
    pub software: String,
    /// The control nodes. Any of them serves; the first one is tried first.
    pub controls: Vec<ControlAddress>,
    /// Mutual TLS: the node's certificate, and the authority of the control nodes. Only loopback does without.
    pub tls: Option<FeedTls>,
    /// TLS with other data nodes, which are told what became of calls that they decided. Nothing: as with control nodes.
    pub peer_tls: Option<FeedTls>,
    /// The only tenant that is served (a sidecar). Nothing: all that the certificate covers.
    pub tenant: Option<TenantId>,
    /// The cluster that this node belongs to: control nodes reached with TLS then have to show a certificate for
    /// `control.CLUSTER`. Nothing: the first one it meets, for ever, and certificates for the hosts in `controls`.
    pub cluster: Option<ClusterId>,
    /// Keys that are trusted for tokens besides those of the cluster.
    pub trust: Vec<TrustedKey>,
    /// A folder of the feed's own, within the node's data folder; made if it is not there.
    pub folder: PathBuf,
    /// The file in which the node keeps its leases of budgets; made if it is not there.
    pub leases: PathBuf,
    /// Random: becomes the node's id if the folder is new, and spreads pauses.
    pub randomness: u64,
    /// Most bytes of the bundles that are kept; at most [`caps::FEED_CACHE_BYTES_MAX`].
    pub cache_bytes_max: u64,
    /// How long everything may take.
    pub pace: Pace,
}

impl FeedConfig {
    /// A feed of `node` from `controls`, with the bounds of `model::caps`. It keeps its state in `folder`.
    pub fn new(node: NodeName, controls: Vec<ControlAddress>, folder: PathBuf, randomness: u64) -> Self {
        Self {
            node,
            region: String::new(),
            address: String::new(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            controls,
            tls: None,
            peer_tls: None,
            tenant: None,
            cluster: None,
            trust: Vec::new(),
            leases: folder.join("leases.journal"),
            folder,
            randomness,
            cache_bytes_max: caps::FEED_CACHE_BYTES_MAX,
            pace: Pace::default(),
        }
    }
}

/// Why a feed cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nobody to ask.
    #[error("no control node is given")]
    NoControlNode,
    /// A control node beyond this machine, and no TLS.
    #[error("the control node `{0}` is not on this machine, so it is reached with TLS only")]
    Plaintext(ControlAddress),
    /// An address with TLS, and no certificates.
    #[error("the control node `{0}` is reached with TLS, but no certificates are given")]
    NoTls(ControlAddress),
    /// The folder cannot be used.
    #[error("the folder `{}` of the feed cannot be used: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What the node remembers is damaged. It is not begun anew: a node never goes back (POL-2).
    #[error("`{}` is damaged; a node that forgot what it enforced has to come back under a new folder", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The folder is another cluster's.
    #[error("the folder of the feed belongs to the cluster `{kept}`, not to `{wanted}`")]
    OtherCluster {
        /// Whose it is.
        kept: ClusterId,
        /// The configured one.
        wanted: ClusterId,
    },
}

/// A feed that is ready to run.
#[derive(Debug)]
pub struct Feed {
    config: FeedConfig,
    connector: Connector,
    floor: Floor,
    cache: Arc<BundleCache>,
}

/// How a feed ended. Only a node that stops or was replaced loses its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The node stops.
    Stopping,
    /// Another process has started with this node's id.
    Fenced,
}

impl Feed {
    /// Reads what the node remembers from before. Opens no connection.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(config: FeedConfig, clock: aegis_model::clock::Clock) -> Result<Self, OpenError> {
        let connector = Connector::new(&config.controls, config.tls.clone(), config.cluster.as_ref())?;
        let folder = |source| OpenError::Folder { folder: config.folder.clone(), source };
        std::fs::create_dir_all(&config.folder).map_err(folder)?;
        let mut floor = Floor::open(&config.folder, config.randomness)?;
        if let Some(wanted) = &config.cluster {
            floor
                .belong_to(wanted)
                .map_err(|kept| OpenError::OtherCluster { kept, wanted: wanted.clone() })?;
        }
        let bytes_max = config.cache_bytes_max.min(caps::FEED_CACHE_BYTES_MAX);
        let cache = BundleCache::open(&config.folder.join("bundles"), bytes_max, clock).map_err(folder)?;
        Ok(Self { config, connector, floor, cache: Arc::new(cache) })
    }

    /// What lends to this node, over the same connections.
    pub(crate) fn lending(&self) -> Lending {
        let FeedConfig { node, controls, tenant, leases, randomness, .. } = &self.config;
        Lending::new(
            LinkConfig {
                node: node.to_string(),
                tenant: tenant.clone(),
                controls: controls.clone(),
                connector: self.connector.clone(),
                randomness: *randomness,
            },
            leases.clone(),
        )
    }

    /// The way to other data nodes.
    pub(crate) fn peers(&self) -> Peers {
        Peers::new(self.config.peer_tls.clone().or_else(|| self.config.tls.clone()))
    }

    /// Where approvals are asked for, over the same connections.
    pub(crate) fn approvals(&self) -> ApprovalLink {
        let FeedConfig { node, controls, tenant, .. } = &self.config;
        ApprovalLink::new(ApprovalLinkConfig {
            node: node.to_string(),
            tenant: tenant.clone(),
            controls: controls.clone(),
            connector: self.connector.clone(),
        })
    }

    /// Who answers the control nodes' questions about decisions, over connections of the same kind.
    pub(crate) fn attendance(&self) -> AttendanceConfig {
        let FeedConfig { node, controls, tenant, pace, randomness, .. } = &self.config;
        AttendanceConfig {
            node: node.to_string(),
            tenant: tenant.clone(),
            controls: controls.clone(),
            connector: self.connector.clone(),
            pause: pace.pause,
            randomness: *randomness,
        }
    }

    /// What asks for tokens in this node's name, over connections of the same kind.
    pub(crate) fn tokens(&self) -> TokenLink {
        let FeedConfig { node, controls, tenant, .. } = &self.config;
        TokenLink::new(node.to_string(), tenant.clone(), controls, self.connector.clone())
    }

    /// Follows one control node after the other, until `stopping`, and keeps `decider` at what they say.
    pub async fn run(self, decider: Arc<Decider>, stopping: CancellationToken) -> Ended {
        let Self { config, connector, floor, cache } = self;
        let pauses = Pauses::new(config.pace.pause, config.randomness);
        let controls = config.controls.clone();
        let keeper = Keeper::new(config, floor, cache, Arc::clone(&decider));
        // A second feed would report to the same control plane.
        let _first_one_stays = decider.evidence_door.set(keeper.door());
        let reports = evidence::keep(decider, keeper.door());
        tokio::select! {
            ended = Self::follow(keeper, &connector, &controls, pauses, stopping) => ended,
            () = reports => Ended::Stopping,
        }
    }

    async fn follow(
        mut keeper: Keeper,
        connector: &Connector,
        controls: &[ControlAddress],
        mut pauses: Pauses,
        stopping: CancellationToken,
    ) -> Ended {
        for address in controls.iter().cycle() {
            let end = tokio::select! {
                () = stopping.cancelled() => return Ended::Stopping,
                end = follow(&mut keeper, connector, address) => end,
            };
            match end {
                End::Fenced => {
                    tracing::error!(control = %address, "another process has started with this node's id; this one has to end");
                    return Ended::Fenced;
                }
                End::Cut { was_of_use, cut } => {
                    tracing::warn!(control = %address, %cut, "the feed from a control node ended");
                    if was_of_use {
                        pauses.begin_anew();
                    }
                }
            }
            // What was fetched already is made ready meanwhile.
            tokio::select! {
                () = stopping.cancelled() => return Ended::Stopping,
                () = keeper.work_without_control(pauses.next()) => {}
            }
        }
        Ended::Stopping
    }
}
