//! `POST /v1/token`: what an agent shows, in the form of RFC 6749; and what comes of it, in the words of RFC 6749.
//!
//! The form is read here and judged by the control plane, which alone can sign. These grants are known: an assertion that the agent
//! has signed (RFC 7523), a certificate (RFC 8705), and the exchange (RFC 8693) of a token of an issuer outside for one of the agent's,
//! or of a caller's token for a delegated one.

mod form;

use std::net::IpAddr;

use aegis_identity::spiffe::spiffe_id;
use aegis_model::caps;
use aegis_model::reason::ReasonCode;
use aegis_proto::v1;
use aegis_proto::v1::issue_token_request::Proof;
use aegis_proto::v1::issue_token_response::Outcome;
use aegis_proto::v1::{ClientCertificate, IssuerToken, OwnToken, SignedAssertion};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use serde::Serialize;

use super::body::BodyReader;
use super::problem::Problem;
use super::{HttpSurface, Reply, reply};
use crate::answer::Refused;
use crate::case::Surface;
use crate::serve::PeerCertificate;
use crate::tokens::{NoAnswer, Wanted};
use form::Form;

/// Where tokens are given out.
pub(crate) const TOKEN_PATH: &str = "/v1/token";

/// The keys that sign tokens.
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const CLIENT_CREDENTIALS: &str = "client_credentials";
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// A token of an issuer outside (OpenID Connect).
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The answer of RFC 6749 (5.1), with what RFC 8693 adds.
#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a str,
}

/// The answer of RFC 6749 (5.2).
#[derive(Debug, Serialize)]
pub(super) struct NotIssued {
    error: String,
    error_description: String,
    #[serde(skip)]
    retry_after_ms: u64,
}

impl NotIssued {
    pub(super) fn new(error: &str, description: impl Into<String>) -> Self {
        Self { error: error.to_owned(), error_description: description.into(), retry_after_ms: 0 }
    }

    pub(super) fn request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    fn later(description: &str) -> Self {
        let retry_after_ms = 1_000;
        Self { retry_after_ms, ..Self::new("temporarily_unavailable", description) }
    }

    fn reply(&self, status: StatusCode) -> Reply {
        let body = serde_json::to_vec(self).expect("two texts are always written");
        let mut reply = reply::json(status, body.into());
        if self.retry_after_ms > 0 {
            let seconds = HeaderValue::from(self.retry_after_ms.div_ceil(1_000));
            reply.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="aegis""#));
        }
        reply
    }
}

