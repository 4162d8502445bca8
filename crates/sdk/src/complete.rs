//! Telling what became of a call that was allowed.

use std::fmt;

pub use aegis_model::completion::Completed;
use aegis_proto::bad_request::BadRequest;
use aegis_proto::{convert, v1};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Request, Status};

use crate::client::{Client, NODE_GRACE, bearer};
use crate::error::{NodeStatus, SdkError};

/// What became of a call: it is told once, to the node that decided. It is checked when it is sent.
#[derive(Clone)]
pub struct Completion {
    decision_id: String,
    status: v1::CompletionStatus,
    cost: Option<String>,
    result: Option<Value>,
    sign_receipt: bool,
}

impl Completion {
    /// The tool did what was asked.
    pub fn succeeded(decision_id: impl Into<String>) -> Self {
        Self::new(decision_id, v1::CompletionStatus::Succeeded)
    }

    /// The tool failed. It stays charged unless a cost is given.
    pub fn failed(decision_id: impl Into<String>) -> Self {
        Self::new(decision_id, v1::CompletionStatus::Failed)
    }

    /// The tool was never called: it costs nothing. Needs a token with the scope `settle`.
    pub fn not_run(decision_id: impl Into<String>) -> Self {
        Self::new(decision_id, v1::CompletionStatus::NotRun)
    }

    fn new(decision_id: impl Into<String>, status: v1::CompletionStatus) -> Self {
        Self { decision_id: decision_id.into(), status, cost: None, result: None, sign_receipt: false }
    }

    /// What the call really cost: a decimal number such as `0.25`. Less than it was charged needs the scope `settle`.
    pub fn cost(mut self, cost: impl Into<String>) -> Self {
        self.cost = Some(cost.into());
        self
    }

    /// What the tool gave back: a JSON value.
    pub fn result(mut self, result: impl Into<Value>) -> Self {
        self.result = Some(result.into());
        self
    }

    /// Ask for a signed receipt of the completion, as [`Call::sign_receipt`](crate::Call::sign_receipt) does of the decision.
    pub fn sign_receipt(mut self) -> Self {
        self.sign_receipt = true;
        self
    }

    fn into_request(self) -> Result<v1::CompleteRequest, BadRequest> {
        let request = v1::CompleteRequest {
            decision_id: self.decision_id,
            status: self.status.into(),
            cost: self.cost.unwrap_or_default(),
            result: self.result.map(|result| result.to_string()).unwrap_or_default().into(),
            sign_receipt: self.sign_receipt,
        };
        convert::read_completion(&request)?;
        Ok(request)
    }
}

impl fmt::Debug for Completion {
    /// Without the result, which is nobody's business but the node's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("decision_id", &self.decision_id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Tells what became of a call that was allowed, and gives back its result as it is to be used: cleaned under the policy version
    /// that allowed the call, or nothing where that version does not let it be used ([`Completed::withheld`]).
    ///
    /// Tried again only where a node says that it cannot take it now. A way that breaks is not: the node may have taken it, and
    /// takes it once.
    ///
    /// # Errors
    /// See [`SdkError`]. The call stays as it was charged when it was allowed, unless the node took this after all.
    pub async fn complete(&self, completion: Completion) -> Result<Completed, SdkError> {
        let request = completion.into_request()?;
        let deadline = Instant::now() + self.inner.deadline;
        let told = timeout_at(deadline, self.tell_until(deadline, &request));
        let response = told.await.map_err(|_| SdkError::Deadline)??;
        Ok(convert::read_completed(response)?)
    }

    async fn tell_until(
        &self,
        deadline: Instant,
        request: &v1::CompleteRequest,
    ) -> Result<v1::CompleteResponse, SdkError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let status = match self.tell(deadline, request.clone()).await? {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            if !was_not_taken(&status) {
                return Err(SdkError::Refused(NodeStatus::from(&status)));
            }
            let pause = self.inner.backoff.pause(attempts, &status);
            if attempts >= self.inner.attempts || Instant::now() + pause >= deadline {
                return Err(SdkError::Unavailable { attempts, last: NodeStatus::from(&status) });
            }
            sleep(pause).await;
        }
    }

    async fn tell(
        &self,
        deadline: Instant,
        request: v1::CompleteRequest,
    ) -> Result<Result<v1::CompleteResponse, Status>, SdkError> {
        let token = self.inner.token.token().await.map_err(SdkError::Token)?;
        // Only the node that decided takes it. Where this client did not ask it, the owner is most likely to be the one.
        let routes = &self.inner.routes;
        let decider = routes.decider(&request.decision_id);
        let node = decider.unwrap_or_else(|| routes.pick(routes.slot(&token), &[]));
        let mut request = Request::new(request);
        request.metadata_mut().insert("authorization", bearer(&token)?);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()) + NODE_GRACE);
        Ok(node.client().complete(request).await.map(tonic::Response::into_inner))
    }
}

/// Whether a node said itself that it did not take it. What a node said has no source; what happened on the way to it has one.
fn was_not_taken(status: &Status) -> bool {
    use std::error::Error as _;
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) && status.source().is_none()
}
