//! The life of a request for approval, from one end to each of the others; APR-1 in the state.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{
    AdvanceHistory, Approval, ApprovalState, CancelApproval, GiveBackApproval, GrantRole, PutPerson,
    RevokeRole, Role, SweepApprovals, VoteApproval, done,
};

use crate::command::Code;
use crate::command::actor::Actor;
use crate::state::control_log;
use crate::state::page::PageQuery;
use crate::state::{approvals, meta, tenants};
use crate::testing::World;

const ACME: &str = "acme";

/// A world with a data node, a tenant, and the approvers `ann` and `bob`.
fn world() -> World {
    let world = World::new();
    world.tenant(ACME);
    world.tenant("globex");
    world.data_node(7);
    world.with_role("ann", ACME, Role::Approver);
    world.with_role("bob", ACME, Role::Approver);
    world
}

fn acme() -> TenantId {
    ACME.parse().expect("a name")
}

/// The request as it stands.
fn row(world: &World, id: &str) -> Approval {
    approvals::approval(&world.view(), &acme(), id).expect("memory").expect("a request")
}

fn standing(world: &World, id: &str) -> ApprovalState {
    let history = meta::history(&world.view()).expect("memory");
    approvals::standing(&row(world, id), history, world.now_ms())
}

fn approve(id: &str) -> VoteApproval {
    World::vote(ACME, id, true)
}

fn reject(id: &str) -> VoteApproval {
    World::vote(ACME, id, false)
}

/// A world with the request `a`, of which `ann` approved.
fn approved() -> World {
    let world = world();
    world.open_approval(world.opening(ACME, "a", 5, &[], 1));
    world.done(approve("a"), &World::person("ann"));
    assert_eq!(standing(&world, "a"), ApprovalState::Approved);
    world
}

fn give_back(attempt: u8) -> GiveBackApproval {
    GiveBackApproval { tenant: ACME.to_owned(), id: "a".to_owned(), redemption: vec![attempt; 16], node: 7 }
}

#[test]
fn apr_1_an_approval_is_redeemed_once_and_the_same_attempt_is_answered_alike() {
    let world = approved();
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "");
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "", "an answer that was lost");
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 2)), "used");
    assert_eq!(standing(&world, "a"), ApprovalState::Redeemed);
}

#[test]
fn apr_1_only_for_exactly_the_approved_call_and_only_in_time() {
    let world = approved();
    assert_eq!(world.redeem(world.redemption(ACME, "a", 6, 1)), "mismatch");
    assert_eq!(world.redeem(world.redemption(ACME, "b", 5, 1)), "unknown");
    assert_eq!(world.redeem(world.redemption("globex", "a", 5, 1)), "unknown", "TEN-1");
    let mut changed = world.redemption(ACME, "a", 5, 1);
    changed.entry_digest = vec![2; 32];
    assert_eq!(world.redeem(changed), "changed");
    world.pass_seconds(caps::OVERRIDE_SECONDS - 1);
    let early = world.clone();
    assert_eq!(standing(&early, "a"), ApprovalState::Approved);
    world.pass_seconds(1);
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "expired");
}

#[test]
fn a_request_that_is_asked_again_is_the_same_one() {
    let world = world();
    let first = world.open_approval(world.opening(ACME, "a", 5, &[], 1));
    assert!(first.opened);
    let again = world.open_approval(world.opening(ACME, "b", 5, &[], 1));
    assert!(!again.opened);
    assert_eq!(again.approval, first.approval);
    let other = world.open_approval(world.opening(ACME, "b", 6, &[], 1));
    assert_eq!(other.approval.expect("a request").similar, 1);
    // Another tenant's call is never the same one.
    assert!(world.open_approval(world.opening("globex", "c", 5, &[], 1)).opened);
}

