//! A node with a feed, and the words in which a control node speaks of tenants.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_dataplane::case::Surface;
use aegis_dataplane::feed::{Feed, FeedConfig, OpenError, Pace};
use aegis_dataplane::http::decide::decide;
use aegis_dataplane::node::{Node, NodeConfig};
use aegis_dataplane::snapshot::Snapshot;
use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::manifest::Manifest;
use aegis_identity::mint::Minter;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use aegis_policy::ast::SourceFile;
use aegis_policy::{bundle, check};
use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::control::{Control, Session, soon};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// A policy that allows payments up to `amount_max`.
pub(crate) fn policy(amount_max: u64) -> String {
    format!(
        "agents: [finance-agent, 'agent-*']\nallowed_tools:\n- name: pay\n  conditions: {{max_amount: {amount_max}}}\n"
    )
}

/// The bundle of one policy file.
pub(crate) fn bundle_of(policy: &str) -> Vec<u8> {
    let checked = check::check(vec![SourceFile { path: "policy.yaml".into(), text: policy.into() }]);
    let set = checked.set.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    bundle::build(&set).unwrap().bytes
}

pub(crate) fn manifest_key(seed: u64) -> SigningKey {
    SigningKey::generate(&mut StdRng::seed_from_u64(100 + seed))
}

fn minter() -> Minter {
    Minter::new(SigningKey::generate(&mut StdRng::seed_from_u64(1)), "test".parse().unwrap())
}

/// Version `version` of `tenant`, signed by the cluster's key.
pub(crate) fn signed(tenant: &str, version: u64, bundle: &[u8]) -> v1::SignedManifest {
    signed_by(&manifest_key(0), "test-cluster", tenant, version, bundle)
}

pub(crate) fn signed_by(
    key: &SigningKey,
    cluster: &str,
    tenant: &str,
    version: u64,
    bundle: &[u8],
) -> v1::SignedManifest {
    let (cluster, tenant) = (cluster.parse().unwrap(), tenant.parse().unwrap());
    let signed = Manifest::describe(cluster, tenant, version, bundle, NOW_MS, key).unwrap().sign(key);
    v1::SignedManifest { manifest: signed.bytes, signature: signed.signature.to_vec() }
}

/// Trust in the keys of the cluster.
pub(crate) fn trust() -> Down {
    trust_in(&[manifest_key(0)])
}

pub(crate) fn trust_in(manifest_keys: &[SigningKey]) -> Down {
    let token = minter().trusted_key();
    Down::Trust(v1::Trust {
        etag: b"trust".to_vec(),
        token_keys: vec![v1::TokenKey {
            issuer: token.issuer.to_string(),
            key: token.key.as_bytes().to_vec(),
        }],
        manifest_keys: manifest_keys.iter().map(|key| key.verifying_key().as_bytes().to_vec()).collect(),
    })
}

/// Tenant `tenant` at `activation`, which enforces `enforced`.
pub(crate) fn state(
    tenant: &str,
    activation: u64,
    enforced: u64,
    manifests: Vec<v1::SignedManifest>,
) -> v1::TenantState {
    v1::TenantState {
        tenant: tenant.to_owned(),
        etag: format!("{tenant}@{activation}").into_bytes(),
        activation: Some(v1::Activation { number: activation, enforced, canary: None, shadow: vec![] }),
        manifests,
        ..Default::default()
    }
}

/// A world in which version N allows payments up to N thousand.
pub(crate) fn version(tenant: &str, number: u64) -> (Vec<u8>, v1::SignedManifest) {
    let bundle = bundle_of(&policy(number * 1_000));
    let manifest = signed(tenant, number, &bundle);
    (bundle, manifest)
}

/// The same as a state in which version `number` is enforced, its bundle on offer.
pub(crate) fn enforcing(control: &Control, tenant: &str, activation: u64, number: u64) -> Down {
    let (bundle, manifest) = version(tenant, number);
    control.offer(&bundle);
    Down::Tenant(state(tenant, activation, number, vec![manifest]))
}

/// A running node with a feed.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    /// So that no two tokens have the same id.
    minted: AtomicU64,
}

pub(crate) fn address(control: &Control) -> String {
    format!("http://{}", control.address)
}

/// The configuration of a feed from `controls`, in a hurry.
pub(crate) fn config(folder: &Path, controls: &[&Control]) -> FeedConfig {
    let controls = controls.iter().map(|control| address(control).parse().unwrap()).collect();
    let mut config = FeedConfig::new("data-1".parse().unwrap(), controls, folder.join("feed"), 7);
    config.pace = Pace {
        welcome: Duration::from_secs(5),
        // Longer than a test waits: a stream that is left was left for its reason.
        silence: Duration::from_secs(600),
        pause: (Duration::from_millis(5), Duration::from_millis(50)),
        fetch: Duration::from_secs(10),
        retry: (Duration::from_millis(20), Duration::from_millis(200)),
        tick: Duration::from_millis(10),
    };
    config
}

