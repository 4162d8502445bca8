//! Messages that do not belong there, that come twice, or that lead back (POL-2).

use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message as Down;

use crate::control::{Control, Session};
use crate::support::{TestNode, enforcing, folder, state, trust, version};

/// Sends what breaks the stream: what was in force stays, and the node comes back with what it has.
async fn breaks(what: &str, send: impl AsyncFnOnce(&Control, &mut Session)) {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    send(&control, &mut session).await;
    session.left().await;
    let token = node.token("acme", "finance-agent");
    assert_eq!(node.judged_by(&token).await.0, 1, "{what}: what was in force stays");
    let again = control.session().await;
    assert_eq!((again.hello.history, again.hello.index, again.hello.incarnation), (1, 5, 1), "{what}");
    assert_eq!(again.hello.held[0].etag, b"acme@10", "{what}: it says what it has");
}

#[tokio::test]
async fn a_round_that_is_cut_off_did_not_happen() {
    breaks("a cut", async |control, session| {
        session.send(6, Down::Begin(v1::Begin { full: true })).await;
        session.send(6, trust()).await;
        session.send(6, enforcing(control, "acme", 11, 2)).await;
        session.cut();
    })
    .await;
}

#[tokio::test]
async fn a_round_with_a_message_missing_did_not_happen() {
    breaks("a wrong count", async |control, session| {
        session.send(6, Down::Begin(v1::Begin { full: false })).await;
        session.send(6, enforcing(control, "acme", 11, 2)).await;
        session.send(6, Down::End(v1::End { messages: 2 })).await;
    })
    .await;
}

#[tokio::test]
async fn a_message_outside_of_a_round_ends_the_stream() {
    breaks("a tenant between rounds", async |control, session| {
        session.send(6, enforcing(control, "acme", 11, 2)).await;
    })
    .await;
}

#[tokio::test]
async fn an_older_index_ends_the_stream() {
    breaks("an older round", async |control, session| {
        session.round(4, false, vec![enforcing(control, "acme", 11, 2)]).await;
    })
    .await;
}

#[tokio::test]
async fn an_older_history_ends_the_stream() {
    breaks("an older history", async |control, session| {
        session.history = 0;
        session.round(900, false, vec![enforcing(control, "acme", 11, 2)]).await;
    })
    .await;
}

#[tokio::test]
async fn an_older_activation_ends_the_stream() {
    breaks("an older activation", async |control, session| {
        session.round(6, false, vec![enforcing(control, "acme", 9, 2)]).await;
    })
    .await;
    breaks("no activation any more", async |_, session| {
        let nothing = v1::TenantState { activation: None, ..state("acme", 0, 0, vec![]) };
        session.round(6, false, vec![Down::Tenant(nothing)]).await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_stream() {
    let (_, manifest) = version("acme", 1);
    let whole = state("acme", 11, 1, vec![manifest.clone()]);
    let bad_canary = Some(v1::Activation {
        number: 11,
        enforced: 1,
        canary: Some(v1::Canary { version: 1, percent: 101 }),
        shadow: vec![],
    });
    let short_signature = v1::SignedManifest { signature: vec![0; 63], ..manifest };
    for (what, bad) in [
        ("a name", v1::TenantState { tenant: "a b".into(), ..whole.clone() }),
        ("a share", v1::TenantState { activation: bad_canary, ..whole.clone() }),
        ("a signature", v1::TenantState { manifests: vec![short_signature], ..whole.clone() }),
        (
            "an agent",
            v1::TenantState {
                revoked_agents: vec![v1::RevokedAgent { agent: String::new(), issued_until_ms: 1 }],
                ..whole.clone()
            },
        ),
    ] {
        breaks(what, async |_, session| session.round(6, false, vec![Down::Tenant(bad.clone())]).await).await;
    }
    breaks("a tenant that stands twice", async |_, session| {
        session.round(6, false, vec![Down::Tenant(whole.clone()), Down::Tenant(whole.clone())]).await;
    })
    .await;
    breaks("a key that is none", async |_, session| {
        let trust = v1::Trust { manifest_keys: vec![vec![0; 32]], ..Default::default() };
        session.round(6, false, vec![Down::Trust(trust)]).await;
    })
    .await;
    breaks("a full round without trust", async |_, session| {
        session.round(6, true, vec![Down::Tenant(whole.clone())]).await;
    })
    .await;
    breaks("a message that is too large", async |_, session| {
        let large =
            v1::TenantState { etag: vec![0; aegis_model::caps::FEED_MESSAGE_BYTES_MAX], ..whole.clone() };
        session.round(6, false, vec![Down::Tenant(large)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_that_comes_twice_changes_nothing() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    for _ in 0..2 {
        session.round(6, false, vec![enforcing(&control, "acme", 11, 2)]).await;
        session.in_force("acme", 11).await;
    }
    assert_eq!(node.judged_by(&node.token("acme", "finance-agent")).await.0, 2);
    assert_eq!(control.fetches(), 2, "each version once");
}

#[tokio::test]
async fn a_tenant_that_is_gone_is_served_no_more() {
    let folder = folder();
    let mut control = Control::start().await;
    let (node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    session.round(6, false, vec![enforcing(&control, "other", 11, 2)]).await;
    session.in_force("other", 11).await;
    session.round(7, false, vec![Down::TenantGone(v1::TenantGone { tenant: "acme".into() })]).await;
    session.ack_of("acme", |ack| ack.gone).await;
    assert_eq!(node.ask(1).await.unwrap_err(), "PolicyUnavailable");
    assert!(node.ask_as(&node.token("other", "finance-agent"), 1).await.is_ok());
    // A full round that does not name a tenant says the same.
    session.round(8, true, vec![trust(), enforcing(&control, "acme", 12, 1)]).await;
    session.ack_of("other", |ack| ack.gone).await;
    session.in_force("acme", 12).await;
    assert!(node.ask(1).await.is_ok());
    // Gone and back again: not before where it was.
    session.round(9, false, vec![Down::TenantGone(v1::TenantGone { tenant: "acme".into() })]).await;
    session.ack_of("acme", |ack| ack.gone).await;
    session.round(10, false, vec![enforcing(&control, "acme", 11, 2)]).await;
    session.left().await;
    assert_eq!(node.ask(1).await.unwrap_err(), "PolicyUnavailable");
}

#[tokio::test]
async fn credit_is_given_back_as_messages_are_taken() {
    let folder = folder();
    let mut control = Control::start().await;
    let (_node, mut session) = TestNode::in_force(folder.path(), &mut control).await;
    let given = session.credit;
    let none = |number: u64| {
        let tenant = v1::TenantState { tenant: format!("tenant-{number}"), ..Default::default() };
        Down::Tenant(tenant)
    };
    for round in 0..4 {
        session.round(6 + round, false, (0..100).map(|number| none(round * 100 + number)).collect()).await;
        session.ack_of(&format!("tenant-{}", round * 100), |_| true).await;
    }
    assert!(session.credit >= given + 256, "{} of 400 given back", session.credit - given);
}
