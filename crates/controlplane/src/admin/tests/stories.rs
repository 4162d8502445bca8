//! Whole stories: a retry, a stale precondition, a rotation, an activation that data nodes follow, the control log.

use std::sync::Arc;

use aegis_identity::verify::Verifier;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::examples::examples;
use super::setting::{Setting, first_bundle, policy};
use crate::admin::progress::{Acknowledged, NotInForce};
use crate::readiness::Standing;

/// What cannot be done twice, done twice under one key: the same answer, and done once.
#[tokio::test]
async fn a_retry_under_the_same_key_gives_the_same_and_does_nothing() {
    for example in examples().iter().filter(|example| example.writes() && example.id != "RaiseLevel") {
        let setting = Setting::new();
        let token = setting.token("root");
        let key = [("idempotency-key", "k-1")];
        let first =
            setting.call_with(example.method, &example.path, &token, &key, example.body.clone()).await;
        assert!((200..300).contains(&first.status), "{}: {first:?}", example.id);
        let records = setting.call("GET", "/records", &token, None).await.done();
        let again =
            setting.call_with(example.method, &example.path, &token, &key, example.body.clone()).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{}", example.id);
        assert_eq!(again.headers["idempotency-replayed"], "true", "{}", example.id);
        assert!(!first.headers.contains_key("idempotency-replayed"));
        let after = setting.call("GET", "/records", &token, None).await.done();
        assert_eq!(records["items"][0], after["items"][0], "{}", example.id);
        // Another request under the same key.
        let other = json!({"name": "other"});
        let conflict = setting.call_with("POST", "/tenants", &token, &key, Some(other)).await;
        assert_eq!(
            (conflict.status, conflict.code().as_str()),
            (422, "idempotency_conflict"),
            "{}",
            example.id
        );
    }
}

#[tokio::test]
async fn the_same_key_is_the_same_request_over_both_surfaces() {
    use aegis_proto::admin::CreateTenantRequest;
    use aegis_proto::admin::admin_server::Admin as _;

    let setting = Setting::new();
    let token = setting.token("root");
    let body = json!({"name": "initech"});
    let first =
        setting.call_with("POST", "/tenants", &token, &[("idempotency-key", "k")], Some(body)).await.done();
    let message = CreateTenantRequest { name: "initech".into(), ..Default::default() };
    let mut request = super::examples::request(message, Some(&token));
    request.metadata_mut().insert("idempotency-key", "k".parse().unwrap());
    let again = setting.grpc.create_tenant(request).await.unwrap();
    assert_eq!(again.metadata().get("idempotency-replayed").unwrap(), "true");
    assert_eq!(serde_json::to_value(again.into_inner()).unwrap(), first);
}

#[tokio::test]
async fn a_stale_precondition_says_what_is_current() {
    for (method, path, body, current) in [
        ("PUT", "/tenants/acme/activation", json!({"enforced": 1}), "2"),
        ("POST", "/tenants/acme/rollback", json!({}), "2"),
        ("PATCH", "/tenants/acme", json!({"four_eyes": true}), "2"),
        ("PUT", "/tenants/acme/agents/payer/keys", json!({"public_keys": []}), "1"),
        ("PUT", "/tenants/acme/labels/good", json!({"version": 2}), "1"),
        ("POST", "/tenants/acme/versions", json!({"sources": [{"path": "p.yaml", "text": policy(7)}]}), "3"),
    ] {
        let setting = Setting::new();
        let token = setting.token("root");
        let stale = [("if-match", "\"99\"")];
        let reply = setting.call_with(method, path, &token, &stale, Some(body.clone())).await;
        assert_eq!((reply.status, reply.code().as_str()), (412, "precondition_failed"), "{method} {path}");
        let facts = reply.json()["facts"].clone();
        assert!(
            facts.as_array().unwrap().contains(&json!({"name": "current", "value": current})),
            "{path}: {facts}"
        );
        let good = format!("\"{current}\"");
        let reply = setting.call_with(method, path, &token, &[("if-match", &good)], Some(body)).await;
        assert!(reply.status < 300, "{path}: {reply:?}");
        if path.ends_with("activation") {
            assert_eq!(reply.headers["etag"], "\"5\"", "the number goes up over all tenants");
            let now = setting.call("GET", path, &token, None).await;
            assert_eq!(now.headers["etag"], "\"5\"");
        }
    }
}

