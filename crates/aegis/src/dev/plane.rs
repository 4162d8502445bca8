//! The control node of `aegis dev`: one voter, with an authority that lives as long as the process, on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_controlplane::command::actor::Actor;
use aegis_controlplane::keys::{ClusterKey, ClusterKeys, first_tenant_key};
use aegis_controlplane::node::found::{found, issue_token};
use aegis_controlplane::node::{ControlNode, NodeConfig, OwnedPem};
use aegis_controlplane::raft::timings::Timings;
use aegis_controlplane::spans::CallSink;
use aegis_controlplane::state::{meta, tenants};
use aegis_controlplane::store::StoreConfig;
use aegis_dataplane::feed::FeedTls;
use aegis_identity::inspect::inspect;
use aegis_identity::tls::{IdentityPem, client_config};
use aegis_model::clock::Clock;
use aegis_model::ids::{ClusterId, PersonId};
use aegis_model::secret::Secret;
use aegis_proto::control::CreateTenant;
use anyhow::Context;

use super::{org, tenant};
use crate::authority::{Authority, Issued, Role, Subject};
use crate::state::{DataDir, Readers, read_bounded, write_whole};

/// The control node, and how the data node of the same process reaches it.
pub(super) struct Plane {
    pub(super) node: ControlNode,
    /// Mutual TLS, for the data node.
    pub(super) client: FeedTls,
    /// Where the token of the demo's administrator is.
    pub(super) token_file: PathBuf,
}

/// Where the control node listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listen {
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
}

/// Nobody else takes part, so nobody else has to be waited for.
fn timings() -> Timings {
    Timings {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(150),
        election_max: Duration::from_millis(300),
        ..Timings::default()
    }
}

/// The demo cluster.
pub(super) fn cluster() -> ClusterId {
    "dev".parse().expect("a constant that is a name")
}

/// The demo's administrator.
pub(super) fn admin() -> PersonId {
    "admin".parse().expect("a constant that is a name")
}

/// The administrator, proven by being this process.
pub(super) fn actor() -> Actor {
    Actor::person(admin())
}

/// A token that ends sooner than this is exchanged at the start.
const TOKEN_LIFE_MIN: Duration = Duration::from_secs(4 * 3_600);

/// Longer than any certificate is needed: as long as a process that nobody restarts.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Larger than any person token.
const TOKEN_BYTES_MAX: usize = 64 << 10;

impl Plane {
    /// Starts the control node over what is in `data_dir`, and makes the cluster and the demo tenant if they are not there.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn start(
        data_dir: &DataDir,
        listen: Listen,
        spans: Option<CallSink>,
    ) -> anyhow::Result<Self> {
        let now = Clock::System.now();
        let authority = Authority::new(&cluster(), now)?;
        let issue = |role| {
            let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
            authority.issue(&Subject { name: "dev".to_owned(), role, hosts }, CERTIFICATE_LIFE, now)
        };
        let (control, data) = (issue(Role::Control)?, issue(Role::Data)?);
        let node = ControlNode::start(node_config(data_dir, listen, &authority, control, spans)?);
        let node = node.await.context("`aegis dev` does not start")?;
        let identity = IdentityPem { chain: data.chain.as_bytes(), key: data.key.expose().as_bytes() };
        let client = FeedTls::new(client_config(authority.pem().as_bytes(), Some(identity), &[])?);
        let plane = Self { node, client, token_file: data_dir.admin_token() };
        match plane.prepare().await {
            Ok(()) => Ok(plane),
            Err(error) => {
                // Why it did not become ready matters more.
                let _ = plane.node.shutdown().await;
                Err(error)
            }
        }
    }

    async fn prepare(&self) -> anyhow::Result<()> {
        let parts = self.node.parts();
        if meta::cluster(&parts.control.view()?)?.is_none() {
            let minted = found(parts, &cluster(), &admin()).await.context("making the demo cluster")?;
            self.keep_token(minted.token.expose())?;
        } else if !self.has_good_token() {
            let minted =
                issue_token(parts, &admin()).await.context("making a token of the demo's administrator")?;
            self.keep_token(minted.token.expose())?;
        }
        self.node.readiness().ready().await;
        let known = tenants::tenant(&parts.control.read().await?, &tenant())?.is_some();
        if !known {
            let key = {
                let view = parts.control.view()?;
                first_tenant_key(&view, &parts.cluster_keys, &tenant(), &mut rand::rng())?
            };
            let command = CreateTenant {
                key: Some(key),
                name: tenant().to_string(),
                organization: org().to_string(),
                ..CreateTenant::default()
            };
            parts.control.propose(command, &actor()).await.context("making the demo tenant")?;
        }
        Ok(())
    }

    fn keep_token(&self, token: &str) -> anyhow::Result<()> {
        let file = &self.token_file;
        write_whole(file, format!("{token}\n").as_bytes(), Readers::Owner)
            .with_context(|| format!("writing `{}`", file.display()))
    }

    /// Whether the token that was kept is good for a while: so that many starts do not make many tokens.
    fn has_good_token(&self) -> bool {
        let Ok(bytes) = read_bounded(&self.token_file, TOKEN_BYTES_MAX) else { return false };
        let Ok(text) = String::from_utf8(bytes) else { return false };
        let token = Secret::new(text);
        let inspection = inspect(token.expose().trim(), Clock::System.now(), None);
        let least = i64::try_from(TOKEN_LIFE_MIN.as_secs()).unwrap_or(i64::MAX);
        inspection.times.expires_in.is_some_and(|seconds| seconds >= least)
    }
}

fn node_config(
    data_dir: &DataDir,
    listen: Listen,
    authority: &Authority,
    issued: Issued,
    spans: Option<CallSink>,
) -> anyhow::Result<NodeConfig> {
    let store = StoreConfig::folder(&data_dir.root().join("bundles"));
    Ok(NodeConfig {
        name: "dev".to_owned(),
        cluster: cluster(),
        // Nobody else takes part, so this is only shown.
        advertise: "https://localhost:7071".to_owned(),
        directory: data_dir.root().join("raft"),
        grpc: listen.grpc,
        http: Some(listen.http),
        public_url: None,
        http_plain: true,
        metrics: None,
        more_metrics: None,
        spans,
        tls: OwnedPem {
            chain: issued.chain.into_bytes(),
            key: Secret::new(issued.key.expose().clone().into_bytes()),
            authorities: authority.pem().as_bytes().to_vec(),
        },
        cluster_keys: Arc::new(ClusterKeys::new(cluster_key(data_dir)?, Vec::new())),
        shelf: Some(store.open()?),
        witnesses: Vec::new(),
        // Whoever tries this tries it with what listens on this machine.
        deliver_to_private: true,
        staleness_seconds_max: 0,
        timings: timings(),
        clock: Clock::System,
        software: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Made once: without it, what the state holds cannot be used again.
fn cluster_key(data_dir: &DataDir) -> anyhow::Result<ClusterKey> {
    let path = data_dir.root().join("cluster.key");
    if !path.exists() {
        let text = ClusterKey::generate(&mut rand::rng()).to_text();
        write_whole(&path, text.expose().as_bytes(), Readers::Owner)
            .with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(ClusterKey::read(&path)?)
}
