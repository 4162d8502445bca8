//! Data nodes that follow control nodes, and answer calls by what was last put into force, never by less (POL-2).

use std::time::Duration;

use aegis_controlplane::testing::World;
use aegis_dataplane::snapshot::{Percent, is_in_canary};
use aegis_proto::control::{
    Activate, Canary, DisableAgent, LiftHold, PlaceHold, RetireTenant, RevocationKind, Revoke, Rollback,
    SetTenant, done,
};
use futures_util::StreamExt;

use crate::support::{ControlNode, DataNode, soon, tenant};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_policy_on_its_way_from_publication_to_rollback() {
    let world = World::new();
    let acme = tenant(&world, "acme", 2);
    let control = ControlNode::start(&world).await;
    let folders = (folder(), folder());
    let one = DataNode::start(&world, folders.0.path(), "data-1", 11, &[&control]).await;
    let two = DataNode::start(&world, folders.1.path(), "data-2", 12, &[&control]).await;
    one.ready().await;
    two.ready().await;
    let token = one.token(&acme, "finance-agent");
    assert_eq!(one.ask(&token, 1).await.unwrap_err(), "PolicyUnavailable", "nothing is activated yet");

    let first = world.activate(&acme, 1);
    let mut progress =
        Box::pin(control.feed.acks().wait_for(acme.clone(), first.number, Duration::from_secs(20)));
    let mut steps = Vec::new();
    while let Some(step) = progress.next().await {
        steps.push(step);
    }
    let last = steps.last().unwrap();
    assert!(last.is_complete() && last.in_force.len() == 2, "{steps:?}");
    for node in [&one, &two] {
        assert_eq!(node.judged_by(&acme, "finance-agent").await, 1);
    }

    let canary = Some(Canary { version: 2, percent: 40 });
    let command = Activate { tenant: acme.to_string(), enforced: 1, canary, ..Default::default() };
    let second = match world.done(command, &World::root()).done.result {
        Some(done::Result::Activation(activation)) => activation.number,
        other => panic!("{other:?}"),
    };
    control.enforced(&acme, second, 2).await;
    for number in 0..20 {
        let agent = format!("agent-{number}");
        let within = is_in_canary(&acme, &agent.parse().unwrap(), Percent::new(40).unwrap());
        for node in [&one, &two] {
            assert_eq!(node.judged_by(&acme, &agent).await, if within { 2 } else { 1 }, "{agent}");
        }
    }

    let rollback = Rollback { tenant: acme.to_string(), ..Default::default() };
    let third = match world.done(rollback, &World::root()).done.result {
        Some(done::Result::Activation(activation)) => activation.number,
        other => panic!("{other:?}"),
    };
    assert!(third > second, "a rollback is a new activation");
    control.enforced(&acme, third, 2).await;
    assert_eq!(one.judged_by(&acme, "agent-3").await, 1);

    let standing = control.feed.acks().nodes();
    let seen: Vec<_> = standing.iter().map(|node| (node.name.as_str(), node.id, node.incarnation)).collect();
    assert_eq!(
        seen.iter().map(|(name, id, _)| (*name, *id)).collect::<Vec<_>>(),
        [("data-1", 11), ("data-2", 12)]
    );
    assert_ne!(seen[0].2, seen[1].2, "an incarnation is no other's");
    assert_eq!(standing[0].tenants[&acme].enforced, 1);
    assert_eq!(standing[0].history, 1);
    assert!(standing[0].connected_since_ms > 0);
}