#[tokio::test]
async fn a_minted_token_is_one_that_data_nodes_accept() {
    let setting = Setting::new();
    let token = setting.token("root");
    let claims = json!([{"name": "purpose", "value": "billing"}]);
    let body = json!({"agent": "payer", "scope": "stripe:pay", "life_seconds": 60, "claims": claims});
    let minted = setting.call("POST", "/tenants/acme/tokens", &token, Some(body)).await.done();
    let (view, kind) = (setting.world.view(), crate::keys::KeyKind::AgentToken);
    let trust = crate::keys::keyring::token_trust(&view, kind).unwrap();
    let verifier = Verifier::new(Arc::new(trust), Arc::default());
    let principal =
        verifier.verify_agent(minted["token"].as_str().unwrap(), setting.world.clock.now()).unwrap();
    assert_eq!((principal.tenant.as_str(), principal.agent.as_str()), ("acme", "payer"));
    assert_eq!(principal.claims["purpose"], "billing");
    assert_eq!(principal.token_id, minted["token_id"].as_str().unwrap());
}

#[tokio::test]
async fn an_issued_token_is_the_person() {
    let setting = Setting::new();
    let root = setting.token("root");
    let issued =
        setting.call("POST", "/people/ann/tokens", &root, Some(json!({"life_seconds": 60}))).await.done();
    let token = issued["token"].as_str().unwrap();
    let me = setting.call("GET", "/whoami", token, None).await.done();
    assert_eq!((&me["person"], &me["token_id"]), (&json!("ann"), &issued["token_id"]));
    assert_eq!(me["expires_at"], issued["expires_at"]);
    setting.world.pass_seconds(120);
    assert_eq!(setting.call("GET", "/whoami", token, None).await.code(), "unauthenticated");
}

#[tokio::test]
async fn a_bundle_is_published_as_it_is_and_comes_back_as_it_was() {
    let setting = Setting::new();
    let token = setting.token("root");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/gzip")];
    let path = "/admin/v1/tenants/acme/versions";
    let same = setting.ask("POST", path, &headers, &first_bundle()).await;
    assert_eq!(
        (same.status, same.done()["unchanged"].as_bool()),
        (200, Some(true)),
        "the content is there already"
    );
    let forced =
        setting.ask("POST", &format!("{path}?force=true&message=again"), &headers, &first_bundle()).await;
    let version = forced.done()["version"].clone();
    assert_eq!((forced.status, &version["number"], &version["message"]), (201, &json!(4), &json!("again")));
    let back = setting.call("GET", "/tenants/acme/versions/4/bundle.tar.gz", &token, None).await;
    assert_eq!(
        (back.body, back.headers["content-type"].to_str().unwrap()),
        (first_bundle(), "application/gzip")
    );
    assert_eq!(back.headers["etag"], format!("\"{}\"", version["digest"].as_str().unwrap()));
    let broken = setting.ask("POST", path, &headers, b"no bundle").await;
    assert_eq!((broken.status, broken.code().as_str()), (422, "bundle_rejected"));
}

#[tokio::test]
async fn two_versions_are_compared() {
    let setting = Setting::new();
    let token = setting.token("root");
    let diff = setting.call("GET", "/tenants/acme/versions/2/diff/1", &token, None).await.done();
    let changes = diff["changes"].as_array().unwrap();
    assert!(!changes.is_empty() && diff["judged"].as_u64().unwrap() > 0, "{diff}");
    let change = &changes[0];
    assert_eq!(
        (&change["before"]["outcome"], &change["after"]["outcome"]),
        (&json!("deny"), &json!("allow"))
    );
    assert!(change["params"]["amount"].is_number(), "an object, not a text: {change}");
}

