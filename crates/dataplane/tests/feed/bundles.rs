//! Bundles that are wrong, cut off, slow or gone, and what is kept of the good ones.

use aegis_model::caps;
use aegis_proto::v1::follow_response::Message as Down;
use tonic::Status;

use crate::control::{Control, Serve};
use crate::support::{TestNode, enforcing, folder, signed, state, version};

/// A bundle that cannot be had is reported, what was in force stays, and it is tried again by itself.
async fn recovers(what: &str, bad: impl Fn(&[u8]) -> Serve) {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let (bundle, manifest) = version("acme", 2);
    let digest = control.offer(&bundle);
    control.serve(&digest, bad(&bundle));
    session.round(6, false, vec![Down::Tenant(state("acme", 11, 2, vec![manifest]))]).await;
    let ack = session.ack_of("acme", |ack| ack.not_in_force.is_some()).await;
    let refusal = ack.not_in_force.unwrap();
    assert_eq!((ack.activation, refusal.code.as_str(), refusal.retrying), (10, "fetch", true), "{what}");
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 1, "{what}");
    control.offer(&bundle);
    assert_eq!(session.in_force("acme", 11).await.not_in_force, None, "{what}");
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2, "{what}");
}

#[tokio::test]
async fn a_bundle_that_is_not_the_one_that_was_signed() {
    recovers("another bundle", |_| Serve::Pieces(vec![version("acme", 3).0])).await;
    recovers("a bit is wrong", |bundle| {
        let mut bundle = bundle.to_vec();
        bundle[40] ^= 1;
        Serve::Pieces(vec![bundle])
    })
    .await;
}

#[tokio::test]
async fn a_wrong_piece_is_noticed_when_it_comes() {
    let folder = folder();
    let mut control = Control::start().await;
    let (_node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let (bundle, manifest) = version("acme", 2);
    let digest = control.offer(&bundle);
    control.serve(&digest, Serve::Endless(vec![version("acme", 3).0]));
    session.round(6, false, vec![Down::Tenant(state("acme", 11, 2, vec![manifest]))]).await;
    let ack = session.ack_of("acme", |ack| ack.not_in_force.is_some()).await;
    let message = ack.not_in_force.unwrap().message;
    assert!(message.contains("not the one that the manifest names"), "not by its slowness: {message}");
}

#[tokio::test]
async fn a_bundle_that_is_cut_off() {
    recovers("nothing", |_| Serve::Pieces(vec![])).await;
    recovers("half of it", |bundle| Serve::Pieces(vec![bundle[..bundle.len() / 2].to_vec()])).await;
}

#[tokio::test]
async fn a_bundle_that_is_too_long() {
    recovers("one piece more", |bundle| Serve::Pieces(vec![bundle.to_vec(), b"more".to_vec()])).await;
    recovers("an endless piece", |_| Serve::Pieces(vec![vec![0; caps::FEED_MESSAGE_BYTES_MAX + 1]])).await;
}

#[tokio::test]
async fn a_bundle_that_is_not_there() {
    recovers("not found", |_| Serve::Fail(Status::not_found("gone"))).await;
    recovers("unavailable", |_| Serve::Fail(Status::unavailable("later"))).await;
}

#[tokio::test]
async fn a_slow_bundle_holds_up_nobody_else() {
    let folder = folder();
    let mut control = Control::start().await;
    let mut config = crate::support::config(folder.path(), &[&control]);
    // Longer than the bundle takes that is not slow, also on a busy machine: the failure is acknowledged once, and after that one.
    config.pace.fetch = std::time::Duration::from_secs(3);
    let node = TestNode::start_with(folder.path(), config).await.unwrap();
    let mut session = control.welcomed(5).await;
    let slow = enforcing(&control, "slow", 11, 3);
    let digest = control.offer(&version("slow", 3).0);
    control.serve(&digest, Serve::Hang);
    session.round(5, true, vec![crate::support::trust(), slow, enforcing(&control, "acme", 10, 1)]).await;
    session.confirm(5, crate::support::NOW_MS).await;
    session.in_force("acme", 10).await;
    assert!(node.ask(1).await.is_ok());
    assert_eq!(node.ask_as(&node.token("slow", "finance-agent"), 1).await.unwrap_err(), "PolicyUnavailable");
    let ack = session.ack_of("slow", |ack| ack.not_in_force.is_some()).await;
    assert!(ack.not_in_force.unwrap().message.contains("took too long"));
    crate::control::soon("readiness", node.node.ready()).await;
    control.offer(&version("slow", 3).0);
    session.in_force("slow", 11).await;
}

#[tokio::test]
async fn a_signed_bundle_that_is_no_bundle_is_never_tried_again() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let junk = b"this was signed, and is no archive".to_vec();
    control.offer(&junk);
    let told = state("acme", 11, 2, vec![signed("acme", 2, &junk)]);
    session.round(6, false, vec![Down::Tenant(told)]).await;
    let ack = session.ack_of("acme", |ack| ack.not_in_force.is_some()).await;
    let refusal = ack.not_in_force.unwrap();
    assert_eq!((refusal.code.as_str(), refusal.retrying), ("bundle", false), "{}", refusal.message);
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 1);
    assert_eq!(control.fetches(), 2);
}
