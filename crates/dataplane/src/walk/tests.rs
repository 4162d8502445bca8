//! The walk by itself, over planted judgements: each stage, what is recorded, replay, overload, snapshots.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aegis_audit::journal::Durability;
use aegis_audit::receipt::{BadReceipt, Said};
use aegis_model::call::ToolCall;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::{Decision, Outcome, Receipt};
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use aegis_model::tenant_key::{TenantKey, TenantKeys};
use aegis_policy::ast::{ApprovalTerms, Span};
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::obligation::Obligation;
use serde_json::json;

use super::*;
use crate::answer::Refused;
use crate::snapshot::{RecordTerms, Revoked, Staleness};
use crate::testing::disk::{Fault, FaultyDisk};
use crate::testing::{Bench, NOW, by_amount, call, call_again};

fn decided(answer: Answer) -> Decision {
    match answer {
        Answer::Decided(decision) => *decision,
        Answer::Refused(refused) => panic!("refused: {refused:?}"),
    }
}

fn refused(answer: Answer) -> Refused {
    match answer {
        Answer::Refused(refused) => refused,
        Answer::Decided(decision) => panic!("decided: {decision:?}"),
    }
}

fn codes(decision: &Decision) -> Vec<ReasonCode> {
    decision.reasons.iter().map(|reason| reason.code).collect()
}

/// WALK-2: when the answer is there, so is its record.
#[tokio::test]
async fn an_allowed_call_gets_its_parameters_back_and_a_record_without_them() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let decision = decided(bench.ask(&token, call(4_242)).await);
    assert_eq!(decision.outcome, Outcome::Allow);
    assert_eq!(decision.params.unwrap()["amount"], 4_242);
    assert_eq!(decision.policy.unwrap().version, 1);
    let lines = bench.lines();
    let line = &lines[0];
    assert_eq!(line["kind"], "decision");
    assert_eq!(line["decision_id"], json!(decision.decision_id));
    assert_eq!(line["at"], "2027-01-15T08:00:00.000000000Z");
    assert_eq!(
        (&line["tenant"], &line["agent"], &line["tool"], &line["outcome"]),
        (&json!("acme"), &json!("finance"), &json!("pay"), &json!("allow"))
    );
    assert_eq!(line["rules"], json!(["acme/allowed_tools[0]"]));
    assert_eq!(line["unverified"], json!(["purpose"]));
    assert_eq!(line["params_digest"].as_str().unwrap().len(), "hmac-sha256:".len() + 64);
    assert!(line["latency_ns"]["authorize"].as_u64().unwrap() > 0);
    let text = line.to_string();
    assert!(!text.contains("4242") && !text.contains(&token), "no parameter and no token: {text}");
}

#[tokio::test]
async fn without_a_control_plane_nobody_is_asked_and_the_answer_says_so() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let decision = decided(bench.ask(&token, call(6_000)).await);
    assert_eq!(decision.outcome, Outcome::ApprovalRequired);
    assert_eq!(codes(&decision), [ReasonCode::ParameterOutOfRange, ReasonCode::ApprovalRequired]);
    assert!(decision.reasons[1].message.contains("has no control plane"), "{:?}", decision.reasons[1]);
    assert_eq!(decision.approval, None);
    assert_eq!(decision.params, None);
}

#[tokio::test]
async fn without_a_control_plane_no_override_token_is_valid_and_none_lifts_a_denial() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    for (amount, code) in [
        (6_000, ReasonCode::OverrideInvalid),
        (1, ReasonCode::OverrideInvalid),
        (20_000, ReasonCode::ToolDenied),
    ] {
        let mut call = call(amount);
        call.override_token = Some(Secret::new("anything".to_owned()));
        let decision = decided(bench.ask(&token, call).await);
        assert_eq!((decision.outcome, codes(&decision)), (Outcome::Deny, vec![code]), "{amount}");
    }
}

/// WALK-3: a fault of the evaluation denies.
#[tokio::test]
async fn a_panic_denies_the_call_and_the_next_one_is_judged() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let decision = decided(bench.ask(&token, call(666)).await);
    assert_eq!((decision.outcome, codes(&decision)), (Outcome::Deny, vec![ReasonCode::CustomRule]));
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    let lines = bench.lines();
    assert_eq!(lines.len(), 2, "both are recorded");
    assert!(!lines[0].to_string().contains("KEEP-OUT"), "{}", lines[0]);
}