#[test]
fn a_later_rule_asks_anew_and_ends_what_the_older_one_asked() {
    let world = approved();
    let mut opening = world.opening(ACME, "b", 5, &[], 1);
    opening.entry_digest = vec![2; 32];
    assert!(world.open_approval(opening).opened);
    assert_eq!(standing(&world, "a"), ApprovalState::Cancelled);
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "cancelled");
}

#[test]
fn a_no_ends_it_and_holds_for_as_long_as_people_would_have_been_asked() {
    let world = world();
    world.open_approval(world.opening(ACME, "a", 5, &[], 2));
    world.done(approve("a"), &World::person("ann"));
    world.done(reject("a"), &World::person("bob"));
    assert_eq!(standing(&world, "a"), ApprovalState::Rejected);
    assert_eq!(world.refused(approve("a"), &World::root()).code, Code::ApprovalClosed);
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "rejected");
    assert!(!world.open_approval(world.opening(ACME, "b", 5, &[], 2)).opened);
    world.pass_seconds(600);
    assert!(world.open_approval(world.opening(ACME, "b", 5, &[], 2)).opened);
}

#[test]
fn as_many_have_to_agree_as_the_policy_says_and_a_double_click_is_one() {
    let world = world();
    world.open_approval(world.opening(ACME, "a", 5, &[], 2));
    for _ in 0..2 {
        world.done(approve("a"), &World::person("ann"));
        assert_eq!(standing(&world, "a"), ApprovalState::Pending);
    }
    world.done(approve("a"), &World::person("bob"));
    assert_eq!(standing(&world, "a"), ApprovalState::Approved);
    // Also of the deciding vote.
    world.done(approve("a"), &World::person("bob"));
    assert_eq!(row(&world, "a").votes.len(), 2);
    assert_eq!(world.refused(reject("a"), &World::person("bob")).code, Code::ApprovalClosed);
}

#[test]
fn only_those_may_agree_whom_the_policy_names() {
    let world = world();
    world.with_role("vera", ACME, Role::Viewer);
    world.with_role("carl@example.com", ACME, Role::Viewer);
    world.with_role("eve", "globex", Role::Admin);
    let by = ["finance-lead", "carl@example.com"];
    world.open_approval(world.opening(ACME, "a", 5, &by, 2));
    for person in ["ann", "vera", "eve", "nobody"] {
        let refused = world.refused(approve("a"), &World::person(person));
        assert!(matches!(refused.code, Code::Forbidden | Code::Unauthenticated), "{person}: {refused}");
    }
    let own = |person: &str| GrantRole {
        person: person.to_owned(),
        scope: ACME.to_owned(),
        own: "finance-lead".to_owned(),
        ..GrantRole::default()
    };
    world.done(own("vera"), &World::root());
    world.done(approve("a"), &World::person("vera"));
    world.done(approve("a"), &World::person("carl@example.com"));
    assert_eq!(standing(&world, "a"), ApprovalState::Approved);
    // A role of a tenant's own is given in a tenant only, and is none of those that everybody has in common.
    let everywhere = GrantRole { scope: "*".to_owned(), ..own("vera") };
    assert_eq!(world.refused(everywhere, &World::root()).code, Code::Invalid);
    let known = GrantRole { own: "admin".to_owned(), ..own("vera") };
    assert_eq!(world.refused(known, &World::root()).code, Code::Invalid);
}

#[test]
fn nobody_agrees_to_a_call_in_whose_chain_they_stand() {
    let world = world();
    for person in ["payer", "planner", "PLANNER"] {
        world.with_role(person, ACME, Role::Admin);
    }
    world.open_approval(world.opening(ACME, "a", 5, &[], 1));
    for person in ["payer", "planner", "PLANNER"] {
        assert_eq!(world.refused(approve("a"), &World::person(person)).code, Code::SelfApproval, "{person}");
    }
}

