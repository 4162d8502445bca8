//! AuthZEN's messages: the specification's own shapes, defaults, and what is refused.

use aegis_model::caps;
use aegis_model::decision::{Decision, Outcome, PolicyRef, Reason};
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use serde_json::{Value, json};

use super::*;

fn one() -> Value {
    json!({
        "subject": {"type": "agent", "id": "finance-agent", "properties": {"team": "a"}},
        "action": {"name": "create_payment", "properties": {"method": "POST"}},
        "resource": {"type": "tool", "id": "stripe-payments", "properties": {"amount": 10}},
        "context": {"purpose": "care"}
    })
}

fn many(body: Value) -> (Vec<Evaluation>, Semantic) {
    match read_evaluations(body.to_string().as_bytes()).expect("a list") {
        Evaluations::Many { evaluations, semantic } => (evaluations, semantic),
        Evaluations::One(_) => unreachable!("a list was sent"),
    }
}

fn refused(body: Value) -> String {
    let bad = read_evaluations(body.to_string().as_bytes()).expect_err("malformed");
    assert_eq!(bad.code(), ReasonCode::InvalidRequest);
    bad.path().to_owned()
}

fn with(mut body: Value, pointer: &str, name: &str, value: Value) -> Value {
    body.pointer_mut(pointer).expect("the place exists")[name] = value;
    body
}

#[test]
fn an_evaluation_is_a_call() {
    let evaluation = read_evaluation(one().to_string().as_bytes()).expect("an evaluation");
    assert_eq!(evaluation.agent().expect("an agent").as_str(), "finance-agent");
    let call = evaluation.call().expect("a call");
    assert_eq!((call.tool.as_str(), call.action.as_str()), ("stripe-payments", "create_payment"));
    assert_eq!(json!(call.params), json!({"amount": 10}));
    assert_eq!(json!(call.context), json!({"purpose": "care"}));
    assert!(call.request_id.is_none() && !call.dry_run && !call.explain);
}

#[test]
fn a_list_that_is_absent_or_empty_is_one_evaluation() {
    for body in [one(), with(one(), "", "evaluations", json!([]))] {
        let read = read_evaluations(body.to_string().as_bytes()).expect("an evaluation");
        assert!(matches!(read, Evaluations::One(_)), "{body}");
    }
}

#[test]
fn a_default_fills_in_and_is_replaced_whole() {
    let (evaluations, semantic) = many(json!({
        "subject": {"type": "agent", "id": "a"},
        "action": {"name": "read"},
        "resource": {"type": "tool", "id": "files", "properties": {"path": "/tmp", "mode": "r"}},
        "context": {"purpose": "care", "session": "s"},
        "evaluations": [
            {},
            {"resource": {"type": "tool", "id": "files", "properties": {"path": "/etc"}}},
            {"action": {"name": "write"}, "context": {"purpose": "test"}}
        ]
    }));
    assert_eq!(semantic, Semantic::ExecuteAll);
    let calls: Vec<_> = evaluations.iter().map(|e| e.call().expect("a call")).collect();
    assert_eq!(json!(calls[0].params), json!({"path": "/tmp", "mode": "r"}));
    assert_eq!(json!(calls[1].params), json!({"path": "/etc"}), "not merged with the default's");
    assert_eq!((calls[1].action.as_str(), calls[2].action.as_str()), ("read", "write"));
    assert_eq!(json!(calls[2].context), json!({"purpose": "test"}), "not merged with the default's");
}

#[test]
fn the_three_semantics_end_where_the_specification_says() {
    for (name, after_deny, after_permit) in [
        ("execute_all", false, false),
        ("deny_on_first_deny", true, false),
        ("permit_on_first_permit", false, true),
    ] {
        let body = with(one(), "", "evaluations", json!([{}]));
        let (_, semantic) = many(with(body, "", "options", json!({"evaluations_semantic": name})));
        assert_eq!(
            (semantic.ends_after(false), semantic.ends_after(true)),
            (after_deny, after_permit),
            "{name}"
        );
    }
}