#[tokio::test]
async fn dry_run_and_explain_need_a_right() {
    let bench = Bench::new(by_amount);
    let plain = bench.token("acme", "finance", "*:*");
    let explaining = bench.token("acme", "finance", "*:* aegis:explain");
    for (dry_run, explain) in [(true, false), (false, true)] {
        let call = || ToolCall { dry_run, explain, ..call(1) };
        let denied = decided(bench.ask(&plain, call()).await);
        assert_eq!((denied.outcome, codes(&denied)), (Outcome::Deny, vec![ReasonCode::ScopeExceeded]));
        let allowed = decided(bench.ask(&explaining, call()).await);
        assert_eq!((allowed.outcome, allowed.explanation.is_some()), (Outcome::Allow, explain));
    }
    assert_eq!(bench.lines().iter().filter(|line| line["dry_run"] == true).count(), 2);
}

#[tokio::test]
async fn an_obligation_that_nobody_meets_denies() {
    fn with_obligation(question: &Question<'_>) -> Verdict {
        let obligation = match question.call.params["amount"].as_u64() {
            Some(0) => {
                let terms = ApprovalTerms {
                    by: vec!["boss".to_owned()],
                    of: 1,
                    within_seconds: 60,
                    notify: vec![],
                    span: Span::default(),
                };
                Obligation::approval("a", &terms)
            }
            _ => Obligation::egress("a/egress", &[]),
        };
        Verdict { obligations: vec![obligation], ..by_amount(question) }
    }
    let bench = Bench::new(with_obligation);
    let token = bench.token("acme", "finance", "*:*");
    assert_eq!(decided(bench.ask(&token, call(0)).await).outcome, Outcome::Allow);
    let decision = decided(bench.ask(&token, call(1)).await);
    assert_eq!((decision.outcome, codes(&decision)), (Outcome::Deny, vec![ReasonCode::CustomRule]));
}

#[tokio::test]
async fn nobody_unproven_is_answered_with_a_decision() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let mut forged = token.clone();
    forged.truncate(token.len() - 4);
    assert_eq!(refused(bench.ask(&forged, call(1)).await).code, ReasonCode::Unauthenticated);
    assert_eq!(refused(bench.ask("", call(1)).await).code, ReasonCode::Unauthenticated);
    bench.clock.set(UnixNanos(NOW.0 + 700 * 1_000_000_000));
    assert_eq!(refused(bench.ask(&token, call(1)).await).code, ReasonCode::TokenExpired);
    let lines = bench.lines();
    assert_eq!(lines.len(), 2, "one line per source, code and second: {lines:?}");
    assert_eq!((&lines[0]["kind"], &lines[0]["count"]), (&json!("refusals"), &json!(1)));
    assert_eq!(lines[0]["source"], "address:127.0.0.1");
    bench.decider.tell_overdue_refusals();
    bench.decider.records.close().unwrap();
    assert_eq!(bench.lines()[2]["count"], 1, "the one that was not told yet");
}

#[tokio::test]
async fn a_tenant_without_a_policy_is_told_to_wait() {
    let bench = Bench::new(by_amount);
    let token = bench.token("umbrella", "finance", "*:*");
    let refusal = refused(bench.ask(&token, call(1)).await);
    assert_eq!(refusal.code, ReasonCode::PolicyUnavailable);
    assert!(refusal.retry_after_ms().is_some());
    assert_eq!(bench.lines()[0]["tenant"], "umbrella", "the principal is proven, so it is recorded");
}

#[tokio::test]
async fn who_may_speak_for_others() {
    fn by_chain(question: &Question<'_>) -> Verdict {
        let who = &question.principal;
        let callers: Vec<_> = who.callers.iter().map(ToString::to_string).collect();
        Verdict { rules: vec![format!("{} < {}", who.agent, callers.join(" < "))], ..by_amount(question) }
    }
    let bench = Bench::new(by_chain);
    let asserting = bench.token("acme", "orchestrator", "*:* assert:finance-*");
    let plain = bench.token("acme", "finance-1", "*:*");
    assert_eq!(decided(bench.ask_about(&plain, Some("finance-1"), call(1)).await).outcome, Outcome::Allow);
    assert_eq!(
        decided(bench.ask_about(&asserting, Some("finance-1"), call(1)).await).outcome,
        Outcome::Allow
    );
    for (token, about) in [(&plain, "finance-2"), (&asserting, "admin")] {
        let decision = decided(bench.ask_about(token, Some(about), call(1)).await);
        assert_eq!((decision.outcome, codes(&decision)), (Outcome::Deny, vec![ReasonCode::ScopeExceeded]));
    }
    let lines = bench.lines();
    assert_eq!(lines[0]["rules"][0], "finance-1 < ");
    assert_eq!(lines[1]["rules"][0], "finance-1 < orchestrator");
    assert_eq!((&lines[1]["agent"], &lines[1]["callers"]), (&json!("finance-1"), &json!(["orchestrator"])));
}

