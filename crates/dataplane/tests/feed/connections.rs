//! Reaching control nodes: which addresses, with which certificates, and who ends what.

use aegis_dataplane::feed::{Feed, FeedConfig, FeedTls, OpenError};
use aegis_identity::tls::client_config;
use aegis_model::clock::Clock;
use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;
use tonic::Status;

use crate::control::{Control, soon};
use crate::support::{NOW_MS, TestNode, config, enforcing, folder, trust};

fn open(controls: &[&str], with_tls: bool) -> Result<Feed, OpenError> {
    let folder = folder();
    let controls = controls.iter().map(|address| address.parse().unwrap()).collect();
    let mut config = FeedConfig::new("data-1".parse().unwrap(), controls, folder.path().join("feed"), 7);
    if with_tls {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        config.tls = Some(FeedTls::new(client_config(made.cert.pem().as_bytes(), None, &[]).unwrap()));
    }
    Feed::open(config, Clock::System)
}

#[test]
fn plaintext_is_for_this_machine_only() {
    assert!(matches!(open(&[], false), Err(OpenError::NoControlNode)));
    assert!(matches!(open(&["http://10.0.0.1:7071"], true), Err(OpenError::Plaintext(_))));
    assert!(matches!(
        open(&["http://localhost:1", "https://control-1:7071"], false),
        Err(OpenError::NoTls(_))
    ));
    assert!(open(&["http://127.0.0.1:1"], false).is_ok());
    assert!(open(&["http://[::1]:1", "https://control-1:7071"], true).is_ok());
}

#[tokio::test]
async fn a_control_node_that_is_not_there_is_passed_over() {
    let folder = folder();
    let gone = Control::start().await;
    let mut control = Control::start().await;
    let config = config(folder.path(), &[&gone, &control]);
    drop(gone);
    let node = TestNode::start_with(folder.path(), config).await.unwrap();
    let mut session = control.welcomed(5).await;
    session.round(5, true, vec![trust(), enforcing(&control, "acme", 10, 1)]).await;
    session.confirm(5, NOW_MS).await;
    session.in_force("acme", 10).await;
    soon("readiness", node.node.ready()).await;
}

#[tokio::test]
async fn a_cut_is_mended_and_only_what_changed_is_told() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, session) = TestNode::in_force(folder.path(), &mut control).await;
    session.fail(Status::unavailable("stopping")).await;
    let mut session = control.welcomed(6).await;
    assert_eq!(session.hello.trust_etag, b"trust");
    assert_eq!((session.hello.held[0].tenant.as_str(), session.hello.held.len()), ("acme", 1));
    session.round(6, false, vec![enforcing(&control, "acme", 11, 2)]).await;
    session.in_force("acme", 11).await;
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
    session.send(6, Down::Farewell(v1::Farewell { reason: 1, message: "stopping".into() })).await;
    session.left().await;
    control.welcomed(6).await;
}

#[tokio::test]
async fn a_node_whose_place_was_taken_ends() {
    for by_status in [true, false] {
        let folder = folder();
        let mut control = Control::start().await;
        let (mut node, session) = TestNode::in_force(folder.path(), &mut control).await;
        let reason = v1::farewell::Reason::Fenced.into();
        match by_status {
            true => session.fail(Status::failed_precondition("another process")).await,
            false => session.send(5, Down::Farewell(v1::Farewell { reason, message: "x".into() })).await,
        }
        assert_eq!(soon("the end of the feed", node.node.faulted()).await, "the feed");
    }
}

#[tokio::test]
async fn an_incarnation_is_given_once() {
    let folder = folder();
    let mut control = Control::start().await;
    let (_node, session) = TestNode::in_force(folder.path(), &mut control).await;
    session.fail(Status::unavailable("stopping")).await;
    let session = control.session().await;
    session.welcome(6, 2).await;
    session.left().await;
    let again = control.session().await;
    assert_eq!(again.hello.incarnation, 1);
}

#[tokio::test]
async fn a_node_of_one_tenant_takes_no_other() {
    let folder = folder();
    let mut control = Control::start().await;
    let mut config = config(folder.path(), &[&control]);
    config.tenant = Some("acme".parse().unwrap());
    let node = TestNode::start_with(folder.path(), config).await.unwrap();
    let session = control.welcomed(5).await;
    assert_eq!(session.hello.tenant, "acme");
    session
        .round(
            5,
            true,
            vec![trust(), enforcing(&control, "acme", 10, 1), enforcing(&control, "other", 11, 1)],
        )
        .await;
    session.left().await;
    assert!(!node.node.is_ready());
}
