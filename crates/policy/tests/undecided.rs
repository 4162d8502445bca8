//! "A matcher is true, false or undecided": each sentence of the language's page as tests, from YAML to verdict.
//!
//! Undecided never helps the call: an allowing entry needs true, a denying entry denies on true and on
//! undecided, `not` of undecided is undecided, groups follow Kleene.

use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::reason::ReasonCode::{self, *};
use aegis_policy::ast::SourceFile;
use aegis_policy::cases::Case;
use aegis_policy::check::check;
use aegis_policy::prepared::Prepared;
use serde_json::{Value, json};

/// The policy with which the language's page begins.
const PAYMENTS: &str = "
agent: finance-agent
allowed_tools:
- name: stripe-payments
  actions:
  - create_payment
  conditions:
    max_amount: 5000
    approval_needed: true
";

/// A checked and prepared policy.
struct Policy(Prepared);

fn policy(text: &str) -> Policy {
    let checked = check(vec![SourceFile { path: "policy.yaml".to_owned(), text: text.into() }]);
    let problems: Vec<String> =
        checked.diagnostics.iter().map(|problem| problem.render(&checked.files, false)).collect();
    let set = checked.set.ok_or_else(|| problems.join("\n")).expect("a policy without errors");
    Policy(Prepared::new(&set).expect("a checked set compiles"))
}

/// An agent that may do everything but what the conditions, indented by four, deny.
fn denying(conditions: &str) -> Policy {
    policy(&format!(
        "agent: a\nallowed_tools:\n- name: t\ndenied_tools:\n- name: t\n  conditions:\n{}",
        indented(conditions)
    ))
}

/// An agent that may call the tool if the conditions hold.
fn allowing(conditions: &str) -> Policy {
    policy(&format!("agent: a\nallowed_tools:\n- name: t\n  conditions:\n{}", indented(conditions)))
}

fn indented(conditions: &str) -> String {
    conditions.lines().map(|line| format!("    {line}\n")).collect()
}

impl Policy {
    fn judge(&self, case: &Case) -> (Outcome, Vec<ReasonCode>) {
        let verdict = case.ask(|question| self.0.judge(question));
        (verdict.outcome, verdict.reasons.iter().map(|reason| reason.code).collect())
    }

    /// Calls `t` with these parameters.
    fn with(&self, params: Value) -> (Outcome, Vec<ReasonCode>) {
        self.judge(&case("a", "t", "call", params))
    }

    #[track_caller]
    fn allows(&self, params: Value) {
        assert_eq!(self.with(params.clone()), (Outcome::Allow, vec![]), "{params}");
    }

    #[track_caller]
    fn denies(&self, params: Value, codes: &[ReasonCode]) {
        assert_eq!(self.with(params.clone()), (Outcome::Deny, codes.to_vec()), "{params}");
    }

    #[track_caller]
    fn asks(&self, params: Value, codes: &[ReasonCode]) {
        assert_eq!(self.with(params.clone()), (Outcome::ApprovalRequired, codes.to_vec()), "{params}");
    }
}

fn case(agent: &str, tool: &str, action: &str, params: Value) -> Case {
    let object = |value: Value| value.as_object().cloned().expect("an object");
    Case {
        agent: agent.parse().expect("a name"),
        tool: tool.parse().expect("a name"),
        action: action.parse().expect("a name"),
        params: object(params),
        context: object(json!({})),
        token: object(json!({})),
        callers: Vec::new(),
        now: UnixNanos::from_seconds(1_790_000_000),
    }
}

// ---- the amounts

#[test]
fn amounts_up_to_the_maximum_are_allowed_and_larger_ones_ask() {
    let policy = policy(PAYMENTS);
    let pay = |params| policy.judge(&case("finance-agent", "stripe-payments", "create_payment", params));
    for amount in [json!(0), json!(4999), json!(5000), json!(0.01), json!(4999.99)] {
        assert_eq!(pay(json!({"amount": amount})), (Outcome::Allow, vec![]), "{amount}");
    }
    for amount in [json!(5001), json!(50_000), json!(5000.01)] {
        let asked = (Outcome::ApprovalRequired, vec![ParameterOutOfRange]);
        assert_eq!(pay(json!({"amount": amount})), asked, "{amount}");
    }
}

