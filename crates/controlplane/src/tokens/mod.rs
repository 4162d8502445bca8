//! Tokens for agents: what data nodes were shown is judged here, and what comes of it is signed here, since only control nodes can
//! unwrap the cluster's keys.
//!
//! ```text
//! data node ── Issue ──▶ proof (signature, time) ──▶ judged by what is applied here ──▶ `GrantAgentToken` ──▶ signed ──▶ answer
//!                        forged ones end here         hopeless ones end here             replicated, once
//! ```
//!
//! Start at [`TokensNode`]. `docs/identity.md` tells what an agent sends and gets.

mod issue;

mod proof;

mod refusal;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::{ClusterId, TenantId};
use aegis_proto::v1;
use aegis_proto::v1::tokens_server::{Tokens, TokensServer};
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::control::Control;
use crate::feed::Admission;
use crate::keys::ClusterKeys;
use crate::spans::Notes;

/// What a control node's giving out of tokens is made from.
pub struct TokensConfig {
    /// Its Raft node id: in whose name it proposes.
    pub id: u64,
    /// The cluster: what assertions are meant for.
    pub cluster: ClusterId,
    /// How data nodes prove who they are.
    pub admission: Admission,
    /// Where the time comes from.
    pub clock: Clock,
    /// What the cluster's private keys are wrapped under.
    pub cluster_keys: Arc<ClusterKeys>,
    /// Of which token ids are made.
    pub randomness: StdRng,
}

/// One control node's giving out of tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokensNode {
    shared: Arc<Shared>,
}

struct Shared {
    id: u64,
    cluster: ClusterId,
    admission: Admission,
    clock: Clock,
    cluster_keys: Arc<ClusterKeys>,
    randomness: Mutex<StdRng>,
    control: Control,
    room: Semaphore,
}

impl std::fmt::Debug for TokensNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokensNode").finish_non_exhaustive()
    }
}

impl TokensNode {
    /// Gives out tokens over `control`.
    pub fn new(config: TokensConfig, control: Control) -> Self {
        let TokensConfig { id, cluster, admission, clock, cluster_keys, randomness } = config;
        let shared = Shared {
            id,
            cluster,
            admission,
            clock,
            cluster_keys,
            randomness: Mutex::new(randomness),
            control,
            room: Semaphore::new(caps::TOKENS_ISSUED_AT_ONCE_MAX),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The gRPC service, with its bounds.
    pub fn service(&self) -> TokensServer<Self> {
        TokensServer::new(self.clone())
            .max_decoding_message_size(2 * caps::TOKEN_FORM_BYTES_MAX)
            .max_encoding_message_size(2 * caps::TOKEN_FORM_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl Tokens for TokensNode {
    async fn issue(
        &self,
        request: Request<v1::IssueTokenRequest>,
    ) -> Result<Response<v1::IssueTokenResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let only: Option<TenantId> = match request.tenant.as_str() {
            "" => None,
            tenant => Some(tenant.parse().map_err(|_bad| Status::invalid_argument("`tenant` is no name"))?),
        };
        self.shared.admission.admit(&extensions, &request.node_name, only.as_ref())?;
        let notes = extensions.get::<Notes>();
        if let Some(notes) = notes {
            notes.data_node(&request.node_name);
        }
        let Ok(_place) = self.shared.room.try_acquire() else {
            return Err(Status::resource_exhausted("too many tokens are being given out"));
        };
        let within = Duration::from_millis(caps::TOKEN_ANSWER_MS);
        let issued = tokio::time::timeout(within, issue::issue(&self.shared, &request, only.as_ref(), notes));
        let outcome = match issued.await {
            Ok(Ok(issued)) => v1::issue_token_response::Outcome::Issued(issued),
            Ok(Err(refusal::NotIssued::Refused(refused))) => {
                if let Some(notes) = notes {
                    notes.refused(refused.error());
                }
                v1::issue_token_response::Outcome::Refused(refused.into())
            }
            Ok(Err(refusal::NotIssued::Status(status))) => return Err(status),
            Err(_late) => return Err(Status::aborted("it is unknown whether a token was given out")),
        };
        Ok(Response::new(v1::IssueTokenResponse { outcome: Some(outcome) }))
    }
}
