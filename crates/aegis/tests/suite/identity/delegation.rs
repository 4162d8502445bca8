//! Token exchange: a call is handed on with less than its caller may, and ends with it.

use super::{claims, delegated, furnished, issued, register, token};

#[test]
fn a_call_is_handed_on_with_its_chain_and_ends_with_whatever_it_rests_on() {
    let cluster = furnished(3, 2);
    let planner = token(&cluster, 0, "planner", "d-1");
    let child = issued(&delegated(&cluster, 1, "finance-agent", "d-2", &planner));
    let said = claims(&child);
    assert_eq!(said["callers"], serde_json::json!(["planner"]));
    assert_eq!(said["scope"], "stripe-payments:*", "what both permit");
    let planners = claims(&planner);
    assert!(said["exp"].as_u64() <= planners["exp"].as_u64());
    assert_eq!(cluster.ask(0, &child, 10).outcome(), "allow");
    // A token of a delegated one proves nobody.
    let by_child = format!(
        "grant_type={}&subject_token={planner}&subject_token_type={}&actor_token={child}&actor_token_type={}",
        super::TOKEN_EXCHANGE,
        super::ACCESS_TOKEN,
        super::ACCESS_TOKEN
    );
    let refused = super::ask(cluster.data[0].http, &by_child);
    assert_eq!((refused.status, refused.body["error"].as_str()), (400, Some("invalid_grant")), "{refused:?}");

    // The chain has five members, and no sixth.
    let mut last = child;
    for depth in 1..5 {
        let agent = format!("agent-{depth}");
        register(&cluster, &agent, "*:*");
        last = issued(&delegated(&cluster, depth % 2, &agent, "d", &last));
    }
    let chain = claims(&last)["callers"].clone();
    assert_eq!(chain, serde_json::json!(["agent-3", "agent-2", "agent-1", "finance-agent", "planner"]));
    assert_eq!(cluster.ask(0, &last, 10).outcome(), "allow");
    register(&cluster, "agent-5", "*:*");
    let deep = delegated(&cluster, 0, "agent-5", "d", &last);
    assert_eq!((deep.status, deep.body["error"].as_str()), (400, Some("invalid_grant")), "{deep:?}");

    // The first token of the chain is revoked: everything that rests on it ends, and the rest goes on.
    let other = token(&cluster, 0, "finance-agent", "d-other");
    let id = planners["jti"].as_str().expect("an id").to_owned();
    cluster.done(&["token", "revoke", &id, "--tenant", "acme", "--reason", "lost"]);
    for data in 0..2 {
        let ended = aegis_testkit::eventually("the revocation", crate::support::LONG, || {
            let answer = cluster.ask(data, &last, 10);
            (answer.status == 401).then_some(answer)
        });
        assert_eq!(ended.expect("a refusal").body["code"], "TokenRevoked");
        assert_eq!(cluster.ask(data, &other, 10).outcome(), "allow");
    }
    let late = delegated(&cluster, 0, "finance-agent", "d-late", &planner);
    assert_eq!((late.status, late.body["error"].as_str()), (400, Some("invalid_grant")), "{late:?}");
}
