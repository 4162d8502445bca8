//! Who is let in: every operation refuses everybody who has no business there, over both surfaces and alike.

use std::collections::BTreeSet;
use std::time::Duration;

use aegis_identity::claims::AgentClaims;
use aegis_model::scope::Scope;
use aegis_proto::control::{PutPerson, RevokePersonToken};
use aegis_proto::status::reason_of;

use super::examples::{Example, examples};
use super::setting::Setting;
use crate::admin::rest::operations;
use crate::keys::{KeyKind, keyring};
use crate::testing::World;

#[test]
fn every_operation_has_an_example() {
    let listed: BTreeSet<&str> = operations::IDS.iter().copied().collect();
    let examples: BTreeSet<&str> = examples().iter().map(|example| example.id).collect();
    assert_eq!(listed, examples);
    assert_eq!(listed.len(), operations::IDS.len(), "each operation once");
}

/// The code of the refusal, which has to be the same over both surfaces.
async fn refused(setting: &Setting, example: &Example, token: &str, tenant: &str) -> String {
    let rest = example.rest(setting, token, tenant).await;
    let grpc = example.grpc(setting, Some(token), tenant).await;
    let Err(status) = grpc else { panic!("{}: done over gRPC; over REST {rest:?}", example.id) };
    let code = rest.code();
    assert_eq!(reason_of(&status), Some(code.as_str()), "{}: {status:?}", example.id);
    assert_eq!(
        crate::admin::grpc::problem_of(&status).unwrap().detail,
        rest.json()["detail"],
        "{}",
        example.id
    );
    code
}