#[test]
fn what_is_missing_unknown_or_mistyped_is_refused_with_its_path() {
    let list = |item: Value| {
        json!({"subject": {"type": "agent", "id": "a"}, "evaluations": [{
        "action": {"name": "read"}, "resource": {"type": "tool", "id": "t"}}, item]})
    };
    let too_many = vec![json!({}); caps::EVALUATIONS_MAX + 1];
    for (path, body) in [
        ("/subject", json!({})),
        ("/evaluations/1/action", list(json!({"resource": {"type": "tool", "id": "t"}}))),
        ("/evaluations/1", list(json!(null))),
        ("/evaluations/1", list(json!({"evaluations": []}))),
        ("/evaluations/1/action/name", list(json!({"action": {}}))),
        ("/evaluations", with(one(), "", "evaluations", json!({}))),
        ("/evaluations", with(one(), "", "evaluations", json!(too_many))),
        ("", with(one(), "", "page", json!({}))),
        ("/subject", with(one(), "/subject", "name", json!("x"))),
        ("/resource", with(one(), "/resource", "attributes", json!({}))),
        ("/action", with(one(), "/action", "id", json!("x"))),
        ("/subject/type", with(one(), "/subject", "type", json!(1))),
        ("/subject/type", with(one(), "/subject", "type", json!("x".repeat(129)))),
        ("/resource/id", with(one(), "/resource", "id", json!(null))),
        ("/resource/properties", with(one(), "/resource", "properties", json!([]))),
        ("/action/properties", with(one(), "/action", "properties", json!(""))),
        ("/context", with(one(), "", "context", json!("x"))),
        ("/options", with(one(), "", "options", json!({"another_option": 1}))),
        ("/options/evaluations_semantic", with(one(), "", "options", json!({"evaluations_semantic": "all"}))),
    ] {
        assert_eq!(refused(body.clone()), path, "{body}");
    }
}

#[test]
fn one_bad_name_spoils_its_own_evaluation_only() {
    let (evaluations, _) = many(json!({
        "subject": {"type": "agent", "id": "a"},
        "action": {"name": "read"},
        "evaluations": [
            {"resource": {"type": "tool", "id": "KEEP OUT"}},
            {"resource": {"type": "tool", "id": "files"}}
        ]
    }));
    let bad = evaluations[0].call().expect_err("no name");
    assert_eq!(bad.path(), "/evaluations/0/resource/id");
    evaluations[1].call().expect("the other is judged");
    let answer = serde_json::to_value(EvaluationAnswer::from(bad)).expect("JSON");
    assert_eq!(answer["decision"], json!(false));
    assert_eq!(answer["context"]["error"]["status"], json!(400));
    assert_eq!(answer["context"]["error"]["code"], json!("InvalidRequest"));
    assert!(!answer.to_string().contains("KEEP OUT"), "{answer}");
}

#[test]
fn a_bad_default_is_named_where_it_stands() {
    let (evaluations, _) = many(json!({
        "subject": {"type": "agent", "id": "not a name"},
        "action": {"name": "read"},
        "evaluations": [{"resource": {"type": "tool", "id": "files"}}]
    }));
    assert_eq!(evaluations[0].agent().expect_err("no name").path(), "/subject/id");
}

#[test]
fn only_an_allowance_is_true() {
    let decision = |outcome| Decision {
        decision_id: "d".to_owned(),
        outcome,
        reasons: vec![Reason::plain(ReasonCode::SensitiveData, "m")],
        params: json!({"a": 1}).as_object().cloned(),
        approval: None,
        redactions: vec![],
        policy: Some(PolicyRef { version: 1, digest: "sha256:00".into(), activation: 2 }),
        limits: Some(aegis_model::decision::Limits {
            budget_remaining: Some(Micros(12_500_000)),
            retry_after_ms: Some(180),
        }),
        receipt: Some(aegis_model::decision::Receipt {
            log: "c/n1/7".into(),
            index: 41,
            leaf: "00".repeat(32),
            time: None,
            signature: None,
        }),
        replayed: false,
        owner: Some("https://data-2:7081".into()),
        explanation: None,
    };
    for (outcome, permitted, params) in [
        (Outcome::Allow, true, Value::Null),
        (Outcome::Sanitize, false, json!({"a": 1})),
        (Outcome::Deny, false, Value::Null),
        (Outcome::ApprovalRequired, false, Value::Null),
    ] {
        let answer = serde_json::to_value(EvaluationAnswer::from(decision(outcome))).expect("JSON");
        assert_eq!(answer["decision"], json!(permitted), "{outcome}");
        assert_eq!(answer["context"]["outcome"], json!(outcome.as_str()));
        assert_eq!(answer["context"]["params"], params, "{outcome}");
        assert_eq!(answer["context"]["policy"]["version"], json!(1));
        assert_eq!(answer["context"]["limits"], json!({"budget_remaining": "12.5", "retry_after_ms": 180}));
        assert_eq!(answer["context"]["receipt"]["index"], json!(41));
        assert_eq!(answer["context"]["owner"], json!("https://data-2:7081"));
        assert_eq!(answer["context"]["reasons"][0]["code"], json!("SensitiveData"));
    }
}

#[test]
fn the_metadata_names_the_endpoints() {
    let expected = json!({
        "policy_decision_point": "https://aegis.example.com",
        "access_evaluation_endpoint": "https://aegis.example.com/access/v1/evaluation",
        "access_evaluations_endpoint": "https://aegis.example.com/access/v1/evaluations"
    });
    for base in ["https://aegis.example.com", "https://aegis.example.com/"] {
        assert_eq!(serde_json::to_value(Metadata::new(base)).expect("JSON"), expected);
    }
}
