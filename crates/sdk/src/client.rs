//! The client: one call, tried until it is answered or its time is over.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_model::secret::Secret;
use aegis_proto::v1;
use aegis_proto::v1::decision_client::DecisionClient;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::builder::ClientBuilder;
use crate::call::Call;
use crate::error::{NodeStatus, SdkError};
use crate::outcome::Outcome;
use crate::retry::{Backoff, may_retry};
use crate::stream::DecisionStream;
use crate::token::TokenSource;

/// The node is given this much more time than the client takes, so that the client's own timer ends a call and
/// not a race between the two.
pub(crate) const NODE_GRACE: Duration = Duration::from_millis(100);

/// Asks one node, over one connection that is opened again when it breaks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    endpoint: Endpoint,
    /// Opened by the first call, as that needs a runtime and building a client does not.
    channel: OnceLock<Channel>,
    pub(crate) token: TokenSource,
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
}

impl Client {
    /// Settings for a client of the node at `endpoint`, e.g. `https://aegis.example.com:7081`.
    pub fn builder(endpoint: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(endpoint.into())
    }

    pub(crate) fn new(
        endpoint: Endpoint,
        token: TokenSource,
        deadline: Duration,
        attempts: u32,
        backoff: Backoff,
    ) -> Self {
        let channel = OnceLock::new();
        Self { inner: Arc::new(Inner { endpoint, channel, token, deadline, attempts, backoff }) }
    }

    /// Asks whether `call` may go on.
    ///
    /// A refusal is an [`Outcome`]. Errors: see [`SdkError`]; after each of them the call must not go on.
    pub async fn decide(&self, call: Call) -> Result<Outcome, SdkError> {
        let request = call.into_request()?;
        let deadline = Instant::now() + self.inner.deadline;
        let response = timeout_at(deadline, self.try_until(deadline, &request))
            .await
            .map_err(|_| SdkError::Deadline)??;
        Ok(Outcome::read(response)?)
    }

    /// A stream over which many calls share one exchange. Each is one attempt: a call that fails because the
    /// stream ended may be repeated under its `request_id`.
    pub async fn stream(&self) -> DecisionStream {
        DecisionStream::open(self.node(), self.inner.token.clone(), self.inner.deadline)
    }

    /// Tries `request` until it is answered, refused for good, or has no attempt or time left.
    async fn try_until(
        &self,
        deadline: Instant,
        request: &v1::DecideRequest,
    ) -> Result<v1::DecideResponse, SdkError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let status = match self.try_once(deadline, request.clone()).await? {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            if !may_retry(&status) {
                return Err(SdkError::Refused(NodeStatus::from(&status)));
            }
            let pause = self.inner.backoff.pause(attempts, &status);
            if attempts >= self.inner.attempts || Instant::now() + pause >= deadline {
                return Err(SdkError::Unavailable { attempts, last: NodeStatus::from(&status) });
            }
            sleep(pause).await;
        }
    }

    async fn try_once(
        &self,
        deadline: Instant,
        request: v1::DecideRequest,
    ) -> Result<Result<v1::DecideResponse, Status>, SdkError> {
        let token = self.inner.token.token().await.map_err(SdkError::Token)?;
        let mut request = Request::new(request);
        request.metadata_mut().insert("authorization", bearer(&token)?);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()) + NODE_GRACE);
        Ok(self.node().decide(request).await.map(tonic::Response::into_inner))
    }

    pub(crate) fn node(&self) -> DecisionClient<Channel> {
        let channel = self.inner.channel.get_or_init(|| self.inner.endpoint.connect_lazy());
        DecisionClient::new(channel.clone())
    }
}

/// The value of the `authorization` header. Marked sensitive, so that no log of headers shows it.
pub(crate) fn bearer(token: &Secret<String>) -> Result<MetadataValue<Ascii>, SdkError> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose())
        .parse()
        .map_err(|_| SdkError::Token("no header can carry it".into()))?;
    value.set_sensitive(true);
    Ok(value)
}