#[test]
fn an_amount_that_cannot_be_judged_is_denied_not_asked_about() {
    let policy = policy(PAYMENTS);
    let pay = |params| policy.judge(&case("finance-agent", "stripe-payments", "create_payment", params));
    // The minimum of 0 and the maximum both speak of the amount.
    assert_eq!(pay(json!({"amount": "5000"})), (Outcome::Deny, vec![ParameterType, ParameterType]));
    assert_eq!(pay(json!({"amount": null})), (Outcome::Deny, vec![ParameterType, ParameterType]));
    assert_eq!(pay(json!({"amount": [5000]})), (Outcome::Deny, vec![ParameterType, ParameterType]));
    assert_eq!(pay(json!({})), (Outcome::Deny, vec![ParameterMissing, ParameterMissing]));
    assert_eq!(pay(json!({"Amount": 5})), (Outcome::Deny, vec![ParameterMissing, ParameterMissing]));
}

#[test]
fn a_negative_amount_is_denied_not_asked_about() {
    let policy = policy(PAYMENTS);
    let pay = |params| policy.judge(&case("finance-agent", "stripe-payments", "create_payment", params));
    for amount in [json!(-1), json!(-0.01), json!(-50_000)] {
        assert_eq!(pay(json!({"amount": amount})), (Outcome::Deny, vec![ParameterOutOfRange]), "{amount}");
    }
}

#[test]
fn another_tool_action_or_agent_is_denied_each_with_its_code() {
    let policy = policy(PAYMENTS);
    let params = json!({"amount": 1});
    let ask = |agent, tool, action| policy.judge(&case(agent, tool, action, params.clone()));
    let denied = |code| (Outcome::Deny, vec![code]);
    assert_eq!(ask("finance-agent", "stripe-refunds", "create_payment"), denied(ToolNotAllowed));
    assert_eq!(ask("finance-agent", "Stripe-payments", "create_payment"), denied(ToolNotAllowed));
    assert_eq!(ask("finance-agent", "stripe-payments", "refund"), denied(ActionNotAllowed));
    assert_eq!(ask("support-agent", "stripe-payments", "create_payment"), denied(UnknownAgent));
}

// ---- one value

#[test]
fn a_denial_on_a_flag_fires_on_a_text_that_looks_like_it() {
    let policy = denying("params: {export: {equals: true}}");
    policy.allows(json!({"export": false}));
    policy.denies(json!({"export": true}), &[ToolDenied]);
    policy.denies(json!({"export": "true"}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"export": "false"}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"export": 1}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"export": null}), &[ToolDenied, ParameterType]);
    policy.denies(json!({}), &[ToolDenied, ParameterMissing]);
}

#[test]
fn a_denial_on_a_purpose_fires_on_an_absent_purpose() {
    let policy = denying("purpose: marketing");
    let call = |token: Value, context: Value| {
        let mut case = case("a", "t", "call", json!({}));
        case.token = token.as_object().cloned().expect("an object");
        case.context = context.as_object().cloned().expect("an object");
        policy.judge(&case)
    };
    assert_eq!(call(json!({}), json!({})), (Outcome::Deny, vec![ToolDenied, ContextMismatch]));
    assert_eq!(call(json!({"purpose": "care"}), json!({})), (Outcome::Allow, vec![]));
    assert_eq!(call(json!({"purpose": "marketing"}), json!({})), (Outcome::Deny, vec![ToolDenied]));
    assert_eq!(call(json!({}), json!({"purpose": "care"})), (Outcome::Allow, vec![]));
    // The token's word counts, whatever the caller says, and also where it is of another type.
    let (marketing, care) = (json!({"purpose": "marketing"}), json!({"purpose": "care"}));
    assert_eq!(call(marketing, care.clone()), (Outcome::Deny, vec![ToolDenied]));
    assert_eq!(call(json!({"purpose": 7}), care), (Outcome::Deny, vec![ToolDenied, ContextMismatch]));
}

