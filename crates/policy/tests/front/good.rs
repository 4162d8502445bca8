//! Policies that are right: silent, and lowered as the language says.

use aegis_policy::ast::{Check, Condition, Entry, Mode, PolicySet, Subject};

use super::{check_one, rendered};

const FIRST_EXAMPLE: &str = "\
agent: finance-agent
allowed_tools:
- name: stripe-payments
  actions:
  - create_payment
  conditions:
    max_amount: 5000
    approval_needed: true
";

#[test]
fn the_shortest_policy_is_silent_and_means_what_it_says() {
    let checked = check_one("policy.yaml", FIRST_EXAMPLE);
    assert_eq!(rendered(&checked), "");
    let set = checked.set.expect("a set");
    insta::assert_debug_snapshot!(set.documents);
    let entry = &set.documents[0].allowed.as_ref().expect("entries")[0];
    let Condition::All(parts) = &entry.condition else { panic!("a conjunction") };
    let [Condition::Test(low), Condition::Test(high)] = parts.as_slice() else { panic!("two tests") };
    assert!(matches!(&low.subject, Subject::Params(path) if path.0.len() == 1));
    assert_eq!((low.checks.as_slice(), low.approvable), ([Check::Min(0.into())].as_slice(), false));
    assert_eq!((high.checks.as_slice(), high.approvable), ([Check::Max(5000.into())].as_slice(), true));
}

/// The set of a policy without any problem.
fn set(text: &str) -> PolicySet {
    let checked = check_one("policy.yaml", text);
    assert_eq!(rendered(&checked), "");
    checked.set.expect("a set")
}

/// The first allowing entry with these conditions, written in flow style.
fn entry(conditions: &str) -> Entry {
    let set = set(&format!("agent: a\nallowed_tools:\n- name: t\n  conditions: {{{conditions}}}\n"));
    set.documents.into_iter().flat_map(|document| document.allowed).flatten().next().expect("an entry")
}

/// The tests of a condition as `subject: checks`, with `?` for optional and `!` for approvable.
fn tests(condition: &Condition) -> Vec<String> {
    let mut shown = Vec::new();
    condition.for_each_test(&mut |test| {
        let marks = [(test.optional, "?"), (test.approvable, "!")];
        let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
        shown.push(format!("{:?}: {:?}{marks}", test.subject, test.checks));
    });
    shown
}

fn params(path: &str) -> String {
    format!("Params(Path([Key(\"{path}\")]))")
}

#[test]
fn a_file_with_most_of_the_language_is_silent() {
    let set = set(include_str!("whole.yaml"));
    assert_eq!(set.documents.len(), 2);
    let labels: Vec<&str> = set.documents.iter().map(|document| document.label.as_str()).collect();
    assert_eq!(labels, ["finance-agent,finance-*", "observer"]);
    assert!(set.defaults.is_some() && set.tenant.is_some() && !set.observe_only);
    assert_eq!((set.detectors.len(), set.shadow.len()), (2, 1));
}

#[test]
fn a_maximum_alone_means_zero_as_the_minimum() {
    assert_eq!(
        tests(&entry("max_amount: 5").condition),
        [format!("{}: [Min(Number(0)), Max(Number(5))]", params("amount"))]
    );
    assert_eq!(
        tests(&entry("max_amount: 5, min_amount: -2").condition),
        [format!("{}: [Min(Number(-2)), Max(Number(5))]", params("amount"))]
    );
    assert_eq!(tests(&entry("min_amount: 2").condition), [format!("{}: [Min(Number(2))]", params("amount"))]);
    let nested = tests(&entry("max_order.total: 5").condition);
    assert_eq!(nested, ["Params(Path([Key(\"order\"), Key(\"total\")])): [Min(Number(0)), Max(Number(5))]"]);
}

#[test]
fn below_the_minimum_never_asks() {
    let asking = entry("max_amount: 5, min_amount: 2, approval_needed: true");
    assert_eq!(
        tests(&asking.condition),
        [
            format!("{}: [Min(Number(2))]", params("amount")),
            format!("{}: [Max(Number(5))]!", params("amount")),
        ]
    );
    assert!(!asking.always_ask);
    assert!(entry("approval_needed: true").always_ask);
    assert!(entry("min_amount: 2, approval_needed: true").always_ask);
    assert!(!entry("max_amount: 5, approval_needed: false").always_ask);
    assert_eq!(
        tests(&entry("params: {amount: {max: 5, otherwise: approval}}").condition),
        [format!("{}: [Max(Number(5))]!", params("amount"))]
    );
}

#[test]
fn shorthands_are_spelled_out() {
    assert_eq!(tests(&entry("params: {a: 5}").condition), [format!("{}: [Equals(Number(5))]", params("a"))]);
    assert_eq!(
        tests(&entry("params: {a: [x, 5]}").condition),
        [format!("{}: [OneOf([String(\"x\"), Number(5)])]", params("a"))]
    );
    assert_eq!(tests(&entry("params: {a: null}").condition), [format!("{}: [Equals(Null)]", params("a"))]);
    assert_eq!(
        tests(&entry("params: {a: {contains: x, optional: true}}").condition),
        [format!("{}: [ContainsAll([String(\"x\")])]?", params("a"))]
    );
    assert_eq!(
        tests(&entry("params: {a: {not_matches: '\\d'}}").condition),
        [format!("{}: [Not(Matches(\"^(?:[0-9])$\"))]", params("a"))]
    );
    assert_eq!(
        tests(&entry("params: {a: {length: 3}}").condition),
        [format!("{}: [Length {{ min: Some(3), max: Some(3) }}]", params("a"))]
    );
    assert_eq!(
        tests(&entry("callers: [none, x-*]").condition),
        ["Callers { globs: [Glob(\"x-*\")], none_allowed: true }: []"]
    );
    assert_eq!(tests(&entry("max_chain_depth: 2").condition), ["ChainDepth(2): []"]);
}

