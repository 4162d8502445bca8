//! `aegis policy`.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Ran, run};

const PAYMENTS: &str = "agent: finance-agent\nallowed_tools:\n- name: stripe-payments\n  actions: [create_payment]\n  \
                        conditions: {max_amount: 5000, approval_needed: true}\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn policy(command: &str, place: &Path, more: &[&str]) -> Ran {
    run(&[&["policy", command, path(place)], more].concat())
}

#[test]
fn a_sound_set_is_checked_in_silence() {
    let set = folder(&[("p.yaml", PAYMENTS)]);
    let ran = policy("check", set.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn problems_are_shown_where_they_are_with_a_summary_and_of_every_set() {
    let sound = folder(&[("p.yaml", PAYMENTS)]);
    let broken =
        folder(&[("p.yaml", &PAYMENTS.replace("actions", "acitons")), ("t_test.yaml", "tests: 1\n")]);
    let ran = run(&["policy", "check", path(sound.path()), path(broken.path())]);
    assert_eq!(ran.code, Some(1));
    let place = format!("{}:4:3", broken.path().join("p.yaml").display());
    assert!(ran.stderr.contains(&place) && ran.stderr.contains("did you mean `actions`?"), "{}", ran.stderr);
    let summary = format!("1 error in {}", broken.path().display());
    assert_eq!(ran.stderr.lines().last(), Some(summary.as_str()));
    assert_eq!(ran.stdout, "");

    let told = run(&["policy", "check", path(broken.path()), "--output", "json"]).json();
    assert_eq!(told["sets"][0]["errors"], json!(1));
    assert_eq!(told["sets"][0]["problems"][0]["code"], json!("unknown-field"));
    assert_eq!(told["sets"][0]["problems"][0]["position"], json!(place));
}

#[test]
fn broken_tests_fail_the_check_too() {
    let set = folder(&[("p.yaml", PAYMENTS), ("p_test.yaml", "tests:\n- name: x\n  agnet: y\n")]);
    let ran = policy("check", set.path(), &[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("did you mean `agent`?"), "{ran:?}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let set = folder(&[("p.yaml", PAYMENTS)]);
    fs::File::create(set.path().join("large.yaml")).and_then(|file| file.set_len(100 << 20)).expect("a file");
    fs::write(set.path().join("latin.yaml"), b"agent: \xE4\n").expect("a file");
    let ran = policy("check", set.path(), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("large.yaml` has 104857600 bytes"), "{}", ran.stderr);
    assert!(ran.stderr.contains("latin.yaml` is not UTF-8"), "{}", ran.stderr);
    assert!(policy("check", Path::new("no-such-folder"), &[]).stderr.contains("cannot be read"));
}

#[test]
fn tests_are_run_and_failures_say_what_came_out() {
    let test = |outcome: &str| {
        let call = "{tool: stripe-payments, action: create_payment, params: {amount: 50000}}";
        format!(
            "tests:\n- name: a large one\n  agent: finance-agent\n  call: {call}\n  expect: {{outcome: {outcome}}}\n"
        )
    };
    let good = folder(&[("p.yaml", PAYMENTS), ("p_test.yaml", &test("approval_required"))]);
    let ran = policy("test", good.path(), &[]);
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "1 tests passed"));

    let bad = folder(&[("p.yaml", PAYMENTS), ("p_test.yaml", &test("allow"))]);
    let ran = policy("test", bad.path(), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("the outcome is `approval_required`, not `allow`"), "{}", ran.stdout);
    assert!(ran.stdout.contains("answered: ParameterOutOfRange") && ran.stdout.contains("p_test.yaml:2:9"));
    assert_eq!(policy("test", bad.path(), &["--output", "json"]).json()["failed"], json!(1));

    let none = folder(&[("p.yaml", PAYMENTS)]);
    let ran = policy("test", none.path(), &[]);
    assert!(ran.code == Some(1) && ran.stdout.contains("has no tests"), "{ran:?}");
}

#[test]
fn a_bundle_is_the_same_for_the_same_sources_and_tests_are_no_part_of_it() {
    let one = folder(&[("p.yaml", PAYMENTS)]);
    let two = folder(&[("p.yaml", PAYMENTS), ("p_test.yaml", "tests: []\n"), ("README.md", "x")]);
    let build = |set: &TempDir, name: &str| {
        let file = set.path().join(name);
        let ran = policy("build", set.path(), &["-o", path(&file), "--output", "json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        (fs::read(&file).expect("a bundle"), ran.json()["digest"].clone())
    };
    let (first, again, other) = (build(&one, "b1"), build(&one, "b2"), build(&two, "b"));
    assert_eq!(first, again);
    assert_eq!(first, other);
    assert!(first.0.starts_with(&[0x1f, 0x8b]), "gzip");
}

#[test]
fn a_call_is_judged_and_the_exit_code_says_how() {
    let set = folder(&[("p.yaml", PAYMENTS)]);
    let call =
        ["--agent", "finance-agent", "--tool", "stripe-payments", "--action", "create_payment", "--params"];
    let judged =
        |params: &str| policy("eval", set.path(), &[&call[..], &[params, "--output", "json"]].concat());
    let allowed = judged("{\"amount\": 5000}");
    assert_eq!((allowed.code, &allowed.json()["outcome"]), (Some(0), &json!("allow")));
    let asking = judged("{\"amount\": 5001}");
    assert_eq!((asking.code, &asking.json()["outcome"]), (Some(1), &json!("approval_required")));
    let denied = judged("{\"amount\": \"5000\"}");
    assert_eq!((denied.code, &denied.json()["reasons"][0]["code"]), (Some(1), &json!("ParameterType")));
    let text = policy("eval", set.path(), &[&call[..], &["{}"]].concat());
    assert!(text.stdout.starts_with("deny\n  ParameterMissing: "), "{}", text.stdout);
}

#[test]
fn the_moment_and_the_token_can_be_chosen() {
    let set = folder(&[(
        "p.yaml",
        "agent: a\nallowed_tools:\n- name: t\n  conditions:\n    require: verified\n    purpose: care\n    \
         time: {days: mon, from: '09:00', to: '10:00', zone: Europe/Berlin}\n",
    )]);
    let judged = |at: &str, claims: &str| {
        let more = ["--agent", "a", "--tool", "t", "--at", at, "--token-claims", claims];
        policy("eval", set.path(), &more).code
    };
    assert_eq!(judged("2026-11-23T09:00:00+01:00", "{\"purpose\": \"care\"}"), Some(0));
    assert_eq!(judged("2026-11-23T08:59:59+01:00", "{\"purpose\": \"care\"}"), Some(1));
    assert_eq!(judged("2026-11-23T09:00:00Z", "{\"purpose\": \"care\"}"), Some(1));
    assert_eq!(judged("2026-11-23T09:00:00+01:00", "{\"purpose\": \"billing\"}"), Some(1));
}

#[test]
fn a_judgement_is_explained_step_by_step() {
    let set = folder(&[("p.yaml", PAYMENTS)]);
    let more =
        ["--agent", "finance-agent", "--tool", "stripe-payments", "--action", "create_payment", "--explain"];
    let ran = policy("eval", set.path(), &more);
    assert_eq!(ran.code, Some(1));
    let steps = [
        "deny",
        "1. the token's scope `*:*` covers",
        "`finance-agent/allowed_tools[0]` does not allow the call",
    ];
    for step in steps {
        assert!(ran.stdout.contains(step), "{step}: {}", ran.stdout);
    }
    let told = policy("eval", set.path(), &[&more[..], &["--output", "json"]].concat()).json();
    assert_eq!(told["verdict"]["outcome"], json!("deny"));
    assert!(told["steps"].as_array().is_some_and(|steps| steps.len() >= 3), "{told}");
}

#[test]
fn two_versions_differ_in_the_calls_whose_outcome_changes() {
    let (old, new) =
        (folder(&[("p.yaml", PAYMENTS)]), folder(&[("p.yaml", &PAYMENTS.replace("5000", "100"))]));
    let ran = run(&["policy", "diff", path(old.path()), path(new.path())]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("allow -> approval_required: finance-agent calls stripe-payments create_payment")
    );
    let same = run(&["policy", "diff", path(old.path()), path(old.path())]);
    assert!(same.stdout.starts_with("0 of "), "{}", same.stdout);
    let told = run(&["policy", "diff", path(old.path()), path(new.path()), "--output", "json"]).json();
    assert!(told["changes"].as_array().is_some_and(|changes| !changes.is_empty()));
}
