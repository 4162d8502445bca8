//! Settings of a client, checked once.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::client::Client;
use crate::error::SdkError;
use crate::retry::Backoff;
use crate::route::{Node, Routes, Transport};
use crate::token::TokenSource;

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    token: Option<TokenSource>,
    deadline: Duration,
    attempts: u32,
    backoff: Backoff,
    tls_roots: Option<Vec<u8>>,
    tls_server_name: Option<String>,
}

impl ClientBuilder {
    pub(crate) fn new(endpoint: String) -> Self {
        Self {
            endpoints: vec![endpoint],
            token: None,
            deadline: Duration::from_millis(caps::SDK_DEADLINE_MS),
            attempts: caps::SDK_ATTEMPTS,
            backoff: Backoff {
                first: Duration::from_millis(caps::SDK_PAUSE_MS_FIRST),
                longest: Duration::from_millis(caps::SDK_PAUSE_MS_MAX),
            },
            tls_roots: None,
            tls_server_name: None,
        }
    }

    /// Another node that may be asked: when one fails, the next one is. All of them are reached in the same way, by `https` with
    /// the same roots or by `http`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// The agent's token, or [`TokenSource::provider`]. Required.
    pub fn token(mut self, source: impl Into<TokenSource>) -> Self {
        self.token = Some(source.into());
        self
    }

    /// How long one call may take in all, attempts and pauses included; [`caps::SDK_DEADLINE_MS`] unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often one call is tried at most, from 1 to [`caps::SDK_ATTEMPTS_MAX`]; [`caps::SDK_ATTEMPTS`]
    /// unless set.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, caps::SDK_ATTEMPTS_MAX);
        self
    }

    /// The longest first pause between attempts, and the longest at all. Each pause is random below a ceiling
    /// that doubles from `first` to `longest`.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff { first, longest };
        self
    }

    /// The certificates that a node's certificate has to lead to, as PEM. Required for `https`, and refused for
    /// `http`, where it would protect nothing.
    pub fn tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls_roots = Some(pem.into());
        self
    }

    /// The name that a node's certificate has to be for; the endpoint's host unless set.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls_server_name = Some(name.into());
        self
    }

    /// The client. It connects with its first call.
    ///
    /// Errors: an endpoint is malformed, the TLS settings do not fit it, or there is no token.
    pub fn build(self) -> Result<Client, SdkError> {
        let token = self.token.ok_or(SdkError::NoToken)?;
        let tls = self.tls_roots.map(|pem| with_roots(pem, self.tls_server_name));
        let transport = Transport { tls, connect_timeout: self.deadline / self.attempts };
        let given: Result<_, _> = self.endpoints.iter().map(|address| node(&transport, address)).collect();
        let routes = Routes::new(transport, given?);
        Ok(Client::new(routes, token, self.deadline, self.attempts, self.backoff))
    }
}

/// A node that was given, reached as the others are.
fn node(transport: &Transport, address: &str) -> Result<Arc<Node>, SdkError> {
    let plain = Endpoint::from_shared(address.to_owned()).map_err(SdkError::Endpoint)?;
    match (plain.uri().scheme_str(), &transport.tls) {
        (Some("http"), None) | (Some("https"), Some(_)) => {}
        (Some("http"), Some(_)) => {
            return Err(SdkError::Tls("roots are given, but the endpoint is plain http"));
        }
        (Some("https"), None) => {
            return Err(SdkError::Tls("the endpoint is https, but no roots are given"));
        }
        _ => return Err(SdkError::Tls("the endpoint is neither http nor https")),
    }
    let endpoint = transport.endpoint(address);
    let endpoint = endpoint.map_err(|_| SdkError::Tls("the roots or the server name are malformed"))?;
    Ok(Arc::new(Node::new(endpoint)))
}

fn with_roots(pem: Vec<u8>, name: Option<String>) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    match name {
        Some(name) => tls.domain_name(name),
        None => tls,
    }
}
