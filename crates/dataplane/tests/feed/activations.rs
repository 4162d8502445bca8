//! Activations: canaries, rollbacks, refusals, and that nothing is ever half in force (WALK-1).

use aegis_dataplane::snapshot::{Percent, is_in_canary};
use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;
use serde_json::json;

use crate::control::Control;
use crate::support::{
    TestNode, bundle_of, enforcing, folder, manifest_key, policy, signed, signed_by, state, trust_in, version,
};

/// `acme` at `activation`: version 1 for all but `percent` of the agents, which get version 2.
fn canary(control: &Control, activation: u64, percent: u32) -> Down {
    let ((one, one_signed), (two, two_signed)) = (version("acme", 1), version("acme", 2));
    control.offer(&one);
    control.offer(&two);
    let mut state = state("acme", activation, 1, vec![two_signed, one_signed]);
    state.activation.as_mut().unwrap().canary = Some(v1::Canary { version: 2, percent });
    Down::Tenant(state)
}

#[tokio::test]
async fn a_canary_judges_its_share_and_says_so() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let tenant = "acme".parse().unwrap();
    for (step, percent) in [0, 30, 60, 100].into_iter().enumerate() {
        let activation = 11 + step as u64;
        session.round(6 + step as u64, false, vec![canary(&control, activation, percent)]).await;
        session.in_force("acme", activation).await;
        for number in 0..40 {
            let agent = format!("agent-{number}");
            let share = Percent::new(percent).unwrap();
            let expected = if is_in_canary(&tenant, &agent.parse().unwrap(), share) { 2 } else { 1 };
            let (judged, named) = node.judged_by(&node.token("acme", &agent)).await;
            assert_eq!(judged, expected, "{agent} at {percent} %");
            assert_eq!(named["version"], expected, "the answer names what judged");
            assert_eq!(named["activation"], activation);
        }
    }
    assert_eq!(control.fetches(), 2, "each version once, whatever its share");
}

#[tokio::test]
async fn a_rollback_takes_what_is_prepared() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    session.round(6, false, vec![enforcing(&control, "acme", 11, 2)]).await;
    session.in_force("acme", 11).await;
    assert_eq!(control.fetches(), 2);
    // Neither from the control node nor from the folder.
    std::fs::remove_dir_all(folder.path().join("feed/bundles")).unwrap();
    let (_, one) = version("acme", 1);
    control.serve(&bundle_digest(1), crate::control::Serve::Hang);
    session.round(7, false, vec![Down::Tenant(state("acme", 12, 1, vec![one]))]).await;
    let ack = session.in_force("acme", 12).await;
    assert_eq!((ack.enforced, ack.not_in_force), (1, None));
    assert_eq!(control.fetches(), 2, "nothing was fetched");
    let (judged, named) = node.judged_by(&node.token("acme", "finance-agent")).await;
    assert_eq!((judged, &named["activation"], &named["version"]), (1, &json!(12), &json!(1)));
}

fn bundle_digest(number: u64) -> String {
    aegis_identity::manifest::digest_of(&version("acme", number).0).to_string()
}

#[tokio::test]
async fn a_version_that_cannot_be_enforced_is_reported_and_the_old_one_stays() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let bounded = format!("{}egress: {{allow: []}}\n", policy(2_000));
    let bundle = bundle_of(&bounded);
    control.offer(&bundle);
    let told = state("acme", 11, 2, vec![signed("acme", 2, &bundle)]);
    session.round(6, false, vec![Down::Tenant(told)]).await;
    let ack = session.ack_of("acme", |ack| ack.not_in_force.is_some()).await;
    assert_eq!((ack.activation, ack.enforced), (10, 1));
    let refusal = ack.not_in_force.unwrap();
    assert_eq!((refusal.activation, refusal.code.as_str(), refusal.retrying), (11, "policy", false));
    assert!(refusal.message.contains("policy.yaml:5:1: `egress` cannot be enforced"), "{refusal:?}");
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 1);
    // The same as a canary: not even the enforced version of that activation comes into force alone.
    let (two, two_signed) = version("acme", 2);
    control.offer(&two);
    let mut told = state("acme", 12, 2, vec![two_signed, signed("acme", 3, &bundle)]);
    told.activation.as_mut().unwrap().canary = Some(v1::Canary { version: 3, percent: 1 });
    session.round(7, false, vec![Down::Tenant(told)]).await;
    let refused = |ack: &v1::TenantAck| ack.not_in_force.as_ref().is_some_and(|not| not.activation == 12);
    let ack = session.ack_of("acme", refused).await;
    assert_eq!((ack.activation, ack.enforced), (10, 1));
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 1);
    // And on to one that can.
    session.round(8, false, vec![enforcing(&control, "acme", 13, 2)]).await;
    assert_eq!(session.in_force("acme", 13).await.not_in_force, None);
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
}

#[tokio::test]
async fn a_manifest_counts_only_as_it_was_signed() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let (bundle, good) = version("acme", 2);
    control.offer(&bundle);
    let mut flipped = good.clone();
    flipped.signature[9] ^= 1;
    let other_key = signed_by(&manifest_key(5), "test-cluster", "acme", 2, &bundle);
    let cases = [
        ("the signature", vec![flipped], "signature is wrong", false),
        ("the key", vec![other_key], "not a manifest key", true),
        (
            "the cluster",
            vec![signed_by(&manifest_key(0), "other", "acme", 2, &bundle)],
            "another cluster",
            false,
        ),
        ("the tenant", vec![signed("other", 2, &bundle)], "another tenant", false),
        ("the version", vec![signed("acme", 3, &bundle)], "another version", false),
        ("all of it", vec![], "another version", false),
    ];
    for (step, (what, manifests, expected, retrying)) in cases.into_iter().enumerate() {
        let activation = 11 + step as u64;
        let told = state("acme", activation, 2, manifests);
        session.round(6 + step as u64, false, vec![Down::Tenant(told)]).await;
        let refused =
            |ack: &v1::TenantAck| ack.not_in_force.as_ref().is_some_and(|not| not.activation == activation);
        let ack = session.ack_of("acme", refused).await;
        let refusal = ack.not_in_force.unwrap();
        assert_eq!((ack.activation, refusal.code.as_str()), (10, "manifest"), "{what}");
        assert!(refusal.message.contains(expected), "{what}: {refusal:?}");
        assert_eq!(refusal.retrying, retrying, "{what}");
    }
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 1);
    assert_eq!(control.fetches(), 1, "nothing is fetched for a manifest that does not count");
}

#[tokio::test]
async fn a_key_that_becomes_known_lets_its_manifests_count() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let bundle = version("acme", 2).0;
    control.offer(&bundle);
    let told = state("acme", 11, 2, vec![signed_by(&manifest_key(1), "test-cluster", "acme", 2, &bundle)]);
    session.round(6, false, vec![Down::Tenant(told)]).await;
    session.ack_of("acme", |ack| ack.not_in_force.is_some()).await;
    session.round(7, false, vec![trust_in(&[manifest_key(0), manifest_key(1)])]).await;
    assert_eq!(session.in_force("acme", 11).await.not_in_force, None);
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
}
