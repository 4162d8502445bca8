//! Parameters and results are cleaned as the policy says, alike everywhere, and nothing of a value is left (DLP-1, AUD-2).

use aegis_model::call::ToolCall;
use aegis_model::completion::{Completion, Status};
use aegis_model::decision::{Decision, Redaction};
use aegis_model::secret::Secret;
use aegis_model::tenant_key::{TenantKey, TenantKeys};
use aegis_policy::ast::{PolicySet, SourceFile};
use aegis_policy::check::check;
use aegis_proto::exposition::Format;

use super::*;
use crate::answer::{Answer, Refused};
use crate::case::Surface;
use crate::complete::{Teller, complete};
use crate::sensitive::CleanedResult;
use crate::snapshot::{Snapshot, Tenant, Version};
use crate::testing::{Bench, SOURCE, by_amount, call};

const SSN: &str = "219-09-9999";

const POLICY: &str = "
agent: clerk
allowed_tools:
- name: mail
  redact:
  - {detect: [us_ssn], with: mask, keep_last: 4}
  - {detect: [email], with: token}
  - {fields: [patient.born], with: remove, on: params}
  - {detect: [secrets], with: block}
  - {detect: [phone], with: mask, on: record}
- name: ask
  conditions: {approval_needed: true}
  redact: [{detect: [us_ssn], with: remove}]
- name: two*
  redact: [{detect: [us_ssn], with: mask}]
- name: '*o'
  redact: [{detect: [us_ssn], with: hash}]
---
detectors:
- {name: badge, regex: 'B-[0-9]{4}'}
";

fn set(text: &str) -> PolicySet {
    let checked = check(vec![SourceFile { path: "policy.yaml".into(), text: text.into() }]);
    checked.set.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
}

/// A node whose tenant `acme` is judged by `text`, with a secret key of so many versions.
fn bench(text: &str, versions: u32) -> Bench {
    let bench = Bench::new(by_amount);
    bench.decider.swap(snapshot(&bench, 2, text, versions)).unwrap();
    bench
}

fn snapshot(bench: &Bench, number: u64, text: &str, versions: u32) -> Snapshot {
    let version = Version::prepared(&set(text), number).unwrap();
    let keys = (1..=versions).map(|version| TenantKey::new(version, Secret::new([version as u8; 32])));
    bench.snapshot_with(number, |_| {
        Tenant::new("acme".parse().unwrap(), Arc::new(version))
            .with_keys(TenantKeys::new(keys.collect()).map(Arc::new))
    })
}

fn asked(tool: &str, params: Value) -> ToolCall {
    let Value::Object(params) = params else { panic!("an object") };
    ToolCall { tool: tool.parse().unwrap(), params, ..call(1) }
}

async fn answer(bench: &Bench, call: ToolCall) -> Answer {
    bench.ask(&bench.token("acme", "clerk", "*:* aegis:explain"), call).await
}

async fn decided(bench: &Bench, call: ToolCall) -> Decision {
    match answer(bench, call).await {
        Answer::Decided(decision) => *decision,
        Answer::Refused(refused) => panic!("{refused:?}"),
    }
}

fn redaction(path: &str, kind: &str, with: &str) -> Redaction {
    Redaction { path: path.to_owned(), kind: kind.to_owned(), with: with.to_owned() }
}

#[tokio::test]
async fn what_is_passed_on_is_cleaned_and_told_by_kind_and_place() {
    let bench = bench(POLICY, 1);
    let params = json!({
        "note": format!("ssn {SSN}"), "patient": {"born": "1974-03-05", "name": "Ada"}, "to": "ann@example.com",
    });
    let decision = decided(&bench, asked("mail", params)).await;
    assert_eq!(decision.outcome, Outcome::Sanitize);
    let params = decision.params.unwrap();
    assert_eq!(params["note"], "ssn ***-**-9999");
    assert_eq!(params["patient"], json!({"name": "Ada"}));
    assert!(params["to"].as_str().unwrap().starts_with("<email:v1:"), "{params:?}");
    let mut redactions = decision.redactions;
    redactions.sort();
    assert_eq!(
        redactions,
        [
            redaction("/note", "us_ssn", "mask"),
            redaction("/patient/born", "field", "remove"),
            redaction("/to", "email", "token"),
        ]
    );
    let line = &bench.lines()[0];
    assert_eq!((&line["outcome"], line["findings"].as_array().map(Vec::len)), (&json!("sanitize"), Some(3)));
    let text = line.to_string();
    assert!(!text.contains(SSN) && !text.contains("ann@") && !text.contains("1974-03"), "{text}");
}

#[tokio::test]
async fn what_is_clean_goes_through_as_it_is() {
    let bench = bench(POLICY, 1);
    let decision = decided(&bench, asked("mail", json!({"note": "all is well"}))).await;
    assert_eq!((decision.outcome, decision.redactions), (Outcome::Allow, vec![]));
    assert_eq!(bench.lines()[0].get("findings"), None);
}