static JUDGED: AtomicUsize = AtomicUsize::new(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_id_is_judged_once_however_often_it_is_asked_at_once() {
    fn counting(question: &Question<'_>) -> Verdict {
        JUDGED.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        by_amount(question)
    }
    let bench = Arc::new(Bench::new(counting));
    let token = bench.token("acme", "finance", "*:*");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (bench, token) = (Arc::clone(&bench), token.clone());
        asking.spawn(async move { decided(bench.ask(&token, call_again(1, "r-1")).await) });
    }
    let decisions = asking.join_all().await;
    assert_eq!(JUDGED.load(Ordering::SeqCst), 1);
    assert_eq!(decisions.iter().filter(|decision| !decision.replayed).count(), 1);
    for decision in &decisions {
        assert_eq!(decision.decision_id, decisions[0].decision_id);
        assert_eq!(decision.params.as_ref().unwrap()["amount"], 1, "a retry gets the parameters too");
    }
    assert_eq!(bench.lines().len(), 1);
}

#[tokio::test]
async fn a_request_id_stands_for_one_call_of_one_principal_for_a_minute() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let first = decided(bench.ask(&token, call_again(20_000, "r-1")).await);
    let again = decided(bench.ask(&token, call_again(20_000, "r-1")).await);
    assert_eq!(
        (again.outcome, &again.reasons, &again.decision_id),
        (first.outcome, &first.reasons, &first.decision_id)
    );
    assert!(again.replayed && !first.replayed);
    let other = refused(bench.ask(&token, call_again(20_001, "r-1")).await);
    assert_eq!(other.code, ReasonCode::InvalidRequest);
    let somebody = decided(bench.ask(&bench.token("acme", "hr", "*:*"), call_again(1, "r-1")).await);
    assert!(!somebody.replayed, "another principal has ids of its own");
    bench.clock.set(UnixNanos(NOW.0 + caps::REPLAY_SECONDS * 1_000_000_000));
    let late = decided(bench.ask(&token, call_again(20_001, "r-1")).await);
    assert!(!late.replayed);
}

#[tokio::test]
async fn an_answer_says_where_its_record_stands_and_a_retry_says_the_same() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let first = decided(bench.ask(&token, call_again(1, "r-1")).await);
    let denied = decided(bench.ask(&token, call(20_000)).await);
    let again = decided(bench.ask(&token, call_again(1, "r-1")).await);
    let receipt = first.receipt.unwrap();
    assert_eq!((&*receipt.log, receipt.index, receipt.leaf.len()), ("standalone/n1/1", 0, 64));
    assert_eq!((again.receipt.as_ref(), denied.receipt.unwrap().index), (Some(&receipt), 1));
}

