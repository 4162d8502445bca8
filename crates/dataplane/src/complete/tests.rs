//! Who may say what of a call's end, and what it does to the budget.

use aegis_audit::receipt::Said;
use aegis_model::decision::Receipt;
use aegis_policy::ast::{Path, Segment};
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::obligation::{Price, Whose};
use aegis_proto::exposition::Format;
use serde_json::json;

use super::*;
use crate::testing::lent::{Site, TEN, a_dollar_each, budget, under};
use crate::testing::{SOURCE, call};

fn said(decision_id: &str, status: Status, cost: Option<u64>) -> Completion {
    Completion {
        decision_id: decision_id.to_owned(),
        status,
        cost: cost.map(Micros),
        result: Some(json!({"n": 1})),
        sign_receipt: false,
    }
}

fn teller(token: &str) -> Teller<'_> {
    Teller { surface: Surface::Http, source: SOURCE, token, forwarded: false, trace: None }
}

/// Whose token tells the end.
#[derive(Clone, Copy)]
enum By {
    Agent,
    Owner,
    Other,
}

impl Site {
    async fn complete(&self, by: By, completion: Completion) -> Result<CleanedResult, Refused> {
        let token = match by {
            By::Agent => self.token.clone(),
            By::Owner => self.bench.token("acme", "tool-owner", "settle"),
            By::Other => self.bench.token("acme", "somebody", "*:*"),
        };
        complete(&self.bench.decider, teller(&token), completion).await
    }

    async fn allowed(&self, amount: u64) -> String {
        self.ask(call(amount)).await.unwrap().decision_id
    }
}

fn code(refused: &Refused) -> (ReasonCode, &str) {
    (refused.code, &refused.path)
}

#[tokio::test(start_paused = true)]
async fn an_agent_raises_its_charge_and_the_owner_of_the_tool_lowers_it() {
    let site = Site::new(a_dollar_each);
    let id = site.allowed(1).await;
    let lower = site.complete(By::Agent, said(&id, Status::Succeeded, Some(999_999))).await.unwrap_err();
    assert_eq!(code(&lower), (ReasonCode::ScopeExceeded, "/cost"));
    let not_run = site.complete(By::Agent, said(&id, Status::NotRun, None)).await.unwrap_err();
    assert_eq!(not_run.code, ReasonCode::ScopeExceeded);
    let result = site.complete(By::Agent, said(&id, Status::Succeeded, Some(1_500_000))).await.unwrap();
    assert_eq!((result.result, site.spent().await), (Some(json!({"n": 1})), 1_500_000));

    let id = site.allowed(1).await;
    assert!(site.complete(By::Owner, said(&id, Status::Failed, Some(250_000))).await.is_ok());
    assert_eq!(site.spent().await, 1_750_000);
    let id = site.allowed(1).await;
    assert!(site.complete(By::Owner, said(&id, Status::NotRun, None)).await.is_ok());
    assert_eq!(site.spent().await, 1_750_000);
    let id = site.allowed(1).await;
    assert!(site.complete(By::Agent, said(&id, Status::Failed, None)).await.is_ok());
    assert_eq!(site.spent().await, 2_750_000, "a tool that failed may have cost something");
}

