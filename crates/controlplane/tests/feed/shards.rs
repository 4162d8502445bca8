//! The shard map on its way to data nodes: who is told of it, when again, and what their answers say of it.

use aegis_controlplane::testing::World;
use aegis_proto::control::SetShardMap;
use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;

use crate::support::{ControlNode, DataNode, agent_of, feed_config, hello, soon, tenant};

fn set(world: &World, nodes: &[u64], replaces: u64) {
    world.done(SetShardMap { nodes: nodes.to_vec(), replaces }, &World::node());
}

fn map(messages: &[Down]) -> Option<&v1::ShardMap> {
    messages.iter().find_map(|message| match message {
        Down::ShardMap(map) => Some(map),
        _ => None,
    })
}

fn hello_2(name: &str, id: u64) -> v1::Hello {
    v1::Hello { level: 2, ..hello(name, id) }
}

#[tokio::test]
async fn a_follower_is_told_the_map_and_each_change_of_it_once() {
    let world = World::new();
    tenant(&world, "acme", 1);
    world.data_node(21);
    world.data_node(22);
    let control = ControlNode::start(&world).await;
    let mut follower = control.follow(hello_2("data-1", 11)).await.unwrap();
    let incarnation = follower.welcome().await.incarnation;
    let (full, messages) = follower.round().await;
    assert!(full && map(&messages).is_none(), "nobody has said anything yet");
    set(&world, &[21, 22], 0);
    let (full, messages) = follower.round().await;
    assert!(!full && messages.len() == 1);
    let told = map(&messages).unwrap().clone();
    assert_eq!((told.revision, told.nodes.len()), (1, 2));
    assert_eq!((told.nodes[1].id, told.nodes[1].address.as_str()), (22, "https://data-22:7081"));

    drop(follower);
    let again = v1::Hello {
        history: 1,
        index: 1,
        incarnation,
        trust_etag: b"another".to_vec(),
        shard_map_etag: told.etag.clone(),
        ..hello_2("data-1", 11)
    };
    let mut follower = control.follow(again.clone()).await.unwrap();
    follower.welcome().await;
    let (full, messages) = follower.round().await;
    assert!(!full && map(&messages).is_none(), "it holds it already");

    drop(follower);
    set(&world, &[22], 1);
    let mut follower = control.follow(again).await.unwrap();
    follower.welcome().await;
    let mut messages = follower.round().await.1;
    if map(&messages).is_none() {
        // The first round began with what was applied a moment before.
        messages = follower.round().await.1;
    }
    assert_eq!(map(&messages).unwrap().nodes.len(), 1);
}

/// It would end the stream at a message that it does not know; and a sidecar's callers are to stay with it.
#[tokio::test]
async fn older_nodes_and_sidecars_are_not_told() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    world.data_node(21);
    set(&world, &[21], 0);
    let control = ControlNode::start(&world).await;
    let older = hello("data-1", 11);
    let sidecar = v1::Hello { tenant: acme.to_string(), ..hello_2("side-1", 12) };
    for hello in [older, sidecar] {
        let mut follower = control.follow(hello).await.unwrap();
        follower.welcome().await;
        let (full, messages) = follower.round().await;
        assert!(full && map(&messages).is_none(), "{messages:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_the_owner_answers_and_names_the_owner() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for (folder, id) in [(&folders.0, 11), (&folders.1, 12)] {
        let mut feed = feed_config(folder.path(), &format!("data-{id}"), id, &[control.address]);
        feed.address = format!("http://data-{id}.test:7081");
        let node = DataNode::start_with(&world, folder.path(), feed).await;
        node.ready().await;
        nodes.push(node);
    }
    let everybody = |ids: &'static [u64], revision| {
        let nodes = &nodes;
        async move {
            for node in nodes {
                let mut seen = node.node.decider().shards();
                let seen = soon("the map", seen.wait_for(|map| map.revision() == revision)).await.unwrap();
                assert_eq!(seen.nodes().iter().map(|node| node.id.0).collect::<Vec<_>>(), ids);
            }
        }
    };
    let token = nodes[0].token(&acme, "finance-agent");
    assert!(nodes[0].ask(&token, 1).await.unwrap().get("owner").is_none(), "there is no map yet");
    set(&world, &[11, 12], 0);
    everybody(&[11, 12], 1).await;
    for owner in [11, 12] {
        let agent = agent_of(&nodes[0], &acme, owner);
        for (node, id) in nodes.iter().zip([11, 12]) {
            let answer = node.ask(&node.token(&acme, &agent), 1).await.unwrap();
            assert_eq!(answer["outcome"], "allow", "any node answers");
            let named = answer.get("owner").map(|owner| owner.as_str().unwrap().to_owned());
            assert_eq!(named, (id != owner).then(|| format!("http://data-{owner}.test:7081")));
        }
    }
    set(&world, &[11], 1);
    everybody(&[11], 2).await;
    let agent = agent_of(&nodes[0], &acme, 11);
    assert!(nodes[0].ask(&token, 1).await.unwrap().get("owner").is_none());
    let answer = nodes[1].ask(&nodes[1].token(&acme, &agent), 1).await.unwrap();
    assert_eq!(answer["owner"], "http://data-11.test:7081", "a node that owns nothing sends everybody away");
}
