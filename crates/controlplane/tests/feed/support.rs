//! Control nodes over a world, data nodes that follow them, and a follower that a test plays by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_controlplane::feed::{Admission, FeedNode, FeedNodeConfig};
use aegis_controlplane::testing::World;
use aegis_dataplane::case::Surface;
use aegis_dataplane::feed::{Feed, FeedConfig, Pace};
use aegis_dataplane::http::decide::decide;
use aegis_dataplane::node::{Node, NodeConfig};
use aegis_dataplane::snapshot::Snapshot;
use aegis_identity::claims::AgentClaims;
use aegis_identity::mint::Minter;
use aegis_model::clock::Clock;
use aegis_model::ids::TenantId;
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use aegis_model::slot::Slot;
use aegis_policy::ast::SourceFile;
use aegis_policy::{bundle, check};
use aegis_proto::v1;
use aegis_proto::v1::feed_client::FeedClient;
use aegis_proto::v1::follow_request::Message as Up;
use aegis_proto::v1::follow_response::Message as Down;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Server};
use tonic::{Status, Streaming};

pub(crate) const ISSUER: &str = "https://aegis.test";
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what has to come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// The bundle of a policy that allows payments up to `amount_max`.
pub(crate) fn bundle(amount_max: u64) -> Vec<u8> {
    let text = format!(
        "agents: [finance-agent, 'agent-*']\nallowed_tools:\n- name: pay\n  conditions: {{max_amount: {amount_max}}}\n"
    );
    let checked = check::check(vec![SourceFile { path: "policy.yaml".into(), text: text.into() }]);
    bundle::build(&checked.set.unwrap()).unwrap().bytes
}

/// A tenant with `versions` versions, of which number N allows payments up to N thousand.
pub(crate) fn tenant(world: &World, name: &str, versions: u64) -> TenantId {
    let tenant = world.tenant(name);
    for number in 1..=versions {
        world.publish(&tenant, &World::root(), &bundle(number * 1_000));
    }
    tenant
}

/// One control node on loopback, in a runtime of its own: what is cut off with it is all that it ran.
pub(crate) struct ControlNode {
    pub(crate) feed: FeedNode,
    pub(crate) address: SocketAddr,
    stopping: CancellationToken,
    kept: JoinSet<()>,
    runtime: Option<Runtime>,
}

impl Drop for ControlNode {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn feed_node(world: &World, admission: Admission) -> FeedNode {
    let config = FeedNodeConfig {
        name: "control-1".to_owned(),
        id: 1,
        issuer: ISSUER.parse().unwrap(),
        admission,
        cluster_keys: Arc::new(World::cluster_keys()),
        settings: v1::FeedSettings::default(),
    };
    FeedNode::new(config, world.direct.control())
}

impl ControlNode {
    pub(crate) async fn start(world: &World) -> Self {
        let feed = feed_node(world, Admission::SameProcess);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let mut kept = JoinSet::new();
        let (keeper, stop) = (feed.clone(), stopping.clone());
        kept.spawn_on(async move { keeper.run(stop).await.unwrap() }, runtime.handle());
        let service = feed.service();
        let serving = async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        };
        // The runtime owns it, and ends with the node.
        drop(runtime.spawn(serving));
        Self { feed, address, stopping, kept, runtime: Some(runtime) }
    }

    /// Says farewell to its data nodes, and is gone.
    pub(crate) async fn stop(mut self) {
        self.stopping.cancel();
        soon("the farewell", self.kept.join_next()).await.unwrap().unwrap();
    }

    /// Is gone.
    pub(crate) fn crash(self) {
        drop(self);
    }

    /// Waits until every data node that follows here enforces `activation`, and says how many.
    pub(crate) async fn enforced(&self, tenant: &TenantId, activation: u64, nodes: usize) {
        soon("the acknowledgements", async {
            let mut all = self.feed.acks().progress(tenant, activation);
            while !(all.is_complete() && all.in_force.len() == nodes) {
                // expect(sleep): data nodes come and go, and nobody announces that they came.
                tokio::time::sleep(Duration::from_millis(5)).await;
                all = self.feed.acks().progress(tenant, activation);
            }
        })
        .await;
    }

    /// A follower played by hand.
    pub(crate) async fn client(&self) -> FeedClient<Channel> {
        FeedClient::connect(format!("http://{}", self.address)).await.unwrap()
    }

    pub(crate) async fn follow(&self, hello: v1::Hello) -> Result<Follower, Status> {
        Follower::over(self.client().await, hello).await
    }
}

/// The other end of a stream, played by hand.
pub(crate) struct Follower {
    up: mpsc::Sender<v1::FollowRequest>,
    down: Streaming<v1::FollowResponse>,
}

impl Follower {
    pub(crate) async fn over(mut client: FeedClient<Channel>, hello: v1::Hello) -> Result<Self, Status> {
        let (up, requests) = mpsc::channel(64);
        up.send(v1::FollowRequest { message: Some(Up::Hello(hello)) }).await.unwrap();
        let down = client.follow(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Self { up, down })
    }

    pub(crate) async fn say(&self, message: Up) {
        self.up.send(v1::FollowRequest { message: Some(message) }).await.unwrap();
    }

    /// The next message, its stamp apart.
    pub(crate) async fn next(&mut self) -> Result<((u64, u64), Down), Status> {
        let response = soon("a message", self.down.message()).await?.ok_or(Status::aborted("the end"))?;
        Ok(((response.history, response.index), response.message.unwrap()))
    }

