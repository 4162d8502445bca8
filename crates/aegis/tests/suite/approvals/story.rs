//! Story 1: a payment of 50,000 is asked for, approved and made once, though all control nodes are killed in between
//! (APR-1).

use aegis_testkit::eventually;
use serde_json::{Value, json};

use super::{POLICY, ask, ask_for_good, cluster, enforce, kill_all_control_nodes, with_token};
use crate::nodes::Cluster;
use crate::support::{Answer, LONG, get_with_token, payment, run};

/// What the data node says of a request to the agent whose call it is.
fn standing(cluster: &Cluster, data: usize, agent: &str, id: &str) -> Answer {
    get_with_token(cluster.data[data].http, &format!("/v1/approvals/{id}"), agent)
}

/// The token of a request that was approved: the control node that the data node asks may be a moment behind.
fn override_token(cluster: &Cluster, data: usize, agent: &str, id: &str) -> String {
    let told = eventually("the override token", LONG, || {
        let told = standing(cluster, data, agent, id);
        told.body["override_token"].as_str().map(str::to_owned)
    });
    told.expect("a token")
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.outcome(), "approval_required", "{answer:?}");
    answer.body["approval"]["id"].as_str().expect("a request").to_owned()
}

/// The only request that waits for people, once it is there.
fn the_pending_one(cluster: &Cluster) -> String {
    let found = eventually("a request", LONG, || {
        let listed = cluster.done(&["approvals", "list", "--tenant", "acme"]);
        listed["items"][0]["id"].as_str().map(str::to_owned)
    });
    found.expect("a request")
}

fn last_code(answer: &Answer) -> String {
    answer.codes().last().copied().unwrap_or_default().to_owned()
}

#[test]
fn a_payment_is_approved_and_made_once_whatever_dies_in_between() {
    let mut cluster = cluster();
    let agent = cluster.token("finance-agent");
    assert_eq!(ask(&cluster, 0, &agent, &payment(5_000)).outcome(), "allow");

    let first = ask(&cluster, 0, &agent, &payment(50_000));
    let id = id_of(&first);
    assert_eq!(last_code(&first), "ApprovalRequired", "{first:?}");
    kill_all_control_nodes(&mut cluster);

    // Nothing is lost and nothing doubled: the same call at another node is the same request.
    // Where no control node is found yet, nobody is asked.
    let asked =
        || Some(ask(&cluster, 1, &agent, &payment(50_000))).filter(|it| it.body["approval"].is_object());
    let again = eventually("a node that finds a control node", LONG, asked).expect("it asks");
    assert_eq!((id_of(&again), last_code(&again).as_str()), (id.clone(), "ApprovalPending"), "{again:?}");
    let listed = cluster.done(&["approvals", "list", "--tenant", "acme"]);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["items"][0]["params"], json!("{\"amount\":50000}"));
    // Nobody holds a token yet.
    let told = || Some(standing(&cluster, 2, &agent, &id)).filter(|it| it.status == 200);
    let pending = eventually("the request", LONG, told).expect("it is there");
    assert_eq!((&pending.body["state"], &pending.body["override_token"]), (&json!("pending"), &Value::Null));

    let approved = cluster.done(&["approvals", "approve", &id, "--tenant", "acme", "--reason", "agreed"]);
    assert_eq!(approved["state"], json!("approved"), "{approved}");
    kill_all_control_nodes(&mut cluster);

    let token = override_token(&cluster, 2, &agent, &id);
    // Another agent of the tenant is told nothing of it, and cannot use it.
    cluster.done(&["agent", "create", "agent-2", "--tenant", "acme"]);
    let other = cluster.token("agent-2");
    assert_eq!(standing(&cluster, 2, &other, &id).status, 400);
    assert_eq!(ask(&cluster, 2, &other, &with_token(50_000, &token)).codes(), ["OverrideInvalid"]);

    // Another activation that leaves the rule alone changes nothing.
    enforce(&cluster, &format!("{POLICY}- name: other-tool\n"));
    for call in [
        with_token(50_001, &token),
        json!({"tool": "stripe-payments", "action": "create_payment", "override_token": token,
               "params": {"amount": 50_000, "note": "x"}}),
        json!({"tool": "stripe-payments", "action": "create_payment", "override_token": token,
               "params": {"amount": 50_000}, "cost": "1"}),
    ] {
        let denied = ask_for_good(&cluster, 0, &agent, &call);
        assert_eq!((denied.outcome(), denied.codes()), ("deny", vec!["OverrideInvalid"]), "{denied:?}");
    }
    let (rest, last) = token.split_at(token.len() - 1);
    let forged = format!("{rest}{}", if last == "A" { "Q" } else { "A" });
    assert_eq!(ask(&cluster, 0, &agent, &with_token(50_000, &forged)).codes(), ["OverrideInvalid"]);

    let made = ask_for_good(&cluster, 1, &agent, &with_token(50_000, &token));
    assert_eq!(made.outcome(), "allow", "{made:?}");
    for data in 0..3 {
        let denied = ask(&cluster, data, &agent, &with_token(50_000, &token));
        assert_eq!((denied.outcome(), denied.codes()), ("deny", vec!["OverrideUsed"]), "{denied:?}");
    }
    kill_all_control_nodes(&mut cluster);
    assert_eq!(ask_for_good(&cluster, 2, &agent, &with_token(50_000, &token)).codes(), ["OverrideUsed"]);
    let shown = cluster.done(&["approvals", "show", &id, "--tenant", "acme"]);
    assert_eq!(
        (&shown["state"], &shown["votes"][0]["person"]),
        (&json!("redeemed"), &json!("admin")),
        "{shown}"
    );
    // The record of the decision says who agreed.
    let journal = cluster.path("data-2/audit");
    let journal = journal.to_str().expect("a path in UTF-8");
    let log = run(&["audit", "tail", journal, "--output", "json"]).stdout;
    let line = log.lines().find(|line| line.contains("\"approvers\":[\"admin\"]")).expect("a record");
    assert!(line.contains(&id) && line.contains("\"outcome\":\"allow\""), "{line}");
}

