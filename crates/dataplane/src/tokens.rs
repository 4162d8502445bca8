//! Requests for tokens, on their way to the control plane: this node has no key that could sign one.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use aegis_proto::v1::issue_token_request::Proof;
use aegis_proto::v1::issue_token_response::Outcome;
use aegis_proto::v1::tokens_client::TokensClient;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::feed::{Connector, ControlAddress};

/// What a client wants, read from its form.
pub(crate) struct Wanted {
    /// By what the agent proves itself.
    pub(crate) proof: Proof,
    /// The token of the agent that calls it; empty: none does.
    pub(crate) caller_token: String,
    /// What for; empty: everything that is permitted.
    pub(crate) scope: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Too many are on their way.
    Overloaded,
    /// No control node could be reached, or could say anything in time. A token may have been given out; nobody got it.
    Unavailable,
}

/// The way to the control plane. Any control node will do; the one that answered last is asked first.
pub(crate) struct TokenLink {
    node: String,
    tenant: Option<TenantId>,
    connector: Connector,
    places: Vec<Place>,
    /// Which place is asked first.
    first: Mutex<usize>,
    room: Semaphore,
}

/// A control node, and the connection to it.
struct Place {
    address: ControlAddress,
    channel: Mutex<Option<Channel>>,
}

/// How long a connection may take to come about, before the next control node is asked.
const CONNECT_WITHIN: Duration = Duration::from_millis(1_500);

impl std::fmt::Debug for TokenLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenLink").field("control_nodes", &self.places.len()).finish_non_exhaustive()
    }
}

impl TokenLink {
    /// A way for `node`, which serves `tenant` only if one is named.
    pub(crate) fn new(
        node: String,
        tenant: Option<TenantId>,
        controls: &[ControlAddress],
        connector: Connector,
    ) -> Self {
        let place = |address: &ControlAddress| Place { address: address.clone(), channel: Mutex::default() };
        Self {
            node,
            tenant,
            connector,
            places: controls.iter().map(place).collect(),
            first: Mutex::new(0),
            room: Semaphore::new(caps::TOKEN_REQUESTS_MAX),
        }
    }

    /// Asks for a token, within [`caps::TOKEN_ANSWER_MS`]. A control node that has begun to work on it is the last one that is asked:
    /// an assertion counts once.
    pub(crate) async fn issue(&self, wanted: Wanted) -> Result<Outcome, NoAnswer> {
        let Ok(_place) = self.room.try_acquire() else { return Err(NoAnswer::Overloaded) };
        let deadline = Instant::now() + Duration::from_millis(caps::TOKEN_ANSWER_MS);
        let request = v1::IssueTokenRequest {
            node_name: self.node.clone(),
            tenant: self.tenant.as_ref().map(TenantId::to_string).unwrap_or_default(),
            scope: wanted.scope,
            life_seconds: 0,
            proof: Some(wanted.proof),
            caller_token: wanted.caller_token,
        };
        let first = *self.first.lock().unwrap_or_else(PoisonError::into_inner);
        for turn in 0..self.places.len() {
            let at = (first + turn) % self.places.len();
            let Some(place) = self.places.get(at) else { continue };
            match tokio::time::timeout_at(deadline, self.ask(place, &request)).await {
                Ok(Ok(outcome)) => {
                    *self.first.lock().unwrap_or_else(PoisonError::into_inner) = at;
                    return Ok(outcome);
                }
                Ok(Err(Asked::NotTaken(why))) => {
                    tracing::debug!(control = %place.address, %why, "a control node gives out no token");
                }
                Ok(Err(Asked::Overloaded)) => return Err(NoAnswer::Overloaded),
                Ok(Err(Asked::InDoubt(why))) => {
                    tracing::warn!(control = %place.address, %why, "it is unknown whether a token was given out");
                    return Err(NoAnswer::Unavailable);
                }
                Err(_late) => break,
            }
        }
        Err(NoAnswer::Unavailable)
    }

    async fn ask(&self, place: &Place, request: &v1::IssueTokenRequest) -> Result<Outcome, Asked> {
        let channel = self.channel(place).await?;
        let mut client = TokensClient::new(channel)
            .max_decoding_message_size(2 * caps::TOKEN_FORM_BYTES_MAX)
            .max_encoding_message_size(2 * caps::TOKEN_FORM_BYTES_MAX);
        match client.issue(request.clone()).await {
            Ok(answer) => {
                answer.into_inner().outcome.ok_or_else(|| Asked::InDoubt("the answer is empty".to_owned()))
            }
            Err(status) => {
                if status.code() != Code::ResourceExhausted {
                    // The connection may be at fault: the next request makes a new one.
                    *place.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(asked(&status))
            }
        }
    }

    /// The connection to a control node; made anew if there is none.
    async fn channel(&self, place: &Place) -> Result<Channel, Asked> {
        let known = place.channel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(channel) = known {
            return Ok(channel);
        }
        let connected = tokio::time::timeout(CONNECT_WITHIN, self.connector.channel(&place.address)).await;
        let channel = connected
            .map_err(|_late| Asked::NotTaken("it cannot be reached in time".to_owned()))?
            .map_err(|error| Asked::NotTaken(crate::feed::causes(&error)))?;
        *place.channel.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel.clone());
        Ok(channel)
    }
}

/// Why one control node gave no answer.
enum Asked {
    /// It has certainly not begun: another one can be asked.
    NotTaken(String),
    /// It has too much to do.
    Overloaded,
    /// Nobody knows.
    InDoubt(String),
}

fn asked(status: &Status) -> Asked {
    let why = format!("{}: {}", status.code(), status.message());
    match status.code() {
        // A control node says so before it proposes anything.
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => {
            Asked::NotTaken(why)
        }
        // Also of a connection that broke: then the request may have arrived.
        Code::Unavailable if status.source_is_transport() => Asked::InDoubt(why),
        Code::Unavailable => Asked::NotTaken(why),
        Code::ResourceExhausted => Asked::Overloaded,
        _ => Asked::InDoubt(why),
    }
}

/// Whether a status was made by this end.
trait FromTransport {
    fn source_is_transport(&self) -> bool;
}

impl FromTransport for Status {
    fn source_is_transport(&self) -> bool {
        std::error::Error::source(self).is_some()
    }
}
