//! The client: one call, tried until it is answered or its time is over.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::secret::Secret;
use aegis_proto::v1;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

use crate::builder::ClientBuilder;
use crate::call::Call;
use crate::error::{NodeStatus, SdkError};
use crate::outcome::Outcome;
use crate::retry::{Backoff, may_have_judged, may_retry};
use crate::route::{Node, Routes};
use crate::stream::DecisionStream;
use crate::token::TokenSource;

/// The node is given this much more time than the client takes, so that the client's own timer ends a call and
/// not a race between the two.
pub(crate) const NODE_GRACE: Duration = Duration::from_millis(100);

/// Asks data nodes, over a connection to each that is opened again when it breaks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) routes: Routes,
    pub(crate) token: TokenSource,
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
}

impl Client {
    /// Settings for a client of the node at `endpoint`, e.g. `https://aegis.example.com:7081`, and of those that it names.
    pub fn builder(endpoint: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(endpoint.into())
    }

    pub(crate) fn new(
        routes: Routes,
        token: TokenSource,
        deadline: Duration,
        attempts: u32,
        backoff: Backoff,
    ) -> Self {
        Self { inner: Arc::new(Inner { routes, token, deadline, attempts, backoff }) }
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
    /// stream ended may be repeated under its `request_id`. It stays at one node, whoever owns the agents.
    pub async fn stream(&self) -> DecisionStream {
        let node = self.inner.routes.pick(None, &[]).client();
        DecisionStream::open(node, self.inner.token.clone(), self.inner.deadline)
    }

    /// Tries `request` until it is answered, refused for good, or has no attempt or time left: at the owner first, then at
    /// others, each of which is asked at once. Once all have failed, there is a pause.
    async fn try_until(
        &self,
        deadline: Instant,
        request: &v1::DecideRequest,
    ) -> Result<v1::DecideResponse, SdkError> {
        let Inner { routes, backoff, .. } = &*self.inner;
        let (mut attempts, mut tried) = (0, Vec::new());
        // A node that may have judged the call gives the same answer again: it is asked once more before another one is.
        let mut once_more: Option<Arc<Node>> = None;
        loop {
            attempts += 1;
            let token = self.inner.token.token().await.map_err(SdkError::Token)?;
            let slot = routes.slot(&token);
            let again = once_more.take();
            let node = again.clone().unwrap_or_else(|| routes.pick(slot, &tried));
            let status = match ask(&node, &token, deadline, request.clone()).await? {
                Ok(response) => {
                    routes.answered(slot, &node, &response.owner);
                    routes.decided(&node, &response.decision_id);
                    return Ok(response);
                }
                Err(status) => status,
            };
            if !may_retry(&status) {
                return Err(SdkError::Refused(NodeStatus::from(&status)));
            }
            let mut pause = backoff.pause(attempts, &status);
            if may_have_judged(&status) && again.is_none() {
                once_more = Some(node);
            } else {
                routes.failed(&node);
                tried.push(node);
                match routes.has_more(&tried) {
                    true => pause = Duration::ZERO,
                    false => tried.clear(),
                }
            }
            if attempts >= self.inner.attempts || Instant::now() + pause >= deadline {
                return Err(SdkError::Unavailable { attempts, last: NodeStatus::from(&status) });
            }
            sleep(pause).await;
        }
    }
}

async fn ask(
    node: &Node,
    token: &Secret<String>,
    deadline: Instant,
    request: v1::DecideRequest,
) -> Result<Result<v1::DecideResponse, Status>, SdkError> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", bearer(token)?);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()) + NODE_GRACE);
    Ok(node.client().decide(request).await.map(tonic::Response::into_inner))
}

/// The value of the `authorization` header. Marked sensitive, so that no log of headers shows it.
pub(crate) fn bearer(token: &Secret<String>) -> Result<MetadataValue<Ascii>, SdkError> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose())
        .parse()
        .map_err(|_| SdkError::Token("no header can carry it".into()))?;
    value.set_sensitive(true);
    Ok(value)
}
