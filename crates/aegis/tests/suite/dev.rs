//! `aegis dev`: the story of the documentation's first policy, and what is printed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use aegis_testkit::TestProcess;
use serde_json::{Value, json};

use crate::support::{
    Answer, Dev, LONG, clean, decide, dev_command, dev_command_at, finish, payment, run, text_below,
    wait_for_error_line,
};

fn check(answer: &Answer, outcome: &str, codes: &[&str]) {
    let mut found = answer.codes();
    // Two matchers may say the same of one parameter.
    found.dedup();
    assert_eq!((answer.status, answer.outcome(), found), (200, outcome, codes.to_vec()), "{answer:?}");
}

#[test]
fn the_first_policy_answers_as_the_documentation_says() {
    let dev = Dev::start(None);
    for amount in [0, 4_999, 5_000] {
        let answer = dev.decide(&payment(amount));
        check(&answer, "allow", &[]);
        assert_eq!(answer.body["params"], json!({"amount": amount}), "what was judged is what may be used");
    }
    for amount in [5_001, 50_000] {
        check(
            &dev.decide(&payment(amount)),
            "approval_required",
            &["ParameterOutOfRange", "ApprovalRequired"],
        );
    }
    check(&dev.decide(&payment(-1)), "deny", &["ParameterOutOfRange"]);
    check(&dev.decide(&payment("5000")), "deny", &["ParameterType"]);
    check(&dev.decide(&payment(Value::Null)), "deny", &["ParameterType"]);
    let call =
        |tool: &str, action: &str, params: Value| json!({"tool": tool, "action": action, "params": params});
    check(&dev.decide(&call("stripe-payments", "create_payment", json!({}))), "deny", &["ParameterMissing"]);
    check(&dev.decide(&call("paypal", "create_payment", json!({"amount": 1}))), "deny", &["ToolNotAllowed"]);
    check(
        &dev.decide(&call("stripe-payments", "refund", json!({"amount": 1}))),
        "deny",
        &["ActionNotAllowed"],
    );

    let other = dev.mint(&["--agent", "other-agent"]);
    check(&decide(dev.http(), &other, &payment(1)), "deny", &["UnknownAgent"]);
    let narrow = dev.mint(&["--agent", "finance-agent", "--scope", "stripe-payments:refund"]);
    check(&decide(dev.http(), &narrow, &payment(1)), "deny", &["ScopeExceeded"]);
    let foreign = dev.mint(&["--agent", "finance-agent", "--tenant", "acme"]);
    let refused = decide(dev.http(), &foreign, &payment(1));
    assert_ne!(refused.outcome(), "allow", "{refused:?}");
    assert_eq!(decide(dev.http(), "no-token", &payment(1)).status, 401);
    dev.stop();
}

#[test]
fn every_decision_is_in_the_log_when_it_is_answered_and_no_parameter_is() {
    let dev = Dev::start(None);
    let answer = dev.decide(&json!({
        "tool": "stripe-payments", "action": "create_payment", "params": {"amount": 4999, "note": "KEEP OUT"},
    }));
    let id = answer.body["decision_id"].as_str().expect("an id");
    let log = text_below(&dev.data_dir.path().join("audit"));
    assert!(log.contains(id), "{log}");
    assert!(!log.contains("KEEP OUT"), "{log}");
    let mode = |name: &str| {
        let metadata = fs::metadata(dev.data_dir.path().join(name)).expect(name);
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("signing-key.pem"), mode("audit/1/key"), mode("audit")), (0o600, 0o600, 0o700));
    dev.stop();
}

/// The contract with CI: three commands to paste, each on a line of its own, then a line with `ready`.
#[test]
fn the_printed_commands_work_as_they_are_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    // A path that a shell would split.
    let data_dir = folder.path().join("it's my data");
    let program = Path::new(env!("CARGO_BIN_EXE_aegis"));
    let path = format!(
        "{}:{}",
        program.parent().expect("a folder").display(),
        std::env::var("PATH").expect("a PATH")
    );
    let mut process = TestProcess::start(dev_command(&data_dir, None).env("PATH", &path)).expect("it starts");
    process.wait_for("ready", LONG).unwrap_or_else(|error| panic!("{error:#}"));
    let lines = process.lines();
    assert!(lines.last().expect("a line").contains("ready"));
    assert_eq!(lines.iter().filter(|line| line.contains("ready")).count(), 1, "{lines:#?}");
    let commands: Vec<&String> = lines.iter().filter(|line| line.starts_with("  aegis decide ")).collect();
    let ran: Vec<_> = commands
        .iter()
        .map(|line| {
            let mut shell = Command::new("sh");
            clean(&mut shell);
            finish(shell.arg("-c").arg(line).env("PATH", &path).current_dir(folder.path()))
        })
        .collect();
    let ended: Vec<_> =
        ran.iter().map(|ran| (ran.code, ran.stdout.lines().next().unwrap_or_default())).collect();
    assert_eq!(ended, [(Some(0), "allow"), (Some(1), "deny"), (Some(1), "approval_required")], "{ran:#?}");
    assert!(ran[1].stdout.contains("PolicyViolation: ParameterType: "), "{}", ran[1].stdout);

    // From another folder, as they were printed: nothing but the id is to be filled in.
    let paste = |start: &str, id: &str| {
        let line = lines.iter().find(|line| line.starts_with(start)).expect("how to answer");
        let line = line.replace(" ID ", &format!(" {id} "));
        let mut shell = Command::new("sh");
        clean(&mut shell);
        finish(shell.arg("-c").arg(line).env("PATH", &path).current_dir(folder.path()))
    };
    let listed = paste("  aegis approvals list ", "");
    let id = listed.stdout.lines().nth(1).and_then(|row| row.split(' ').next()).unwrap_or_default();
    let agreed = paste("  aegis approvals approve ", id);
    assert!((listed.code, agreed.code) == (Some(0), Some(0)), "{listed:#?} {agreed:#?}");
    assert!(agreed.stdout.contains("is approved"), "{agreed:#?}");

    let mint =
        lines.iter().find(|line| line.starts_with("  aegis token mint ")).expect("how to make a token");
    let token = finish(Command::new("sh").arg("-c").arg(mint).env("PATH", &path)).stdout;
    assert!(token.starts_with("eyJ"), "{token}");
    assert!(lines.iter().any(|line| line.starts_with("eyJ")), "a token is printed");
}