#[tokio::test]
async fn what_is_revoked_disabled_or_retired_counts_no_more() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    world.agent(&acme, "agent-1");
    let activation = world.activate(&acme, 1).number;
    let control = ControlNode::start(&world).await;
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&control]).await;
    node.ready().await;
    control.enforced(&acme, activation, 1).await;
    let refused = async |token: &str, code: &str| {
        soon(code, async {
            while node.ask(token, 1).await.err().as_deref() != Some(code) {
                // expect(sleep): no new activation, so nothing is acknowledged that says this was taken over.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    let (one, two) = (node.token(&acme, "agent-1"), node.token(&acme, "agent-2"));
    assert!(node.ask(&one, 1).await.is_ok() && node.ask(&two, 1).await.is_ok());
    let disable = |disabled| DisableAgent { tenant: acme.to_string(), name: "agent-1".into(), disabled };
    world.done(disable(true), &World::root());
    refused(&one, "TokenRevoked").await;
    assert!(node.ask(&two, 1).await.is_ok());
    world.done(disable(false), &World::root());
    soon("the agent to be permitted again", async {
        while node.ask(&one, 1).await.is_err() {
            // expect(sleep): as above.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let revoke = Revoke {
        tenant: acme.to_string(),
        kind: RevocationKind::Agent.into(),
        subject: "agent-2".into(),
        ..Default::default()
    };
    world.done(revoke, &World::root());
    refused(&two, "TokenRevoked").await;
    assert!(node.ask(&one, 1).await.is_ok());
    world.done(RetireTenant { tenant: acme.to_string() }, &World::root());
    refused(&one, "PolicyUnavailable").await;
}

#[tokio::test]
async fn news_are_as_old_as_the_newest_entry() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    let activation = world.activate(&acme, 1).number;
    let control = ControlNode::start(&world).await;
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&control]).await;
    node.ready().await;
    control.enforced(&acme, activation, 1).await;
    let token = node.token(&acme, "finance-agent");
    // The stream lives, but no majority confirms anything.
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(node.ask(&token, 1).await.unwrap_err(), "PolicyStale");
    // A tick: an entry without a command.
    world.direct.apply_entry(&[]).unwrap();
    soon("fresh news", async {
        while node.ask(&token, 1).await.is_err() {
            // expect(sleep): freshness is not acknowledged.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn another_control_node_goes_on_where_the_first_one_ended() {
    let world = World::new();
    let acme = tenant(&world, "acme", 2);
    let activation = world.activate(&acme, 1).number;
    let (first, second) = (ControlNode::start(&world).await, ControlNode::start(&world).await);
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&first, &second]).await;
    node.ready().await;
    first.enforced(&acme, activation, 1).await;
    let incarnation = first.feed.acks().nodes()[0].incarnation;
    first.crash();
    assert_eq!(node.judged_by(&acme, "finance-agent").await, 1, "calls go on");
    second.enforced(&acme, activation, 1).await;
    assert_eq!(second.feed.acks().nodes()[0].incarnation, incarnation, "the same start of the same node");
    let next = world.activate(&acme, 2).number;
    second.enforced(&acme, next, 1).await;
    assert_eq!(node.judged_by(&acme, "finance-agent").await, 2);
}

#[tokio::test]
async fn a_control_node_that_is_behind_does_not_lead_a_data_node_back() {
    let (world, behind) = (World::new(), World::new());
    let acme = tenant(&world, "acme", 2);
    world.activate(&acme, 1);
    let newest = world.activate(&acme, 2).number;
    let acme_behind = tenant(&behind, "acme", 2);
    behind.activate(&acme_behind, 1);
    let (ahead, lagging) = (ControlNode::start(&world).await, ControlNode::start(&behind).await);
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&ahead, &lagging]).await;
    node.ready().await;
    ahead.enforced(&acme, newest, 1).await;
    ahead.crash();
    // It comes to the one that is behind, and is not served before that has caught up.
    soon("nothing", async {
        for _ in 0..20 {
            assert_eq!(node.judged_by(&acme, "finance-agent").await, 2);
            assert!(lagging.feed.acks().nodes().is_empty());
            // expect(sleep): what must not happen has no event.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // It catches up: the same commands give the same state.
    behind.activate(&acme_behind, 2);
    lagging_catches_up(&world, &behind);
    lagging.enforced(&acme, newest, 1).await;
}

/// Gives `behind` the data node's row and as many entries as `world` has.
fn lagging_catches_up(world: &World, behind: &World) {
    use aegis_controlplane::control::Replicate;
    use aegis_proto::control::RegisterDataNode;
    let command = RegisterDataNode { id: 11, name: "data-1".into(), ..Default::default() };
    // The one of `world` was the first that it gave.
    behind.done(command, &World::node());
    while behind.direct.applied().borrow().index < world.direct.applied().borrow().index {
        behind.direct.apply_entry(&[]).unwrap();
    }
}

#[tokio::test]
async fn of_two_processes_with_one_id_the_later_one_stays() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    let activation = world.activate(&acme, 1).number;
    let control = ControlNode::start(&world).await;
    let folders = (folder(), folder());
    let mut first = DataNode::start(&world, folders.0.path(), "data-1", 11, &[&control]).await;
    first.ready().await;
    let second = DataNode::start(&world, folders.1.path(), "data-1", 11, &[&control]).await;
    second.ready().await;
    assert_eq!(soon("the end of the first one", first.node.faulted()).await, "the feed");
    control.enforced(&acme, activation, 1).await;
    assert_eq!(control.feed.acks().nodes().len(), 1);
}

#[tokio::test]
async fn a_restarted_data_node_gets_a_new_incarnation_and_fetches_nothing() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    let activation = world.activate(&acme, 1).number;
    let control = ControlNode::start(&world).await;
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&control]).await;
    node.ready().await;
    control.enforced(&acme, activation, 1).await;
    let before = control.feed.acks().nodes()[0].incarnation;
    node.node.shutdown().await.log.unwrap();
    let node = DataNode::start(&world, folder.path(), "data-1", 99, &[&control]).await;
    node.ready().await;
    control.enforced(&acme, activation, 1).await;
    let standing = control.feed.acks().nodes().pop().unwrap();
    assert!(standing.incarnation > before);
    assert_eq!(standing.id, 11, "its folder says who it is");
    assert_eq!(node.judged_by(&acme, "finance-agent").await, 1);
}

