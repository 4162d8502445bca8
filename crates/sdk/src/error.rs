//! Why there is no outcome. None of it lets a call go on.

use aegis_model::reason::ReasonCode;
use aegis_proto::bad_request::BadRequest;
use aegis_proto::convert::BadAnswer;
use aegis_proto::status::{reason_of, retry_after_ms};
use tonic::{Code, Status};

use crate::token::TokenError;

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// The endpoint is not an `http://` or `https://` address.
    #[error("the endpoint is not an http or https address")]
    Endpoint(#[source] tonic::transport::Error),
    /// TLS is not configured as the endpoint needs it.
    #[error("the TLS settings do not fit the endpoint: {0}")]
    Tls(&'static str),
    /// The agent's key cannot be used.
    #[error("the agent's key cannot be used: {0}")]
    AgentKey(&'static str),
    /// No source of tokens was given.
    #[error("there is no token: give the builder one")]
    NoToken,
    /// The source has no token, or one that no header can carry.
    #[error("there is no token")]
    Token(#[source] TokenError),
    /// The call is malformed; it was not sent.
    #[error("the call is malformed: {0}")]
    Call(#[from] BadRequest),
    /// The node refused the call without judging it.
    #[error("the node refused the call: {0}")]
    Refused(NodeStatus),
    /// No attempt reached a node that could answer.
    #[error("no node could answer, after {attempts} attempts: {last}")]
    Unavailable {
        /// How often it was tried.
        attempts: u32,
        /// How the last attempt ended.
        last: NodeStatus,
    },
    /// The stream is over. A new one may be opened; a call repeated under its `request_id` is safe.
    #[error("the stream is closed: {0}")]
    StreamClosed(NodeStatus),
    /// The time is over. Whether the call was judged is unknown; repeated under its `request_id` it is safe.
    #[error("the deadline of the call passed")]
    Deadline,
    /// The node answered something that this client does not understand.
    #[error("the answer is not understood: {0}")]
    Answer(#[from] BadAnswer),
}

impl SdkError {
    /// The stable reason code, where there is one that this version knows.
    pub fn code(&self) -> Option<ReasonCode> {
        match self {
            Self::Call(bad) => Some(bad.code()),
            Self::NoToken | Self::Token(_) => Some(ReasonCode::Unauthenticated),
            Self::Refused(status) | Self::Unavailable { last: status, .. } | Self::StreamClosed(status) => {
                status.reason()
            }
            Self::Endpoint(_) | Self::Tls(_) | Self::AgentKey(_) | Self::Deadline | Self::Answer(_) => None,
        }
    }

    /// Whether the same call, under the same `request_id`, may succeed later without anybody changing anything.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::StreamClosed(_) | Self::Deadline => true,
            Self::Refused(status) => matches!(status.code, Code::Unavailable | Code::ResourceExhausted),
            Self::Endpoint(_)
            | Self::Tls(_)
            | Self::AgentKey(_)
            | Self::NoToken
            | Self::Token(_)
            | Self::Call(_)
            | Self::Answer(_) => false,
        }
    }
}

/// How a node, or the way to it, ended a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The gRPC status code.
    pub code: Code,
    /// The reason code as the node wrote it, e.g. `TokenExpired`; empty when there is none.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// How long to wait before a retry, in milliseconds, when the node says so.
    pub retry_after_ms: Option<u64>,
}

impl NodeStatus {
    /// The reason code, if this version knows it.
    pub fn reason(&self) -> Option<ReasonCode> {
        self.reason.parse().ok()
    }
}

impl From<&Status> for NodeStatus {
    fn from(status: &Status) -> Self {
        Self {
            code: status.code(),
            reason: reason_of(status).unwrap_or_default().to_owned(),
            message: status.message().to_owned(),
            retry_after_ms: retry_after_ms(status),
        }
    }
}

impl std::fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "{:?}: {}", self.code, self.message),
            reason => write!(f, "{reason}: {}", self.message),
        }
    }
}