#[test]
fn an_allowance_on_a_purpose_needs_it() {
    let policy = allowing("purpose: care");
    let call = |context: Value| {
        let mut case = case("a", "t", "call", json!({}));
        case.context = context.as_object().cloned().expect("an object");
        policy.judge(&case)
    };
    assert_eq!(call(json!({"purpose": "care"})), (Outcome::Allow, vec![]));
    for context in
        [json!({}), json!({"purpose": "billing"}), json!({"purpose": ["care"]}), json!({"purpose": null})]
    {
        assert_eq!(call(context.clone()), (Outcome::Deny, vec![ContextMismatch]), "{context}");
    }
}

#[test]
fn an_allowance_with_not_needs_a_value_that_is_known_to_be_another() {
    let policy = allowing("not: {params: {env: production}}");
    policy.allows(json!({"env": "staging"}));
    policy.denies(json!({"env": "production"}), &[ParameterMismatch]);
    policy.denies(json!({"env": 7}), &[ParameterType]);
    policy.denies(json!({"env": ["production"]}), &[ParameterType]);
    policy.denies(json!({}), &[ParameterMissing]);
}

#[test]
fn a_denial_with_not_fires_unless_the_value_is_known_to_be_the_one() {
    let policy = denying("not: {params: {env: staging}}");
    policy.allows(json!({"env": "staging"}));
    policy.denies(json!({"env": "production"}), &[ToolDenied]);
    policy.denies(json!({"env": 7}), &[ToolDenied, ParameterType]);
    policy.denies(json!({}), &[ToolDenied, ParameterMissing]);
}

#[test]
fn not_twice_is_as_without() {
    let policy = allowing("not: {not: {params: {env: staging}}}");
    policy.allows(json!({"env": "staging"}));
    policy.denies(json!({"env": "production"}), &[ParameterMismatch]);
    policy.denies(json!({}), &[ParameterMissing]);
}

#[test]
fn a_negated_matcher_is_undecided_where_the_matcher_is() {
    let allowing = allowing("params: {host: {not_domain_in: evil.org}}");
    allowing.allows(json!({"host": "api.good.org"}));
    allowing.denies(json!({"host": "api.evil.org"}), &[ParameterMismatch]);
    for odd in [
        "API.evil.org",
        "evil.org.",
        "u@evil.org",
        "https://evil%2eorg/",
        "good.org//evil.org",
        "",
        "evil.org\n",
    ] {
        allowing.denies(json!({"host": odd}), &[ParameterType]);
    }
    let denying = denying("params: {host: {domain_in: evil.org}}");
    denying.allows(json!({"host": "api.good.org"}));
    denying.denies(json!({"host": "api.evil.org"}), &[ToolDenied]);
    denying.denies(json!({"host": "API.good.org"}), &[ToolDenied, ParameterType]);
    denying.denies(json!({"host": 7}), &[ToolDenied, ParameterType]);
}

// ---- `[*]`

#[test]
fn a_denial_fires_on_one_bad_address_among_good_ones() {
    let policy = denying("params: {'to[*]': {not_ends_with: ['@clinic.org']}}");
    policy.allows(json!({"to": ["a@clinic.org", "b@clinic.org"]}));
    policy.denies(json!({"to": ["a@clinic.org", "x@evil.org", "b@clinic.org"]}), &[ToolDenied]);
    policy.denies(json!({"to": ["a@clinic.org", 7]}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"to": [null]}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"to": []}), &[ToolDenied, ParameterMissing]);
    policy.denies(json!({"to": "x@evil.org"}), &[ToolDenied, ParameterType]);
    policy.denies(json!({}), &[ToolDenied, ParameterMissing]);
}

#[test]
fn an_allowance_needs_every_address() {
    let policy = allowing("params: {'to[*]': {ends_with: ['@clinic.org']}}");
    policy.allows(json!({"to": ["a@clinic.org", "b@clinic.org"]}));
    policy.denies(json!({"to": ["a@clinic.org", "x@evil.org"]}), &[ParameterMismatch]);
    policy.denies(json!({"to": ["a@clinic.org", 7]}), &[ParameterType]);
    policy.denies(json!({"to": "a@clinic.org"}), &[ParameterType]);
}

#[test]
fn an_allowance_over_an_empty_array_is_denied() {
    let policy = allowing("params: {'to[*]': {ends_with: ['@clinic.org']}}");
    policy.denies(json!({"to": []}), &[ParameterMissing]);
    policy.denies(json!({}), &[ParameterMissing]);
}