#[tokio::test]
async fn an_author_learns_whether_a_version_is_known_and_nobody_else_does() {
    let setting = Setting::new();
    setting.world.with_role("vera", "acme", aegis_proto::control::Role::Viewer);
    let body = json!({"sources": [{"path": "payer.yaml", "text": policy(100)}]});
    let viewer = setting.token("vera");
    let reply = setting.call("POST", "/tenants/acme/versions", &viewer, Some(body.clone())).await;
    assert_eq!(reply.code(), "forbidden");
    let author = setting.token("ann");
    let reply = setting.call("POST", "/tenants/acme/versions", &author, Some(body)).await.done();
    assert_eq!(reply["unchanged"], true);
}

#[tokio::test]
async fn four_eyes_bind_the_author_over_the_api_as_well() {
    let setting = Setting::new();
    let root = setting.token("root");
    setting.world.with_role("ann", "acme", aegis_proto::control::Role::Operator);
    setting.call("PATCH", "/tenants/acme", &root, Some(json!({"four_eyes": true}))).await.done();
    let author = setting.token("ann");
    let body = json!({"enforced": 3});
    let reply = setting.call("PUT", "/tenants/acme/activation", &author, Some(body.clone())).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "four_eyes"));
    setting.call("PUT", "/tenants/acme/activation", &root, Some(body)).await.done();
}

#[tokio::test]
async fn after_a_rotation_old_tokens_still_count_until_their_key_is_revoked() {
    let setting = Setting::new();
    let old = setting.token("root");
    let rotated =
        setting.call("POST", "/keys/rotate", &old, Some(json!({"kind": "person-token"}))).await.done();
    let retired = rotated["retired"].as_array().unwrap();
    assert_eq!(retired.len(), 1);
    setting.call("GET", "/whoami", &old, None).await.done();
    let new = setting.token("root");
    let path = format!("/keys/{}?revoke=true", retired[0].as_str().unwrap());
    let revoked = setting.call("DELETE", &path, &new, None).await.done();
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(setting.call("GET", "/whoami", &old, None).await.code(), "unauthenticated");
    setting.call("GET", "/whoami", &new, None).await.done();
    let path = format!("/keys/{}", rotated["key"]["id"].as_str().unwrap());
    assert_eq!(setting.call("DELETE", &path, &new, None).await.code(), "last_key");
}

