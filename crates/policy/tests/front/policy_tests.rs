//! `*_test.yaml`: read strictly, judged, and compared.

use aegis_model::decision::{Outcome, Reason};
use aegis_model::reason::ReasonCode;
use aegis_policy::ast::SourceFile;
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::prepared::inspected::Inspected;
use aegis_policy::tests_file::{DEFAULT_MOMENT, PolicyTests, read, run};

const TESTS: &str = "\
tests:
- name: a large payment asks
  agent: finance-agent
  call: {tool: stripe-payments, action: create_payment, params: {amount: 50000}}
  expect: {outcome: approval_required, reasons: [ParameterOutOfRange]}
- name: everything else
  agent: finance-agent
  call: {tool: shell, context: {purpose: care}}
  token: {purpose: care, scope: 'shell:call', roles: [a, b]}
  callers: [planner, root]
  at: 2026-11-23T09:00:00+01:00
  expect: {outcome: deny, reasons: [ToolNotAllowed], path: /params/amount, rules: []}
";

fn read_one(text: &str) -> PolicyTests {
    read(vec![
        SourceFile { path: "policy.yaml".to_owned(), text: "not: read".into() },
        SourceFile { path: "policy_test.yaml".to_owned(), text: text.into() },
    ])
}

fn rendered(tests: &PolicyTests) -> String {
    let shown: Vec<String> =
        tests.diagnostics.iter().map(|problem| problem.render(&tests.files, false)).collect();
    shown.join("\n\n")
}

#[test]
fn tests_are_read_with_their_defaults() {
    let tests = read_one(TESTS);
    assert_eq!(rendered(&tests), "");
    let [first, second] = tests.tests.as_slice() else { panic!("two tests") };
    assert_eq!(first.name, "a large payment asks");
    assert_eq!((first.case.now, first.scope.as_str()), (DEFAULT_MOMENT, "*:*"));
    assert_eq!(first.case.params["amount"], 50_000);
    assert_eq!(first.expect.outcome, Outcome::ApprovalRequired);
    assert_eq!(second.case.action.as_str(), "call");
    assert_eq!(second.scope, "shell:call");
    assert!(!second.case.token.contains_key("scope") && second.case.token.contains_key("roles"));
    assert_eq!(second.case.now.seconds(), 1_795_420_800);
    assert_eq!(second.case.callers.len(), 2);
    assert_eq!((second.span.line, second.span.column), (6, 9));
}

/// Denies, unless the scope is the default one.
fn judge(question: &Question<'_>) -> Inspected {
    let asked = question.principal.scope.items().eq(["*:*"]);
    let mut reason = Reason::plain(ReasonCode::ParameterOutOfRange, "too large");
    reason.path = Some("/params/amount".to_owned());
    Verdict {
        outcome: if asked { Outcome::ApprovalRequired } else { Outcome::Deny },
        reasons: vec![reason],
        rules: vec!["a/allowed_tools[0]".to_owned()],
        obligations: Vec::new(),
        unverified: Vec::new(),
    }
    .into()
}

#[test]
fn what_differs_is_said() {
    let results = run(&read_one(TESTS), judge);
    assert!(results[0].passed(), "{:?}", results[0].failures);
    assert_eq!(results[1].position, "policy_test.yaml:6:9");
    assert_eq!(
        results[1].failures,
        [
            "the reasons are ParameterOutOfRange, not ToolNotAllowed",
            "the rules are a/allowed_tools[0], not none",
        ]
    );
}

#[test]
fn broken_tests_are_explained() {
    let tests = read_one(
        "tests:\n- name: one\n  agent: bad name\n  call: {tool: t, acton: x, params: [1]}\n  expect: {outcome: denied, reasons: [ToolNotAlowed], path: amount}\n- name: two\n  agent: a\n  call: {tool: t}\n  token: {sub: a}\n  at: yesterday\n  expect: {reasons: []}\n- name: two\n  agent: a\n  call: {tool: t}\n  expect: {outcome: allow}\n- name: two\n  agent: a\n  call: {tool: t}\n  expect: {outcome: allow}\ntest: []\n",
    );
    insta::assert_snapshot!(rendered(&tests));
}
