//! What stands in the span of a call over HTTP.

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;

use super::head::IDEMPOTENCY_REPLAYED;
use crate::admin::problem::ProblemCode;
use crate::spans::{Answered, Notes, Outcome};

/// A handler whose calls have spans under a name.
#[derive(Clone)]
pub(super) struct Named<H> {
    handler: H,
    operation: &'static str,
}

/// `handler`, whose calls have spans as `operation`.
pub(super) fn named<H>(handler: H, operation: &'static str) -> Named<H> {
    Named { handler, operation }
}

impl<H: Handler<T, S>, T, S> Handler<T, S> for Named<H> {
    type Future = H::Future;

    fn call(self, request: Request, state: S) -> H::Future {
        if let Some(notes) = request.extensions().get::<Notes>() {
            notes.operation(self.operation);
        }
        self.handler.call(request, state)
    }
}

/// What the head of an answer says.
pub(super) fn answered(response: &Response) -> Answered {
    let status = response.status();
    let outcome = match status {
        _ if status.is_server_error() => Outcome::Failed,
        _ if status.is_client_error() => Outcome::Refused,
        _ => Outcome::Done,
    };
    let told = || response.extensions().get::<ProblemCode>().map(|code| code.as_str().to_owned());
    let code = (outcome != Outcome::Done).then(|| told().unwrap_or_else(|| status.as_str().to_owned()));
    Answered { outcome, code, replayed: response.headers().contains_key(IDEMPOTENCY_REPLAYED) }
}
