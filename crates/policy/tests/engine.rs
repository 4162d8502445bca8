//! The engine by itself: sets built by hand, judged natively.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use aegis_model::call::ToolCall;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::scope::Scope;
use aegis_policy::ast::*;
use aegis_policy::diff::diff;
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::prepared::Prepared;
use serde_json::{Value, json};

fn path(keys: &[&str]) -> Path {
    Path(
        keys.iter()
            .map(|key| if *key == "*" { Segment::Every } else { Segment::Key((*key).to_owned()) })
            .collect(),
    )
}

fn test(subject: Subject, checks: Vec<Check>) -> Test {
    Test { subject, checks, optional: false, approvable: false, span: Span::default() }
}

fn entry(rule: &str, tool: &str, condition: Condition) -> Entry {
    Entry {
        rule: rule.to_owned(),
        tool: Glob(tool.to_owned()),
        actions: None,
        condition,
        always_ask: false,
        approval: None,
        redact: vec![],
        limits: Limits::default(),
        mode: Mode::Enforce,
        span: Span::default(),
    }
}

fn payments() -> PolicySet {
    let amount = || Subject::Params(path(&["amount"]));
    let conditions = vec![
        Condition::Test(test(amount(), vec![Check::Min(0.into())])),
        Condition::Test(Test { approvable: true, ..test(amount(), vec![Check::Max(5000.into())]) }),
    ];
    let mut allowed = entry("finance-agent/allowed_tools[0]", "stripe-payments", Condition::All(conditions));
    allowed.actions = Some(vec![Glob("create_payment".to_owned())]);
    let items = Subject::Params(path(&["to", "*", "host"]));
    let denied = Condition::Test(test(
        items,
        vec![Check::Not(Box::new(Check::DomainIn(vec!["hospital.org".to_owned()])))],
    ));
    let document = Document {
        label: "finance-agent".to_owned(),
        agents: vec![Glob("finance-agent".to_owned())],
        allowed: Some(vec![
            allowed,
            entry("finance-agent/allowed_tools[1]", "mail*", Condition::All(vec![])),
        ]),
        denied: vec![entry("finance-agent/denied_tools[0]", "mail*", denied)],
        ..Document::default()
    };
    let file = SourceFile { path: "p.yaml".to_owned(), text: "x".into() };
    PolicySet { files: vec![file], documents: vec![document], ..PolicySet::default() }
}

fn ask(prepared: &Prepared, agent: &str, tool: &str, action: &str, params: Value) -> Verdict {
    let principal = Principal {
        org: "o".parse().unwrap(),
        tenant: "t".parse().unwrap(),
        agent: agent.parse().unwrap(),
        scope: Scope::parse("*:*"),
        callers: vec![],
        claims: Default::default(),
        token_id: "j".to_owned(),
        issued_at: UnixNanos(0),
        expires_at: UnixNanos(0),
    };
    let Value::Object(params) = params else { panic!("params are an object") };
    let call = ToolCall {
        request_id: None,
        tool: tool.parse().unwrap(),
        action: action.parse().unwrap(),
        params,
        context: Default::default(),
        cost: None,
        override_token: None,
        dry_run: false,
        explain: false,
        wait_ms: 0,
        sign_receipt: false,
    };
    prepared.judge(&Question { principal: &principal, call: &call, now: UnixNanos(0) })
}

fn codes(verdict: &Verdict) -> Vec<ReasonCode> {
    verdict.reasons.iter().map(|reason| reason.code).collect()
}

#[test]
fn amounts_allow_ask_and_deny() {
    let prepared = Prepared::new(&payments()).expect("a valid set");
    let pay = |params| ask(&prepared, "finance-agent", "stripe-payments", "create_payment", params);
    assert_eq!(pay(json!({"amount": 5000})).outcome, Outcome::Allow);
    let large = pay(json!({"amount": 5001}));
    assert_eq!(
        (large.outcome, codes(&large)),
        (Outcome::ApprovalRequired, vec![ReasonCode::ParameterOutOfRange])
    );
    assert_eq!(large.reasons[0].path.as_deref(), Some("/params/amount"));
    let text = pay(json!({"amount": "5000"}));
    assert_eq!(
        (text.outcome, codes(&text)),
        (Outcome::Deny, vec![ReasonCode::ParameterType, ReasonCode::ParameterType])
    );
    let none = pay(json!({}));
    assert_eq!(none.outcome, Outcome::Deny);
    assert!(codes(&none).contains(&ReasonCode::ParameterMissing));
    assert_eq!(codes(&pay(json!({"amount": -1}))), vec![ReasonCode::ParameterOutOfRange]);
}

#[test]
fn tools_actions_and_agents_are_told_apart() {
    let prepared = Prepared::new(&payments()).expect("a valid set");
    let by = |agent, tool, action| codes(&ask(&prepared, agent, tool, action, json!({"amount": 1})));
    assert_eq!(by("finance-agent", "github", "call"), vec![ReasonCode::ToolNotAllowed]);
    assert_eq!(by("finance-agent", "stripe-payments", "refund"), vec![ReasonCode::ActionNotAllowed]);
    assert_eq!(by("other-agent", "stripe-payments", "create_payment"), vec![ReasonCode::UnknownAgent]);
}

