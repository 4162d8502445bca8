//! `*_test.yaml` and `*_test.json`: calls, and what the policy has to answer.

use std::collections::HashMap;

use aegis_model::caps::CHAIN_MEMBERS_MAX;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::ids::ActionName;
use aegis_model::json::JsonObject;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::scope::Scope;
use serde::Serialize;
use serde_json::Value;

use crate::ast::{SourceFile, Span};
use crate::cases::Case;
use crate::check::Cx;
use crate::check::fields::Fields;
use crate::check::values;
use crate::diagnostic::Diagnostic;
use crate::judge::{Question, Verdict};
use crate::prepared::inspected::Inspected;
use crate::sources::FileKind;
use crate::yaml::{Kind, Node, Pair};

/// The moment of a test that names none: Monday, 2026-01-05, 12:00 UTC.
pub const DEFAULT_MOMENT: UnixNanos = UnixNanos(1_767_614_400_000_000_000);

/// The scope of a token that names none: every call.
const ANY_SCOPE: &str = "*:*";

/// Claims that Aegis reads itself: a test cannot set them as circumstances.
const OWN_CLAIMS: [&str; 11] =
    ["iss", "aud", "sub", "org", "tenant", "exp", "iat", "nbf", "jti", "callers", "cnf"];

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTest {
    /// Its name.
    pub name: String,
    /// The call.
    pub case: Case,
    /// The token's scope; `*:*` unless the test says otherwise.
    pub scope: String,
    /// What has to come out.
    pub expect: Expect,
    /// Its place.
    pub span: Span,
}

/// What has to come out of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// The outcome.
    pub outcome: Outcome,
    /// The codes of the reasons, as a set, if the test names any.
    pub reasons: Option<Vec<ReasonCode>>,
    /// A JSON Pointer that one of the reasons has to bear.
    pub path: Option<String>,
    /// The rules that decided, as a set, if the test names any.
    pub rules: Option<Vec<String>>,
    /// The cleaned parameters, if the test names them.
    pub params: Option<JsonObject>,
}

/// All tests of a set.
#[derive(Debug, Default)]
pub struct PolicyTests {
    /// The tests, in order of file and place. Complete only if there is no diagnostic.
    pub tests: Vec<PolicyTest>,
    /// The test files, sorted by path; spans point into them.
    pub files: Vec<SourceFile>,
    /// What is wrong with them.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more problems there are.
    pub more: usize,
}

/// What came out of a test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Its place, `file:line:column`.
    pub position: String,
    /// What differs from what was expected, one sentence each; empty: passed.
    pub failures: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
}

