//! What bodies are read, and how the others are refused.

use aegis_model::decision::{Outcome, Reason};
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use serde_json::{Value, json};

use super::*;

/// The path, message and help of the refusal of `body`.
fn refused(body: &str) -> (String, String) {
    let bad = read_call(body.as_bytes()).expect_err("the body is malformed");
    assert_eq!(bad.code(), ReasonCode::InvalidRequest);
    (bad.path().to_owned(), bad.sentence())
}

#[test]
fn a_body_is_read_whole() {
    let body = json!({
        "request_id": "r-1", "tool": "stripe-payments", "action": "create_payment",
        "params": {"amount": 50000, "vendor": "acme"}, "context": {"purpose": "care"},
        "cost": "0.25", "override_token": "token", "dry_run": true, "explain": true
    });
    let call = read_call(body.to_string().as_bytes()).expect("a call");
    assert_eq!(call.request_id.expect("an id").as_str(), "r-1");
    assert_eq!(call.tool.as_str(), "stripe-payments");
    assert_eq!(call.action.as_str(), "create_payment");
    assert_eq!(json!(call.params), body["params"]);
    assert_eq!(json!(call.context), body["context"]);
    assert_eq!(call.cost.expect("a cost").0, 250_000);
    assert_eq!(call.override_token.expect("a token").expose(), "token");
    assert!(call.dry_run && call.explain);
}

#[test]
fn only_the_tool_has_to_be_there() {
    let call = read_call(br#"{"tool":"t"}"#).expect("a call");
    assert_eq!(call.action.as_str(), "call");
    assert!(call.params.is_empty() && call.context.is_empty() && !call.dry_run && !call.explain);
    assert_eq!(refused("{}").0, "/tool");
}

#[test]
fn an_unknown_member_is_refused_by_name_with_the_known_ones() {
    let (path, message) = refused(r#"{"tool":"t","dryrun":true}"#);
    assert_eq!(path, "");
    assert!(message.contains("`dryrun`"), "{message}");
    for known in CALL_MEMBERS {
        assert!(message.contains(&format!("`{known}`")), "{message}");
    }
}

#[test]
fn an_unknown_members_name_is_shown_short_and_on_one_line() {
    let (_, message) = refused(&format!(r#"{{"tool":"t","a\nb{}":1}}"#, "x".repeat(1000)));
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
}

#[test]
fn a_wrong_type_is_refused_with_its_path_and_nothing_is_coerced() {
    for (path, body) in [
        ("/tool", r#"{"tool":1}"#),
        ("/tool", r#"{"tool":null}"#),
        ("/action", r#"{"tool":"t","action":null}"#),
        ("/action", r#"{"tool":"t","action":""}"#),
        ("/params", r#"{"tool":"t","params":"{}"}"#),
        ("/params", r#"{"tool":"t","params":null}"#),
        ("/context", r#"{"tool":"t","context":[]}"#),
        ("/cost", r#"{"tool":"t","cost":0.25}"#),
        ("/cost", r#"{"tool":"t","cost":"0.2500000"}"#),
        ("/dry_run", r#"{"tool":"t","dry_run":"true"}"#),
        ("/explain", r#"{"tool":"t","explain":1}"#),
        ("/request_id", r#"{"tool":"t","request_id":""}"#),
        ("/override_token", r#"{"tool":"t","override_token":{}}"#),
    ] {
        assert_eq!(refused(body).0, path, "{body}");
    }
}

#[test]
fn what_is_no_strict_object_is_refused() {
    for (path, body) in [
        ("", ""),
        ("", "[]"),
        ("", "null"),
        ("", r#"{"tool":"t"} {"tool":"t"}"#),
        ("", "\u{feff}{\"tool\":\"t\"}"),
        ("/tool", r#"{"tool":"t","tool":"u"}"#),
        ("/params/a/1", r#"{"tool":"t","params":{"a":[1,1e999]}}"#),
    ] {
        assert_eq!(refused(body).0, path, "{body}");
    }
}

#[test]
fn no_refusal_repeats_a_value() {
    for body in [
        r#"{"tool":"KEEP OUT"}"#,
        r#"{"tool":["KEEP OUT"]}"#,
        r#"{"tool":"t","cost":"KEEP OUT"}"#,
        r#"{"tool":"t","params":"KEEP OUT"}"#,
        r#"{"tool":"t","x":"KEEP OUT"}"#,
        r#"{"tool":"t","params":{"a":"KEEP OUT","a":1}}"#,
    ] {
        let (_, message) = refused(body);
        assert!(!message.contains("KEEP OUT"), "{message}");
    }
}

#[test]
fn a_decision_is_written_as_the_interface_says() {
    let decision = Decision {
        decision_id: "n1-7-42".to_owned(),
        outcome: Outcome::ApprovalRequired,
        reasons: vec![Reason {
            path: Some("/params/amount".to_owned()),
            ..Reason::plain(ReasonCode::ParameterOutOfRange, "above 5000")
        }],
        params: None,
        approval: Some(aegis_model::decision::Approval {
            id: "a-1".to_owned(),
            url: "https://control-1/a-1".to_owned(),
            expires_at: "2026-01-31T12:00:00Z".to_owned(),
        }),
        redactions: vec![],
        policy: None,
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
    let written: Value = serde_json::from_slice(&write_decision(&decision)).expect("JSON");
    let expected = json!({
        "decision_id": "n1-7-42",
        "outcome": "approval_required",
        "reasons": [{"code": "ParameterOutOfRange", "message": "above 5000", "path": "/params/amount"}],
        "approval": {"id": "a-1", "url": "https://control-1/a-1", "expires_at": "2026-01-31T12:00:00Z"},
        "limits": {"budget_remaining": "12.5", "retry_after_ms": 180},
        "receipt": {"log": "c/n1/7", "index": 41, "leaf": "00".repeat(32)},
        "owner": "https://data-2:7081"
    });
    assert_eq!(written, expected);
}