/// A signed receipt is the log's own word; nobody pays for one who did not ask.
#[tokio::test]
async fn a_receipt_is_signed_where_the_call_or_its_tenant_asks() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let key = bench.decider.records.journal().unwrap().key().clone();
    let verified = |receipt: &Receipt| {
        let (time, signature) = (receipt.time.as_deref().unwrap_or(""), receipt.signature.as_deref());
        let Receipt { log, index, leaf, .. } = receipt;
        let said = Said { log, index: *index, leaf, time, signature: signature.unwrap_or("") };
        said.verify(&key).map(|receipt| receipt.at)
    };
    let asked = |id: &str| ToolCall { sign_receipt: true, ..call_again(1, id) };
    let plain = decided(bench.ask(&token, call(1)).await).receipt.unwrap();
    assert_eq!((&plain.time, verified(&plain)), (&None, Err(BadReceipt::Unsigned)));
    let first = decided(bench.ask(&token, asked("r-1")).await).receipt.unwrap();
    assert_eq!(verified(&first), Ok(NOW));
    let forged = Receipt { index: 0, ..first.clone() };
    assert_eq!(verified(&forged), Err(BadReceipt::Signature));
    let again = decided(bench.ask(&token, asked("r-1")).await);
    assert!(again.replayed);
    assert_eq!(again.receipt, Some(first), "and so is that of a retry");
    // Whether it is signed is part of what is asked: what was answered unsigned may be less than synced.
    let other = refused(bench.ask(&token, call_again(1, "r-1")).await);
    assert_eq!(other.code, ReasonCode::InvalidRequest);
    let terms = RecordTerms { signed: true, ..RecordTerms::default() };
    bench.decider.swap(bench.snapshot_with(2, |acme| acme.with_recording(terms))).unwrap();
    for amount in [1, 20_000] {
        let receipt = decided(bench.ask(&token, call(amount)).await).receipt.unwrap();
        assert_eq!(verified(&receipt), Ok(NOW), "whatever the outcome");
    }
}

/// WALK-2: a tenant that relaxed it is answered once its record is written; who asks for a signature waits for the sync all the same.
#[tokio::test]
async fn a_relaxed_tenant_is_answered_once_its_record_is_written() {
    let fault = Arc::new(Fault::default());
    let bench = Bench::with_disk(by_amount, 10, Arc::new(FaultyDisk(Arc::clone(&fault))));
    let token = bench.token("acme", "finance", "*:*");
    let terms = RecordTerms { durability: Durability::Written, signed: false };
    bench.decider.swap(bench.snapshot_with(2, |acme| acme.with_recording(terms))).unwrap();
    // The first record of a relaxed chain is synced: it says that a gap is possible.
    decided(bench.ask(&token, call(1)).await);
    fault.hang(true);
    let written = tokio::time::timeout(Duration::from_secs(5), bench.ask(&token, call(2))).await;
    assert_eq!(decided(written.expect("nobody waits for the sync")).outcome, Outcome::Allow);
    assert_eq!(bench.lines().len(), 2);
    let mut signed = std::pin::pin!(bench.ask(&token, ToolCall { sign_receipt: true, ..call(3) }));
    let early = tokio::time::timeout(Duration::from_millis(300), signed.as_mut()).await;
    assert!(early.is_err(), "a signed receipt speaks for what is synced");
    fault.hang(false);
    assert!(decided(signed.await).receipt.unwrap().signature.is_some());
}

#[tokio::test]
async fn a_retry_after_a_lost_answer_gets_that_answer() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    // The client goes away at the first pause, which is the wait for the record.
    {
        let mut lost = std::pin::pin!(bench.ask(&token, call_again(1, "r-1")));
        let mut ctx = std::task::Context::from_waker(std::task::Waker::noop());
        drop(std::future::Future::poll(lost.as_mut(), &mut ctx));
    }
    let retry = decided(bench.ask(&token, call_again(1, "r-1")).await);
    assert!(retry.replayed);
    assert_eq!(bench.lines().len(), 1);
    assert_eq!(bench.lines()[0]["decision_id"], json!(retry.decision_id));
}

/// Whoever has the tenant's key can hold parameters against records of every node and start; nobody else can guess them.
#[tokio::test]
async fn parameters_are_recorded_under_the_tenants_key_once_there_is_one() {
    let keys = |byte| {
        let key = TenantKey::new(3, Secret::new([byte; 32]));
        Some(Arc::new(TenantKeys::new(vec![key]).unwrap()))
    };
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    decided(bench.ask(&token, call(1)).await);
    for (version, byte) in [(2, 1), (3, 1), (4, 2)] {
        bench.decider.swap(bench.snapshot_with(version, |acme| acme.with_keys(keys(byte)))).unwrap();
        decided(bench.ask(&token, call(1)).await);
    }
    let lines = bench.lines();
    let key: Vec<_> = lines.iter().map(|line| line.get("params_key")).collect();
    assert_eq!(key, [None, Some(&json!(3)), Some(&json!(3)), Some(&json!(3))]);
    let digest = |at: usize| lines[at]["params_digest"].as_str().unwrap();
    assert_ne!(digest(0), digest(1));
    assert_eq!(digest(1), digest(2));
    assert_ne!(digest(2), digest(3));
}