#[test]
fn an_approver_who_may_no_longer_agree_voids_the_approval() {
    let world = approved();
    let (person, scope) = ("ann".to_owned(), ACME.to_owned());
    let revoke = RevokeRole { person, scope, role: Role::Approver.into(), own: String::new() };
    world.done(revoke, &World::root());
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "cancelled");
    assert_eq!(standing(&world, "a"), ApprovalState::Cancelled);

    let world = approved();
    world.done(PutPerson { name: "ann".to_owned(), disabled: true, ..Default::default() }, &World::root());
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "cancelled");
}

#[test]
fn a_redemption_of_which_nothing_was_released_goes_back_whichever_arrives_first() {
    let world = approved();
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "");
    world.done(give_back(1), &World::node());
    assert_eq!(standing(&world, "a"), ApprovalState::Approved);
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "cancelled", "it never counts again");
    // One that is on its way still.
    world.done(give_back(2), &World::node());
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 2)), "cancelled");
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 3)), "");
    // Somebody else's changes nothing.
    world.done(give_back(4), &World::node());
    world.done(GiveBackApproval { node: 8, ..give_back(3) }, &World::node());
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 5)), "used");
}

#[test]
fn an_approval_is_given_back_a_few_times_only() {
    let world = approved();
    for attempt in 0..8 {
        assert_eq!(world.redeem(world.redemption(ACME, "a", 5, attempt)), "");
        world.done(give_back(attempt), &World::node());
    }
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 9)), "");
    world.done(give_back(9), &World::node());
    assert_eq!(standing(&world, "a"), ApprovalState::Redeemed);
}

#[test]
fn a_node_that_was_replaced_opens_and_redeems_nothing() {
    let world = approved();
    let (old, opening) = (world.redemption(ACME, "a", 5, 1), world.opening(ACME, "b", 6, &[], 1));
    world.data_node(7);
    assert_eq!(world.redeem(old), "fenced");
    assert_eq!(world.open_approval(opening).refused, "fenced");
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "");
}

#[test]
fn as_many_requests_of_an_agent_are_pending_as_may() {
    let world = world();
    let most = u8::try_from(caps::APPROVALS_PENDING_AGENT_MAX).expect("a small bound");
    for digest in 0..most {
        assert!(world.open_approval(world.opening(ACME, &format!("a-{digest}"), digest, &[], 1)).opened);
    }
    assert_eq!(world.open_approval(world.opening(ACME, "b", most, &[], 1)).refused, "agent_pending");
    assert!(!world.open_approval(world.opening(ACME, "b", 0, &[], 1)).opened, "one that is there is joined");
    world.done(reject("a-3"), &World::person("ann"));
    assert!(world.open_approval(world.opening(ACME, "b", most, &[], 1)).opened);
}

#[test]
fn an_agent_asks_as_often_an_hour_as_it_may() {
    let world = world();
    let most = u8::try_from(caps::APPROVALS_OPENED_AGENT_MAX).expect("a small bound");
    for digest in 0..most {
        let id = format!("a-{digest}");
        assert!(world.open_approval(world.opening(ACME, &id, digest, &[], 1)).opened);
        world.done(reject(&id), &World::person("ann"));
    }
    assert_eq!(world.open_approval(world.opening(ACME, "b", most, &[], 1)).refused, "agent_rate");
    world.pass_seconds(caps::APPROVAL_COUNT_SECONDS);
    let opened = world.open_approval(world.opening(ACME, "b", most, &[], 1));
    assert_eq!(
        opened.approval.expect("a request").similar,
        u64::from(most),
        "who looks at it sees how often"
    );
}

