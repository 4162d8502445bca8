//! What Slack sends, through the whole surface over a state in memory: whose answer counts, and for which request.

use std::sync::Arc;

use aegis_model::ids::TenantId;
use aegis_proto::admin::{ChannelMember, SetChannelRequest};
use aegis_proto::control::{AdvanceHistory, Approval, PutPerson, Role};
use aws_lc_rs::hmac;
use axum::body::Body;
use http::StatusCode;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::callback::path;
use super::sender::Sender;
use super::setting;
use crate::admin::rest::Rest;
use crate::admin::tests::setting::admin_over;
use crate::state::approvals;
use crate::testing::World;

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// Two tenants with a channel each of the same workspace, the same app and the same people, who may agree in both.
struct Office {
    world: World,
    rest: Rest,
}

impl Office {
    fn new() -> Self {
        let world = World::new();
        for tenant in ["acme", "globex"] {
            let name = world.tenant(tenant);
            world.with_role("ann", tenant, Role::Approver);
            world.with_role("payer", tenant, Role::Approver);
            world.with_role("bob", tenant, Role::Viewer);
            slack(&world, &name, "#chat");
        }
        slack(&world, &"acme".parse().expect("a name"), "#other");
        world.data_node(7);
        for (tenant, id, digest) in [("acme", "a", 1), ("globex", "g", 2)] {
            world.open_approval(world.telling(tenant, id, digest, &["#chat"]));
        }
        let rest = Rest::new(admin_over(&world));
        Self { world, rest }
    }

    fn row(&self, tenant: &str, id: &str) -> Approval {
        let tenant = tenant.parse().expect("a name");
        approvals::approval(&self.world.view(), &tenant, id).expect("memory").expect("a request")
    }

