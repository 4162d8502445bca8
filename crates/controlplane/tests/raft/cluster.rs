//! Control nodes in this process: real storage, real sockets, real TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_controlplane::raft::listen::serve;
use aegis_controlplane::raft::node::{RaftNode, Setup};
use aegis_controlplane::raft::timings::Timings;
use aegis_controlplane::raft::tls::TlsIdentity;
use aegis_controlplane::raft::{Local, ProposeError, Proposed};
use aegis_model::clock::{Clock, UnixNanos};
use aegis_raft_store::machine::Machine;
use aegis_raft_store::store::{Store, StoreHandle, StoreOptions};
use aegis_raft_store::types::{NodeId, Peer};
use aegis_testkit::{eventually, loopback};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::authority::Authority;
use crate::machine::{Pairs, PairsState};

pub(crate) const CLUSTER: &str = "test.example";

/// Generous: it is waited in full only for what is broken.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long a call in these tests may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// A place for a node, which may be running.
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) identity: TlsIdentity,
    /// What the commands mean.
    pub(crate) machine: Arc<dyn Machine>,
    /// What replication asks of their state.
    pub(crate) local: fn(&StoreHandle) -> Arc<dyn Local>,
    timings: Timings,
    folder: TempDir,
    /// The node's own folder in it.
    data: String,
    address: Option<SocketAddr>,
    running: Option<Running>,
}

struct Running {
    node: RaftNode,
    store: StoreHandle,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

/// Quick ticks, and otherwise what a node has by default.
pub(crate) fn timings() -> Timings {
    Timings {
        tick: Duration::from_millis(200),
        // Many nodes share a process and its processors here: a leader that is held up for half a second would be replaced,
        // and commands under way would rightly be in doubt.
        election_min: Duration::from_millis(500),
        election_max: Duration::from_millis(1_000),
        ..Timings::default()
    }
}

impl Seat {
    pub(crate) fn new(authority: &Authority, name: &str, timings: Timings) -> Self {
        Self {
            name: name.to_owned(),
            clock: Clock::System,
            identity: authority.identity(CLUSTER, name),
            machine: Arc::new(Pairs),
            local: |store| PairsState::new(store),
            timings,
            folder: tempfile::tempdir().unwrap(),
            data: "data".to_owned(),
            address: None,
            running: None,
        }
    }

    /// Starts the node, at the address that it had before if it had one.
    pub(crate) async fn start(&mut self) {
        assert!(self.running.is_none(), "{} is running", self.name);
        let socket = match self.address {
            None => {
                let (socket, address) = loopback().unwrap();
                self.address = Some(address);
                tokio::net::TcpListener::from_std(socket).unwrap()
            }
            Some(address) => tokio::net::TcpListener::bind(address).await.unwrap(),
        };
        let (folder, machine) = (self.path(&self.data), Arc::clone(&self.machine));
        let opened =
            tokio::task::spawn_blocking(move || Store::open(&folder, StoreOptions::default(), machine));
        let (log, state, store) = opened.await.unwrap().unwrap();
        let cluster = CLUSTER.parse().unwrap();
        store.set_cluster_id(&cluster).await.unwrap();
        let setup = Setup {
            cluster,
            node: store.node_id(),
            name: self.name.clone(),
            timings: self.timings.clone(),
            clock: self.clock.clone(),
            identity: self.identity.clone(),
            local: (self.local)(&store),
        };
        let node = RaftNode::start(setup, log, state).await.unwrap();
        let (stop, identity) = (CancellationToken::new(), self.identity.clone());
        let routes = Routes::new(node.service());
        let (name, stopping) = (self.name.clone(), stop.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let served = serve(socket, identity, routes, stopping).await;
            served.unwrap_or_else(|error| panic!("{name} cannot be served: {error}"));
        });
        self.running = Some(Running { node, store, stop, serving });
    }

    /// Ends the node at once, for the others: what they ask is not answered any more.
    pub(crate) async fn kill(&mut self) {
        let mut running = self.running.take().unwrap();
        running.serving.abort_all();
        while running.serving.join_next().await.is_some() {}
        end(running).await;
    }

    /// Ends the node in order.
    pub(crate) async fn stop(&mut self) {
        let mut running = self.running.take().unwrap();
        running.stop.cancel();
        while running.serving.join_next().await.is_some() {}
        end(running).await;
    }