#[test]
fn a_client_waits_for_people_and_goes_on() {
    let cluster = cluster();
    let agent = cluster.token("finance-agent");
    let mut call = payment(60_000);
    call["wait_ms"] = json!(30_000);
    call["request_id"] = json!("wait-1");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(&cluster, 0, &agent, &call));
        cluster.done(&["approvals", "approve", &the_pending_one(&cluster), "--tenant", "acme"]);
        let made = waiting.join().expect("an answer");
        assert_eq!(made.outcome(), "allow", "{made:?}");
        // A repetition gets the same answer, and uses nothing more.
        let again = ask(&cluster, 0, &agent, &call);
        assert_eq!(
            (&again.body["decision_id"], &again.body["replayed"]),
            (&made.body["decision_id"], &json!(true))
        );
    });
    let mut call = payment(70_000);
    call["wait_ms"] = json!(30_000);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(&cluster, 1, &agent, &call));
        let id = the_pending_one(&cluster);
        cluster.done(&["approvals", "reject", &id, "--tenant", "acme", "--reason", "too much"]);
        let denied = waiting.join().expect("an answer");
        assert_eq!((denied.outcome(), denied.codes()), ("deny", vec!["ApprovalRejected"]), "{denied:?}");
    });
    // A no holds for the same call; another one may be asked for.
    // The control node that another data node asks may be a moment behind.
    let rejected = || {
        let answer = ask(&cluster, 2, &agent, &payment(70_000));
        (answer.codes() == ["ApprovalRejected"]).then_some(())
    };
    eventually("the no", LONG, rejected).expect("a no");
    call["wait_ms"] = json!(200);
    call["params"]["amount"] = json!(80_000);
    assert_eq!(
        last_code(&ask(&cluster, 2, &agent, &call)),
        "ApprovalRequired",
        "nobody decided in that time"
    );
}

#[test]
fn a_rule_that_changed_and_an_approver_who_may_no_longer_void_an_approval() {
    let cluster = cluster();
    let agent = cluster.token("finance-agent");
    let approve = |amount: u32| {
        let id = id_of(&ask(&cluster, 0, &agent, &payment(amount)));
        cluster.done(&["approvals", "approve", &id, "--tenant", "acme"]);
        override_token(&cluster, 0, &agent, &id)
    };
    let (first, second) = (approve(50_000), approve(60_000));
    cluster.done(&["role", "revoke", "admin", "finance-lead", "--scope", "acme"]);
    assert_eq!(ask(&cluster, 0, &agent, &with_token(50_000, &first)).codes(), ["OverrideInvalid"]);
    cluster.done(&["role", "grant", "admin", "finance-lead", "--scope", "acme"]);
    enforce(&cluster, &POLICY.replace("5000", "6000"));
    assert_eq!(ask(&cluster, 1, &agent, &with_token(60_000, &second)).codes(), ["OverrideInvalid"]);
}

#[test]
fn without_a_control_plane_nobody_is_asked_and_nothing_redeemed() {
    let mut cluster = cluster();
    let agent = cluster.token("finance-agent");
    let id = id_of(&ask(&cluster, 0, &agent, &payment(50_000)));
    cluster.done(&["approvals", "approve", &id, "--tenant", "acme"]);
    let token = override_token(&cluster, 0, &agent, &id);
    cluster.controls.iter_mut().for_each(crate::nodes::Node::kill);
    let unanswered = ask(&cluster, 1, &agent, &with_token(50_000, &token));
    assert_eq!((unanswered.status, unanswered.body["code"].as_str()), (503, Some("PolicyUnavailable")));
    let held = ask(&cluster, 1, &agent, &payment(60_000));
    assert_eq!((held.outcome(), &held.body["approval"]), ("approval_required", &Value::Null), "{held:?}");
    for at in 0..3 {
        cluster.start_control(at);
    }
    cluster.controls.iter_mut().for_each(crate::nodes::Node::until_ready);
    // What was unanswered was not used, and is not used later.
    let made = eventually("an answer", LONG, || {
        let answer = ask(&cluster, 2, &agent, &with_token(50_000, &token));
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(made.expect("an answer").outcome(), "allow");
}
