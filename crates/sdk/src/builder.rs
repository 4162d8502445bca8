//! Settings of a client, checked once.

use std::time::Duration;

use aegis_model::caps;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::client::Client;
use crate::error::SdkError;
use crate::retry::Backoff;
use crate::token::TokenSource;

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientBuilder {
    endpoint: String,
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
            endpoint,
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
    /// Errors: the endpoint is malformed, the TLS settings do not fit it, or there is no token.
    pub fn build(self) -> Result<Client, SdkError> {
        let token = self.token.ok_or(SdkError::NoToken)?;
        let endpoint = Endpoint::from_shared(self.endpoint).map_err(SdkError::Endpoint)?;
        let endpoint = match (endpoint.uri().scheme_str(), self.tls_roots) {
            (Some("http"), None) => endpoint,
            (Some("http"), Some(_)) => {
                return Err(SdkError::Tls("roots are given, but the endpoint is plain http"));
            }
            (Some("https"), None) => {
                return Err(SdkError::Tls("the endpoint is https, but no roots are given"));
            }
            (Some("https"), Some(pem)) => with_tls(endpoint, pem, self.tls_server_name)?,
            _ => return Err(SdkError::Tls("the endpoint is neither http nor https")),
        };
        let endpoint = endpoint
            .tcp_nodelay(true)
            // A dead address leaves time for the other attempts.
            .connect_timeout(self.deadline / self.attempts)
            // A node that lost its power sends no reset: the ping notices it while calls wait.
            .http2_keep_alive_interval(Duration::from_millis(caps::SDK_PING_MS))
            .keep_alive_timeout(Duration::from_millis(caps::SDK_PING_MS));
        Ok(Client::new(endpoint, token, self.deadline, self.attempts, self.backoff))
    }
}

fn with_tls(endpoint: Endpoint, pem: Vec<u8>, name: Option<String>) -> Result<Endpoint, SdkError> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    if let Some(name) = name {
        tls = tls.domain_name(name);
    }
    endpoint.tls_config(tls).map_err(|_| SdkError::Tls("the roots or the server name are malformed"))
}
