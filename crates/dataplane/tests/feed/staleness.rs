//! News that grow old: the node refuses, says so, and recovers by itself.

use std::time::Duration;

use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;

use crate::control::{Control, soon};
use crate::support::{NOW_MS, TestNode, enforcing, folder, state, trust, version};

#[tokio::test]
async fn a_node_that_hears_nothing_refuses_until_it_hears_again() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, session) = TestNode::in_force(folder.path(), &mut control).await;
    node.clock.advance(Duration::from_secs(60));
    assert!(node.ask(1).await.is_ok(), "60 seconds are not too long");
    node.clock.advance(Duration::from_millis(1));
    let token = node.token("acme", "finance-agent");
    assert_eq!(node.ask_as(&token, 1).await.unwrap_err(), "PolicyStale");
    node.eventually("not ready", || async { node.readyz().await.0 == 503 }).await;
    assert!(node.readyz().await.1.contains("PolicyStale"), "{:?}", node.readyz().await);
    // The same moment again, or an older one, is no news.
    session.confirm(5, NOW_MS).await;
    session.confirm(6, NOW_MS - 1).await;
    // A stream that goes on, with rounds that change something, is no news of time either.
    session.round(7, false, vec![enforcing(&control, "acme", 11, 2)]).await;
    node.eventually("version 2", || async {
        node.node.decider().snapshot().policies().any(|(_, policy)| policy.version == 2)
    })
    .await;
    assert_eq!(node.ask_as(&token, 1).await.unwrap_err(), "PolicyStale");
    // A confirmed moment is.
    session.confirm(7, NOW_MS + 60_000).await;
    soon("readiness", node.node.ready()).await;
    assert_eq!(node.judged_by(&token).await.0, 2);
    assert_eq!(node.readyz().await.0, 200);
}

#[tokio::test]
async fn a_tenant_chooses_how_old_is_too_old() {
    let folder = folder();
    let mut control = Control::start().await;
    let node = TestNode::start(folder.path(), &[&control]).await;
    let mut session = control.welcomed(5).await;
    let told = |tenant: &str, seconds: u32, serve_stale: bool| {
        let (bundle, manifest) = version(tenant, 1);
        control.offer(&bundle);
        let mut state = state(tenant, 10, 1, vec![manifest]);
        (state.staleness_max_seconds, state.serve_stale) = (seconds, serve_stale);
        Down::Tenant(state)
    };
    let tenants = vec![
        trust(),
        told("usual", 0, false),
        told("strict", 5, false),
        told("patient", 3_600, false),
        told("written", 5, true),
    ];
    session.round(5, true, tenants).await;
    session.confirm(5, NOW_MS).await;
    session.all_in_force(&["usual", "strict", "patient", "written"], 10).await;
    soon("readiness", node.node.ready()).await;
    let served = async |expected: [bool; 4]| {
        for (tenant, expected) in ["usual", "strict", "patient", "written"].into_iter().zip(expected) {
            let answer = node.ask_as(&node.token(tenant, "finance-agent"), 1).await;
            match expected {
                true => drop(answer.unwrap()),
                false => assert_eq!(answer.unwrap_err(), "PolicyStale", "{tenant}"),
            }
        }
    };
    served([true; 4]).await;
    node.clock.advance(Duration::from_secs(6));
    served([true, false, true, true]).await;
    node.clock.advance(Duration::from_secs(60));
    served([false, false, true, true]).await;
    assert_eq!(node.readyz().await.0, 200, "some are served still");
    node.clock.advance(Duration::from_secs(4_000));
    served([false, false, false, true]).await;
}

#[tokio::test]
async fn the_cluster_says_how_old_is_too_old_for_the_others() {
    let folder = folder();
    let mut control = Control::start().await;
    let node = TestNode::start(folder.path(), &[&control]).await;
    let mut session = control.session().await;
    let settings = Some(v1::FeedSettings { staleness_max_seconds: 20 });
    let welcome =
        v1::Welcome { cluster_id: "test-cluster".into(), control_node: "c".into(), incarnation: 1, settings };
    session.send(5, Down::Welcome(welcome)).await;
    session.round(5, true, vec![trust(), enforcing(&control, "acme", 10, 1)]).await;
    session.confirm(5, NOW_MS).await;
    session.in_force("acme", 10).await;
    node.clock.advance(Duration::from_secs(21));
    assert_eq!(node.ask(1).await.unwrap_err(), "PolicyStale");
}

#[tokio::test]
async fn nothing_is_served_before_a_moment_was_confirmed() {
    let folder = folder();
    let mut control = Control::start().await;
    let node = TestNode::start(folder.path(), &[&control]).await;
    let mut session = control.welcomed(5).await;
    session.round(5, true, vec![trust(), enforcing(&control, "acme", 10, 1)]).await;
    session.in_force("acme", 10).await;
    assert_eq!(node.ask(1).await.unwrap_err(), "PolicyStale");
    assert!(!node.node.is_ready());
    session.confirm(5, NOW_MS).await;
    soon("readiness", node.node.ready()).await;
    assert!(node.ask(1).await.is_ok());
}

#[tokio::test]
async fn a_control_node_that_falls_silent_is_left_for_the_next_one() {
    let folder = folder();
    let (mut silent, mut other) = (Control::start().await, Control::start().await);
    let mut config = crate::support::config(folder.path(), &[&silent, &other]);
    // Longer than a busy machine takes for the round with the next one.
    config.pace.silence = Duration::from_secs(1);
    let node = TestNode::start_with(folder.path(), config).await.unwrap();
    let mut session = silent.welcomed(5).await;
    session.round(5, true, vec![trust(), enforcing(&silent, "acme", 10, 1)]).await;
    session.in_force("acme", 10).await;
    // It goes on talking, but of the same moment: it has lost its majority.
    let talking = async {
        loop {
            session.confirm(5, NOW_MS).await;
            // expect(sleep): the control node goes on talking, and only the passing of time is the event.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut next = tokio::select! {
        next = other.session() => next,
        () = talking => unreachable!("it goes on for ever"),
    };
    assert_eq!((next.hello.incarnation, next.hello.index), (1, 5));
    assert_eq!(next.hello.held.len(), 1);
    next.welcome(5, 1).await;
    next.round(5, false, vec![]).await;
    next.confirm(5, NOW_MS + 1).await;
    let ack = next.in_force("acme", 10).await;
    assert_eq!(ack.enforced, 1, "the first acknowledgement names what is in force");
    assert!(node.ask(1).await.is_ok());
}