#[tokio::test]
async fn a_control_node_that_stops_sends_its_data_nodes_elsewhere() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    let activation = world.activate(&acme, 1).number;
    let (first, second) = (ControlNode::start(&world).await, ControlNode::start(&world).await);
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&first, &second]).await;
    node.ready().await;
    first.enforced(&acme, activation, 1).await;
    first.stop().await;
    second.enforced(&acme, activation, 1).await;
}

/// A data node deletes what a tenant wants deleted, and nothing while a legal hold stands, or once it was retired.
#[tokio::test]
async fn retention_and_holds_reach_a_data_node() {
    let world = World::new();
    let (acme, other) = (tenant(&world, "acme", 1), tenant(&world, "other", 1));
    let control = ControlNode::start(&world).await;
    let folder = folder();
    let node = DataNode::start(&world, folder.path(), "data-1", 11, &[&control]).await;
    node.ready().await;
    for tenant in [&acme, &other] {
        let activation = world.activate(tenant, 1);
        control.enforced(tenant, activation.number, 1).await;
    }
    let told = |wanted: &'static [(&str, u64)]| {
        let decider = std::sync::Arc::clone(node.node.decider());
        soon("retention", async move {
            loop {
                let told = decider.retentions();
                let mut told: Vec<(&str, u64)> =
                    told.iter().map(|(name, days)| (name.as_str(), *days)).collect();
                told.sort_unstable();
                if told == wanted {
                    return;
                }
                // expect(sleep): the feed brings it
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    told(&[]).await;
    let set = |retention_days| SetTenant {
        tenant: "acme".into(),
        retention_days: Some(retention_days),
        ..Default::default()
    };
    world.done(set(400), &World::root());
    told(&[("acme", 400)]).await;
    let hold =
        |name: &str| PlaceHold { tenant: "acme".into(), name: name.into(), reason: "a dispute".into() };
    let lift = |name: &str| LiftHold { tenant: "acme".into(), name: name.into(), reason: "settled".into() };
    world.done(hold("one"), &World::root());
    told(&[]).await;
    world.done(hold("two"), &World::root());
    world.done(lift("one"), &World::root());
    world.done(
        SetTenant { retention_days: Some(183), tenant: "other".into(), ..Default::default() },
        &World::root(),
    );
    told(&[("other", 183)]).await;
    world.done(lift("two"), &World::root());
    told(&[("acme", 400), ("other", 183)]).await;
    world.done(set(0), &World::root());
    told(&[("other", 183)]).await;
    world.done(RetireTenant { tenant: "other".into() }, &World::root());
    told(&[]).await;
}
