//! Answers of a node, and what a caller sees of them.

use super::*;

fn response(outcome: v1::Outcome) -> v1::DecideResponse {
    v1::DecideResponse {
        decision_id: "d-1".to_owned(),
        outcome: outcome.into(),
        reasons: vec![v1::Reason {
            code: "BudgetExceeded".to_owned(),
            message: "the daily budget of 20 is spent".to_owned(),
            ..Default::default()
        }],
        params: r#"{"a":1}"#.into(),
        redactions: vec![Redaction { path: "/a".to_owned(), ..Default::default() }],
        approval: Some(Approval { id: "a-1".to_owned(), ..Default::default() }),
        limits: Some(Limits { budget_remaining: "0".to_owned(), retry_after_ms: 0 }),
        receipt: Some(Receipt {
            log: "l".to_owned(),
            index: 41,
            leaf: "00".to_owned(),
            time: "2026-11-23T05:16:00.000000001Z".to_owned(),
            signature: "c2ln".to_owned(),
        }),
        ..Default::default()
    }
}

fn read(outcome: v1::Outcome) -> Outcome {
    Outcome::read(response(outcome)).expect("an outcome")
}

#[test]
fn each_answer_is_a_variant_with_what_belongs_to_it() {
    let Outcome::Allowed { params, .. } = read(v1::Outcome::Allow) else { unreachable!("allowed") };
    assert_eq!(Value::from(params), serde_json::json!({"a": 1}));
    let Outcome::Sanitized { params, redactions, .. } = read(v1::Outcome::Sanitize) else {
        unreachable!("sanitized")
    };
    assert_eq!((params.len(), redactions[0].path.as_str()), (1, "/a"));
    let Outcome::ApprovalRequired { approval, .. } = read(v1::Outcome::ApprovalRequired) else {
        unreachable!("approval")
    };
    assert_eq!(approval.expect("a request").id, "a-1");
    let denied = read(v1::Outcome::Deny);
    assert!(matches!(denied, Outcome::Denied { .. }));
    assert_eq!(denied.decision().decision_id, "d-1");
    assert_eq!(denied.decision().receipt.as_ref().map(|receipt| receipt.index), Some(41));
}

#[test]
fn a_denial_reads_as_a_policy_violation_with_the_next_step() {
    assert_eq!(
        read(v1::Outcome::Deny).to_string(),
        "PolicyViolation: BudgetExceeded: the daily budget of 20 is spent. \
         Wait for the next period, or ask for a larger budget."
    );
    assert_eq!(
        read(v1::Outcome::ApprovalRequired).to_string(),
        "PolicyViolation: ApprovalRequired: the daily budget of 20 is spent. \
         Ask an approver, then retry with the override token."
    );
    let silent = v1::DecideResponse { reasons: vec![], ..response(v1::Outcome::Deny) };
    assert!(Outcome::read(silent).expect("an outcome").to_string().starts_with("PolicyViolation: "));
}

#[test]
fn only_a_permission_gives_parameters() {
    assert!(read(v1::Outcome::Allow).into_params().is_ok());
    assert!(read(v1::Outcome::Sanitize).into_params().is_ok());
    for outcome in [v1::Outcome::Deny, v1::Outcome::ApprovalRequired] {
        let refused = read(outcome).into_params().expect_err("the call must not go on");
        assert!(refused.to_string().starts_with("PolicyViolation: "), "{refused}");
    }
}

#[test]
fn an_outcome_does_not_show_parameters() {
    let response =
        v1::DecideResponse { params: r#"{"ssn":"KEEP OUT"}"#.into(), ..response(v1::Outcome::Allow) };
    let outcome = Outcome::read(response).expect("an outcome");
    assert!(!format!("{outcome:?} {outcome}").contains("KEEP OUT"));
}

#[test]
fn the_json_form_is_that_of_the_http_surface() {
    let common = serde_json::json!({
        "decision_id": "d-1",
        "reasons": [{"code": "BudgetExceeded", "message": "the daily budget of 20 is spent"}],
        "limits": {"budget_remaining": "0"},
        "receipt": {
            "log": "l", "index": 41, "leaf": "00",
            "time": "2026-11-23T05:16:00.000000001Z", "signature": "c2ln"
        }
    });
    let redactions = serde_json::json!([{"path": "/a", "kind": "", "with": ""}]);
    let approval = serde_json::json!({"id": "a-1", "url": "", "expires_at": ""});
    for (outcome, own) in [
        (v1::Outcome::Allow, serde_json::json!({"outcome": "allow", "params": {"a": 1}})),
        (
            v1::Outcome::Sanitize,
            serde_json::json!({"outcome": "sanitize", "params": {"a": 1}, "redactions": redactions}),
        ),
        (v1::Outcome::Deny, serde_json::json!({"outcome": "deny"})),
        (
            v1::Outcome::ApprovalRequired,
            serde_json::json!({"outcome": "approval_required", "approval": approval}),
        ),
    ] {
        let mut expected = common.as_object().expect("an object").clone();
        expected.extend(own.as_object().expect("an object").clone());
        assert_eq!(read(outcome).to_json(), Value::Object(expected));
    }
}
