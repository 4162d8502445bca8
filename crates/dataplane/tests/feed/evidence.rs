//! Revoked tokens and agents, and keys that are trusted no more.

use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;

use crate::control::Control;
use crate::support::{NOW_MS, TestNode, folder, manifest_key, state, version};

fn revoking(etag: &str, revoke: impl FnOnce(&mut v1::TenantState)) -> Down {
    let mut state = state("acme", 10, 1, vec![version("acme", 1).1]);
    state.etag = etag.as_bytes().to_vec();
    revoke(&mut state);
    Down::Tenant(state)
}

#[tokio::test]
async fn what_is_revoked_counts_no_more_and_no_longer_than_it_is_revoked() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let agent_token = node.token("acme", "agent-7");
    let on_behalf = node.token_for("acme", "finance-agent", &["agent-7"]);
    let other = node.token("acme", "agent-8");
    for token in [&agent_token, &on_behalf, &other] {
        assert_eq!(node.ask_as(token, 1).await.unwrap()["outcome"], "allow");
    }
    let agent = v1::RevokedAgent { agent: "agent-7".into(), issued_until_ms: NOW_MS };
    session.round(6, false, vec![revoking("r1", |state| state.revoked_agents.push(agent))]).await;
    session.in_force("acme", 10).await;
    assert_eq!(node.ask_as(&agent_token, 1).await.unwrap_err(), "TokenRevoked");
    assert_eq!(node.ask_as(&on_behalf, 1).await.unwrap_err(), "TokenRevoked", "it acts for the agent");
    assert_eq!(node.ask_as(&other, 1).await.unwrap()["outcome"], "allow");
    // A token that was certainly minted later counts.
    node.clock.advance(std::time::Duration::from_secs(40));
    session.confirm(6, NOW_MS + 40_000).await;
    let later = node.token("acme", "agent-7");
    assert_eq!(node.ask_as(&later, 1).await.unwrap()["outcome"], "allow");

    let id = token_id(&other);
    let token = v1::RevokedToken { token_id: id, expires_ms: 0 };
    session.round(7, false, vec![revoking("r2", |state| state.revoked_tokens.push(token))]).await;
    session.in_force("acme", 10).await;
    assert_eq!(node.ask_as(&other, 1).await.unwrap_err(), "TokenRevoked");
    assert_eq!(node.ask_as(&agent_token, 1).await.unwrap()["outcome"], "allow", "taken back");
}

/// The `jti`, read without trust.
fn token_id(token: &str) -> String {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["jti"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn evidence_is_revoked_also_while_an_activation_is_refused() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let told = revoking("r1", |state| {
        state.activation.as_mut().unwrap().number = 11;
        state.activation.as_mut().unwrap().enforced = 99;
        state.revoked_agents.push(v1::RevokedAgent { agent: "finance-agent".into(), issued_until_ms: 0 });
    });
    session.round(6, false, vec![told]).await;
    session.ack_of("acme", |ack| ack.not_in_force.is_some()).await;
    assert_eq!(node.ask(1).await.unwrap_err(), "TokenRevoked");
}

#[tokio::test]
async fn a_key_that_is_trusted_no_more_proves_nothing() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    assert!(node.ask(1).await.is_ok());
    let manifest_keys = vec![manifest_key(0).verifying_key().as_bytes().to_vec()];
    let trust = v1::Trust { etag: b"t2".to_vec(), token_keys: vec![], manifest_keys };
    session.round(6, false, vec![Down::Trust(trust)]).await;
    session.ack().await;
    assert_eq!(node.ask(1).await.unwrap_err(), "Unauthenticated");
}
