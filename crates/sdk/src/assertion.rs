//! An agent's token, got and renewed by itself: a short-lived assertion signed by the agent's key (RFC 7523), exchanged at
//! `POST /v1/token` of a data node.

mod flight;
mod request;
mod signer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::secret::Secret;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::error::SdkError;
use flight::Flight;
use signer::Signer;

/// An agent's tokens. Cheap to clone; clones share the token, and get a new one together.
///
/// A token is renewed once two thirds of its life are over, by one call at a time, while the others go on with the one that there is.
/// Where no node gives a new one, the one that there is is used until it ends; then calls fail with [`SdkError::Token`].
#[derive(Clone)]
pub struct AgentTokens {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    nodes: Vec<Channel>,
    signer: Signer,
    scope: String,
    within: Duration,
    flight: Flight,
}

/// Settings of [`AgentTokens`].
#[derive(Debug, Clone)]
#[must_use]
pub struct AgentTokensBuilder {
    endpoints: Vec<String>,
    cluster: String,
    tenant: String,
    agent: String,
    scope: String,
    within: Duration,
    tls_roots: Option<Vec<u8>>,
}

/// Why there is no token. Holds neither the key nor a token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAgentToken {
    /// The control plane refused: what was asked for will not be given as it is.
    #[error("no token is given out: {error}: {description}")]
    Refused {
        /// The error of RFC 6749, e.g. `invalid_grant`.
        error: String,
        /// The same for people.
        description: String,
    },
    /// No node could answer, or none in time. Worth trying again.
    #[error("no node could give out a token: {0}")]
    Unavailable(String),
    /// A node answered something that is no answer.
    #[error("the answer to a request for a token is not understood: {0}")]
    Answer(&'static str),
}

/// How long one request for a token may take unless set otherwise.
const WITHIN: Duration = Duration::from_secs(6);

impl AgentTokens {
    /// Tokens of `agent` of `tenant` in `cluster`, from the data node whose HTTP surface is at `endpoint`, e.g. `https://data-1:7080`.
    pub fn builder(
        endpoint: impl Into<String>,
        cluster: impl Into<String>,
        tenant: impl Into<String>,
        agent: impl Into<String>,
    ) -> AgentTokensBuilder {
        AgentTokensBuilder {
            endpoints: vec![endpoint.into()],
            cluster: cluster.into(),
            tenant: tenant.into(),
            agent: agent.into(),
            scope: String::new(),
            within: WITHIN,
            tls_roots: None,
        }
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// [`NoAgentToken`]: there is none, and none could be got.
    pub async fn token(&self) -> Result<Secret<String>, NoAgentToken> {
        self.shared.flight.token(|| self.shared.fetch()).await
    }
}

impl fmt::Debug for AgentTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentTokens").field("signer", &self.shared.signer).finish_non_exhaustive()
    }
}

impl AgentTokensBuilder {
    /// Another data node that may be asked when one fails.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// What tokens are wanted for; everything that the agent is registered for, unless set.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// How long one request for a token may take.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The certificates that a node's certificate has to lead to, as PEM. Required for `https`.
    pub fn tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls_roots = Some(pem.into());
        self
    }

    /// The tokens that `private_key` proves: Ed25519, as PKCS#8 PEM (`BEGIN PRIVATE KEY`). Nothing is asked for before the first call.
    ///
    /// # Errors
    /// An endpoint is malformed, the TLS settings do not fit it, or the key is none.
    pub fn build(self, private_key: &Secret<String>) -> Result<AgentTokens, SdkError> {
        let signer = Signer::new(private_key, self.cluster, self.tenant, self.agent)?;
        let nodes =
            self.endpoints.iter().map(|address| channel(address, self.tls_roots.as_deref(), self.within));
        let shared = Shared {
            nodes: nodes.collect::<Result<_, _>>()?,
            signer,
            scope: self.scope,
            within: self.within,
            flight: Flight::default(),
        };
        Ok(AgentTokens { shared: Arc::new(shared) })
    }
}

fn channel(address: &str, roots: Option<&[u8]>, within: Duration) -> Result<Channel, SdkError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(SdkError::Endpoint)?;
    let endpoint = endpoint.connect_timeout(within).tcp_nodelay(true);
    let endpoint = match (endpoint.uri().scheme_str(), roots) {
        (Some("http"), None) => endpoint,
        (Some("https"), Some(roots)) => {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots));
            endpoint.tls_config(tls).map_err(|_| SdkError::Tls("the roots are malformed"))?
        }
        (Some("http"), Some(_)) => {
            return Err(SdkError::Tls("roots are given, but the endpoint is plain http"));
        }
        (Some("https"), None) => {
            return Err(SdkError::Tls("the endpoint is https, but no roots are given"));
        }
        _ => return Err(SdkError::Tls("the endpoint is neither http nor https")),
    };
    Ok(endpoint.connect_lazy())
}