fn lines(body: &[u8]) -> Vec<Value> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[tokio::test]
async fn who_waits_is_told_what_each_data_node_does() {
    let setting = Setting::new();
    setting.world.data_node(18);
    let bearer = format!("Bearer {}", setting.token("root"));
    let request = http::Request::put("/admin/v1/tenants/acme/activation?wait=true")
        .header("authorization", bearer)
        .header("content-type", "application/json")
        .body(http_body_util::Full::new(bytes::Bytes::from_static(br#"{"enforced": 1}"#)))
        .unwrap();
    let response = setting.rest.clone().answer(request).await;
    assert_eq!(response.headers()["content-type"], "application/jsonl");
    let mut body = response.into_body();
    let mut next = async || -> Value {
        let frame = body.frame().await.expect("another line").unwrap();
        serde_json::from_slice(&frame.into_data().unwrap()).unwrap()
    };
    let now = next().await;
    assert_eq!((&now["activation"], &now["enforced"]), (&json!(5), &json!(1)));
    let step =
        |line: &Value| (line["state"].as_str().unwrap().to_owned(), line["in_force"].as_u64().unwrap());
    assert_eq!(step(&next().await), ("waiting".to_owned(), 0));
    setting.acks.say(Acknowledged { node: 17, activation: 5, failure: None, ..Default::default() });
    assert_eq!(step(&next().await), ("waiting".to_owned(), 1));
    // A node that tries again by itself has not failed, and so nothing is told of it.
    let failure = NotInForce { activation: 5, code: "fetch".into(), message: "gone".into(), retrying: true };
    setting.acks.say(Acknowledged { node: 18, activation: 4, failure: Some(failure), ..Default::default() });
    setting.acks.say(Acknowledged { node: 18, activation: 5, failure: None, ..Default::default() });
    assert_eq!(step(&next().await), ("done".to_owned(), 2));
    assert!(body.frame().await.is_none(), "the last step ends it");
}

#[tokio::test]
async fn a_wait_ends_when_a_node_cannot_or_when_the_time_is_over() {
    let setting = Setting::new();
    let token = setting.token("root");
    // A node that tries again by itself has not failed.
    let failure = NotInForce { activation: 5, code: "fetch".into(), message: "gone".into(), retrying: true };
    setting.acks.say(Acknowledged { node: 17, activation: 2, failure: Some(failure), ..Default::default() });
    let reply = setting
        .call("PUT", "/tenants/acme/activation?wait=true&seconds=1", &token, Some(json!({"enforced": 1})))
        .await;
    assert_eq!(lines(&reply.body).last().unwrap()["state"], "timeout");
    let failure = NotInForce { activation: 5, code: "policy".into(), message: "no".into(), retrying: false };
    setting.acks.say(Acknowledged { node: 17, activation: 2, failure: Some(failure), ..Default::default() });
    let reply = setting.call("GET", "/tenants/acme/activation/progress", &token, None).await;
    let last = lines(&reply.body).pop().unwrap();
    assert_eq!((&last["state"], &last["data_nodes"][0]["code"]), (&json!("failed"), &json!("policy")));
    let reply = setting.call("GET", "/tenants/acme/activation/progress?activation=2", &token, None).await;
    assert_eq!(lines(&reply.body).last().unwrap()["state"], "done", "a later one includes it");
}

#[tokio::test]
async fn every_write_is_in_the_control_log_with_its_person() {
    for example in examples().iter().filter(|example| example.writes()) {
        let setting = Setting::new();
        let token = setting.token("root");
        let records = async || setting.call("GET", "/records", &token, None).await.done()["items"].clone();
        let before = records().await[0]["sequence"].as_u64().unwrap();
        example.rest(&setting, &token, "acme").await;
        let newest = records().await[0].clone();
        assert!(newest["sequence"].as_u64().unwrap() > before, "{}: {newest}", example.id);
        assert_eq!(newest["actor"], "root", "{}", example.id);
        assert!(!newest.to_string().contains(&token), "{}", example.id);
    }
}

#[tokio::test]
async fn readyz_says_what_the_node_knows_of_itself() {
    let setting = Setting::new();
    assert_eq!(setting.ask("GET", "/healthz", &[], b"").await.status, 200);
    for standing in Standing::ALL {
        setting.standing.send_replace(standing);
        let reply = setting.ask("GET", "/readyz", &[], b"").await;
        let expected = match standing {
            Standing::Ready => (200, json!({"ready": true, "because": []})),
            other => (503, json!({"ready": false, "because": [other.to_string()]})),
        };
        assert_eq!((reply.status, reply.json()), expected);
    }
}

#[tokio::test]
async fn keys_show_which_cluster_key_their_private_parts_are_under() {
    let setting = Setting::new();
    let token = setting.token("root");
    let rewrapped = setting.call("POST", "/keys/rewrap", &token, None).await.done();
    let id = crate::testing::World::cluster_keys().active().id().to_string();
    assert_eq!(rewrapped, json!({"cluster_key": id, "rewrapped": []}));
    setting.call("POST", "/keys/rotate", &token, Some(json!({"kind": "agent-token"}))).await.done();
    let keys = setting.call("GET", "/keys", &token, None).await.done();
    for key in keys["items"].as_array().unwrap() {
        let expected = if key.get("retired_at").is_some() { Value::Null } else { json!(id) };
        assert_eq!(key["cluster_key"], expected, "{key}");
    }
}

#[tokio::test]
async fn the_cluster_shows_what_each_member_said_of_its_state() {
    let setting = Setting::new();
    let token = setting.token("root");
    {
        let mut status = setting.members.0.lock().unwrap();
        status.members[0].checkpoint = None;
        status.members[1].differs = true;
    }
    let cluster = setting.call("GET", "/cluster", &token, None).await.done();
    let own = setting.world.direct.digest();
    assert_eq!(cluster["state_digest"], own.to_string(), "of the node that answers");
    let [first, second] = cluster["members"].as_array().unwrap().as_slice() else { panic!("{cluster}") };
    assert!(first.get("applied_index").is_none() && first.get("state_digest").is_none(), "{first}");
    assert_eq!((&first["differs"], &second["differs"]), (&json!(false), &json!(true)));
    assert_eq!((&second["applied_index"], &second["state_digest"]), (&json!(10), &json!("ab".repeat(32))));
}

#[tokio::test]
async fn a_budget_is_changed_for_the_rest_of_its_day_and_says_who_did_it_and_why() {
    let setting = Setting::new();
    let token = setting.token("root");
    let adjust = |body: Value| {
        let (setting, token) = (&setting, &token);
        async move { setting.call("POST", "/tenants/acme/budgets/adjust", token, Some(body)).await }
    };
    let raised = json!({"agent": "payer", "unit": "usd", "limit": "20.5", "reason": "quarter's end"});
    let done = adjust(raised).await.done();
    assert_eq!((&done["before"]["limit"], &done["after"]["limit"]), (&json!("10"), &json!("20.5")));
    assert_eq!((&done["after"]["adjusted_limit"], &done["after"]["free"]), (&json!("20.5"), &json!("19.5")));
    assert_eq!((&done["before"]["percent"], &done["after"]["percent"]), (&json!(10), &json!(4)));
    let cleared = adjust(json!({"agent": "payer", "unit": "usd", "clear_limit": true})).await.done();
    assert_eq!((&cleared["after"]["limit"], cleared["after"].get("adjusted_limit")), (&json!("10"), None));
    for (body, code) in [
        (json!({"agent": "payer", "unit": "usd"}), "invalid"),
        (json!({"agent": "payer", "unit": "usd", "limit": "-1"}), "invalid"),
        (json!({"entry": "pay", "unit": "usd", "limit": "1"}), "invalid"),
        (json!({"agent": "payer", "unit": "eur", "limit": "1"}), "unknown_budget"),
        (json!({"agent": "payer", "unit": "usd", "limit": 1}), "malformed"),
    ] {
        assert_eq!(adjust(body.clone()).await.code(), code, "{body}");
    }
    let records = setting.call("GET", "/tenants/acme/records", &token, None).await.done().to_string();
    assert!(records.contains("quarter's end") && records.contains("limit 20.5"), "{records}");
    let over = setting.call("GET", "/tenants/acme/budgets", &token, None).await.done();
    assert_eq!(over["items"][0]["ended"], json!(false));
    setting.world.pass_seconds(24 * 3_600);
    setting.world.tenant("time-passes");
    let token = setting.token("root");
    let over = setting.call("GET", "/tenants/acme/budgets", &token, None).await.done();
    assert_eq!(over["items"][0]["ended"], json!(true));
}

#[tokio::test]
async fn budgets_are_listed_by_agent_entry_and_unit() {
    let setting = Setting::new();
    let token = setting.token("root");
    let listed = |query: &'static str| {
        let (setting, token) = (&setting, &token);
        async move {
            let path = format!("/tenants/acme/budgets?{query}");
            setting.call("GET", &path, token, None).await.done()["items"].as_array().unwrap().len()
        }
    };
    assert_eq!((listed("agent=payer").await, listed("unit=usd&agent=payer").await), (1, 1));
    assert_eq!((listed("agent=other").await, listed("unit=eur").await, listed("entry=pay").await), (0, 0, 0));
    let whole = setting.call("GET", "/organizations/holding/budgets", &token, None).await.done();
    assert_eq!(
        (&whole["items"][0]["level"], &whole["items"][0]["owner"]),
        (&json!("organization"), &json!("holding"))
    );
    let forgiven = json!({"unit": "usd", "reset_spent": true});
    let path = "/organizations/holding/budgets/adjust";
    setting.call("POST", path, &token, Some(forgiven.clone())).await.done();
    let other = setting.token("all@globex");
    assert_eq!(setting.call("POST", path, &other, Some(forgiven)).await.code(), "forbidden");
}

#[tokio::test]
async fn limits_of_an_organization_are_replaced_as_a_whole() {
    let setting = Setting::new();
    let token = setting.token("root");
    let path = "/organizations/initech/limits";
    let none = setting.call("GET", path, &token, None).await.done();
    assert_eq!((&none["revision"], &none["rps_limit"]), (&json!(0), &json!("")));
    let put = |body: Value| {
        let (setting, token) = (&setting, &token);
        async move { setting.call("PUT", path, token, Some(body)).await }
    };
    let set =
        put(json!({"rps_limit": "2.5", "daily_budget": "100", "unit": "usd", "timezone": "Europe/Zurich",
        "only_if_revision": 0}))
        .await
        .done();
    assert_eq!((&set["revision"], &set["burst"], &set["changed_by"]), (&json!(1), &json!(3), &json!("root")));
    assert_eq!(setting.call("GET", path, &token, None).await.done(), set);
    for (body, code) in [
        (json!({"rps_limit": "50", "only_if_revision": 0}), "precondition_failed"),
        (json!({"rps_limit": "0"}), "invalid"),
        (json!({"daily_budget": "5"}), "invalid"),
        (json!({"daily_budget": "5", "unit": "usd", "timezone": "Europe/Atlantis"}), "invalid"),
        (json!({"burst": 5}), "invalid"),
    ] {
        assert_eq!(put(body.clone()).await.code(), code, "{body}");
    }
    let only_a_rate = put(json!({"rps_limit": "50"})).await.done();
    assert_eq!((&only_a_rate["revision"], &only_a_rate["daily_budget"]), (&json!(2), &json!("")));
}

#[tokio::test]
async fn the_shard_map_shows_every_slot_once() {
    let setting = Setting::new();
    setting.world.data_node(18);
    let command = aegis_proto::control::SetShardMap { nodes: vec![17, 18], replaces: 1 };
    setting.world.done(command, &crate::testing::World::node());
    let map = setting.call("GET", "/cluster/shards", &setting.token("root"), None).await.done();
    assert_eq!((&map["revision"], &map["nodes"][1]["name"]), (&json!(2), &json!("data-18")));
    let mut slots: Vec<u64> = Vec::new();
    for node in map["nodes"].as_array().unwrap() {
        slots.extend(node["slots"].as_array().unwrap().iter().map(|slot| slot.as_u64().unwrap()));
    }
    slots.sort_unstable();
    assert_eq!(slots, (0..1_024).collect::<Vec<_>>());
}

#[test]
fn times_are_those_of_the_calendar() {
    assert_eq!(crate::admin::form::time(1_800_000_000_123), "2027-01-15T08:00:00.123000000Z");
}

#[tokio::test]
async fn a_private_key_that_is_pinned_by_mistake_does_not_get_into_the_log() {
    let setting = Setting::new();
    let token = setting.token("root");
    let mut keys: Value = serde_json::from_str(&super::examples::key_set()).unwrap();
    let body = |keys: &Value| json!({"iss": "https://ci.example", "aud": "aegis", "algorithm": "EdDSA", "key_set": keys.to_string()});
    let digest = || setting.world.direct.digest();
    keys["keys"][0]["d"] = json!("c2VjcmV0");
    let before = digest();
    let refused = setting.call("PUT", "/tenants/acme/issuers/other", &token, Some(body(&keys))).await;
    assert_eq!((refused.status, refused.code()), (400, "invalid".to_owned()));
    assert_eq!(digest(), before, "no refusal was written down, so no command came that far");
    keys["keys"][0].as_object_mut().unwrap().remove("d");
    setting.call("PUT", "/tenants/acme/issuers/other", &token, Some(body(&keys))).await.done();
    assert_ne!(digest(), before);
}