impl TestResult {
    /// Whether all came out as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Reads the test files among `files`; the others are left alone.
pub fn read(mut files: Vec<SourceFile>) -> PolicyTests {
    files.retain(|file| FileKind::of(&file.path) == FileKind::Test);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut cx = Cx::new(&files, crate::check::Lints::default());
    let mut tests = Vec::new();
    for (at, source) in (0..).zip(&files) {
        let mut names = HashMap::new();
        for document in cx.read(at, source) {
            document_tests(&document, &mut tests, &mut names, &mut cx);
        }
    }
    let (diagnostics, more) = cx.into_report().finish();
    PolicyTests { tests, files, diagnostics, more }
}

/// Judges every test, and cleans its parameters where `judge` does: [`Prepared::inspect`](crate::prepared::Prepared::inspect).
pub fn run(tests: &PolicyTests, judge: impl Fn(&Question<'_>) -> Inspected) -> Vec<TestResult> {
    tests.tests.iter().map(|test| run_one(test, &tests.files, &judge)).collect()
}

fn run_one(
    test: &PolicyTest,
    files: &[SourceFile],
    judge: impl Fn(&Question<'_>) -> Inspected,
) -> TestResult {
    let inspected = test.case.ask(|question| {
        let principal = Principal { scope: Scope::parse(&test.scope), ..question.principal.clone() };
        judge(&Question { principal: &principal, ..*question })
    });
    TestResult {
        name: test.name.clone(),
        position: crate::diagnostic::position(test.span, files),
        failures: failures(&test.expect, &inspected),
        verdict: inspected.verdict,
    }
}

fn failures(expect: &Expect, inspected: &Inspected) -> Vec<String> {
    let Inspected { verdict, params } = inspected;
    let mut failures = Vec::new();
    if verdict.outcome != expect.outcome {
        failures.push(format!("the outcome is `{}`, not `{}`", verdict.outcome, expect.outcome));
    }
    if let Some(expected) = &expect.reasons {
        let expected = sorted(expected.iter().map(|code| code.to_string()));
        let actual = sorted(verdict.reasons.iter().map(|reason| reason.code.to_string()));
        if actual != expected {
            failures.push(format!("the reasons are {}, not {}", names(&actual), names(&expected)));
        }
    }
    if let Some(path) = &expect.path
        && !verdict.reasons.iter().any(|reason| reason.path.as_ref() == Some(path))
    {
        let actual = sorted(verdict.reasons.iter().filter_map(|reason| reason.path.clone()));
        failures.push(format!("no reason has the path `{path}`; there are {}", names(&actual)));
    }
    if let Some(expected) = &expect.rules {
        let (actual, expected) = (sorted(verdict.rules.iter().cloned()), sorted(expected.iter().cloned()));
        if actual != expected {
            failures.push(format!("the rules are {}, not {}", names(&actual), names(&expected)));
        }
    }
    if let Some(expected) = &expect.params
        && params.as_ref() != Some(expected)
    {
        failures.push(match params {
            Some(params) => {
                let (actual, expected) = (Value::Object(params.clone()), Value::Object(expected.clone()));
                format!("the cleaned parameters are `{actual}`, not `{expected}`")
            }
            None => "no parameter was cleaned".to_owned(),
        });
    }
    failures
}

/// Sorted, each once.
fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

// ---- reading

fn document_tests(
    node: &Node,
    tests: &mut Vec<PolicyTest>,
    names: &mut HashMap<String, Span>,
    cx: &mut Cx<'_>,
) {
    let Some(mut fields) = Fields::of(node, "a test file", cx) else { return };
    let pair = fields.require("tests", "begin with `tests:` and a list of tests", cx);
    let items = pair.and_then(|pair| values::list(&pair.value, "tests", false, cx)).unwrap_or_default();
    for item in items {
        let Some(test) = test(item, cx) else { continue };
        if let Some(first) = names.insert(test.name.clone(), test.span) {
            let help = format!("the other is at line {}: give each a name of its own", first.line);
            cx.error("duplicate-name", test.span, format!("there are two tests `{}`", test.name), help);
        }
        tests.push(test);
    }
    fields.finish(cx);
}

fn test(node: &Node, cx: &mut Cx<'_>) -> Option<PolicyTest> {
    let mut fields = Fields::of(node, "a test", cx)?;
    let name_pair = fields.require("name", "say what is tested", cx);
    let name = name_pair.and_then(|pair| values::string(&pair.value, cx));
    let agent =
        fields.require("agent", "name the agent that calls", cx).and_then(|pair| named(&pair.value, cx));
    let call = fields.require("call", "write `call: {tool: …, action: …, params: {…}}`", cx);
    let call = call.and_then(|pair| call_of(&pair.value, cx));
    let token =
        fields.take("token").map_or(Some((ANY_SCOPE.to_owned(), JsonObject::new())), |pair| token(pair, cx));
    let callers = fields.take("callers").map_or(Some(Vec::new()), |pair| callers(&pair.value, cx));
    let now = fields.take("at").map_or(Some(DEFAULT_MOMENT), |pair| moment(&pair.value, cx));
    let expect = fields.require("expect", "write `expect: {outcome: …}`", cx);
    let expect = expect.and_then(|pair| expectation(&pair.value, cx));
    let span = name_pair.map_or(fields.place(), |pair| pair.value.span);
    fields.finish(cx);
    let (call, (scope, claims)) = (call?, token?);
    let Call { tool, action, params, context } = call;
    let case =
        Case { agent: agent?, tool, action, params, context, token: claims, callers: callers?, now: now? };
    Some(PolicyTest { name: name?.to_owned(), case, scope, expect: expect?, span })
}

struct Call {
    tool: aegis_model::ids::ToolName,
    action: ActionName,
    params: JsonObject,
    context: JsonObject,
}

fn call_of(node: &Node, cx: &mut Cx<'_>) -> Option<Call> {
    let mut fields = Fields::of(node, "a call", cx)?;
    let tool = fields.require("tool", "name the tool", cx).and_then(|pair| named(&pair.value, cx));
    let action =
        fields.take("action").map_or(Some(ActionName::default_call()), |pair| named(&pair.value, cx));
    let params = fields.take("params").map_or(Some(JsonObject::new()), |pair| object(&pair.value, cx));
    let context = fields.take("context").map_or(Some(JsonObject::new()), |pair| object(&pair.value, cx));
    fields.finish(cx);
    Some(Call { tool: tool?, action: action?, params: params?, context: context? })
}

/// A name of an agent, tool or action.
fn named<T: std::str::FromStr>(node: &Node, cx: &mut Cx<'_>) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let text = values::string(node, cx)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(why) => {
            cx.error(
                "bad-name",
                node.span,
                format!("`{}` is not a name", values::short(text)),
                why.to_string(),
            );
            None
        }
    }
}

fn object(node: &Node, cx: &mut Cx<'_>) -> Option<JsonObject> {
    if !matches!(node.kind, Kind::Map(_)) {
        cx.wrong_type(node, "a mapping");
        return None;
    }
    if let Some(missing) = node.first_missing() {
        let help = "write it out; `null` for JSON's null";
        cx.error("missing-value", missing, "here a value is missing", help);
    }
    if node.has_bad() {
        return None;
    }
    match node.to_json() {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// The claims of the token: its scope, and all others.
fn token(pair: &Pair, cx: &mut Cx<'_>) -> Option<(String, JsonObject)> {
    let mut claims = object(&pair.value, cx)?;
    let own = OWN_CLAIMS.iter().find_map(|claim| pair.value.member(claim));
    if let Some(own) = own {
        let help =
            "the agent, its callers and the moment are fields of the test; the other claims are not judged";
        cx.error("bad-value", own.key.span, format!("a test cannot set the claim `{}`", own.key.text), help);
        return None;
    }
    let scope = match claims.remove("scope") {
        None => ANY_SCOPE.to_owned(),
        Some(Value::String(scope)) => scope,
        Some(_) => {
            let place = pair.value.member("scope").map_or(pair.key.span, |pair| pair.value.span);
            cx.error("wrong-type", place, "a scope is a string", "write `scope: \"tool:action other:*\"`");
            return None;
        }
    };
    Some((scope, claims))
}

fn callers(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<aegis_model::ids::AgentId>> {
    let items = values::list(node, "agents", true, cx)?;
    if items.len() > CHAIN_MEMBERS_MAX {
        let message = format!("a delegation chain has at most {CHAIN_MEMBERS_MAX} members");
        cx.error("bad-value", node.span, message, "name the nearest caller first");
    }
    items.iter().map(|item| named(item, cx)).collect()
}

/// An RFC 3339 time, since 1970.
fn moment(node: &Node, cx: &mut Cx<'_>) -> Option<UnixNanos> {
    let text = values::string(node, cx)?;
    let read: Option<jiff::Timestamp> = text.parse().ok();
    let nanos = read.and_then(|moment| u64::try_from(moment.as_nanosecond()).ok());
    if nanos.is_none() {
        let help = "write a date, a time and an offset: `2026-01-05T12:00:00Z`, not before 1970";
        cx.error("bad-value", node.span, format!("`{}` is not a moment", values::short(text)), help);
    }
    nanos.map(UnixNanos)
}

fn expectation(node: &Node, cx: &mut Cx<'_>) -> Option<Expect> {
    let mut fields = Fields::of(node, "`expect`", cx)?;
    let outcomes = [Outcome::Allow, Outcome::Sanitize, Outcome::Deny, Outcome::ApprovalRequired]
        .map(|outcome| (outcome.as_str(), outcome));
    let outcome = fields.require("outcome", "`allow`, `sanitize`, `deny` or `approval_required`", cx);
    let outcome = outcome.and_then(|pair| values::word(&pair.value, &outcomes, cx));
    let reasons = fields.take("reasons").map(|pair| codes(&pair.value, cx));
    let path = fields.take("path").map(|pair| pointer(&pair.value, cx));
    let rules = fields.take("rules").map(|pair| rules(&pair.value, cx));
    let params = fields.take("params").map(|pair| object(&pair.value, cx));
    fields.finish(cx);
    let params = all_or_none(params)?;
    let (reasons, path, rules) = (all_or_none(reasons)?, all_or_none(path)?, all_or_none(rules)?);
    Some(Expect { outcome: outcome?, reasons, path, rules, params })
}

/// `None` only for a field that is there and wrong.
fn all_or_none<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

fn codes(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<ReasonCode>> {
    let known: Vec<(&'static str, ReasonCode)> =
        ReasonCode::ALL.iter().map(|&code| (code.as_str(), code)).collect();
    let items = values::list(node, "reason codes", true, cx)?;
    items.iter().map(|item| values::word(item, &known, cx)).collect()
}

fn pointer(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let text = values::string(node, cx)?;
    if !text.starts_with('/') {
        let help = "write a JSON Pointer such as `/params/amount`";
        cx.error("bad-value", node.span, format!("`{}` is not a JSON Pointer", values::short(text)), help);
        return None;
    }
    Some(text.to_owned())
}

fn rules(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<String>> {
    let items = values::list(node, "rules", true, cx)?;
    items.iter().map(|item| values::string(item, cx).map(str::to_owned)).collect()
}