/// Answers one request.
pub(super) async fn answer(
    surface: &HttpSurface,
    source: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let bodies = BodyReader { bytes_max: caps::TOKEN_FORM_BYTES_MAX, ..surface.bodies.clone() };
    let wanted = match form::check_type(&head.headers) {
        Ok(()) => {
            let body = bodies.read(body).await?;
            Form::read(&body).and_then(|form| wanted(head, &form))
        }
        Err(not_issued) => Err(not_issued),
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(not_issued) => {
            surface.decider.malformed(Surface::Http);
            let client = not_issued.error == "invalid_client";
            let status = if client { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
            return Ok(not_issued.reply(status));
        }
    };
    let Some(link) = surface.decider.tokens.get() else {
        let why = NotIssued::new("temporarily_unavailable", "this node has no control plane to ask");
        return Ok(why.reply(StatusCode::SERVICE_UNAVAILABLE));
    };
    match link.issue(wanted).await {
        Ok(Outcome::Issued(issued)) => Ok(issued_reply(&issued)),
        Ok(Outcome::Refused(refused)) => not_issued(surface, source, refused).await,
        Err(NoAnswer::Overloaded) => {
            Ok(NotIssued::later("too many tokens are asked for").reply(StatusCode::TOO_MANY_REQUESTS))
        }
        Err(NoAnswer::Unavailable) => {
            let why = NotIssued::later("the control plane cannot be reached, or gave no answer in time");
            Ok(why.reply(StatusCode::SERVICE_UNAVAILABLE))
        }
    }
}

fn issued_reply(issued: &v1::IssuedToken) -> Reply {
    let document = Issued {
        access_token: &issued.token,
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: issued.expires_in,
        scope: &issued.scope,
    };
    let body = serde_json::to_vec(&document).expect("texts and a number are always written");
    reply::json(StatusCode::OK, body.into())
}

/// A refusal by the control plane: counted, and recorded once per source and second, like that of a call.
async fn not_issued(
    surface: &HttpSurface,
    source: IpAddr,
    refused: v1::TokenNotIssued,
) -> Result<Reply, Problem> {
    let v1::TokenNotIssued { error, description, retry_after_ms } = refused;
    let status = match error.as_str() {
        "invalid_client" => StatusCode::UNAUTHORIZED,
        "temporarily_unavailable" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let code = if status == StatusCode::TOO_MANY_REQUESTS {
        ReasonCode::Overloaded
    } else {
        ReasonCode::Unauthenticated
    };
    let noted =
        surface.decider.turn_away(source, Surface::Http, Refused::new(code, description.clone())).await;
    if noted.code == ReasonCode::AuditUnavailable {
        return Err(noted.into());
    }
    Ok(NotIssued { error, error_description: description, retry_after_ms }.reply(status))
}

/// What the client wants.
fn wanted(head: &Parts, form: &Form) -> Result<Wanted, NotIssued> {
    if head.headers.contains_key(AUTHORIZATION) {
        let description = "an agent proves itself by an assertion or a certificate, not by a header";
        return Err(NotIssued::new("invalid_client", description));
    }
    let scope = form.get("scope").unwrap_or_default().to_owned();
    let alone = |proof| Wanted { proof, caller_token: String::new(), scope: scope.clone() };
    match form.get("grant_type") {
        None => Err(NotIssued::request("`grant_type` is missing")),
        Some(JWT_BEARER) => Ok(alone(assertion(form.required("assertion")?))),
        Some(CLIENT_CREDENTIALS) => Ok(alone(by_certificate(head, form)?)),
        Some(TOKEN_EXCHANGE) => {
            exchange(head, form).map(|(proof, caller_token)| Wanted { proof, caller_token, scope })
        }
        Some(_) => Err(NotIssued::new("unsupported_grant_type", "this grant is not known here")),
    }
}

/// RFC 8693: the caller's token is the subject; the agent that will use the new one is the actor, and proves itself.
fn exchange(head: &Parts, form: &Form) -> Result<(Proof, String), NotIssued> {
    if form.get("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN) {
        return Err(NotIssued::request("only access tokens are given out"));
    }
    if form.get("resource").is_some() || form.get("audience").is_some_and(|audience| audience != "aegis") {
        return Err(NotIssued::new("invalid_target", "tokens are given out for `aegis` only"));
    }
    match form.required("subject_token_type")? {
        ACCESS_TOKEN => {}
        // Nobody calls: the agent itself is the subject.
        ID_TOKEN if form.get("actor_token").is_none() && form.get("client_assertion").is_none() => {
            return Ok((of_issuer(form.required("subject_token")?, form)?, String::new()));
        }
        ID_TOKEN => return Err(NotIssued::request("a token of an issuer outside is handed on to nobody")),
        _ => return Err(NotIssued::request("the subject's token is an access token or an ID token")),
    }
    let caller = form.required("subject_token")?.to_owned();
    let actor = (form.get("actor_token"), form.get("actor_token_type"), form.get("client_assertion"));
    let proof = match actor {
        (Some(token), Some(ACCESS_TOKEN), None) => Proof::OwnToken(OwnToken { token: token.to_owned() }),
        (Some(token), Some(JWT), None) => assertion(token),
        (Some(token), Some(ID_TOKEN), None) => of_issuer(token, form)?,
        (None, None, Some(token)) if form.get("client_assertion_type") == Some(CLIENT_ASSERTION) => {
            assertion(token)
        }
        (None, None, None) if form.get("client_id").is_some() => by_certificate(head, form)?,
        _ => {
            let description = "the agent that is called proves itself by `actor_token` and its type, by `client_assertion` \
                               and its type, or by its certificate: by exactly one of them";
            return Err(NotIssued::request(description));
        }
    };
    Ok((proof, caller))
}

fn assertion(text: &str) -> Proof {
    Proof::Assertion(SignedAssertion { assertion: text.to_owned() })
}

/// A token of an issuer outside. It says nothing about tenants, so the client says whom it means.
fn of_issuer(token: &str, form: &Form) -> Result<Proof, NotIssued> {
    let (tenant, agent) = (form.required("tenant")?.to_owned(), form.required("client_id")?.to_owned());
    Ok(Proof::IssuerToken(IssuerToken { tenant, agent, token: token.to_owned() }))
}

/// RFC 8705: the certificate of this connection, which was verified when it came about.
fn by_certificate(head: &Parts, form: &Form) -> Result<Proof, NotIssued> {
    let shown = head.extensions.get::<PeerCertificate>();
    let shown =
        shown.ok_or_else(|| NotIssued::new("invalid_client", "the connection shows no certificate"))?;
    let spiffe_id = spiffe_id(&shown.0).ok_or_else(|| {
        NotIssued::new("invalid_client", "the certificate does not name exactly one SPIFFE id")
    })?;
    let (tenant, agent) = (form.required("tenant")?.to_owned(), form.required("client_id")?.to_owned());
    Ok(Proof::Certificate(ClientCertificate { tenant, agent, spiffe_id }))
}