#[test]
fn without_a_path_the_commands_name_the_program_in_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process =
        TestProcess::start(dev_command(folder.path(), None).env("PATH", "/nowhere")).expect("it starts");
    process.wait_for("ready", LONG).unwrap_or_else(|error| panic!("{error:#}"));
    let program = Path::new(env!("CARGO_BIN_EXE_aegis")).canonicalize().expect("the program");
    let start = format!("  {} decide ", program.display());
    let lines = process.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with(&start)).count(), 3, "{lines:#?}");
}

#[test]
fn a_call_can_be_asked_by_command_in_every_way() {
    let dev = Dev::start(None);
    let data_dir = dev.data_dir.path().to_str().expect("UTF-8");
    let endpoint = dev.ready["grpc"].as_str().expect("an address");
    let pay = [
        "--tool",
        "stripe-payments",
        "--action",
        "create_payment",
        "--params",
        "{\"amount\": 1}",
        "--output",
        "json",
    ];
    let ask = |arguments: &[&str]| run(&[&["decide"], arguments, &pay[..]].concat());

    // A token from a file or the environment, and the node named.
    let token = dev.mint(&["--agent", "finance-agent"]);
    let file = dev.data_dir.path().join("token");
    fs::write(&file, format!("{token}\n")).expect("a file");
    let from_file = ask(&["--endpoint", endpoint, "--token-file", file.to_str().expect("UTF-8")]);
    assert_eq!((from_file.code, &from_file.json()["outcome"]), (Some(0), &json!("allow")));
    let mut from_environment = crate::support::aegis();
    from_environment.arg("decide").args(pay).args(["--endpoint", endpoint]).env("AEGIS_TOKEN", &token);
    assert_eq!(finish(&mut from_environment).code, Some(0));
    // What is typed goes before the environment: this token would be refused.
    let mut typed = crate::support::aegis();
    typed.arg("decide").args(pay).args(["--data-dir", data_dir]).env("AEGIS_TOKEN", "no-token");
    assert_eq!(finish(&mut typed).code, Some(0));

    // The same id and content: the same answer.
    let once = ask(&["--data-dir", data_dir, "--agent", "finance-agent", "--request-id", "r-1"]).json();
    let twice = ask(&["--data-dir", data_dir, "--agent", "finance-agent", "--request-id", "r-1"]).json();
    assert_eq!(once["decision_id"], twice["decision_id"]);
    assert_eq!((once.get("replayed"), &twice["replayed"]), (None, &json!(true)));

    let explained = ask(&["--data-dir", data_dir, "--explain", "--dry-run"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.json()["explanation"]["steps"].is_array(), "{explained:?}");
    let denied = ["decide", "--data-dir", data_dir, "--tool", "paypal", "--explain"];
    assert!(run(&denied).stdout.contains("\n  1. the token's scope"), "{:?}", run(&denied));

    let malformed = run(&["decide", "--data-dir", data_dir, "--tool", "t", "--cost=-1"]);
    assert!(malformed.code == Some(2) && malformed.stderr.contains("`/cost`"), "{malformed:?}");
    let refused = ask(&["--endpoint", endpoint, "--token", "no-token"]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("PolicyViolation: Unauthenticated"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains("no-token"), "{refused:?}");
    let address = aegis_testkit::kept().expect("a free port");
    let unreachable = ask(&["--endpoint", &format!("http://{address}"), "--token", "x"]);
    assert!(
        unreachable.code == Some(1) && unreachable.stderr.contains("no node could answer"),
        "{unreachable:?}"
    );
}

#[test]
fn one_process_per_data_directory_and_a_taken_port_is_named() {
    let dev = Dev::start(None);
    let second = finish(&mut dev_command(dev.data_dir.path(), None));
    assert!(
        second.code == Some(1) && second.stderr.contains("another process uses the data directory"),
        "{second:?}"
    );
    let elsewhere = tempfile::tempdir().expect("a folder");
    let taken = dev.http().to_string();
    let ran = finish(&mut dev_command_at(elsewhere.path(), None, &taken));
    assert!(ran.code == Some(1) && ran.stderr.contains(&taken), "{ran:?}");
}

/// A bare container knows no certificate authorities: messages about approvals cannot go out then, which is said, and all else works.
#[test]
fn a_machine_that_knows_no_certificate_authorities_is_no_obstacle() {
    let data_dir = tempfile::tempdir().expect("a folder");
    let nowhere = data_dir.path().join("nowhere");
    let mut command = dev_command(data_dir.path(), None);
    command.args(["--output", "json"]).env("SSL_CERT_FILE", &nowhere).env("SSL_CERT_DIR", &nowhere);
    let mut process = TestProcess::start(&mut command).expect("it starts");
    process.wait_for("\"ready\"", LONG).expect("it is ready");
    wait_for_error_line(&process, "ca-certificates");
}