#[test]
fn what_ended_by_itself_is_written_down_and_forgotten_after_a_week() {
    let world = world();
    world.open_approval(world.opening(ACME, "a", 5, &[], 1));
    world.pass_seconds(600);
    assert_eq!(standing(&world, "a"), ApprovalState::Expired);
    assert_eq!(row(&world, "a").state(), ApprovalState::Pending, "not written down yet");
    assert_eq!(world.refused(approve("a"), &World::person("ann")).code, Code::ApprovalClosed);
    world.done(SweepApprovals {}, &World::node());
    assert_eq!(row(&world, "a").state(), ApprovalState::Expired);
    world.pass_seconds(caps::APPROVAL_KEPT_SECONDS);
    world.done(SweepApprovals {}, &World::node());
    assert_eq!(approvals::approval(&world.view(), &acme(), "a").expect("memory"), None);
    assert_eq!(tenants::counters(&world.view(), &acme()).expect("memory").approvals_kept, 0);
    assert_eq!(crate::testing::Dump::of(&world.view()).count(approvals::APPROVAL_COUNTS.name()), 0);
    assert_eq!(approvals::next_due_ms(&world.view()).expect("memory"), None);
}

#[test]
fn after_a_restore_what_was_open_counts_no_more() {
    let world = approved();
    world.open_approval(world.opening(ACME, "b", 6, &[], 1));
    world.done(AdvanceHistory { from: 1, to: 2 }, &World::node());
    for id in ["a", "b"] {
        assert_eq!(standing(&world, id), ApprovalState::Cancelled, "{id}");
    }
    world.data_node(7);
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "cancelled");
    assert_eq!(world.refused(approve("b"), &World::person("ann")).code, Code::ApprovalClosed);
    assert!(world.open_approval(world.opening(ACME, "c", 5, &[], 1)).opened);
}

#[test]
fn it_is_taken_back_and_the_record_says_who_did_what() {
    let world = approved();
    let cancel =
        CancelApproval { tenant: ACME.to_owned(), id: "a".to_owned(), reason: "a wrong vendor".to_owned() };
    let viewer = world.with_role("vera", ACME, Role::Viewer);
    assert_eq!(world.refused(cancel.clone(), &viewer).code, Code::Forbidden);
    world.done(cancel.clone(), &World::person("bob"));
    assert_eq!(world.redeem(world.redemption(ACME, "a", 5, 1)), "cancelled");
    assert_eq!(world.refused(cancel, &World::person("bob")).code, Code::ApprovalClosed);
    let records = control_log::of_tenant(&world.view(), &acme(), &PageQuery::first()).expect("memory").rows;
    let done: Vec<(&str, &str)> = records
        .iter()
        .filter(|record| record.refused.is_empty() && record.command.ends_with("Approval"))
        .map(|record| (record.actor.as_str(), record.command.as_str()))
        .collect();
    assert_eq!(done, [("bob", "CancelApproval"), ("ann", "VoteApproval")]);
    assert!(records.iter().any(|record| record.summary.contains("agent `payer`: approved")));
}

#[test]
fn forms_are_checked() {
    let world = world();
    let good = || world.opening(ACME, "a", 5, &[], 1);
    let mut bad = vec![good(), good(), good(), good(), good(), good(), good()];
    bad[0].digest = vec![1];
    bad[1].id = String::new();
    bad[2].terms.clear();
    bad[3].terms[0].of = 0;
    bad[4].call.as_mut().expect("a call").params = vec![b' '; caps::APPROVAL_CONTENT_BYTES_MAX + 1];
    bad[5].call = None;
    bad[6].terms[0].within_seconds = 1;
    for opening in bad {
        assert_eq!(world.refused(opening, &World::node()).code, Code::Invalid);
    }
    let person: Actor = World::root();
    assert_eq!(world.refused(good(), &person).code, Code::Forbidden, "only control nodes ask");
    let stale = aegis_proto::control::OpenApproval { history: 9, ..good() };
    assert_eq!(world.refused(stale, &World::node()).code, Code::PreconditionFailed);
    assert_eq!(world.refused(approve("nothing"), &World::person("ann")).code, Code::UnknownApproval);
    let result = world.done(good(), &World::node()).done.result;
    assert!(matches!(result, Some(done::Result::ApprovalOpened(opened)) if opened.opened));
}