static STARTS: AtomicU64 = AtomicU64::new(0);

impl TestNode {
    pub(crate) async fn start(folder: &Path, controls: &[&Control]) -> Self {
        Self::start_with(folder, config(folder, controls)).await.unwrap()
    }

    pub(crate) async fn start_with(folder: &Path, feed: FeedConfig) -> Result<Self, OpenError> {
        let clock = Clock::manual(UnixNanos(NOW_MS * 1_000_000));
        let feed = Feed::open(feed, clock.clone())?;
        // A control node of these tests gives every start the same incarnation, whose log may be begun once.
        let journal = folder.join(format!("audit-{}", STARTS.fetch_add(1, Ordering::Relaxed)));
        let mut config = NodeConfig::new("data-1".parse().unwrap(), 0, Secret::new([1; 32]), journal);
        config.clock = clock.clone();
        config.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut node = Node::start(config, Snapshot::awaiting()).await.unwrap();
        node.follow(feed);
        Ok(Self { node, clock, minted: AtomicU64::new(0) })
    }

    /// A node of tenant `acme` with version 1 in force by activation 10 at index 5, and its stream.
    pub(crate) async fn in_force(folder: &Path, control: &mut Control) -> (Self, Session) {
        let node = Self::start(folder, &[control]).await;
        let mut session = control.welcomed(5).await;
        session.round(5, true, vec![trust(), enforcing(control, "acme", 10, 1)]).await;
        session.confirm(5, NOW_MS).await;
        session.in_force("acme", 10).await;
        soon("readiness", node.node.ready()).await;
        (node, session)
    }

    pub(crate) fn token(&self, tenant: &str, agent: &str) -> String {
        self.token_for(tenant, agent, &[])
    }

    pub(crate) fn token_for(&self, tenant: &str, agent: &str, callers: &[&str]) -> String {
        let claims = AgentClaims {
            org: "acme-inc".parse().unwrap(),
            tenant: tenant.parse().unwrap(),
            agent: agent.parse().unwrap(),
            scope: Scope::parse("*:*"),
            callers: callers.iter().map(|caller| caller.parse().unwrap()).collect(),
            claims: JsonObject::new(),
        };
        let minted = minter().mint_agent(
            &claims,
            Duration::from_secs(900),
            self.clock.now(),
            &mut StdRng::seed_from_u64(self.minted.fetch_add(1, Ordering::Relaxed)),
        );
        minted.unwrap().token.expose().clone()
    }

    /// What `agent` of `acme` is answered who wants to pay `amount`: the decision, or the code of the refusal.
    pub(crate) async fn ask(&self, amount: u64) -> Result<Value, String> {
        self.ask_as(&self.token("acme", "finance-agent"), amount).await
    }

    pub(crate) async fn ask_as(&self, token: &str, amount: u64) -> Result<Value, String> {
        let body = json!({"tool": "pay", "params": {"amount": amount}}).to_string();
        let decider = self.node.decider();
        let entry = decider.enter(Surface::Http).unwrap();
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let decided = decide(decider, &entry, source, token, body.as_bytes()).await;
        decided
            .map(|bytes| serde_json::from_slice(&bytes).unwrap())
            .map_err(|refused| refused.code.to_string())
    }

    /// The largest of some amounts that may be paid, in thousands: the number of the version that judges.
    pub(crate) async fn judged_by(&self, token: &str) -> (u64, Value) {
        let (mut version, mut named) = (0, Value::Null);
        for thousands in 1..=5 {
            let decision = self.ask_as(token, thousands * 1_000).await.unwrap();
            if decision["outcome"] == "allow" {
                version = thousands;
            }
            named = decision["policy"].clone();
        }
        (version, named)
    }

    /// `GET /readyz`: status and body.
    pub(crate) async fn readyz(&self) -> (u16, String) {
        use http_body_util::{BodyExt, Empty};
        let stream = tokio::net::TcpStream::connect(self.node.addresses().http.unwrap()).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let request = hyper::Request::get("/readyz").header("host", "aegis.test");
        let reply = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap());
        let (reply, _) = tokio::join!(
            async {
                let reply = reply.await.unwrap();
                let status = reply.status().as_u16();
                let body = reply.into_body().collect().await.unwrap().to_bytes();
                drop(sender);
                (status, String::from_utf8(body.to_vec()).unwrap())
            },
            connection
        );
        reply
    }

    /// Waits until `look` finds something.
    pub(crate) async fn eventually<F: Future<Output = bool>>(&self, what: &str, look: impl Fn() -> F) {
        soon(what, async {
            while !look().await {
                // expect(sleep): readiness is looked at every second, and announces it to nobody outside.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