/// WALK-2: no record, no answer.
#[tokio::test]
async fn nothing_is_answered_that_cannot_be_recorded() {
    let fault = Arc::new(Fault::default());
    let bench = Bench::with_disk(by_amount, 10, Arc::new(FaultyDisk(Arc::clone(&fault))));
    let token = bench.token("acme", "finance", "*:*");
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    fault.fill();
    assert_eq!(refused(bench.ask(&token, call(1)).await).code, ReasonCode::AuditUnavailable);
    assert_eq!(refused(bench.ask("", call(1)).await).code, ReasonCode::AuditUnavailable, "nobody proven");
    for _ in 0..2 {
        let refusal = refused(bench.ask(&token, call_again(1, "r-1")).await);
        assert_eq!(refusal.code, ReasonCode::AuditUnavailable);
        assert_eq!(bench.decider.replays.len(), 0, "what was not answered is not remembered");
    }
    assert_eq!(bench.lines().len(), 1);
}

/// WALK-2: the answer waits for the sync.
#[tokio::test]
async fn nothing_is_answered_before_its_record_is_on_disk() {
    let fault = Arc::new(Fault::default());
    let bench = Bench::with_disk(by_amount, 10, Arc::new(FaultyDisk(Arc::clone(&fault))));
    let token = bench.token("acme", "finance", "*:*");
    fault.hang(true);
    let mut asked = std::pin::pin!(bench.ask(&token, call(1)));
    while bench.lines().is_empty() {
        let mut ctx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(Future::poll(asked.as_mut(), &mut ctx).is_pending());
        tokio::task::yield_now().await;
    }
    let mut ctx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(Future::poll(asked.as_mut(), &mut ctx).is_pending(), "it is written, but not synced");
    fault.hang(false);
    assert_eq!(decided(asked.await).outcome, Outcome::Allow);
}

#[tokio::test]
async fn a_full_node_sheds() {
    let bench = Bench::with_calls(by_amount, 1);
    let token = bench.token("acme", "finance", "*:*");
    let entry = bench.decider.enter(crate::case::Surface::Http).unwrap();
    assert_eq!(refused(bench.ask(&token, call(1)).await).code, ReasonCode::Overloaded);
    drop(entry);
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
}

#[tokio::test]
async fn a_tenant_beyond_its_share_is_shed_and_told_once_a_second() {
    let bench = Bench::with_calls(by_amount, 10);
    let token = bench.token("acme", "finance", "*:*");
    let snapshot = bench.decider.snapshot();
    let tenant = snapshot.tenants().next().unwrap();
    let seats: Vec<_> = std::iter::from_fn(|| tenant.room().enter()).collect();
    for _ in 0..3 {
        assert_eq!(refused(bench.ask(&token, call(1)).await).code, ReasonCode::Overloaded);
    }
    drop(seats);
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    let lines = bench.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0]["source"], &lines[0]["code"]), (&json!("tenant:acme"), &json!("Overloaded")));
}

#[tokio::test]
async fn nothing_is_judged_before_there_are_news_and_by_none_that_are_too_old() {
    let bench = Bench::awaiting();
    let token = bench.token("acme", "finance", "*:*");
    // Whatever the token: nobody has said yet whose tokens count.
    for token in [token.as_str(), "no token"] {
        assert_eq!(refused(bench.ask(token, call(1)).await).code, ReasonCode::PolicyUnavailable);
    }
    assert!(bench.lines().is_empty(), "there is no log yet, and whom it refused is told once there is");
    bench.decider.records.begin(&"test".parse().unwrap(), 1).unwrap();
    bench.decider.tell_overdue_refusals();
    bench.decider.swap(bench.snapshot(1, by_amount)).unwrap();
    let code = async || refused(bench.ask(&token, call(1)).await).code;
    assert_eq!(code().await, ReasonCode::PolicyStale, "no moment was confirmed");
    bench.decider.confirm(NOW.0 / 1_000_000);
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    bench.clock.advance(Duration::from_secs(u64::from(caps::STALENESS_SECONDS_DEFAULT) + 1));
    assert_eq!(code().await, ReasonCode::PolicyStale);
    bench.decider.swap(bench.snapshot_with(2, |acme| acme.with_staleness(Staleness::Never))).unwrap();
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    let lines = bench.lines();
    assert_eq!((&lines[0]["kind"], &lines[0]["count"]), (&json!("refusals"), &json!(2)));
    let stale = lines.iter().find(|line| line["reasons"][0]["code"] == "PolicyStale");
    let stale = stale.expect("who asks is proven, so the refusal is recorded");
    assert_eq!((&stale["tenant"], &stale["outcome"]), (&json!("acme"), &json!("deny")));
}

