//! `/tenants/{tenant}/activation`, `/activations` and `/rollback`.

use std::convert::Infallible;

use aegis_model::caps;
use aegis_proto::admin::{
    ActivateRequest, ActivationList, ActivationProgress, InForce, RollbackRequest, TenantRequest,
    WatchActivationRequest,
};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::Problem;
use crate::admin::caller::Caller;
use crate::admin::service::{activation, watch as watching};

/// Show what is in force
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/activation", tag = "activation", operation_id = "GetActivation",
    params(
        ("tenant" = String, Path, description = "The tenant"),
    ),
    responses((status = 200, description = "What is in force; `ETag` is the number of the activation", body = InForce)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let now = activation::get(&call.caller, TenantRequest { tenant: call.path("tenant") }).await?;
    reply::tagged(&now, now.activation)
}

/// Say which versions are in force
///
/// Enforced version, canary and shadow versions, as one decision. With `wait` the answer is a stream of JSON lines: the
/// activation first, then its progress at the data nodes. Role `operator` or `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/activation", tag = "activation", operation_id = "Activate",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("If-Match" = Option<String>, Header, description = "Only if this activation is in force, in quotes"),
        ("wait" = Option<bool>, Query, description = "Answer with the progress at the data nodes, a JSON text a line"),
        ("seconds" = Option<u32>, Query, description = "With `wait`: how long at most, up to 600"),
    ),
    request_body = ActivateRequest,
    responses((status = 200, description = "What is in force now", body = InForce)))]
pub(super) async fn activate(mut call: Call) -> Answer {
    let wait = Wait::read(&call)?;
    let mut request: ActivateRequest = call.json(caps::ADMIN_BODY_BYTES_MAX).await?;
    request.tenant = call.path("tenant");
    request.only_if_activation = call.only_if(request.only_if_activation)?;
    let now = activation::activate(&call.caller, request).await?;
    wait.answer(&call.caller, now).await
}

/// Go back to an earlier version
///
/// For everybody, without canary and shadow: a new activation. An empty body goes back to the one before. With `wait` as
/// for an activation. Role `operator` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/rollback", tag = "activation", operation_id = "Rollback",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("If-Match" = Option<String>, Header, description = "Only if this activation is in force, in quotes"),
        ("wait" = Option<bool>, Query, description = "Answer with the progress at the data nodes, a JSON text a line"),
        ("seconds" = Option<u32>, Query, description = "With `wait`: how long at most, up to 600"),
    ),
    request_body = RollbackRequest,
    responses((status = 200, description = "What is in force now", body = InForce)))]
pub(super) async fn roll_back(mut call: Call) -> Answer {
    let wait = Wait::read(&call)?;
    let mut request: RollbackRequest = call.json_or_nothing(caps::ADMIN_BODY_BYTES_MAX).await?;
    request.tenant = call.path("tenant");
    request.only_if_activation = call.only_if(request.only_if_activation)?;
    let now = activation::roll_back(&call.caller, request).await?;
    wait.answer(&call.caller, now).await
}

/// Watch an activation
///
/// Tells, as it happens, which data nodes have put it into force: a JSON text a line, the last one with a `state` other than
/// `waiting`. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/activation/progress", tag = "activation", operation_id = "WatchActivation",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("activation" = Option<u64>, Query, description = "The activation; otherwise the newest"),
        ("seconds" = Option<u32>, Query, description = "How long at most, up to 600"),
    ),
    responses((status = 200, description = "The progress", body = ActivationProgress,
        content_type = "application/jsonl")))]
pub(super) async fn watch(mut call: Call) -> Answer {
    let query = call.query(&["activation", "seconds"])?;
    call.no_body().await?;
    let request = WatchActivationRequest {
        tenant: call.path("tenant"),
        activation: query.number("activation")?.unwrap_or_default(),
        seconds: query.number("seconds")?.unwrap_or_default(),
    };
    let steps = watching::watch(&call.caller, request).await?;
    Ok(lines(steps.map(line)))
}

/// Whether the caller waits for the data nodes, and for how long.
struct Wait {
    wait: bool,
    seconds: u32,
}

impl Wait {
    fn read(call: &Call) -> Result<Self, Problem> {
        let query = call.query(&["wait", "seconds"])?;
        Ok(Self { wait: query.flag("wait")?, seconds: query.number("seconds")?.unwrap_or_default() })
    }

    /// What is in force now, and for those who wait what becomes of it.
    async fn answer(self, caller: &Caller, now: InForce) -> Answer {
        if !self.wait {
            return Ok(reply::with_tag(reply::done(caller, &now)?, now.activation));
        }
        let request = WatchActivationRequest {
            tenant: now.tenant.clone(),
            activation: now.activation,
            seconds: self.seconds,
        };
        // It is done, whatever becomes of the wait: a problem of the wait is a line, not the answer.
        let first = stream::once(ready(line(Ok(now))));
        let response = match watching::watch(caller, request).await {
            Ok(steps) => lines(first.chain(steps.map(line))),
            Err(problem) => lines(first.chain(stream::once(ready(line::<InForce>(Err(problem)))))),
        };
        Ok(reply::noted(response, caller))
    }
}

/// A step or a problem as a line of JSON.
fn line<T: Serialize>(step: Result<T, Problem>) -> Bytes {
    let written = match step {
        Ok(step) => serde_json::to_vec(&step),
        Err(problem) => serde_json::to_vec(&problem.document()),
    };
    let mut line = written.expect("a message has text keys only, so it is written");
    line.push(b'\n');
    line.into()
}

/// A stream of JSON lines.
fn lines(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    reply::with_type(StatusCode::OK, "application/jsonl", body)
}

/// List activations
///
/// The newest first. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/activations", tag = "activation", operation_id = "ListActivations",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of activations", body = ActivationList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&activation::list(&call.caller, request).await?)
}