#[tokio::test]
async fn what_is_blocked_or_cannot_be_cleaned_denies() {
    let bench = bench(POLICY, 1);
    let key = "ghp_1234567890abcdefghijklmnopqrstuvwxyz";
    for (params, path) in [
        (json!({"note": [format!("token {key}")]}), "/params/note/0"),
        (json!({"ssn": 219_099_999}), "/params/ssn"),
        (json!({"of": {"ssn 219-09-9999": {"mail": "ann@example.com"}}}), "/params/of"),
    ] {
        let decision = decided(&bench, asked("mail", params)).await;
        assert_eq!((decision.outcome, decision.params), (Outcome::Deny, None));
        let reason = &decision.reasons[0];
        assert_eq!((reason.code, reason.path.as_deref()), (ReasonCode::SensitiveData, Some(path)));
        assert_eq!(reason.rule.as_deref(), Some("clerk/allowed_tools[0]"));
        assert!(decision.redactions.is_empty());
    }
    let text = format!("{:?}", bench.lines());
    let raw = [key, "219-09", "219099999", "ann@"];
    assert!(!raw.iter().any(|raw| text.contains(raw)), "{text}");
}

/// DLP-1: the same input and key version give the same output on every node; another version, another token.
#[tokio::test]
async fn two_nodes_clean_alike() {
    let params = || json!({"to": "ann@example.com", "note": format!("ssn {SSN}, cc bob@example.com")});
    let (one, other, rotated) = (bench(POLICY, 1), bench(POLICY, 1), bench(POLICY, 2));
    let of = async |bench: &Bench| decided(bench, asked("mail", params())).await.params.unwrap();
    let first = of(&one).await;
    assert_eq!(first, of(&other).await);
    let later = of(&rotated).await;
    assert!(later["to"].as_str().unwrap().starts_with("<email:v2:"), "{later:?}");
    assert_eq!(later["note"].as_str().unwrap()[..19], first["note"].as_str().unwrap()[..19]);
}

#[tokio::test]
async fn several_entries_give_the_strictest_of_what_they_ask() {
    let bench = bench(POLICY, 1);
    let masked = decided(&bench, asked("two-x", json!({"note": SSN}))).await.params.unwrap();
    assert_eq!(masked["note"], "***-**-****");
    let both = decided(&bench, asked("twoo", json!({"note": SSN}))).await.params.unwrap();
    assert!(both["note"].as_str().unwrap().starts_with("hmac-sha256:v1:"), "{both:?}");
}

#[tokio::test]
async fn without_the_tenants_key_nothing_is_made_with_it() {
    let bench = bench(POLICY, 0);
    match answer(&bench, asked("mail", json!({"note": "all is well"}))).await {
        Answer::Refused(Refused { code, .. }) => assert_eq!(code, ReasonCode::PolicyUnavailable),
        Answer::Decided(decision) => panic!("{decision:?}"),
    }
    let masked = decided(&bench, asked("two-x", json!({"note": SSN}))).await;
    assert_eq!(masked.outcome, Outcome::Sanitize, "a mask needs no key");
}

const REVERSIBLE: &str = "
agent: clerk
allowed_tools:
- name: mail
  redact: [{detect: [us_ssn], with: token, reversible: true}]
";

#[tokio::test]
async fn what_could_not_be_taken_back_is_not_given_out_as_a_token() {
    let bench = bench(REVERSIBLE, 1);
    let denied = match answer(&bench, asked("mail", json!({"note": format!("ssn {SSN}")}))).await {
        Answer::Refused(refused) => refused,
        Answer::Decided(decision) => panic!("{decision:?}"),
    };
    assert_eq!(denied.code, ReasonCode::PolicyUnavailable, "keys of before there was sealing");
    let private = aegis_identity::sealing::SealingKey::from_bytes(Secret::new([9; 32]));
    let public = *private.public().unwrap().as_bytes();
    let key = TenantKey::new(2, Secret::new([2; 32])).with_sealing(Some(public));
    let version = Version::prepared(&set(REVERSIBLE), 3).unwrap();
    let sealing = bench.snapshot_with(3, |_| {
        Tenant::new("acme".parse().unwrap(), Arc::new(version))
            .with_keys(TenantKeys::new(vec![key]).map(Arc::new))
    });
    bench.decider.swap(sealing).unwrap();
    let decision = decided(&bench, asked("mail", json!({"note": format!("ssn {SSN}")}))).await;
    assert_eq!(decision.outcome, Outcome::Sanitize);
    // One after the other: 2000 numbers of which no two are alike, more than are sealed for one call.
    let many: Vec<String> = (1000..3000).map(|at| format!("ssn 219-09-{at}")).collect();
    let decision = decided(&bench, asked("mail", json!({"notes": many}))).await;
    assert_eq!((decision.outcome, decision.reasons[0].code), (Outcome::Deny, ReasonCode::SensitiveData));
}

