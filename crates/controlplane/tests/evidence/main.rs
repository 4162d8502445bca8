//! Evidence of data nodes over gRPC: a data node that a test plays by hand, with a log of its own.
#![expect(clippy::unwrap_used, reason = "what should work and does not fails the test")]

use std::time::Duration;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::control::{Download, JournalStanding, verify};
use aegis_audit::hash::Hash;
use aegis_audit::keys::SigningKey;
use aegis_audit::tree;
use aegis_audit::witness::Request;
use aegis_controlplane::evidence::{EvidenceConfig, EvidenceNode};
use aegis_controlplane::feed::{Admission, DataNames};
use aegis_controlplane::keys::control_log_key;
use aegis_controlplane::state::control_tree;
use aegis_controlplane::testing::World;
use aegis_proto::control::{CheckpointReport, DataNode, NoteCheckpoints, PutPerson};
use aegis_proto::v1;
use aegis_proto::v1::evidence_client::EvidenceClient;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::{Channel, Server};

/// A control node on loopback. Dropping it cuts everything off.
struct ControlNode {
    client: EvidenceClient<Channel>,
    _serving: JoinSet<()>,
}

impl ControlNode {
    async fn start(world: &World, admission: Admission) -> Self {
        let node = EvidenceNode::new(EvidenceConfig { id: 1, admission }, world.direct.control());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        let running = node.clone();
        let (_leads, leading) = watch::channel(true);
        serving.spawn(async move { running.run(leading, CancellationToken::new()).await });
        serving.spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder().add_service(node.service()).serve_with_incoming(incoming).await.unwrap();
        });
        let client = EvidenceClient::connect(format!("http://{address}")).await.unwrap();
        Self { client, _serving: serving }
    }

    async fn open(&self, node: &DataNode, key: &SigningKey) -> String {
        let verifier = key.verifying_key().to_string();
        let request = v1::OpenJournalRequest { node: Some(me(node)), verifier };
        self.client.clone().open_journal(request).await.unwrap().into_inner().refused
    }

    async fn report(&self, log: &Log, old: u64, closing: bool) -> (String, u64) {
        let answer =
            self.client.clone().report_checkpoint(log.report(old, closing)).await.unwrap().into_inner();
        (answer.refused, answer.size)
    }
}

fn me(node: &DataNode) -> v1::EvidenceNode {
    v1::EvidenceNode {
        node_name: node.name.clone(),
        node_id: node.id,
        incarnation: node.incarnation,
        tenant: node.tenant.clone(),
    }
}

struct Log {
    node: DataNode,
    key: SigningKey,
    leaves: Vec<Hash>,
}

impl Log {
    fn new(world: &World, id: u64) -> Self {
        let node = world.data_node(id);
        Self { key: World::journal_key(&node, "k"), node, leaves: Vec::new() }
    }

    fn grow(&mut self, to: u64, word: &str) {
        for index in self.leaves.len() as u64..to {
            self.leaves.push(tree::leaf(format!("{word} {index}").as_bytes()));
        }
    }

    fn report(&self, old: u64, closing: bool) -> v1::ReportCheckpointRequest {
        let size = self.leaves.len() as u64;
        let origin = self.key.verifying_key().name().clone();
        let root = tree::root_of(self.leaves.iter().copied());
        let Ok(proof) = tree::consistency(&self.leaves[..], old, size);
        let note = Checkpoint { origin: origin.clone(), size, root }.sign(&self.key);
        let request = Request { old_size: old, proof, note }.to_bytes();
        v1::ReportCheckpointRequest {
            node: Some(me(&self.node)),
            origin: origin.to_string(),
            request,
            closing,
        }
    }
}

/// What an auditor finds who downloads the control log.
fn audit(world: &World, log: &Log) -> JournalStanding {
    let view = world.view();
    let key = control_log_key(&view, &World::cluster_keys(), 1).unwrap();
    let note = control_tree::checkpoint(&view, &World::cluster_id(), 1).unwrap().sign(&key).to_bytes();
    let rows = control_tree::entries(&view, 1, 0, 1_000).unwrap();
    let lines: String = rows.iter().map(|row| control_tree::line(row) + "\n").collect();
    let verified =
        verify(Download { checkpoint: &note, entries: &lines }, key.verifying_key(), &[], None).unwrap();
    verified.journals[&log.key.verifying_key().name().to_string()].clone()
}