    /// Ends the node and empties its folder.
    pub(crate) async fn wipe(&mut self) {
        self.kill().await;
        self.folder = tempfile::tempdir().unwrap();
    }

    /// Starts it with another address the next time.
    pub(crate) fn forget_address(&mut self) {
        self.address = None;
    }

    /// Starts it over another folder of its place the next time.
    pub(crate) fn use_folder(&mut self, name: &str) {
        self.data = name.to_owned();
    }

    pub(crate) fn node(&self) -> &RaftNode {
        &self.running.as_ref().unwrap_or_else(|| panic!("{} is not running", self.name)).node
    }

    pub(crate) fn store(&self) -> &StoreHandle {
        &self.running.as_ref().unwrap_or_else(|| panic!("{} is not running", self.name)).store
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.store().node_id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer { name: self.name.clone(), address: format!("https://{}", self.address()) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn propose(&self, command: Vec<u8>) -> Result<Proposed, ProposeError> {
        self.node().propose(command, WITHIN).await
    }
}

async fn end(running: Running) {
    running.node.stop().await;
    running.store.close().await.unwrap();
}

/// Several seats, and the authority that vouches for them.
pub(crate) struct Cluster {
    pub(crate) authority: Authority,
    pub(crate) seats: Vec<Seat>,
}

impl Cluster {
    /// `count` voters, running.
    pub(crate) async fn start(count: usize) -> Self {
        Self::start_with(count, timings(), |_, _| ()).await
    }

    pub(crate) async fn start_with(
        count: usize,
        timings: Timings,
        prepare: impl Fn(usize, &mut Seat),
    ) -> Self {
        let mut cluster = Self { authority: Authority::new(), seats: Vec::new() };
        for at in 0..count {
            let mut seat = Seat::new(&cluster.authority, &format!("control-{}", at + 1), timings.clone());
            prepare(at, &mut seat);
            seat.start().await;
            cluster.seats.push(seat);
        }
        let first = &cluster.seats[0];
        first.node().members().initialize(first.peer()).await.unwrap();
        cluster.leader("the first node to lead alone");
        for at in 1..count {
            cluster.add(at).await;
        }
        cluster
    }

    /// One more seat, running and not a member.
    pub(crate) async fn seat(&mut self, timings: Timings) -> usize {
        let name = format!("control-{}", self.seats.len() + 1);
        let mut seat = Seat::new(&self.authority, &name, timings);
        seat.start().await;
        self.seats.push(seat);
        self.seats.len() - 1
    }

    /// Lets the node at `at` join and makes it a voter.
    pub(crate) async fn add(&self, at: usize) -> NodeId {
        let members = self.seats[self.leader("a leader that takes a new node")].node().members();
        let id = members.join(self.seats[at].peer(), WITHIN).await.unwrap();
        members.caught_up(id, WITHIN).await.unwrap();
        members.promote(id, WITHIN).await.unwrap();
        id
    }

    /// Waits for a leader that takes commands: its seat.
    pub(crate) fn leader(&self, what: &str) -> usize {
        self.until(what, || self.seats.iter().position(|seat| seat.is_running() && seat.node().leads()))
    }

    /// Waits until `look` gives something.
    pub(crate) fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        let found = tokio::task::block_in_place(|| eventually(what, LONG, look));
        found.unwrap_or_else(|error| {
            let running = self.seats.iter().filter(|seat| seat.is_running());
            let all: Vec<_> =
                running.map(|seat| format!("{}: {:?}", seat.name, seat.node().status())).collect();
            panic!("{error}\n{}", all.join("\n"))
        })
    }

    /// Waits until all running nodes have applied the same, and compares their digests (RAFT-2).
    pub(crate) fn agree(&self) {
        let applied = || {
            let running = self.seats.iter().filter(|seat| seat.is_running());
            running.map(|seat| *seat.store().applied().borrow()).collect::<Vec<_>>()
        };
        let same = self.until("all nodes to have applied the same", || {
            let all = applied();
            all.iter().all(|one| one.index == all[0].index).then_some(all)
        });
        assert!(same.iter().all(|one| one.digest == same[0].digest), "{same:?}");
    }
}

/// A clock that shows another time, and stands still.
pub(crate) fn clock_off_by(seconds: i64) -> Clock {
    let now = Clock::System.now().0;
    let nanos = i64::try_from(now).unwrap() + seconds * 1_000_000_000;
    Clock::manual(UnixNanos(u64::try_from(nanos).unwrap()))
}
