//! A data node that stops: its slots are others' before it takes no more calls, and no client is refused meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aegis_controlplane::testing::World;
use aegis_dataplane::feed::Feed;
use aegis_dataplane::node::{Node, NodeConfig};
use aegis_dataplane::snapshot::Snapshot;
use aegis_model::caps;
use aegis_model::secret::Secret;
use aegis_proto::control::SetShardMap;
use aegis_sdk::{Call, Client};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{ControlNode, DataNode, agent_of, feed_config, soon, tenant};

const IDS: [u64; 3] = [11, 12, 13];

/// A data node that is reached by gRPC, and says so.
async fn start(world: &World, control: &ControlNode, folder: &std::path::Path, id: u64) -> DataNode {
    let name = format!("data-{id}");
    let journal = folder.join("audit");
    let mut config = NodeConfig::new(name.parse().unwrap(), 0, Secret::new([1; 32]), journal);
    config.clock = world.clock.clone();
    config.grpc = Some(([127, 0, 0, 1], 0).into());
    let mut node = Node::start(config, Snapshot::awaiting()).await.unwrap();
    let mut feed = feed_config(folder, &name, id, &[control.address]);
    feed.address = format!("http://{}", node.addresses().grpc.unwrap());
    node.follow(Feed::open(feed, world.clock.clone()).unwrap());
    let node = DataNode::of(node, world);
    node.ready().await;
    node
}

/// Waits until `node` knows the map of this revision.
async fn knows(node: &DataNode, revision: u64) {
    let mut seen = node.node.decider().shards();
    soon("the map", seen.wait_for(|map| map.revision() == revision)).await.unwrap();
}

async fn until(what: &str, calls: &AtomicUsize, least: usize) {
    soon(what, async {
        while calls.load(Ordering::SeqCst) < least {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_refused_while_one_of_three_nodes_is_drained() {
    let world = Arc::new(World::new());
    let acme = tenant(&world, "acme", 1);
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for (folder, id) in folders.iter().zip(IDS) {
        nodes.push(start(&world, &control, folder.path(), id).await);
    }
    world.done(SetShardMap { nodes: IDS.to_vec(), replaces: 0 }, &World::node());
    for node in &nodes {
        knows(node, 1).await;
    }
    let endpoint = |node: &DataNode| format!("http://{}", node.node.addresses().grpc.unwrap());
    let endpoints: Vec<String> = nodes.iter().map(endpoint).collect();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for number in 0..9 {
        // A third of the clients knows no node but the one that goes, which owns their agents.
        let agent = if number % 3 == 1 { agent_of(&nodes[0], &acme, 12) } else { format!("agent-{number}") };
        let token = nodes[0].token(&acme, &agent);
        let mut client =
            Client::builder(&endpoints[number % 3]).token(token).deadline(Duration::from_secs(60));
        if number % 3 != 1 {
            client = client.endpoint(&endpoints[1]).endpoint(&endpoints[2]);
        }
        let (client, calls) = (client.build().unwrap(), Arc::clone(&calls));
        clients.spawn(async move {
            loop {
                let call = Call::new("pay").params(json!({"amount": 1}));
                client.decide(call).await.unwrap_or_else(|error| panic!("client {number}: {error}"));
                calls.fetch_add(1, Ordering::SeqCst);
                // expect(sleep): a pace at which every client asks a few times while the node leaves
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    until("calls", &calls, 200).await;

    let leaving = nodes.remove(1);
    let told = leaving.node.decider().leaving().clone();
    let leader = Arc::clone(&world);
    clients.spawn(async move {
        // The leader hears that it leaves, and gives its slots to others.
        told.cancelled().await;
        leader.done(SetShardMap { nodes: vec![11, 13], replaces: 1 }, &World::node());
        std::future::pending().await
    });
    let was_ready = leaving.node.is_ready();
    let ended = soon("the end of the node", leaving.node.shutdown()).await;
    assert!(was_ready && ended.log.is_ok());
    assert_eq!(ended.cut_off, 0);
    let so_far = calls.load(Ordering::SeqCst);
    until("calls without it", &calls, so_far + 200).await;
    if let Some(ended) = clients.try_join_next() {
        ended.expect("no client was refused");
    }
}

/// Nobody is there to take its slots, so there is nothing to wait for.
#[tokio::test]
async fn the_only_node_ends_at_once() {
    // One that waits takes longer each time; one that does not is held up by a busy machine now and then.
    let mut taken = Vec::new();
    while taken.len() < 10 {
        let world = World::new();
        let acme = tenant(&world, "acme", 1);
        world.activate(&acme, 1);
        let control = ControlNode::start(&world).await;
        let folder = tempfile::tempdir().unwrap();
        let node = start(&world, &control, folder.path(), 11).await;
        world.done(SetShardMap { nodes: vec![11], replaces: 0 }, &World::node());
        knows(&node, 1).await;
        let began = tokio::time::Instant::now();
        node.node.shutdown().await.log.unwrap();
        taken.push(began.elapsed());
        if began.elapsed() < Duration::from_secs(caps::LEAVE_SECONDS) {
            return;
        }
    }
    panic!("it waits each time: {taken:?}");
}

/// Without a leader nobody takes its slots: it answers for a while, and stops in the end.
#[tokio::test]
async fn a_node_whose_slots_nobody_takes_ends_after_a_while() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let one = start(&world, &control, folders[0].path(), 11).await;
    let _two = start(&world, &control, folders[1].path(), 12).await;
    world.done(SetShardMap { nodes: vec![11, 12], replaces: 0 }, &World::node());
    knows(&one, 1).await;
    let client = Client::builder(format!("http://{}", one.node.addresses().grpc.unwrap()));
    let client = client.token(one.token(&acme, "agent-1")).build().unwrap();
    let told = one.node.decider().leaving().clone();
    let (ended, ()) = tokio::join!(one.node.shutdown(), async {
        told.cancelled().await;
        client.decide(Call::new("pay").params(json!({"amount": 1}))).await.unwrap();
    });
    ended.log.unwrap();
}