#[tokio::test]
async fn a_log_that_was_begun_grew_and_ended_is_in_the_control_log() {
    let world = World::new();
    let control = ControlNode::start(&world, Admission::SameProcess).await;
    let mut log = Log::new(&world, 7);
    log.grow(3, "entry");
    assert_eq!(control.report(&log, 0, false).await.0, "unknown_journal", "nothing before its birth");
    assert_eq!(control.open(&log.node, &log.key).await, "");
    assert_eq!(control.open(&log.node, &log.key).await, "", "the answer may have been lost");
    assert_eq!(control.open(&log.node, &World::journal_key(&log.node, "other")).await, "already_exists");
    assert_eq!(control.report(&log, 0, false).await, (String::new(), 3));
    log.grow(9, "entry");
    assert_eq!(control.report(&log, 0, false).await, ("checkpoint_stale".to_owned(), 3));
    assert_eq!(control.report(&log, 3, true).await, (String::new(), 9));
    let standing = audit(&world, &log);
    assert_eq!((standing.newest.unwrap().size, standing.closed), (9, true));
}

/// C3, over the wire: the next checkpoint of a forked log is refused, and the fork stands in the control log with its signature.
#[tokio::test]
async fn a_forked_log_is_refused_within_one_checkpoint() {
    let world = World::new();
    let control = ControlNode::start(&world, Admission::SameProcess).await;
    let mut log = Log::new(&world, 7);
    control.open(&log.node, &log.key).await;
    log.grow(5, "entry");
    assert_eq!(control.report(&log, 0, false).await, (String::new(), 5));
    log.leaves.clear();
    log.grow(6, "another");
    assert_eq!(control.report(&log, 5, false).await, ("checkpoint_inconsistent".to_owned(), 5));
    assert_eq!(audit(&world, &log).refused.as_deref(), Some("checkpoint_inconsistent"));
}

/// However many nodes report, they share an entry of the replicated log.
#[tokio::test]
async fn reports_of_many_nodes_become_one_command() {
    let world = World::new();
    let control = ControlNode::start(&world, Admission::SameProcess).await;
    let mut logs: Vec<Log> = (7..17).map(|id| Log::new(&world, id)).collect();
    for log in &mut logs {
        control.open(&log.node, &log.key).await;
        log.grow(2, "entry");
    }
    let before = world.direct.control().applied().borrow().index;
    let reports = logs.iter().map(|log| control.report(log, 0, false));
    let answers = futures_util::future::join_all(reports).await;
    assert!(answers.iter().all(|answer| *answer == (String::new(), 2)), "{answers:?}");
    let entries = world.direct.control().applied().borrow().index - before;
    assert!(entries <= 2, "{entries} entries for ten reports");
}

#[tokio::test]
async fn who_does_not_prove_to_be_the_node_is_not_heard() {
    let world = World::new();
    let log = Log::new(&world, 7);
    let certificates = Admission::Certificates(DataNames::new(&World::cluster_id()));
    let strict = ControlNode::start(&world, certificates).await;
    let status = strict.client.clone().report_checkpoint(log.report(0, false)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let open = ControlNode::start(&world, Admission::SameProcess).await;
    let mut of_other = log.report(0, false);
    of_other.node.as_mut().unwrap().node_name = "data-8".to_owned();
    let status = open.client.clone().report_checkpoint(of_other).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "the id is bound to another name");
    // A life that was replaced says nothing more.
    world.data_node(7);
    assert_eq!(open.report(&log, 0, false).await.0, "fenced");
    assert_eq!(open.open(&log.node, &log.key).await, "precondition_failed");
}

/// The last word of a log whose node says nothing more is written down all the same.
#[tokio::test(start_paused = true)]
async fn what_nobody_reports_after_is_written_down_in_time() {
    let world = World::new();
    let config = EvidenceConfig { id: 1, admission: Admission::SameProcess };
    let node = EvidenceNode::new(config, world.direct.control());
    let (_leads, leading) = watch::channel(true);
    let mut running = JoinSet::new();
    running.spawn(async move { node.run(leading, CancellationToken::new()).await });
    let mut log = Log::new(&world, 7);
    world.done(world.open_journal(&log.node, "k"), &World::node());
    for (old, size) in [(0, 3), (3, 9)] {
        log.grow(size, "entry");
        let v1::ReportCheckpointRequest { origin, request, .. } = log.report(old, false);
        let (node, incarnation) = (log.node.id, log.node.incarnation);
        let report = CheckpointReport { node, incarnation, origin, request, closing: false };
        world.done(NoteCheckpoints { reports: vec![report] }, &World::node());
    }
    let size = || audit(&world, &log).newest.map(|it| it.size);
    assert_eq!(size(), Some(3), "the second waits");
    world.pass_seconds(120);
    // The log's time moves with what is applied.
    world.done(PutPerson { name: "bob".to_owned(), ..Default::default() }, &World::root());
    for _ in 0..100 {
        // expect(sleep): time is paused; this lets the task run
        tokio::time::sleep(Duration::from_secs(1)).await;
        if size() == Some(9) {
            return;
        }
    }
    panic!("nothing was written down");
}
