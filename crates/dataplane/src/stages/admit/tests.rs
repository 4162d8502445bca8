//! Calls that are lent what they cost by a leader in the same process: each way in, each refusal, and nothing lost.

use std::sync::Arc;

use aegis_limits::pace::Pace;
use aegis_model::call::ToolCall;
use aegis_model::secret::Secret;
use aegis_policy::ast::{Path, Segment};
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::obligation::{Price, Whose};
use aegis_proto::exposition::Format;
use serde_json::json;
use tokio::task::JoinSet;

use super::*;
use crate::answer::Answer;
use crate::limits::testing::{Leader, budget_of};
use crate::snapshot::{OrganizationBudget, OrganizationLimits};
use crate::testing::disk::{Fault, FaultyDisk};
use crate::testing::lent::{Site, TEN, a_dollar_each, budget, rate, under};
use crate::testing::{Bench, call, call_again};

fn three_at_once(question: &Question<'_>) -> Verdict {
    under(question, vec![rate(Whose::Agent, 1_000_000, 3)])
}

fn both(question: &Question<'_>) -> Verdict {
    let mut verdict = a_dollar_each(question);
    verdict.obligations.extend(three_at_once(question).obligations);
    verdict
}

fn left(remaining: u64) -> Option<Left> {
    Some(Left { budget_remaining: Some(Micros(remaining)), ..Left::default() })
}

