//! Asks one control node after the other, until one answers or time is up. Every question may be repeated.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use aegis_proto::v1::approvals_client::ApprovalsClient;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::feed::{Connector, ControlAddress};
use crate::limits::Identity;

/// Who asks, and whom.
#[derive(Debug)]
pub(crate) struct ApprovalLinkConfig {
    /// The node's name, as in its certificate.
    pub(crate) node: String,
    /// The only tenant that it serves.
    pub(crate) tenant: Option<TenantId>,
    /// The control nodes.
    pub(crate) controls: Vec<ControlAddress>,
    /// Opens connections to them.
    pub(crate) connector: Connector,
}

/// The way to the control nodes.
#[derive(Debug)]
pub(crate) struct ApprovalLink {
    config: ApprovalLinkConfig,
    /// Which control node was asked last, and the connection to it.
    at: Mutex<At>,
}

#[derive(Debug, Default)]
struct At {
    control: usize,
    channel: Option<Channel>,
}

/// A control node is sure that the question cannot be answered, or none has answered in time.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// By none in time.
    Late,
    /// No other one would say otherwise.
    Refused(Box<Status>),
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(30);

/// Longest that a connection may take to be made.
const CONNECT: Duration = Duration::from_millis(500);

impl ApprovalLink {
    pub(crate) fn new(config: ApprovalLinkConfig) -> Self {
        Self { config, at: Mutex::default() }
    }

    /// This node, as questions name it.
    pub(super) fn node(&self, identity: &Identity) -> v1::ApprovalNode {
        v1::ApprovalNode {
            name: self.config.node.clone(),
            id: identity.node_id,
            incarnation: identity.incarnation,
            history: identity.history,
            tenant: self.config.tenant.as_ref().map(TenantId::to_string).unwrap_or_default(),
        }
    }

    /// Asks until `deadline`, each control node for as long as `patience`.
    pub(super) async fn ask<T, F>(
        &self,
        deadline: Instant,
        patience: Duration,
        question: impl Fn(ApprovalsClient<Channel>) -> F,
    ) -> Result<T, Unanswered>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        loop {
            let (control, channel) = self.current();
            let until = deadline.min(Instant::now() + patience);
            let answer = match self.connected(control, channel).await {
                Some(channel) => {
                    let client = ApprovalsClient::new(channel)
                        .max_decoding_message_size(caps::APPROVAL_MESSAGE_BYTES_MAX)
                        .max_encoding_message_size(caps::APPROVAL_MESSAGE_BYTES_MAX);
                    timeout_at(until, question(client)).await.ok()
                }
                None => None,
            };
            match answer {
                Some(Ok(response)) => return Ok(response.into_inner()),
                Some(Err(status)) if is_sure(&status) => return Err(Unanswered::Refused(Box::new(status))),
                Some(Err(status)) => {
                    tracing::debug!(code = %status.code(), reason = status.message(), "a control node does not answer about an approval");
                }
                None => {}
            }
            self.move_on(control);
            if Instant::now() + PAUSE >= deadline {
                return Err(Unanswered::Late);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn current(&self) -> (usize, Option<Channel>) {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        (at.control, at.channel.clone())
    }

    async fn connected(&self, control: usize, channel: Option<Channel>) -> Option<Channel> {
        if channel.is_some() {
            return channel;
        }
        let address = self.config.controls.get(control)?;
        let channel =
            tokio::time::timeout(CONNECT, self.config.connector.channel(address)).await.ok()?.ok()?;
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if at.control == control {
            at.channel.get_or_insert_with(|| channel.clone());
        }
        Some(channel)
    }

    /// Asks the next one from now on, unless somebody else has moved on already.
    fn move_on(&self, from: usize) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if at.control == from {
            let control = (from + 1) % self.config.controls.len().max(1);
            *at = At { control, channel: None };
        }
    }
}

/// Whether every other control node would answer alike.
fn is_sure(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::PermissionDenied | Code::Unauthenticated
    )
}
