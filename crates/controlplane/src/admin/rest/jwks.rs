//! `GET /.well-known/jwks.json`: the keys that sign tokens of agents, for whoever verifies one. Needs no token: they are public.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::reply;
use crate::admin::{Admin, Problem};
use crate::keys::{KeyKind, keyring};

/// Every key whose signatures count, a new one before it signs included.
pub(super) async fn serve(State(admin): State<Admin>) -> Result<Response, Problem> {
    let trust = keyring::token_trust(&admin.control().view()?, KeyKind::AgentToken)?;
    Ok(reply::json(StatusCode::OK, &trust.to_jwks()))
}