#[test]
fn a_denial_needs_every_address_to_be_good() {
    let prepared = Prepared::new(&payments()).expect("a valid set");
    let mail = |hosts: Value| ask(&prepared, "finance-agent", "MAIL-out", "call", json!({"to": hosts}));
    let allowed = |hosts: Value| ask(&prepared, "finance-agent", "mail-out", "call", json!({"to": hosts}));
    assert_eq!(
        allowed(json!([{"host": "a.hospital.org"}, {"host": "hospital.org"}])).outcome,
        Outcome::Allow
    );
    for hosts in [
        json!([{"host": "a.hospital.org"}, {"host": "evil.org"}]),
        json!([]),
        json!([{"host": 5}]),
        json!("x"),
        json!([{}]),
    ] {
        let denied = allowed(hosts.clone());
        assert_eq!(denied.outcome, Outcome::Deny, "{hosts}");
        assert_eq!(denied.reasons[0].code, ReasonCode::ToolDenied, "{hosts}");
    }
    assert_eq!(
        mail(json!([{"host": "evil.org"}])).reasons[0].code,
        ReasonCode::ToolDenied,
        "denials ignore case"
    );
}

#[test]
fn the_bundle_is_reproducible() {
    let first = aegis_policy::bundle::build(&payments()).expect("a valid set");
    let second = aegis_policy::bundle::build(&payments()).expect("a valid set");
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(first.digest, Prepared::new(&payments()).expect("a valid set").digest());
    if let Ok(path) = std::env::var("AEGIS_WRITE_BUNDLE") {
        std::fs::write(path, &first.bytes).expect("a writable path");
    }
}

#[test]
fn a_lowered_maximum_shows_as_changed_calls() {
    let (old, mut new) = (payments(), payments());
    let entry = &mut new.documents[0].allowed.as_mut().unwrap()[0];
    let Condition::All(parts) = &mut entry.condition else { panic!("payments has two tests") };
    let Condition::Test(test) = &mut parts[1] else { panic!("payments has two tests") };
    test.checks = vec![Check::Max(4000.into())];
    let difference = diff(&old, &new, vec![]).expect("both sets compile");
    let amounts: Vec<&Value> =
        difference.changes.iter().map(|change| &change.case.params["amount"]).collect();
    assert!(amounts.contains(&&json!(5000)) && amounts.contains(&&json!(4001)), "{amounts:?}");
    assert!(!amounts.contains(&&json!(4000)) && !amounts.contains(&&json!(5001)), "{amounts:?}");
    assert!(difference.changes.iter().all(|change| change.before.outcome == Outcome::Allow));
    assert_eq!(diff(&old, &old, vec![]).expect("the set compiles").changes, vec![]);
}

#[test]
fn an_explanation_names_the_rule_and_what_was_wrong() {
    let prepared = Prepared::new(&payments()).expect("a valid set");
    let (difference, _) = aegis_policy::cases::boundary(&payments());
    let case = difference
        .iter()
        .find(|case| case.params.get("amount") == Some(&json!(5001)))
        .expect("a boundary call");
    let explanation = case.ask(|question| prepared.explain(question));
    assert_eq!(explanation.verdict, case.ask(|question| prepared.judge(question)));
    let told = explanation.to_string();
    assert!(told.contains("finance-agent/allowed_tools[0]") && told.contains("/params/amount"), "{told}");
}

/// What an approval holds to: it survives a version that moved its rule, not one that changed it.
#[test]
fn the_digest_of_a_rule_follows_what_it_says_not_where_it_stands() {
    let digest = |change: fn(&mut Vec<Entry>), rule: &str| {
        let mut set = payments();
        change(set.documents[0].allowed.as_mut().unwrap());
        Prepared::new(&set).unwrap().digest_of_rules(&[rule.to_owned()])
    };
    let first = "finance-agent/allowed_tools[0]";
    let expected = digest(|_| (), first);
    let moved = digest(
        |allowed| {
            allowed[0].rule = "finance-agent/allowed_tools[7]".to_owned();
            allowed.reverse();
            allowed.push(entry("finance-agent/allowed_tools[8]", "other", Condition::All(vec![])));
        },
        "finance-agent/allowed_tools[7]",
    );
    assert_eq!(moved, expected);
    let changes: [fn(&mut Vec<Entry>); 4] = [
        |allowed| allowed[0].condition = Condition::All(vec![]),
        |allowed| allowed[0].always_ask = true,
        |allowed| allowed[0].actions = None,
        |allowed| allowed[0].tool = Glob("stripe-*".to_owned()),
    ];
    for change in changes {
        assert_ne!(digest(change, first), expected);
    }
    assert_ne!(digest(|_| (), "finance-agent/allowed_tools[1]"), expected);
    assert_ne!(digest(|_| (), "nobody's"), expected);
}