    pub(crate) async fn welcome(&mut self) -> v1::Welcome {
        match self.next().await.unwrap().1 {
            Down::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        }
    }

    /// The messages of the next round that is not passed over, with whether it is full; freshness is passed over.
    pub(crate) async fn round(&mut self) -> (bool, Vec<Down>) {
        let (full, at) = loop {
            match self.next().await.unwrap() {
                (at, Down::Begin(begin)) => break (begin.full, at),
                (_, Down::Freshness(_)) => {}
                (_, other) => panic!("{other:?}"),
            }
        };
        let mut messages = Vec::new();
        loop {
            match self.next().await.unwrap() {
                (end, Down::End(counted)) => {
                    assert_eq!((end, counted.messages as usize), (at, messages.len()));
                    return (full, messages);
                }
                (within, message) => {
                    assert_eq!(within, at, "one position per round");
                    messages.push(message);
                }
            }
        }
    }
}

pub(crate) fn hello(name: &str, id: u64) -> v1::Hello {
    v1::Hello { node_name: name.to_owned(), node_id: id, credit: 1_000, level: 1, ..Default::default() }
}

/// A data node that answers calls.
pub(crate) struct DataNode {
    pub(crate) node: Node,
    clock: Clock,
    minted: AtomicU64,
}

/// An agent of `acme` whose slot `owner` has.
pub(crate) fn agent_of(node: &DataNode, acme: &TenantId, owner: u64) -> String {
    let snapshot = node.node.decider().snapshot();
    let owned = |agent: &String| {
        let slot = Slot::of(acme, &agent.parse().unwrap());
        snapshot.shards().owner(slot).is_some_and(|node| node.id.0 == owner)
    };
    (0..1_000).map(|number| format!("agent-{number}")).find(owned).unwrap()
}

pub(crate) fn feed_config(folder: &Path, name: &str, id: u64, controls: &[SocketAddr]) -> FeedConfig {
    let controls = controls.iter().map(|address| format!("http://{address}").parse().unwrap()).collect();
    let mut config = FeedConfig::new(name.parse().unwrap(), controls, folder.join("feed"), id);
    config.pace = Pace {
        pause: (Duration::from_millis(5), Duration::from_millis(50)),
        retry: (Duration::from_millis(20), Duration::from_millis(200)),
        tick: Duration::from_millis(10),
        // Longer than a test waits: the clock of a world stands still, and a stream is left for its reason only.
        silence: Duration::from_secs(600),
        ..Pace::default()
    };
    config
}

impl DataNode {
    pub(crate) async fn start(
        world: &World,
        folder: &Path,
        name: &str,
        id: u64,
        controls: &[&ControlNode],
    ) -> Self {
        let controls: Vec<SocketAddr> = controls.iter().map(|control| control.address).collect();
        Self::start_with(world, folder, feed_config(folder, name, id, &controls)).await
    }

    pub(crate) async fn start_with(world: &World, folder: &Path, feed: FeedConfig) -> Self {
        let clock = world.clock.clone();
        let name = feed.node.clone();
        let feed = Feed::open(feed, clock.clone()).unwrap();
        let mut config = NodeConfig::new(name, 0, Secret::new([1; 32]), folder.join("audit"));
        config.clock = clock.clone();
        let mut node = Node::start(config, Snapshot::awaiting()).await.unwrap();
        node.follow(feed);
        Self { node, clock, minted: AtomicU64::new(0) }
    }

    /// A data node that runs already.
    pub(crate) fn of(node: Node, world: &World) -> Self {
        Self { node, clock: world.clock.clone(), minted: AtomicU64::new(0) }
    }

    pub(crate) async fn ready(&self) {
        soon("readiness", self.node.ready()).await;
    }

    pub(crate) fn token(&self, tenant: &TenantId, agent: &str) -> String {
        let minter = Minter::new(World::signing_key("agent token"), ISSUER.parse().unwrap());
        let claims = AgentClaims {
            org: "acme-inc".parse().unwrap(),
            tenant: tenant.clone(),
            agent: agent.parse().unwrap(),
            scope: Scope::parse("*:*"),
            callers: vec![],
            claims: JsonObject::new(),
        };
        let seed = self.minted.fetch_add(1, Ordering::Relaxed);
        let life = Duration::from_secs(900);
        let minted = minter.mint_agent(&claims, life, self.clock.now(), &mut StdRng::seed_from_u64(seed));
        minted.unwrap().token.expose().clone()
    }

    pub(crate) async fn ask(&self, token: &str, amount: u64) -> Result<Value, String> {
        let body = json!({"tool": "pay", "params": {"amount": amount}}).to_string();
        let decider = self.node.decider();
        let entry = decider.enter(Surface::Http).unwrap();
        let decided = decide(decider, &entry, IpAddr::V4(Ipv4Addr::LOCALHOST), token, body.as_bytes()).await;
        decided
            .map(|bytes| serde_json::from_slice(&bytes).unwrap())
            .map_err(|refused| refused.code.to_string())
    }

    /// The number of the version that judges `agent`, by what it allows; the answer names it as well.
    pub(crate) async fn judged_by(&self, tenant: &TenantId, agent: &str) -> u64 {
        let token = self.token(tenant, agent);
        let mut version = 0;
        for thousands in 1..=5 {
            let decision = self.ask(&token, thousands * 1_000).await.unwrap();
            if decision["outcome"] == "allow" {
                version = thousands;
            }
            if thousands == 5 {
                assert_eq!(decision["policy"]["version"], version, "the answer names what judged");
            }
        }
        version
    }
}