#[tokio::test]
async fn revoked_evidence_proves_nothing_any_more() {
    let bench = Bench::new(by_amount);
    let token = bench.token("acme", "finance", "*:*");
    let asserting = bench.token("acme", "orchestrator", "*:* assert:finance");
    let revoke = |agent: &str, version| {
        let mut revoked = Revoked::new();
        revoked.agent(agent.parse().unwrap(), None);
        bench.snapshot_with(version, |acme| acme.with_revoked(Arc::new(revoked)))
    };
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    bench.decider.swap(revoke("finance", 2)).unwrap();
    assert_eq!(
        refused(bench.ask(&token, call(1)).await).code,
        ReasonCode::TokenRevoked,
        "though it is in the cache"
    );
    assert_eq!(
        refused(bench.ask_about(&asserting, Some("finance"), call(1)).await).code,
        ReasonCode::TokenRevoked
    );
    bench.decider.swap(revoke("orchestrator", 3)).unwrap();
    assert_eq!(decided(bench.ask(&token, call(1)).await).outcome, Outcome::Allow);
    assert_eq!(
        refused(bench.ask_about(&asserting, Some("finance"), call(1)).await).code,
        ReasonCode::TokenRevoked,
        "who was revoked speaks for nobody"
    );
}

fn tagged<const VERSION: u64>(question: &Question<'_>) -> Verdict {
    Verdict { rules: vec![VERSION.to_string()], ..by_amount(question) }
}

/// WALK-1: whatever snapshot a call is judged under, rules, policy and snapshot of its record belong together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_belongs_to_exactly_one_snapshot() {
    let judges: [fn(&Question<'_>) -> Verdict; 8] = [
        tagged::<2>,
        tagged::<3>,
        tagged::<4>,
        tagged::<5>,
        tagged::<6>,
        tagged::<7>,
        tagged::<8>,
        tagged::<9>,
    ];
    let bench = Arc::new(Bench::new(tagged::<1>));
    let token = bench.token("acme", "finance", "*:*");
    let answered = Arc::new(AtomicUsize::new(0));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (bench, token, answered) = (Arc::clone(&bench), token.clone(), Arc::clone(&answered));
        asking.spawn(async move {
            let mut last = 0;
            while last < 9 {
                let policy = decided(bench.ask(&token, call(1)).await).policy.unwrap();
                assert_eq!(*policy.digest, *format!("sha256:{}", policy.version));
                assert!(policy.version >= last, "a caller never sees an older policy after a newer one");
                last = policy.version;
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for (version, judge) in (2..).zip(judges) {
        let before = answered.load(Ordering::SeqCst);
        while answered.load(Ordering::SeqCst) < before + 20 {
            tokio::task::yield_now().await;
        }
        bench.decider.swap(bench.snapshot(version, judge)).unwrap();
    }
    asking.join_all().await;
    let mut versions = std::collections::BTreeSet::new();
    for line in bench.lines() {
        let snapshot = line["snapshot"].as_u64().unwrap();
        assert_eq!(line["rules"], json!([snapshot.to_string()]));
        assert_eq!(line["policy"]["version"], json!(snapshot));
        versions.insert(snapshot);
    }
    assert!(versions.len() > 5, "calls were judged all along: {versions:?}");
}

#[test]
fn a_node_never_goes_back() {
    let bench = Bench::new(by_amount);
    bench.decider.swap(bench.snapshot(3, by_amount)).unwrap();
    for version in [1, 3] {
        assert!(bench.decider.swap(bench.snapshot(version, by_amount)).is_err());
    }
    let tenant = crate::snapshot::Tenant::planted("acme", crate::testing::policy(2), by_amount);
    let older = crate::snapshot::Snapshot::new(9, bench.decider.snapshot().verifier().clone(), [tenant]);
    assert!(bench.decider.swap(older).is_err(), "a newer snapshot with an older activation");
    assert_eq!(bench.decider.snapshot().version(), 3);
}
