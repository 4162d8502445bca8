//! What a durable command costs: three control nodes as processes of their own, over real files, sockets and TLS,
//! beside a bare loop of redb commits in the same run.
//!
//! `cargo bench -p aegis-controlplane --bench commits`; prints JSON lines. Started with arguments it is one of the nodes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aegis_controlplane::raft::Local;
use aegis_controlplane::raft::listen::serve;
use aegis_controlplane::raft::node::{RaftNode, Setup};
use aegis_controlplane::raft::timings::Timings;
use aegis_controlplane::raft::tls::{TlsIdentity, TlsPem};
use aegis_identity::tls::IdentityPem;
use aegis_model::clock::Clock;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::machine::{Machine, Place};
use aegis_raft_store::store::{Store, StoreHandle, StoreOptions};
use aegis_raft_store::tables::{StateWrite, StoreError, Table};
use aegis_raft_store::types::{NodeId, Peer, Response};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redb::{Durability, TableDefinition};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// As in the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLUSTER: &str = "bench.example";
const NODES: usize = 3;
const OPERATION_BYTES: usize = 100;
const SECONDS: u64 = 8;
const WARM_UP: Duration = Duration::from_secs(2);
const WITHIN: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|it| it == "--node") {
        Some(at) => node(Path::new(&arguments[at + 1]), &arguments[at + 2]),
        None => conduct(),
    }
}

/// Starts the nodes, makes them a cluster, and lets the leader measure.
fn conduct() {
    let folder = tempfile::tempdir().unwrap();
    bare(&folder.path().join("bare.redb"));
    certificates(folder.path());
    let mut nodes: Vec<Node> = (1..=NODES).map(|at| Node::start(folder.path(), at)).collect();
    let peers: Vec<String> = nodes.iter_mut().map(|node| node.line("address ")).collect();
    nodes[0].say("begin");
    nodes[0].line("began");
    for peer in &peers[1..] {
        nodes[0].say(&format!("add {peer}"));
        nodes[0].line("added");
    }
    for clients in [1, 256] {
        nodes[0].say(&format!("measure {clients}"));
        println!("{}", nodes[0].line("figures "));
        for (at, node) in nodes.iter_mut().enumerate().skip(1) {
            node.say("counters");
            let counted = node.line("counters ");
            println!("{}", json!({"clients": clients, "node": at + 1, "since_start": counted}));
        }
    }
}

/// Commits of one small record each, one after the other, as durable as the log is.
fn bare(path: &Path) {
    const TABLE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("bare");
    let database = redb::Database::create(path).unwrap();
    let (started, mut times) = (Instant::now(), Vec::new());
    for key in 0_u64.. {
        if started.elapsed() > Duration::from_secs(3) {
            break;
        }
        let begun = Instant::now();
        let mut transaction = database.begin_write().unwrap();
        transaction.set_durability(Durability::Immediate).unwrap();
        transaction.set_two_phase_commit(true);
        transaction.open_table(TABLE).unwrap().insert(key, [7; OPERATION_BYTES].as_slice()).unwrap();
        transaction.commit().unwrap();
        times.push(begun.elapsed());
    }
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    figure("commits/bare/per_second", per_second, "1/s");
    figure("commits/bare/p50", quantile(&mut times, 0.5), "ms");
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("{}", json!({"name": name, "value": value, "unit": unit}));
}

fn quantile(times: &mut [Duration], at: f64) -> f64 {
    times.sort_unstable();
    let index = ((times.len() as f64 * at) as usize).min(times.len() - 1);
    times[index].as_secs_f64() * 1_000.0
}

fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    for at in 1..=NODES {
        let names = vec![format!("control.{CLUSTER}"), format!("node-{at}.control.{CLUSTER}")];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join(format!("node-{at}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("node-{at}.key")), key.serialize_pem()).unwrap();
    }
}

/// A node in a process of its own, spoken to in lines. Killed when dropped.
struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(folder: &Path, at: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--node")
            .arg(folder)
            .arg(format!("node-{at}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// What follows `prefix` in the next line that begins with it; other lines are passed on.
    fn line(&mut self, prefix: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "a node ended");
            match line.trim_end().strip_prefix(prefix) {
                Some(rest) => return rest.to_owned(),
                None => print!("{line}"),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets a key.
struct Puts;

const PUTS: Table = Table::new("puts");

impl Machine for Puts {
    fn tables(&self) -> &'static [Table] {
        &[PUTS]
    }

    fn apply(&self, state: &mut StateWrite<'_>, _: Place, command: &[u8]) -> Result<Response, StoreError> {
        state.put(PUTS, &command[..8], &command[8..])?;
        Ok(Vec::new())
    }
}

struct PutsState(StoreHandle);

impl Local for PutsState {
    fn log_time_ms(&self) -> u64 {
        self.0.applied().borrow().log_time_ms
    }

    fn is_retired(&self, _: NodeId) -> bool {
        false
    }

    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.0.checkpoints()
    }

    fn retire(&self, _: NodeId, _: &Peer) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

#[tokio::main]
async fn node(folder: &Path, name: &str) {
    let read = |file: String| std::fs::read(folder.join(file)).unwrap();
    let (chain, key) = (read(format!("{name}.pem")), read(format!("{name}.key")));
    let authorities = read("authority.pem".to_owned());
    let identity = IdentityPem { chain: &chain, key: &key };
    let identity = TlsIdentity::new(TlsPem { identity, authorities: &authorities }).unwrap();
    let (log, state, store) =
        Store::open(&folder.join(name), StoreOptions::default(), Arc::new(Puts)).unwrap();
    let setup = Setup {
        cluster: CLUSTER.parse().unwrap(),
        node: store.node_id(),
        name: name.to_owned(),
        timings: Timings::default(),
        clock: Clock::System,
        identity: identity.clone(),
        local: Arc::new(PutsState(store.clone())),
    };
    let node = RaftNode::start(setup, log, state).await.unwrap();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer { name: name.to_owned(), address: format!("https://{}", socket.local_addr().unwrap()) };
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(serve(socket, identity, Routes::new(node.service()), CancellationToken::new()));
    println!("address {} {}", peer.name, peer.address);
    let mut lines = tokio_stream_lines();
    while let Some(line) = lines.recv().await {
        obey(&line, &node, &store, &peer).await;
    }
}

/// The lines of standard input.
fn tokio_stream_lines() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.blocking_send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    receiver
}

async fn obey(line: &str, node: &RaftNode, store: &StoreHandle, me: &Peer) {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["begin"] => {
            node.members().initialize(me.clone()).await.unwrap();
            node.propose(operation(0), WITHIN).await.unwrap();
            println!("began");
        }
        ["add", name, address] => {
            let peer = Peer { name: (*name).to_owned(), address: (*address).to_owned() };
            let id = node.members().join(peer, WITHIN).await.unwrap();
            node.members().caught_up(id, WITHIN).await.unwrap();
            node.members().promote(id, WITHIN).await.unwrap();
            println!("added");
        }
        ["counters"] => {
            let counted = store.counters();
            println!(
                "counters {}",
                json!({"log_synced": counted.log_synced, "state_synced": counted.state_synced})
            );
        }
        ["measure", clients] => measure(node, store, clients.parse().unwrap()).await,
        other => panic!("{other:?}"),
    }
}

fn operation(key: u64) -> Vec<u8> {
    let mut command = vec![7; OPERATION_BYTES];
    command[..8].copy_from_slice(&key.to_be_bytes());
    command
}

/// Proposes with so many clients, each one at a time, and prints what that gave.
async fn measure(node: &RaftNode, store: &StoreHandle, clients: u64) {
    run(node, clients, WARM_UP).await;
    let (before, entries) = (store.counters(), node.counters().entries.load(Ordering::Relaxed));
    let started = Instant::now();
    let mut times = run(node, clients, Duration::from_secs(SECONDS)).await;
    let seconds = started.elapsed().as_secs_f64();
    let (after, entries) = (store.counters(), node.counters().entries.load(Ordering::Relaxed) - entries);
    let operations = times.len() as f64;
    // A synced transaction of either file costs two syncs of the disk.
    let synced = (after.log_synced - before.log_synced + after.state_synced - before.state_synced) as f64;
    let name = |what: &str| format!("commits/{clients}/{what}");
    figure(&name("per_second"), operations / seconds, "1/s");
    figure(&name("p50"), quantile(&mut times, 0.5), "ms");
    figure(&name("p99"), quantile(&mut times, 0.99), "ms");
    figure(&name("operations_per_entry"), operations / entries as f64, "");
    figure(&name("syncs_per_operation"), 2.0 * synced / operations, "");
    println!(
        "figures {}",
        json!({"clients": clients, "operations": operations, "entries": entries, "seconds": seconds})
    );
}

async fn run(node: &RaftNode, clients: u64, time: Duration) -> Vec<Duration> {
    static KEY: AtomicU64 = AtomicU64::new(1);
    let end = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let node = node.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                // A hundred thousand keys: a state of some size, and not one that only grows.
                let key = KEY.fetch_add(1, Ordering::Relaxed) % 100_000;
                node.propose(operation(key), WITHIN).await.unwrap();
                times.push(begun.elapsed());
            }
            times
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times.unwrap());
    }
    all
}