/// LIM-1, and not a call less.
#[tokio::test(start_paused = true)]
async fn a_budget_pays_for_exactly_as_many_calls_as_it_has() {
    let site = Arc::new(Site::new(a_dollar_each));
    let mut asking = JoinSet::new();
    for _ in 0..40 {
        let site = Arc::clone(&site);
        asking.spawn(async move { site.outcome(call(1)).await.0 });
    }
    let codes = asking.join_all().await;
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 10);
    assert_eq!(codes.iter().filter(|code| **code == Some(ReasonCode::BudgetExceeded)).count(), 30);
    assert_eq!(site.spent().await, TEN);
    let decision = site.ask(call(1)).await.unwrap();
    assert_eq!(decision.limits, left(0));
    let reason = &decision.reasons[0];
    assert_eq!(reason.message, "the budget of the agent has less left than the call costs");
    assert_eq!(reason.rule.as_deref(), Some("acme"));
    let lines = site.bench.lines();
    let charged: Vec<_> = lines.iter().filter_map(|line| line.get("charged")).collect();
    assert_eq!(charged.len(), 10);
    assert_eq!(*charged[0], json!([{"level": "agent", "ledger": 1, "unit": "usd", "amount": "1"}]));
    let refused = json!([{"name": "budget/agent/usd", "before": "0", "after": "0"}]);
    assert_eq!(lines.last().unwrap()["limits"], refused, "nothing was left, and nothing taken");
    let page = Format::Text.page(&site.bench.decider.metrics.families(&site.bench.decider, &[]));
    for line in [
        "aegis_limits_admitted_total{tenant=\"acme\"} 10",
        "aegis_limits_refused_total{code=\"BudgetExceeded\",level=\"agent\",tenant=\"acme\"} 31",
        "aegis_limits_spend_total{agent=\"finance\",tenant=\"acme\",tool=\"pay\",unit=\"usd\"} 10",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_admits_its_burst_and_says_how_long_to_wait() {
    let site = Site::new(three_at_once);
    for _ in 0..3 {
        assert_eq!(site.outcome(call(1)).await, (None, None));
    }
    let (code, limits) = site.outcome(call(1)).await;
    assert_eq!(code, Some(ReasonCode::RateLimitExceeded));
    let pause = limits.unwrap().retry_after_ms.unwrap();
    assert!((900..=1_000).contains(&pause), "{pause} ms");
    // expect(sleep): of paused time, which nobody waits for
    tokio::time::sleep(Duration::from_millis(pause + 1)).await;
    assert_eq!(site.outcome(call(1)).await.0, None);
    assert_eq!(site.outcome(call(1)).await.0, Some(ReasonCode::RateLimitExceeded));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_after_all_costs_nothing() {
    let site = Site::new(both);
    assert_eq!(site.outcome(call(1)).await, (None, left(9_000_000)));
    for _ in 0..20 {
        let asking = call(6_000);
        assert_eq!(site.ask(asking).await.unwrap().outcome, Outcome::ApprovalRequired);
        let redeeming = ToolCall { override_token: Some(Secret::new("x".to_owned())), ..call(1) };
        let denied = site.ask(redeeming).await.unwrap();
        assert_eq!((denied.outcome, denied.limits), (Outcome::Deny, None));
    }
    assert_eq!(site.spent().await, 1_000_000);
    for _ in 0..2 {
        assert_eq!(site.outcome(call(1)).await.0, None, "their tokens came back");
    }
    let lines = site.bench.lines();
    assert_eq!(lines.iter().filter(|line| line.get("charged").is_some()).count(), 3);
    let budget = |at: usize| &lines[at]["limits"][1];
    assert_eq!(*budget(0), json!({"name": "budget/agent/usd", "before": "10", "after": "9"}));
    assert_eq!(
        *budget(1),
        json!({"name": "budget/agent/usd", "before": "9", "after": "9"}),
        "held, so given back"
    );
    let rate = &lines[0]["limits"][0];
    let tokens = |when: &str| rate[when].as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!((rate["name"].as_str(), tokens("before") - tokens("after")), (Some("rate/agent"), 1.0));
    assert!((2.0..3.0).contains(&tokens("after")), "{rate}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_takes_rate_but_spends_no_budget() {
    let site = Site::new(both);
    for _ in 0..3 {
        assert_eq!(site.outcome(ToolCall { dry_run: true, ..call(1) }).await, (None, None));
    }
    assert_eq!(site.outcome(call(1)).await.0, Some(ReasonCode::RateLimitExceeded));
    assert!(site.leader.ledgers().is_empty(), "no budget was asked for");
    assert_eq!(site.bench.decider.charges.len(), 0);
}

/// WALK-2: a client that goes away while its call waits leaves no judgement and no charge behind.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_was_never_judged() {
    let site = Site::new(a_dollar_each);
    site.leader.be_silent(true);
    {
        let lost = site.ask(call_again(1, "r-1"));
        let waited = tokio::time::timeout(Duration::from_millis(50), lost).await;
        assert!(waited.is_err(), "it waits for a lease");
    }
    assert!(site.bench.lines().is_empty());
    site.leader.be_silent(false);
    site.leader.be_in_reach(false);
    site.leader.be_in_reach(true);
    let retry = site.ask(call_again(1, "r-1")).await.unwrap();
    assert_eq!((retry.outcome, retry.replayed), (Outcome::Allow, false));
    assert_eq!((site.spent().await, site.bench.lines().len()), (1_000_000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_id_is_charged_once_also_when_it_has_to_wait() {
    let site = Arc::new(Site::new(a_dollar_each));
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let site = Arc::clone(&site);
        asking.spawn(async move { site.ask(call_again(1, "r-1")).await.unwrap() });
    }
    let decisions = asking.join_all().await;
    assert_eq!(decisions.iter().filter(|decision| !decision.replayed).count(), 1);
    assert!(decisions.iter().all(|decision| decision.limits == decisions[0].limits));
    assert_eq!((site.spent().await, site.bench.lines().len()), (1_000_000, 1));
}

#[tokio::test]
async fn a_judgement_that_panics_leaves_its_request_id_to_the_next() {
    let bench = Bench::new(a_dollar_each);
    let slot = bench.decider.replays.slot([9; 32], [0; 32], bench.clock.now()).unwrap();
    let broken = slot.judged().get_or_init(async || panic!("planted"));
    let broken = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(broken)).await;
    assert!(broken.is_err() && slot.judged().get().is_none(), "nothing half is remembered");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_vouch_for_is_no_allowance() {
    let cut = Site::new(a_dollar_each);
    cut.leader.be_silent(true);
    let refused = cut.ask(call(1)).await.unwrap_err();
    assert_eq!(refused.code, ReasonCode::LimitsUnavailable);
    assert!(refused.retry_after_ms().is_some());
    cut.leader.be_in_reach(false);
    // expect(sleep): of paused time, which nobody waits for
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = Instant::now();
    let refused = cut.ask(call(1)).await.unwrap_err();
    assert_eq!(refused.code, ReasonCode::LimitsUnavailable);
    assert!(asked.elapsed() < Duration::from_millis(5), "known, and so said at once");
    let lines = cut.bench.lines();
    assert_eq!(lines[0]["reasons"][0]["code"], "LimitsUnavailable", "who asks is proven, so it is recorded");
}

#[tokio::test(start_paused = true)]
async fn what_a_call_says_of_its_cost_is_checked() {
    fn stated(question: &Question<'_>) -> Verdict {
        let path = Path(vec![Segment::Key("amount".to_owned())]);
        let price = Price::Stated { path, max: Micros(5_000_000) };
        under(question, vec![budget(Whose::Entry("pay*".into()), TEN, Some(price))])
    }
    let site = Site::new(stated);
    let decision = site.ask(call(6)).await.unwrap();
    assert_eq!(decision.reasons[0].code, ReasonCode::ParameterOutOfRange);
    assert_eq!(decision.reasons[0].path.as_deref(), Some("/params/amount"));
    let dear = ToolCall { cost: Some(Micros(5_000_001)), ..call(1) };
    let decision = site.ask(dear).await.unwrap();
    assert_eq!(decision.reasons[0].path.as_deref(), Some("/cost"));
    assert_eq!(site.outcome(call(2)).await, (None, left(5_000_000)), "the most it may cost is reserved");
    assert_eq!(
        site.bench.lines()[2]["charged"],
        json!([{"level": "entry", "entry": "pay*", "ledger": 1, "unit": "usd", "amount": "5"}])
    );
}

#[tokio::test(start_paused = true)]
async fn every_level_has_to_agree_and_the_first_that_refuses_is_named() {
    fn of_tenant_and_agent(question: &Question<'_>) -> Verdict {
        let mut verdict = a_dollar_each(question);
        verdict.obligations.push(budget(Whose::Tenant, 4_000_000, None));
        // Two documents of one agent: the stricter counts, and the call is charged once.
        verdict.obligations.push(budget(Whose::Agent, 6_000_000, None));
        verdict
    }
    let site = Site::new(of_tenant_and_agent);
    let limits = OrganizationLimits {
        organization: "acme-inc".parse().unwrap(),
        rate: Some(Pace::new(Micros(1_000_000_000), 1_000).unwrap()),
        budget: Some(OrganizationBudget { limit: Micros(3_000_000), unit: "usd".into(), zone: None }),
        revision: 1,
    };
    let snapshot = |version, limits: Option<OrganizationLimits>| {
        let tenant =
            crate::snapshot::Tenant::planted("acme", crate::testing::policy(version), of_tenant_and_agent);
        let tenant = tenant.with_organization_limits(limits.map(Arc::new));
        crate::snapshot::Snapshot::new(version, site.bench.decider.snapshot().verifier().clone(), [tenant])
    };
    site.bench.decider.swap(snapshot(2, Some(limits))).unwrap();
    for _ in 0..3 {
        assert_eq!(site.outcome(call(1)).await.0, None);
    }
    let message = async || site.ask(call(1)).await.unwrap().reasons[0].message.clone();
    assert!(message().await.starts_with("the budget of the organization"));
    site.bench.decider.swap(snapshot(3, None)).unwrap();
    assert_eq!(site.outcome(call(1)).await.0, None);
    assert!(message().await.starts_with("the budget of the tenant"));
    assert_eq!(site.spent().await, 4_000_000, "the agent's budget was charged once per call");
    let levels: Vec<_> = site.bench.lines()[0]["charged"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["level"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["organization", "tenant", "agent"]);
}

#[tokio::test(start_paused = true)]
async fn more_limits_than_a_call_can_have_deny_it() {
    fn many(question: &Question<'_>) -> Verdict {
        let rates = 0..=caps::LIMITS_PER_CALL_MAX as u64;
        under(
            question,
            rates.map(|at| rate(Whose::Entry(format!("pay{at}*").into()), 1_000_000, 3)).collect(),
        )
    }
    let site = Site::new(many);
    assert_eq!(site.outcome(call(1)).await.0, Some(ReasonCode::CustomRule));
}

/// WALK-2: no record, no answer, and no charge.
#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_recorded_costs_nothing() {
    let (leader, mut time) = (Leader::new(), JoinSet::new());
    leader.keep_time(&mut time);
    let fault = Arc::new(Fault::default());
    let disk = Arc::new(FaultyDisk(Arc::clone(&fault)));
    let (bench, book) = Bench::with_disk(a_dollar_each, 10, disk).lent_by(&leader);
    fault.fill();
    let token = bench.token("acme", "finance", "*:*");
    for _ in 0..3 {
        match bench.ask(&token, call(1)).await {
            Answer::Refused(refused) => assert_eq!(refused.code, ReasonCode::AuditUnavailable),
            Answer::Decided(decision) => panic!("{decision:?}"),
        }
    }
    let rest = book.budget(&budget_of("finance"), Micros(TEN)).purse().rest();
    assert_eq!(leader.ledger(&budget_of("finance")).granted, rest);
    assert_eq!(bench.decider.charges.len(), 0);
}
