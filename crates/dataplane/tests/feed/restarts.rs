//! What survives a restart: bundles, who the node is, and below what it never goes (POL-2).

use aegis_dataplane::feed::OpenError;
use aegis_proto::v1::follow_response::Message as Down;

use crate::control::{Control, soon};
use crate::support::{NOW_MS, TestNode, config, enforcing, folder, state, trust, version};

/// A node that has enforced activation 10 (version 1) of `acme` at index 5 and was stopped.
async fn stopped(folder: &std::path::Path) {
    let mut control = Control::start().await;
    let (node, session) = TestNode::in_force(folder, &mut control).await;
    assert_ne!(session.hello.node_id, 0);
    node.node.shutdown().await.log.unwrap();
}

#[tokio::test]
async fn a_restarted_node_serves_from_its_folder_once_it_has_reached_a_control_node() {
    let folder = folder();
    stopped(folder.path()).await;
    let mut control = Control::start().await;
    let node = TestNode::start(folder.path(), &[&control]).await;
    let mut session = control.session().await;
    assert_eq!(node.ask(1).await.unwrap_err(), "PolicyUnavailable", "whoever asks, whatever the token");
    assert_eq!(node.ask_as("no token", 1).await.unwrap_err(), "PolicyUnavailable");
    let (status, body) = node.readyz().await;
    assert!(status == 503 && body.contains("PolicyUnavailable"), "{status} {body}");
    let hello = session.hello.clone();
    assert_eq!((hello.history, hello.index, hello.incarnation, hello.node_id), (1, 5, 0, 7));
    assert!(hello.held.is_empty(), "a restarted node has to be told everything");

    session.welcome(5, 2).await;
    let (_, manifest) = version("acme", 1);
    session.round(5, true, vec![trust(), Down::Tenant(state("acme", 10, 1, vec![manifest]))]).await;
    session.confirm(5, NOW_MS).await;
    session.in_force("acme", 10).await;
    soon("readiness", node.node.ready()).await;
    assert_eq!(control.fetches(), 0, "the bundle was kept");
    let decision = node.ask(1).await.unwrap();
    assert!(decision["decision_id"].as_str().unwrap().starts_with("d-data-1-2-"), "{decision}");
}

#[tokio::test]
async fn a_restarted_node_does_not_go_back() {
    let folder = folder();
    stopped(folder.path()).await;
    let (mut lagging, mut leading) = (Control::start().await, Control::start().await);
    let node = TestNode::start(folder.path(), &[&lagging, &leading]).await;
    // A control node at an older index is left at once.
    let behind = lagging.welcomed(4).await;
    behind.left().await;
    // One at an older activation, whatever its index, is left when it says so.
    let session = leading.welcomed(6).await;
    session.round(6, true, vec![trust(), enforcing(&leading, "acme", 9, 2)]).await;
    session.confirm(6, NOW_MS).await;
    session.left().await;
    assert_eq!(node.ask(1).await.unwrap_err(), "PolicyUnavailable");
    assert!(!node.node.is_ready());
    let again = lagging.session().await;
    assert_eq!((again.hello.history, again.hello.index), (1, 5), "nothing was taken over");
    again.welcome(7, 1).await;
    let mut again = again;
    again.round(7, true, vec![trust(), enforcing(&lagging, "acme", 10, 1)]).await;
    again.confirm(7, NOW_MS).await;
    again.in_force("acme", 10).await;
    assert!(node.ask(1).await.is_ok());
}

#[tokio::test]
async fn a_newer_history_may_count_activations_anew() {
    let folder = folder();
    stopped(folder.path()).await;
    let mut control = Control::start().await;
    let node = TestNode::start(folder.path(), &[&control]).await;
    let mut session = control.session().await;
    session.history = 2;
    session.welcome(1, 9).await;
    session.round(1, true, vec![trust(), enforcing(&control, "acme", 3, 2)]).await;
    session.confirm(1, NOW_MS).await;
    session.in_force("acme", 3).await;
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
    // The old one has ended.
    session.history = 1;
    session.round(900, false, vec![enforcing(&control, "acme", 11, 1)]).await;
    session.left().await;
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
}

#[tokio::test]
async fn a_damaged_bundle_is_fetched_again() {
    let folder = folder();
    stopped(folder.path()).await;
    let bundles = folder.path().join("feed/bundles");
    for entry in std::fs::read_dir(&bundles).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let mut control = Control::start().await;
    let node = TestNode::start(folder.path(), &[&control]).await;
    let mut session = control.welcomed(5).await;
    session.round(5, true, vec![trust(), enforcing(&control, "acme", 10, 1)]).await;
    session.confirm(5, NOW_MS).await;
    session.in_force("acme", 10).await;
    assert_eq!(control.fetches(), 1);
    assert!(node.ask(1).await.is_ok());
}

#[tokio::test]
async fn a_node_that_cannot_note_what_it_is_about_to_enforce_does_not_enforce_it() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    session.round(6, false, vec![enforcing(&control, "acme", 11, 2)]).await;
    session.in_force("acme", 11).await;
    // A folder where the draft is written: not even the owner of everything can write a file there.
    let draft = folder.path().join("feed/feed.json.new");
    std::fs::create_dir(&draft).unwrap();
    // A rollback is ready at once, so it is tried before the moment that comes after it is taken.
    session.round(7, false, vec![enforcing(&control, "acme", 12, 1)]).await;
    node.clock.advance(std::time::Duration::from_secs(61));
    session.confirm(7, NOW_MS + 61_000).await;
    node.eventually("the moment", || async { node.ask(1).await.is_ok() }).await;
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
    std::fs::remove_dir(&draft).unwrap();
    session.confirm(7, NOW_MS + 61_001).await;
    session.in_force("acme", 12).await;
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 1);
}

#[tokio::test]
async fn a_folder_belongs_to_one_cluster() {
    let folder = folder();
    stopped(folder.path()).await;
    let mut control = Control::start().await;
    let mut wrong = config(folder.path(), &[&control]);
    wrong.cluster = Some("another".parse().unwrap());
    let refused = TestNode::start_with(folder.path(), wrong).await.err().unwrap();
    assert!(matches!(refused, OpenError::OtherCluster { .. }), "{refused}");
    let node = TestNode::start(folder.path(), &[&control]).await;
    let session = control.session().await;
    session.welcome_to("another", 5, 1).await;
    session.left().await;
    assert!(!node.node.is_ready());
}