/// A retry gets what the first call got, also when another version is in force meanwhile.
#[tokio::test]
async fn a_retry_is_cleaned_as_the_first_call_was() {
    let bench = bench(POLICY, 1);
    let call = || {
        let call = asked("mail", json!({"to": "ann@example.com"}));
        ToolCall { request_id: Some("r-1".parse().unwrap()), ..call }
    };
    let first = decided(&bench, call()).await;
    bench
        .decider
        .swap(snapshot(&bench, 3, &POLICY.replace("[email], with: token", "[email], with: remove"), 2))
        .unwrap();
    let again = decided(&bench, call()).await;
    assert!(again.replayed);
    assert_eq!(
        (again.decision_id, again.params, again.redactions),
        (first.decision_id, first.params, first.redactions)
    );
}

#[tokio::test]
async fn a_person_is_asked_about_what_would_be_passed_on() {
    let bench = bench(POLICY, 1);
    let decision = decided(&bench, asked("ask", json!({"note": SSN, "n": 1}))).await;
    assert_eq!(decision.outcome, Outcome::ApprovalRequired);
    let findings = &bench.lines()[0]["findings"];
    assert_eq!(findings[0]["kind"], "us_ssn");
}

#[tokio::test]
async fn an_explanation_says_what_was_cleaned() {
    let bench = bench(POLICY, 1);
    let call = ToolCall { explain: true, dry_run: true, ..asked("mail", json!({"note": SSN})) };
    let decision = decided(&bench, call).await;
    assert_eq!(decision.outcome, Outcome::Sanitize);
    let explanation = decision.explanation.unwrap().to_string();
    assert!(explanation.contains("the parameter `/note` holds `us_ssn`: mask"), "{explanation}");
    assert!(!explanation.contains(SSN));
}

/// `on: record` leaves what is passed on, and what is noted is noted without the value.
#[tokio::test]
async fn what_may_only_not_be_kept_is_passed_on() {
    let bench = bench(POLICY, 1);
    let decision = decided(&bench, asked("mail", json!({"phone": "+1 415 555 2671"}))).await;
    assert_eq!(
        (decision.outcome, &decision.params.unwrap()["phone"]),
        (Outcome::Allow, &json!("+1 415 555 2671"))
    );
    let line = bench.lines()[0].clone();
    assert_eq!(
        (&line["findings"][0]["kind"], &line["findings"][0]["path"]),
        (&json!("phone"), &json!("/params/phone"))
    );
    assert!(!line.to_string().contains("2671"), "{line}");
}

async fn completed(bench: &Bench, call: ToolCall, result: Value) -> CleanedResult {
    let decision = decided(bench, call).await;
    let token = bench.token("acme", "clerk", "*:*");
    let completion = Completion {
        decision_id: decision.decision_id,
        status: Status::Succeeded,
        cost: None,
        result: Some(result),
        sign_receipt: false,
    };
    let teller =
        Teller { surface: Surface::Http, source: SOURCE, token: &token, forwarded: false, trace: None };
    complete(&bench.decider, teller, completion).await.unwrap()
}

#[tokio::test]
async fn a_result_is_cleaned_under_the_version_that_allowed_the_call() {
    let bench = bench(POLICY, 1);
    let result = json!({"ssn": SSN, "born": "1974-03-05"});
    let cleaned = completed(&bench, asked("mail", json!({})), result).await;
    assert_eq!(cleaned.result.unwrap(), json!({"ssn": "***-**-9999", "born": "1974-03-05"}));
    assert_eq!(cleaned.redactions, [redaction("/ssn", "us_ssn", "mask")]);
    let withheld = completed(&bench, asked("mail", json!({})), json!({"ssn": 219_099_999})).await;
    assert_eq!((withheld.result, withheld.withheld[0].code), (None, ReasonCode::SensitiveData));
    let lines = bench.lines();
    let told: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "completion").collect();
    assert_eq!(
        (&told[0]["findings"][0]["path"], &told[1]["withheld"]),
        (&json!("/result/ssn"), &json!(true))
    );
    assert!(!format!("{told:?}").contains("9999"));
    let page = Format::Text.page(&bench.decider.metrics.families(&bench.decider, &[]));
    assert!(
        page.contains("aegis_sensitive_findings_total{kind=\"us_ssn\",on=\"result\",with=\"mask\"} 1"),
        "{page}"
    );
}

/// A tenant's own detectors stand under one name, so that nobody makes series by inventing names.
#[tokio::test]
async fn a_tenants_own_detector_finds_and_is_counted_as_custom() {
    let text = POLICY.replace("[us_ssn], with: mask}]", "[badge], with: mask}]");
    let bench = bench(&text, 1);
    let decision = decided(&bench, asked("two-x", json!({"note": "badge B-1234"}))).await;
    assert_eq!(decision.redactions, [redaction("/note", "badge", "mask")]);
    let page = Format::Text.page(&bench.decider.metrics.families(&bench.decider, &[]));
    assert!(page.contains("{kind=\"custom\",on=\"params\",with=\"mask\"} 1"), "{page}");
}