#[test]
fn under_not_an_allowance_needs_every_element_to_be_another() {
    let policy = allowing("not: {params: {'to[*]': {ends_with: ['@evil.org']}}}");
    policy.allows(json!({"to": ["a@clinic.org", "b@clinic.org"]}));
    policy.denies(json!({"to": ["a@clinic.org", "x@evil.org"]}), &[ParameterMismatch]);
    policy.denies(json!({"to": ["a@clinic.org", 7]}), &[ParameterType]);
    policy.denies(json!({"to": []}), &[ParameterMissing]);
}

#[test]
fn under_not_a_denial_fires_unless_every_element_is_as_demanded() {
    let policy = denying("not: {params: {'to[*]': {ends_with: ['@clinic.org']}}}");
    policy.allows(json!({"to": ["a@clinic.org", "b@clinic.org"]}));
    policy.denies(json!({"to": ["a@clinic.org", "x@evil.org"]}), &[ToolDenied]);
    policy.denies(json!({"to": ["a@clinic.org", 7]}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"to": []}), &[ToolDenied, ParameterMissing]);
}

#[test]
fn each_element_may_lie_deeper() {
    let policy = allowing("params: {'items[*].price': {max: 10}}");
    policy.allows(json!({"items": [{"price": 1}, {"price": 10}]}));
    policy.denies(json!({"items": [{"price": 1}, {"price": 11}]}), &[ParameterOutOfRange]);
    policy.denies(json!({"items": [{"price": 1}, {}]}), &[ParameterMissing]);
    policy.denies(json!({"items": [{"price": 1}, 7]}), &[ParameterMissing]);
    policy.denies(json!({"items": {"price": 1}}), &[ParameterType]);
}

// ---- `optional`

#[test]
fn an_optional_value_that_is_absent_helps_the_call_in_an_allowance() {
    let policy = allowing("params: {note: {max: 5, optional: true}}");
    policy.allows(json!({}));
    policy.allows(json!({"note": 5}));
    policy.denies(json!({"note": 6}), &[ParameterOutOfRange]);
    policy.denies(json!({"note": "5"}), &[ParameterType]);
    policy.denies(json!({"note": null}), &[ParameterType]);
}

#[test]
fn an_optional_value_that_is_absent_helps_the_call_in_a_denial() {
    let policy = denying("params: {export: {equals: true, optional: true}}");
    policy.allows(json!({}));
    policy.allows(json!({"export": false}));
    policy.denies(json!({"export": true}), &[ToolDenied]);
    policy.denies(json!({"export": "true"}), &[ToolDenied, ParameterType]);
    policy.denies(json!({"export": null}), &[ToolDenied, ParameterType]);
}

#[test]
fn an_optional_value_that_is_absent_helps_the_call_under_not() {
    let allowing = allowing("not: {params: {env: {equals: production, optional: true}}}");
    allowing.allows(json!({}));
    allowing.denies(json!({"env": "production"}), &[ParameterMismatch]);
    allowing.denies(json!({"env": 7}), &[ParameterType]);
    let denying = denying("not: {params: {env: {equals: staging, optional: true}}}");
    denying.allows(json!({}));
    denying.denies(json!({"env": "production"}), &[ToolDenied]);
    denying.denies(json!({"env": 7}), &[ToolDenied, ParameterType]);
}

#[test]
fn an_optional_list_may_be_empty_or_absent_but_not_of_another_type() {
    let conditions = "params: {'to[*]': {ends_with: ['@clinic.org'], optional: true}}";
    let allowing = allowing(conditions);
    for params in [json!({}), json!({"to": []}), json!({"to": ["a@clinic.org"]})] {
        allowing.allows(params);
    }
    allowing.denies(json!({"to": ["a@clinic.org", "x@evil.org"]}), &[ParameterMismatch]);
    allowing.denies(json!({"to": "a@clinic.org"}), &[ParameterType]);
    let denying = denying("params: {'to[*]': {not_ends_with: ['@clinic.org'], optional: true}}");
    denying.allows(json!({}));
    denying.allows(json!({"to": []}));
    denying.denies(json!({"to": ["a@clinic.org", "x@evil.org"]}), &[ToolDenied]);
    denying.denies(json!({"to": "a@clinic.org"}), &[ToolDenied, ParameterType]);
}