#[tokio::test]
async fn nobody_comes_in_without_a_token_of_a_person_that_counts() {
    let setting = Setting::new();
    let world = &setting.world;
    let over = setting.token_for("root", 60);
    world.pass_seconds(120);
    let revoked = setting.token("root");
    let id = revoked_id(&revoked);
    world.done(RevokePersonToken { person: "root".into(), token_id: id }, &World::root());
    let disabled = setting.token("nobody");
    world.done(PutPerson { name: "nobody".into(), disabled: true, ..Default::default() }, &World::root());
    let unrecorded = unrecorded(&setting);
    let agent = agent_token(&setting);
    let good = setting.token("root");
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let tokens = [
        ("over", over),
        ("revoked", revoked),
        ("disabled", disabled),
        ("unrecorded", unrecorded),
        ("agent", agent),
        ("forged", forged),
        ("garbage", "x.y.z".to_owned()),
    ];
    for example in examples() {
        for (name, token) in &tokens {
            let code = refused(&setting, &example, token, "acme").await;
            assert_eq!(code, "unauthenticated", "{} with {name}", example.id);
        }
        let path = format!("/admin/v1{}", example.path);
        let none = setting.ask(example.method, &path, &[], b"").await;
        assert_eq!((none.status, none.code().as_str()), (401, "unauthenticated"), "{}", example.id);
        assert_eq!(none.headers["www-authenticate"], r#"Bearer realm="aegis-admin""#);
        let status = example.grpc(&setting, None, "acme").await.unwrap_err();
        assert_eq!(reason_of(&status), Some("unauthenticated"), "{}", example.id);
    }
}

/// The `jti` within a token.
fn revoked_id(token: &str) -> String {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    payload["jti"].as_str().unwrap().to_owned()
}

/// A sound token that was never given out.
fn unrecorded(setting: &Setting) -> String {
    let minter =
        keyring::minter(&setting.world.view(), &World::cluster_keys(), KeyKind::PersonToken).unwrap();
    let (now, life) = (setting.world.clock.now(), Duration::from_secs(60));
    let random = &mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(3);
    let minted = minter.mint_person(&"root".parse().unwrap(), life, now, random).unwrap();
    minted.token.expose().clone()
}

/// A sound token of an agent called `root`.
fn agent_token(setting: &Setting) -> String {
    let minter = keyring::minter(&setting.world.view(), &World::cluster_keys(), KeyKind::AgentToken).unwrap();
    let claims = AgentClaims {
        org: "acme".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        agent: "root".parse().unwrap(),
        scope: Scope::parse("*:*"),
        callers: Vec::new(),
        claims: Default::default(),
    };
    let random = &mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(3);
    let (now, life) = (setting.world.clock.now(), Duration::from_secs(60));
    minter.mint_agent(&claims, life, now, random).unwrap().token.expose().clone()
}

/// What everybody may who is somebody.
const OPEN: [&str; 2] = ["WhoAmI", "ListTenants"];

#[tokio::test]
async fn somebody_without_a_role_may_nothing() {
    let setting = Setting::new();
    setting.world.done(PutPerson { name: "new".into(), ..Default::default() }, &World::root());
    let token = setting.token("new");
    for example in examples().iter().filter(|example| !OPEN.contains(&example.id)) {
        assert_eq!(refused(&setting, example, &token, "acme").await, "forbidden", "{}", example.id);
    }
    let tenants = setting.call("GET", "/tenants", &token, None).await.done();
    assert_eq!(tenants["items"].as_array().unwrap().len(), 0);
    let me = setting.call("GET", "/whoami", &token, None).await.done();
    assert_eq!((me["person"].as_str(), me["roles"].as_array().unwrap().len()), (Some("new"), 0));
}

/// TEN-1: all roles of one tenant are worth nothing in another one, and in the cluster.
#[tokio::test]
async fn all_roles_in_one_tenant_are_nothing_elsewhere() {
    let setting = Setting::new();
    let token = setting.token("all@globex");
    for example in examples().iter().filter(|example| !OPEN.contains(&example.id)) {
        assert_eq!(refused(&setting, example, &token, "acme").await, "forbidden", "{}", example.id);
        // Whether there is such a tenant is not told either.
        if example.of_tenant() {
            let (there, not) =
                (example.rest(&setting, &token, "acme").await, example.rest(&setting, &token, "none").await);
            let other = not.json().to_string().replace("none", "acme");
            assert_eq!(there.json().to_string(), other, "{}", example.id);
        }
    }
    let tenants = setting.call("GET", "/tenants", &token, None).await.done();
    let names: Vec<_> = tenants["items"].as_array().unwrap().iter().map(|it| it["name"].as_str()).collect();
    assert_eq!(names, [Some("globex")]);
}

/// The same person may everything at home: the test above refuses for the tenant, not for something else.
#[tokio::test]
async fn all_roles_in_one_tenant_are_everything_there() {
    for example in examples().iter().filter(|example| example.of_tenant()) {
        let setting = Setting::new();
        let token = setting.token("all@globex");
        let reply = example.rest(&setting, &token, "globex").await;
        // What one tenant's node sealed opens in no other, even for who may.
        if example.id == "RevealValue" {
            assert_eq!(reply.code(), "invalid", "{reply:?}");
            continue;
        }
        assert!((200..300).contains(&reply.status), "{}: {reply:?}", example.id);
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_there_is_unknown_to_those_who_may_know() {
    let setting = Setting::new();
    let token = setting.token("root");
    for example in examples().iter().filter(|example| example.of_tenant()) {
        let code = refused(&setting, example, &token, "none").await;
        // A role of a tenant that is not there cannot be there to be taken.
        let expected = if example.id == "RevokeTenantRole" { "unknown_role" } else { "unknown_tenant" };
        assert_eq!(code, expected, "{}", example.id);
    }
}

/// A token that was revoked a moment ago no longer reads, and no longer writes.
#[tokio::test]
async fn a_role_or_a_token_that_was_taken_away_counts_no_more_at_once() {
    let setting = Setting::new();
    let token = setting.token("second");
    assert_eq!(setting.call("GET", "/people", &token, None).await.status, 200);
    let root = setting.token("root");
    setting.call("DELETE", "/roles/second/admin", &root, None).await.done();
    assert_eq!(setting.call("GET", "/people", &token, None).await.code(), "forbidden");
    let id = revoked_id(&token);
    // Anybody may give up a token of their own.
    setting.call("DELETE", &format!("/people/second/tokens/{id}"), &token, None).await.done();
    assert_eq!(setting.call("GET", "/whoami", &token, None).await.code(), "unauthenticated");
}
