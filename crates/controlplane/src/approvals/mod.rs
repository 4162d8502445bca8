//! Requests for approval at a control node: data nodes open, watch and redeem them here.
//!
//! ```text
//!  data node ── open, redeem, give back ──▶ any control node ── a command ──▶ log ──▶ state
//!            ── watch ───────────────────▶      (answers from what it has applied)     │ people vote
//!            ◀── how it stands, and the override token of one that was approved ◀──────┘
//! ```
//!
//! Nothing is kept here. Whatever is answered was replicated, so that any control node answers, and one that dies loses nothing.
//! What many ask for at once shares entries of the log, as all commands do. `docs/internals/approvals.md` tells the states, and
//! what a crash leaves.

mod keeper;
mod service;
mod told;

use std::sync::Arc;

use aegis_model::caps;
use aegis_proto::v1::approvals_server::ApprovalsServer;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::admin::Randomness;
use crate::control::Control;
use crate::feed::Admission;
use crate::keys::ClusterKeys;

pub(crate) use keeper::keep;

/// What a control node's side of approvals is made from.
pub struct ApprovalsConfig {
    /// Its Raft node id: in whose name it proposes.
    pub id: u64,
    /// How data nodes prove who they are.
    pub admission: Admission,
    /// Sign override tokens.
    pub cluster_keys: Arc<ClusterKeys>,
    /// Where ids come from.
    pub randomness: StdRng,
    /// How people reach the admin API, e.g. `https://control-1:7070`.
    pub public_url: String,
}

/// One control node's side of approvals. Cheap to clone.
#[derive(Clone)]
pub struct ApprovalsNode {
    shared: Arc<Shared>,
}

struct Shared {
    id: u64,
    admission: Admission,
    cluster_keys: Arc<ClusterKeys>,
    randomness: Randomness,
    public_url: String,
    control: Control,
    /// Places for questions that wait for people.
    watches: Semaphore,
    stopping: CancellationToken,
}

impl ApprovalsNode {
    /// Approvals over `control`. Questions that wait are answered at once when `stopping`.
    pub fn new(config: ApprovalsConfig, control: Control, stopping: CancellationToken) -> Self {
        let ApprovalsConfig { id, admission, cluster_keys, randomness, public_url } = config;
        let shared = Shared {
            id,
            admission,
            cluster_keys,
            randomness: Randomness::new(randomness),
            public_url,
            control,
            watches: Semaphore::new(caps::APPROVAL_WATCHES_MAX),
            stopping,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The gRPC service, with its bounds.
    pub fn service(&self) -> ApprovalsServer<Self> {
        ApprovalsServer::new(self.clone())
            .max_decoding_message_size(caps::APPROVAL_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::APPROVAL_MESSAGE_BYTES_MAX)
    }
}

impl std::fmt::Debug for ApprovalsNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApprovalsNode").field("id", &self.shared.id).finish_non_exhaustive()
    }
}