#[test]
fn an_optional_member_may_be_absent_from_each_element() {
    let policy = allowing("params: {'items[*].price': {max: 10, optional: true}}");
    policy.allows(json!({"items": [{"price": 1}, {}]}));
    policy.denies(json!({"items": [{}, {"price": 11}]}), &[ParameterOutOfRange]);
    policy.denies(json!({"items": [{}, {"price": null}]}), &[ParameterType]);
}

// ---- groups, after Kleene

#[test]
fn one_true_part_of_any_of_is_enough_beside_an_undecided_one() {
    let policy = allowing("any_of:\n- params: {a: 1}\n- params: {b: 1}");
    policy.allows(json!({"a": 1}));
    policy.allows(json!({"a": "x", "b": 1}));
    policy.denies(json!({"a": 2, "b": 2}), &[ParameterMismatch, ParameterMismatch]);
    policy.denies(json!({"a": 2}), &[ParameterMismatch, ParameterMissing]);
}

#[test]
fn a_denial_on_any_of_needs_every_part_false_to_let_the_call_pass() {
    let policy = denying("any_of:\n- params: {a: 1}\n- params: {b: 1}");
    policy.allows(json!({"a": 2, "b": 2}));
    policy.denies(json!({"a": 1, "b": 2}), &[ToolDenied]);
    policy.denies(json!({"a": 2}), &[ToolDenied, ParameterMissing]);
}

#[test]
fn a_denial_on_all_of_is_cleared_by_one_false_part_beside_an_undecided_one() {
    let policy = denying("params: {a: 1, b: 1}");
    policy.allows(json!({"a": 2}));
    policy.allows(json!({"a": 2, "b": "x"}));
    policy.denies(json!({"a": 1, "b": 1}), &[ToolDenied]);
    policy.denies(json!({"a": 1}), &[ToolDenied, ParameterMissing]);
    policy.denies(json!({}), &[ToolDenied, ParameterMissing, ParameterMissing]);
}

#[test]
fn not_of_a_group_turns_the_group() {
    let policy = allowing("not:\n  params: {a: 1, b: 1}");
    policy.allows(json!({"a": 2}));
    policy.allows(json!({"a": 1, "b": 2}));
    policy.denies(json!({"a": 1, "b": 1}), &[ParameterMismatch, ParameterMismatch]);
    policy.denies(json!({"a": 1}), &[ParameterMismatch, ParameterMissing]);
}

// ---- asking

#[test]
fn only_a_false_result_asks_a_person() {
    let policy = allowing("params: {tags: {contains_all: [a, b], otherwise: approval}}");
    policy.allows(json!({"tags": ["b", "a"]}));
    policy.asks(json!({"tags": ["a"]}), &[ParameterMismatch]);
    policy.denies(json!({"tags": ["a", 7]}), &[ParameterType]);
    policy.denies(json!({"tags": {}}), &[ParameterType]);
    policy.denies(json!({}), &[ParameterMissing]);
}

#[test]
fn over_a_list_nobody_is_asked_while_one_element_is_undecided() {
    let policy = allowing("params: {'prices[*]': {max: 10, otherwise: approval}}");
    policy.allows(json!({"prices": [1, 10]}));
    policy.asks(json!({"prices": [1, 11]}), &[ParameterOutOfRange]);
    policy.denies(json!({"prices": [11, "x"]}), &[ParameterOutOfRange]);
    policy.denies(json!({"prices": []}), &[ParameterMissing]);
}

#[test]
fn nobody_is_asked_where_another_condition_fails() {
    let policy = allowing("params:\n  amount: {max: 10, otherwise: approval}\n  env: staging");
    policy.asks(json!({"amount": 11, "env": "staging"}), &[ParameterOutOfRange]);
    policy.denies(json!({"amount": 11, "env": "production"}), &[ParameterOutOfRange, ParameterMismatch]);
    policy.denies(json!({"amount": 11}), &[ParameterOutOfRange, ParameterMissing]);
}