    fn votes(&self) -> usize {
        self.row("acme", "a").votes.len() + self.row("globex", "g").votes.len()
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> StatusCode {
        let mut request =
            http::Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        self.rest.clone().answer(request).await.status()
    }

    /// As Slack sends it.
    async fn signed(&self, tenant: &str, channel: &str, body: &str) -> StatusCode {
        let moment = self.world.clock.now().seconds().to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hmac::sign(&key, format!("v0:{moment}:{body}").as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let headers =
            [("x-slack-request-timestamp", moment.as_str()), ("x-slack-signature", &format!("v0={tag}"))];
        self.send(&path(&tenant.parse().expect("a name"), channel), &headers, body).await
    }
}

fn slack(world: &World, tenant: &TenantId, channel: &str) {
    let keys = Arc::new(World::cluster_keys());
    let sender = Sender::new(keys, world.clock.clone(), "https://aegis.example.com", true).expect("a client");
    let member =
        |user: &str, person: &str| ChannelMember { user: user.to_owned(), person: person.to_owned() };
    let request = SetChannelRequest {
        tenant: tenant.to_string(),
        channel: channel.to_owned(),
        kind: "slack".to_owned(),
        // Nobody listens there.
        url: "http://127.0.0.1:1".to_owned(),
        secret: SECRET.to_owned(),
        token: "xoxb-a-token-of-a-bot".to_owned(),
        target: "C1".to_owned(),
        workspace: "T1".to_owned(),
        members: vec![
            member("U1", "ann"),
            member("U2", "bob"),
            member("U3", "payer"),
            member("U4", "nobody"),
        ],
        ..SetChannelRequest::default()
    };
    let mut random = StdRng::seed_from_u64(5);
    let command = setting::command(&sender, &world.view(), tenant, &request, &mut random).expect("a channel");
    world.done(command, &World::root());
}

fn press(user: &str, action: &str, approval: &str) -> String {
    let payload = serde_json::json!({
        "type": "block_actions", "user": {"id": user}, "team": {"id": "T1"},
        "actions": [{"action_id": action, "value": approval}],
    });
    let mut url = reqwest::Url::parse("form:/").expect("an address");
    url.query_pairs_mut().append_pair("payload", &payload.to_string());
    url.query().expect("a query").to_owned()
}

#[tokio::test]
async fn ten_1_a_message_for_one_tenant_or_channel_answers_for_no_other() {
    let office = Office::new();
    for (tenant, channel, approval) in
        [("globex", "#chat", "a"), ("acme", "#chat", "g"), ("acme", "#other", "a"), ("acme", "#chat", "none")]
    {
        let sent = office.signed(tenant, channel, &press("U1", "aegis_approve", approval)).await;
        assert_eq!((sent, office.votes()), (StatusCode::OK, 0), "{approval} through {channel} of {tenant}");
    }
    assert_eq!(office.signed("acme", "#chat", &press("U1", "aegis_approve", "a")).await, StatusCode::OK);
    let votes = office.row("acme", "a").votes;
    assert_eq!((votes.len(), votes[0].person.as_str(), votes[0].approve), (1, "ann", true));
    assert!(votes[0].reason.contains("#chat") && votes[0].reason.contains("U1"), "{votes:?}");
    assert_eq!(office.votes(), 1);
}

#[tokio::test]
async fn only_people_who_may_answer_do_and_never_for_themselves() {
    let office = Office::new();
    // Not mapped; a role that does not suffice; in the chain of the call; mapped to nobody.
    for user in ["U9", "U2", "U3", "U4"] {
        let sent = office.signed("acme", "#chat", &press(user, "aegis_approve", "a")).await;
        assert_eq!((sent, office.votes()), (StatusCode::OK, 0), "{user}");
    }
    let ann = PutPerson { name: "ann".to_owned(), disabled: true, ..PutPerson::default() };
    office.world.done(ann, &World::root());
    assert_eq!(office.signed("acme", "#chat", &press("U1", "aegis_approve", "a")).await, StatusCode::OK);
    assert_eq!(office.votes(), 0, "who was disabled answers no more");
}

#[tokio::test]
async fn nothing_is_read_before_the_signature_was_checked() {
    let office = Office::new();
    let chat = path(&"acme".parse().expect("a name"), "#chat");
    let moment = office.world.clock.now().seconds().to_string();
    let zeros = format!("v0={}", "0".repeat(64));
    let body = press("U1", "aegis_approve", "a");
    let signed = [("x-slack-request-timestamp", moment.as_str()), ("x-slack-signature", zeros.as_str())];
    let twice = [signed[0], signed[1], signed[1]];
    for headers in [&signed[..], &signed[..1], &signed[1..], &twice, &[]] {
        assert_eq!(office.send(&chat, headers, &body).await, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert_eq!(office.send(&chat, headers, "payload=%FF").await, StatusCode::UNAUTHORIZED);
    }
    // Whether there is such a channel cannot be told from outside.
    for nowhere in ["/callbacks/slack/acme/none", "/callbacks/slack/none/none", "/callbacks/slack/a%00b/none"]
    {
        assert_eq!(office.send(nowhere, &signed, &body).await, StatusCode::UNAUTHORIZED, "{nowhere}");
    }
    for unreadable in ["payload=%FF", "payload={", "payload={}&payload={}", "x=1", ""] {
        assert_eq!(office.signed("acme", "#chat", unreadable).await, StatusCode::BAD_REQUEST, "{unreadable}");
    }
    let large = format!("payload={}", "x".repeat(aegis_model::caps::FORM_BYTES_MAX));
    assert_eq!(office.signed("acme", "#chat", &large).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(office.votes(), 0);
}

#[tokio::test]
async fn what_was_sent_once_is_not_taken_twice_and_a_double_click_is_one_vote() {
    let office = Office::new();
    let body = press("U1", "aegis_approve", "a");
    assert_eq!(office.signed("acme", "#chat", &body).await, StatusCode::OK);
    assert_eq!(
        office.signed("acme", "#chat", &body).await,
        StatusCode::CONFLICT,
        "the same bytes and moment"
    );
    office.world.pass_seconds(1);
    assert_eq!(office.signed("acme", "#chat", &body).await, StatusCode::OK, "another click");
    assert_eq!(office.votes(), 1);
    // What was refused stays refused, also once its sender may.
    let office = Office::new();
    let refused = press("U2", "aegis_approve", "a");
    assert_eq!(office.signed("acme", "#chat", &refused).await, StatusCode::OK);
    office.world.with_role("bob", "acme", Role::Approver);
    assert_eq!(office.signed("acme", "#chat", &refused).await, StatusCode::OK);
    assert_eq!(office.votes(), 0);
    office.world.pass_seconds(1);
    assert_eq!(office.signed("acme", "#chat", &refused).await, StatusCode::OK);
    assert_eq!(office.votes(), 1, "who presses again");
}

#[tokio::test]
async fn after_a_restore_what_was_open_can_be_answered_no_more() {
    let office = Office::new();
    office.world.done(AdvanceHistory { from: 1, to: 2 }, &World::node());
    assert_eq!(office.signed("acme", "#chat", &press("U1", "aegis_approve", "a")).await, StatusCode::OK);
    assert_eq!(office.votes(), 0);
}