#[tokio::test(start_paused = true)]
async fn a_completion_is_accepted_once_and_stands_beside_its_decision() {
    let site = Site::new(a_dollar_each);
    let id = site.allowed(1).await;
    let other = site.complete(By::Other, said(&id, Status::Succeeded, None)).await.unwrap_err();
    assert_eq!(code(&other), (ReasonCode::InvalidRequest, "/decision_id"));
    assert!(other.detail.contains("no allowed call"), "others are not told that there is one: {other:?}");
    assert!(site.complete(By::Owner, said(&id, Status::Succeeded, Some(2_000_000))).await.is_ok());
    for by in [By::Agent, By::Owner] {
        let again = site.complete(by, said(&id, Status::Succeeded, Some(0))).await.unwrap_err();
        assert_eq!(again.detail, "the decision was completed before");
    }
    assert_eq!(site.spent().await, 2_000_000);
    let lines = site.bench.lines();
    let line = lines.iter().find(|line| line["kind"] == "completion").unwrap();
    assert_eq!(
        (&line["decision_id"], &line["agent"], &line["by"]),
        (&json!(id), &json!("finance"), &json!("tool-owner"))
    );
    assert_eq!((&line["result"], &line["cost"]), (&json!("succeeded"), &json!("2")));
    assert_eq!(
        line["settled"],
        json!([{"level": "agent", "ledger": 1, "unit": "usd", "charged": "1", "cost": "2"}])
    );
    let decision = lines.iter().find(|line| line["kind"] == "decision").unwrap();
    assert_eq!(line["decision"]["id"], decision["id"], "the two records are linked");
    assert!(!line.to_string().contains("\"n\""), "no result stands in a record");
    assert_eq!(lines.iter().filter(|line| line["kind"] == "completion").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cost_beyond_belief_and_a_decision_that_is_over_are_refused() {
    let site = Site::new(a_dollar_each);
    let id = site.allowed(1).await;
    let absurd = site.complete(By::Owner, said(&id, Status::Succeeded, Some(TEN + 1))).await.unwrap_err();
    assert_eq!(code(&absurd), (ReasonCode::InvalidRequest, "/cost"));
    let costly = site.complete(By::Owner, said(&id, Status::NotRun, Some(1))).await.unwrap_err();
    assert_eq!(code(&costly), (ReasonCode::InvalidRequest, "/cost"));
    for (id, detail) in [
        ("d-n2-1-1", "node `n2` made the decision: ask that one"),
        ("d-n1-z-1", "the node was started anew since the decision: its charge stays as it is"),
        ("x", "it is no id of a decision"),
    ] {
        let refused = site.complete(By::Agent, said(id, Status::Succeeded, None)).await.unwrap_err();
        assert_eq!(refused.detail, detail);
    }
    let denied = site.ask(call(20_000)).await.unwrap().decision_id;
    assert!(site.complete(By::Owner, said(&denied, Status::Succeeded, None)).await.is_err());
    assert_eq!(site.spent().await, 1_000_000);
    let owner = site.bench.token("acme", "tool-owner", "settle");
    let bad = complete(&site.bench.decider, teller("x"), said(&id, Status::Succeeded, None)).await;
    assert_eq!(bad.unwrap_err().code, ReasonCode::Unauthenticated);
    let elsewhere = site.bench.token("umbrella", "finance", "settle");
    let foreign = said(&id, Status::NotRun, None);
    let foreign = complete(&site.bench.decider, teller(&elsewhere), foreign).await;
    assert!(foreign.is_err(), "TEN-1");
    site.bench.decider.charges.sweep(aegis_model::clock::UnixNanos(u64::MAX));
    let late = complete(&site.bench.decider, teller(&owner), said(&id, Status::NotRun, None)).await;
    assert_eq!(late.unwrap_err().path, "/decision_id");
}

/// The one thing outside LIM-1: what a call really cost beyond what any lease covers is owed, and stops grants.
#[tokio::test(start_paused = true)]
async fn what_no_lease_covers_is_owed() {
    let site = Site::new(a_dollar_each);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(site.allowed(1).await);
    }
    assert!(site.complete(By::Agent, said(&ids[0], Status::Succeeded, Some(4_000_000))).await.is_ok());
    let key = crate::limits::testing::budget_of("finance");
    while site.leader.ledger(&key).debt.is_zero() {
        let _ = site.ask(call(1)).await;
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(site.leader.ledger(&key).debt, Micros(3_000_000));
    let page = Format::Text.page(&site.bench.decider.metrics.families(&site.bench.decider, &[]));
    assert!(page.contains("aegis_limits_debts_total{level=\"agent\"} 1"));
}

/// Calls that meet an exhausted budget have all leases called back, also those that only calls under way hold: what those turn
/// out to cost less goes to the ledger then.
#[tokio::test(start_paused = true)]
async fn what_a_call_cost_less_is_not_lost_with_its_lease() {
    let site = Site::new(a_dollar_each);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(site.allowed(1).await);
    }
    let key = crate::limits::testing::budget_of("finance");
    let leases = |site: &Site| site.leader.ledger(&key).leases.len();
    for _ in 0..600 {
        let _refused = site.ask(call(1)).await;
        // expect(sleep): time is paused; this lets nodes and leader talk.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!((leases(&site), site.leader.ledger(&key).granted), (0, Micros(TEN)), "all were called back");
    for id in &ids[..4] {
        assert!(site.complete(By::Owner, said(id, Status::Succeeded, Some(250_000))).await.is_ok());
    }
    assert_eq!(site.spent().await, TEN - 3_000_000);
    // And it can be spent again, to the unit.
    let mut allowed = 0;
    for _ in 0..40 {
        allowed += u32::from(site.ask(call(1)).await.is_ok_and(|it| it.reasons.is_empty()));
        // expect(sleep): time is paused; this lets nodes and leader talk.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(allowed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_the_call_stated_is_settled_to_by_who_may() {
    fn stated(question: &Question<'_>) -> Verdict {
        let path = Path(vec![Segment::Key("amount".to_owned())]);
        let price = Price::Stated { path, max: Micros(5_000_000) };
        under(question, vec![budget(Whose::Agent, TEN, Some(price))])
    }
    let site = Site::new(stated);
    let id = site.allowed(2).await;
    assert_eq!(site.spent().await, 5_000_000);
    assert!(site.complete(By::Owner, said(&id, Status::Succeeded, None)).await.is_ok());
    assert_eq!(site.spent().await, 2_000_000);
    let id = site.allowed(2).await;
    assert!(site.complete(By::Agent, said(&id, Status::Succeeded, None)).await.is_ok());
    assert_eq!(site.spent().await, 7_000_000, "the agent's own word lowers nothing");
}

#[tokio::test(start_paused = true)]
async fn a_completion_has_a_receipt_of_its_own_signed_where_it_asks() {
    let site = Site::new(a_dollar_each);
    let key = site.bench.decider.records.journal().unwrap().key().clone();
    let plain = said(&site.allowed(1).await, Status::Succeeded, None);
    let plain = site.complete(By::Agent, plain).await.unwrap().receipt.unwrap();
    assert_eq!((plain.index, &plain.signature), (1, &None), "right behind its decision");
    let asked = Completion { sign_receipt: true, ..said(&site.allowed(1).await, Status::Succeeded, None) };
    let receipt = site.complete(By::Agent, asked).await.unwrap().receipt.unwrap();
    let Receipt { log, index, leaf, time, signature } = &receipt;
    let (time, signature) = (time.as_deref().unwrap(), signature.as_deref().unwrap());
    let said = Said { log, index: *index, leaf, time, signature };
    assert_eq!(said.verify(&key).unwrap().index, 3);
    assert!(Said { index: 1, ..said }.verify(&key).is_err());
}
