//! What a gRPC call becomes, what a decision becomes, and what neither may become.

use serde_json::json;

use super::*;
use aegis_model::money::Micros;

fn request() -> v1::DecideRequest {
    v1::DecideRequest {
        request_id: "r-1".to_owned(),
        tool: "stripe-payments".to_owned(),
        action: "create_payment".to_owned(),
        params: r#"{"vendor":"acme","amount":50000}"#.into(),
        context: r#"{"purpose":"care"}"#.into(),
        cost: "0.25".to_owned(),
        override_token: "token".to_owned(),
        dry_run: true,
        explain: true,
        wait_ms: 250,
        sign_receipt: true,
    }
}

fn decision() -> Decision {
    Decision {
        decision_id: "n1-7-42".to_owned(),
        outcome: Outcome::Allow,
        reasons: vec![Reason {
            code: ReasonCode::ParameterOutOfRange,
            message: "above 5000".to_owned(),
            path: Some("/params/amount".to_owned()),
            rule: Some("finance-agent/allowed_tools[0]".to_owned()),
            position: Some("finance.yaml:7:5".to_owned()),
        }],
        params: json!({"amount": 1.5, "vendor": "acme"}).as_object().cloned(),
        approval: Some(aegis_model::decision::Approval {
            id: "a-1".to_owned(),
            url: "https://control-1:7070/approvals/acme/a-1".to_owned(),
            expires_at: "2026-01-31T12:00:00Z".to_owned(),
        }),
        redactions: vec![Redaction { path: "/ssn".into(), kind: "us_ssn".into(), with: "mask".into() }],
        policy: Some(PolicyRef { version: 12, digest: "sha256:00".into(), activation: 417 }),
        limits: Some(aegis_model::decision::Limits {
            budget_remaining: Some(Micros(12_500_000)),
            retry_after_ms: Some(180),
        }),
        receipt: Some(aegis_model::decision::Receipt {
            log: "c/n1/7".into(),
            index: 41,
            leaf: "00".repeat(32),
            time: Some("2026-11-23T05:16:00.000000001Z".to_owned()),
            signature: Some("c2lnbmVk".to_owned()),
        }),
        replayed: true,
        owner: Some("https://data-2:7081".into()),
        explanation: Some(json!([{"step": "scope"}])),
    }
}

/// The path and the message of the refusal of a request that `change` makes of a good one.
fn refused(change: impl FnOnce(&mut v1::DecideRequest)) -> (String, String) {
    let mut request = request();
    change(&mut request);
    let bad = read_call(request).expect_err("the request is malformed");
    assert_eq!(bad.code(), ReasonCode::InvalidRequest);
    (bad.path().to_owned(), bad.sentence())
}

#[test]
fn a_call_is_read_whole() {
    let call = read_call(request()).expect("a call");
    assert_eq!(call.request_id.expect("an id").as_str(), "r-1");
    assert_eq!(call.tool.as_str(), "stripe-payments");
    assert_eq!(call.action.as_str(), "create_payment");
    assert_eq!(json!(call.params), json!({"amount": 50000, "vendor": "acme"}));
    assert_eq!(json!(call.context), json!({"purpose": "care"}));
    assert_eq!(call.cost.expect("a cost").to_string(), "0.25");
    assert_eq!(call.override_token.expect("a token").expose(), "token");
    assert!(call.dry_run && call.explain);
}

#[test]
fn an_empty_field_is_an_absent_one() {
    let call = read_call(v1::DecideRequest { tool: "t".to_owned(), ..Default::default() }).expect("a call");
    assert_eq!(call.action.as_str(), "call");
    assert!(call.params.is_empty() && call.context.is_empty());
    assert!(call.request_id.is_none() && call.cost.is_none() && call.override_token.is_none());
}

