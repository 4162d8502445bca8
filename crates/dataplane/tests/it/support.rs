//! A node with a real policy on loopback, and clients for it.

#[path = "../../src/testing/disk.rs"]
#[expect(dead_code, reason = "some faults are for the crate's own tests")]
pub(crate) mod disk;
#[path = "../../src/testing/lines.rs"]
mod flat;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_dataplane::node::{Ended, Node, NodeConfig, StartError};
use aegis_dataplane::snapshot::{Snapshot, Tenant};
use aegis_identity::cache::TokenCache;
use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::Minter;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::clock::Clock;
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use aegis_policy::ast::SourceFile;
use aegis_policy::check::check;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

pub(crate) use flat::lines;

/// The policy of the documentation.
pub(crate) const POLICY: &str = "\
agent: finance-agent
allowed_tools:
- name: stripe-payments
  actions:
  - create_payment
  conditions:
    max_amount: 5000
    approval_needed: true
";

/// A running node, whose tenant `acme` has [`POLICY`].
pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) journal: PathBuf,
    minter: Minter,
    verifier: Verifier,
    pub(crate) _folder: TempDir,
}

impl TestNode {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts a node whose configuration `change` has changed.
    pub(crate) async fn start_with(change: impl FnOnce(&mut NodeConfig)) -> Self {
        Self::try_start(change).await.unwrap()
    }

    pub(crate) async fn try_start(change: impl FnOnce(&mut NodeConfig)) -> Result<Self, StartError> {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("audit");
        let mut config = NodeConfig::new("n1".parse().unwrap(), 7, Secret::new([1; 32]), journal);
        let loopback = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        (config.http, config.grpc, config.metrics) = (loopback, loopback, loopback);
        change(&mut config);
        let journal = config.journal.folder.clone();

        let minter =
            Minter::new(SigningKey::generate(&mut StdRng::seed_from_u64(1)), "test".parse().unwrap());
        let trust = Trust::new([minter.trusted_key()]).unwrap();
        let verifier = Verifier::new(Arc::new(trust), Arc::new(TokenCache::with_entries(64)));
        let snapshot = Snapshot::new(1, verifier.clone(), [tenant(POLICY, 1)]);
        let node = Node::start(config, snapshot).await?;
        Ok(Self { node, journal, minter, verifier, _folder: folder })
    }

    /// Puts another policy into force.
    pub(crate) fn swap(&self, policy: &str, version: u64) {
        let snapshot = Snapshot::new(version, self.verifier.clone(), [tenant(policy, version)]);
        self.node.swap(snapshot).unwrap();
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.node.addresses().http.unwrap()
    }

    pub(crate) fn grpc(&self) -> SocketAddr {
        self.node.addresses().grpc.unwrap()
    }

    /// A token of `finance-agent`.
    pub(crate) fn token(&self) -> String {
        self.token_of("finance-agent", "*:*")
    }

    pub(crate) fn token_of(&self, agent: &str, scope: &str) -> String {
        let claims = AgentClaims {
            org: "acme-inc".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            agent: agent.parse().unwrap(),
            scope: Scope::parse(scope),
            callers: vec![],
            claims: JsonObject::new(),
        };
        let life = Duration::from_secs(600);
        let minted =
            self.minter.mint_agent(&claims, life, Clock::System.now(), &mut StdRng::seed_from_u64(2));
        minted.unwrap().token.expose().clone()
    }

    /// `POST path` with a token.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        let token = self.token();
        self.post_as(&token, path, body).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: impl Into<Bytes>) -> Reply {
        let headers = [(AUTHORIZATION, format!("Bearer {token}")), (CONTENT_TYPE, "application/json".into())];
        request(self.http(), "POST", path, &headers, body).await
    }

    /// `POST path` with a token and more headers.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        more: &[(HeaderName, String)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let own = [
            (AUTHORIZATION, format!("Bearer {}", self.token())),
            (CONTENT_TYPE, "application/json".to_owned()),
        ];
        request(self.http(), "POST", path, &[&own[..], more].concat(), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        request(self.http(), "GET", path, &[], "").await
    }

    /// The records so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        lines(&self.journal)
    }

    pub(crate) async fn shutdown_keeping_the_folder(self) -> TempDir {
        let Self { node, _folder, .. } = self;
        node.shutdown().await.log.unwrap();
        _folder
    }

    pub(crate) async fn shutdown(self) -> Ended {
        self.node.shutdown().await
    }
}

/// Tenant `acme` under `policy`.
pub(crate) fn tenant(policy: &str, version: u64) -> Tenant {
    let checked = check(vec![SourceFile { path: "policy.yaml".into(), text: policy.into() }]);
    let set = checked.set.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    Tenant::load("acme".parse().unwrap(), &set, version, version).unwrap()
}

/// The body of a call with this amount.
pub(crate) fn body(amount: impl Into<Value>) -> String {
    let params = serde_json::json!({ "amount": amount.into() });
    serde_json::json!({"tool": "stripe-payments", "action": "create_payment", "params": params}).to_string()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Checks that it is a problem document with this status and code.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{problem}");
        problem
    }
}

/// One request over a connection of its own.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(HeaderName, String)],
    body: impl Into<Bytes>,
) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    request_over(stream, method, path, headers, body).await
}

pub(crate) async fn request_over<S>(
    stream: S,
    method: &str,
    path: &str,
    headers: &[(HeaderName, String)],
    body: impl Into<Bytes>,
) -> Reply
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", "aegis.test");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let exchange = async move {
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        Reply { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        reply = exchange.as_mut() => reply,
        // A server that refuses a body may close before all of it is sent; the answer still arrives.
        _ = connection => exchange.await,
    }
}