#[test]
fn a_required_proof_holds_for_the_groups_inside_too() {
    let circumstance = |name: &str, verified: bool, check: &str| {
        format!("Circumstance {{ name: \"{name}\", verified_only: {verified} }}: [{check}]")
    };
    assert_eq!(
        tests(&entry("purpose: care").condition),
        [circumstance("purpose", false, "Equals(String(\"care\"))")]
    );
    assert_eq!(
        tests(&entry("purpose: [care, b], require: verified, any_of: [{environment: test}]").condition),
        [
            circumstance("purpose", true, "OneOf([String(\"care\"), String(\"b\")])"),
            circumstance("environment", true, "Equals(String(\"test\"))"),
        ]
    );
    assert_eq!(
        tests(&entry("any_of: [{purpose: x, require: verified}, {purpose: z}]").condition),
        [
            circumstance("purpose", true, "Equals(String(\"x\"))"),
            circumstance("purpose", false, "Equals(String(\"z\"))"),
        ]
    );
}

#[test]
fn groups_keep_their_form() {
    let condition =
        entry("not: {params: {a: 1, b: 2}}, any_of: [{params: {c: 3}}, {params: {d: 4}}]").condition;
    let Condition::All(parts) = condition else { panic!("a conjunction") };
    let [Condition::Any(any), Condition::Not(not)] = parts.as_slice() else {
        panic!("any and not: {parts:?}")
    };
    assert!(matches!(any.as_slice(), [Condition::Test(_), Condition::Test(_)]));
    assert!(matches!(&**not, Condition::All(both) if both.len() == 2));
}

#[test]
fn time_windows() {
    let window = |text: &str| {
        let mut found = Vec::new();
        entry(&format!("time: {text}")).condition.for_each_test(&mut |test| {
            let Subject::Time(window) = &test.subject else { panic!("a window") };
            let days: String = window.days.iter().map(|&day| if day { 'x' } else { '-' }).collect();
            found.push(format!("{days} {}-{} {}", window.from_minute, window.to_minute, window.zone));
        });
        found.join(", ")
    };
    assert_eq!(window("{zone: UTC}"), "xxxxxxx 0-1440 UTC");
    assert_eq!(
        window("{days: [mon-fri], from: 09:00, to: 17:30, zone: Europe/Berlin}"),
        "xxxxx-- 540-1050 Europe/Berlin"
    );
    assert_eq!(
        window("{days: fri-mon, from: 22:00, to: 06:00, timezone: America/New_York}"),
        "x---xxx 1320-360 America/New_York"
    );
    assert_eq!(
        window("[{days: [saturday], zone: UTC}, {from: 00:00, to: 24:00, zone: UTC}]"),
        "-----x- 0-1440 UTC, xxxxxxx 0-1440 UTC"
    );
}

#[test]
fn denials_ignore_case_and_shadow_is_inherited() {
    let set = set(
        "agent: a\nmode: shadow\nallowed_tools: [{name: X, mode: enforce}]\ndenied_tools: [{name: Shell-*, actions: [RUN]}]\n---\nagent: a\n---\nagent: defaults\n---\ndefaults: {mode: shadow}\n",
    );
    let [first, second, third] = set.documents.as_slice() else { panic!("three documents") };
    let denial = &first.denied[0];
    assert_eq!(
        (denial.tool.0.as_str(), denial.actions.as_ref().map(|actions| actions[0].0.as_str())),
        ("shell-*", Some("run"))
    );
    assert_eq!(
        (denial.mode, first.allowed.as_ref().map(|entries| entries[0].mode)),
        (Mode::Shadow, Some(Mode::Shadow))
    );
    assert_eq!(first.allowed.as_ref().map(|entries| entries[0].tool.0.as_str()), Some("X"));
    assert_eq!([&first.label, &second.label, &third.label], ["a", "a#2", "defaults#2"]);
    assert!(set.observe_only && second.allowed.is_none());
}

#[test]
fn json_says_the_same_as_yaml() {
    let json = r#"{
	"agent": "finance-agent",
	"allowed_tools": [
		{"name": "stripe-payments", "actions": ["create_payment"], "conditions": {"max_amount": 5000.0, "approval_needed": true}}
	]
}"#;
    let checked = check_one("policy.json", json);
    assert_eq!(rendered(&checked), "");
    let from_json = checked.set.expect("a set");
    let from_yaml = set(FIRST_EXAMPLE);
    let shown = |set: &PolicySet| tests(&set.documents[0].allowed.as_ref().expect("entries")[0].condition);
    assert_eq!(shown(&from_json), shown(&from_yaml));
}

#[test]
fn strings_and_names_of_any_script_keep_their_places() {
    let text = "agent: a\nallowed_tools:\n- name: t\n  conditions: {params: {straße: {equals: 'größer \u{1F600}', mx: 1}}}\n";
    let checked = check_one("policy.yaml", text);
    assert_eq!(checked.diagnostics.len(), 1);
    let span = checked.diagnostics[0].span;
    assert_eq!((span.line, span.column), (4, 54));
    assert_eq!(&text[span.start as usize..span.end as usize], "mx");
}