#[test]
fn a_malformed_field_is_refused_with_its_path_and_without_its_value() {
    for (path, refusal) in [
        ("/tool", refused(|r| r.tool = "KEEP OUT".to_owned())),
        ("/tool", refused(|r| r.tool = String::new())),
        ("/action", refused(|r| r.action = "KEEP OUT".to_owned())),
        ("/request_id", refused(|r| r.request_id = "KEEP OUT".to_owned())),
        ("/request_id", refused(|r| r.request_id = "x".repeat(caps::REQUEST_ID_BYTES_MAX + 1))),
        ("/cost", refused(|r| r.cost = "-1".to_owned())),
        ("/params", refused(|r| r.params = r#"["KEEP OUT"]"#.into())),
        ("/params/a", refused(|r| r.params = r#"{"a":"KEEP OUT","a":2}"#.into())),
        ("/context", refused(|r| r.context = r#"{"a":"KEEP OUT"} x"#.into())),
        ("/override_token", refused(|r| r.override_token = "x".repeat(caps::TOKEN_BYTES_MAX + 1))),
    ] {
        assert_eq!(refusal.0, path);
        assert!(!refusal.1.contains("KEEP OUT"), "{}", refusal.1);
    }
}

#[test]
fn a_bad_request_is_an_invalid_argument() {
    let bad = read_call(v1::DecideRequest::default()).expect_err("no tool");
    let status = tonic::Status::from(bad);
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert_eq!(crate::status::reason_of(&status), Some("InvalidRequest"));
    assert!(status.message().contains("`/tool`"), "{}", status.message());
}

#[test]
fn a_decision_survives_the_wire() {
    for outcome in [Outcome::Allow, Outcome::Sanitize] {
        let sent = Decision { outcome, ..decision() };
        assert_eq!(read_decision(write_decision(sent.clone(), None)).expect("a decision"), sent);
    }
    for outcome in [Outcome::Deny, Outcome::ApprovalRequired] {
        let sent = Decision { outcome, params: None, policy: None, explanation: None, ..decision() };
        assert_eq!(read_decision(write_decision(sent.clone(), None)).expect("a decision"), sent);
    }
}

#[test]
fn an_allowance_gives_back_the_bytes_that_were_judged() {
    let judged = bytes::Bytes::from_static(br#"{ "amount": 5e3 }"#);
    let written = |outcome, params: Option<_>, judged: &bytes::Bytes| {
        write_decision(Decision { outcome, params, ..decision() }, Some(judged.clone())).params
    };
    let params = || decision().params;
    assert_eq!(written(Outcome::Allow, params(), &judged), judged);
    assert_ne!(written(Outcome::Sanitize, params(), &judged), judged, "cleaned ones are written anew");
    assert_eq!(written(Outcome::Deny, None, &judged), "");
    assert_eq!(written(Outcome::Allow, Some(Default::default()), &bytes::Bytes::new()), "{}");
}

#[test]
fn every_reason_code_survives_the_wire() {
    for &code in ReasonCode::ALL {
        let sent = Decision { reasons: vec![Reason::plain(code, "m")], ..decision() };
        assert_eq!(
            read_decision(write_decision(sent.clone(), None)).expect("a decision").reasons,
            sent.reasons
        );
    }
}

#[test]
fn what_a_client_does_not_know_is_an_error() {
    let changed = |change: fn(&mut v1::DecideResponse)| {
        let mut response = write_decision(decision(), None);
        change(&mut response);
        read_decision(response).expect_err("not understood")
    };
    assert!(matches!(changed(|r| r.outcome = 0), BadAnswer::UnknownOutcome(0)));
    assert!(matches!(changed(|r| r.outcome = 5), BadAnswer::UnknownOutcome(5)));
    assert!(matches!(changed(|r| r.decision_id.clear()), BadAnswer::NoDecisionId));
    assert!(matches!(changed(|r| r.params.clear()), BadAnswer::NoParams));
    assert!(matches!(changed(|r| r.params = "[]".into()), BadAnswer::Params(_)));
    assert!(matches!(changed(|r| r.params = r#"{"a":1,"a":2}"#.into()), BadAnswer::Params(_)));
    assert!(matches!(changed(|r| r.reasons[0].code = "NewCode".to_owned()), BadAnswer::UnknownReason));
    assert!(matches!(changed(|r| r.reasons[0].code = "toolnotallowed".to_owned()), BadAnswer::UnknownReason));
    assert!(matches!(changed(|r| r.explanation = "{".into()), BadAnswer::Explanation));
}

#[test]
fn a_refusal_brings_no_parameters_even_if_a_node_sends_some() {
    let response =
        v1::DecideResponse { outcome: v1::Outcome::Deny.into(), ..write_decision(decision(), None) };
    assert_eq!(read_decision(response).expect("a decision").params, None);
}

#[test]
fn what_became_of_a_call_is_read_strictly() {
    let told = |status, cost: &str, result: &'static str| v1::CompleteRequest {
        decision_id: "d-n1-7-1".to_owned(),
        status,
        cost: cost.to_owned(),
        result: result.into(),
        sign_receipt: true,
    };
    let read = read_completion(&told(2, "0.25", "[1.50]")).expect("a completion");
    assert_eq!(
        (read.status, read.cost, read.result),
        (Status::Failed, Some(Micros(250_000)), Some(json!([1.5])))
    );
    assert!(read.sign_receipt);
    assert_eq!(read_completion(&told(1, "", "")).expect("a completion").cost, None);
    for (told, path) in [
        (told(0, "", ""), "/status"),
        (told(9, "", ""), "/status"),
        (told(1, "-1", ""), "/cost"),
        (told(1, "1e3", ""), "/cost"),
        (told(1, "", "{\"a\": 1, \"a\": 2}"), "/result/a"),
        (told(1, "", "nothing"), "/result"),
        (v1::CompleteRequest { decision_id: String::new(), ..told(1, "", "") }, "/decision_id"),
        (v1::CompleteRequest { decision_id: "d".repeat(200), ..told(1, "", "") }, "/decision_id"),
    ] {
        assert_eq!(read_completion(&told).expect_err("refused").path(), path);
    }
}

#[test]
fn limits_that_are_no_amount_are_not_understood() {
    let mut response = write_decision(decision(), None);
    response.limits = Some(v1::Limits { budget_remaining: "many".to_owned(), retry_after_ms: 0 });
    assert!(matches!(read_decision(response), Err(BadAnswer::Limits)));
}
