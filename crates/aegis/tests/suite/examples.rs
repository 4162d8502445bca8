//! Every folder of `examples/`: checked, tested, run, and its README's commands tried.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aegis_testkit::root;
use serde_json::Value;

use crate::support::{Dev, clean, finish, run};

/// The examples that a node runs as they are.
const RUN: &[&str] = &["payments", "healthcare", "deployments", "twenty-tools"];

/// Two tenants' folders; `data.rs` runs them.
const TENANTS: &[&str] = &["managed-security/acme-bank", "managed-security/globex-health"];

/// Needs limits, which a node without a control plane cannot keep; `data.rs` has it refused.
const LIMITED: &str = "api-spend";

/// Tells people through channels, which a tenant of a cluster has; `approvals/channels.rs` runs it.
const TOLD: &str = "refunds";

fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

fn policy_folders() -> Vec<&'static str> {
    RUN.iter().chain(TENANTS).copied().chain([LIMITED, TOLD]).collect()
}

#[test]
fn every_folder_is_run_here() {
    let known: BTreeSet<String> = policy_folders()
        .iter()
        .map(|name| name.split('/').next().unwrap_or(name).to_owned())
        .chain(["requests".to_owned()])
        .collect();
    let there =
        fs::read_dir(root().join("examples")).expect("the examples").map(|entry| entry.expect("an entry"));
    let folders = there.filter(|entry| entry.path().is_dir());
    let there: BTreeSet<String> =
        folders.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(there, known);
}

#[test]
fn every_policy_is_checked_in_silence_and_its_tests_pass() {
    for name in policy_folders() {
        let folder = example(name);
        let folder = folder.to_str().expect("UTF-8");
        let check = run(&["policy", "check", folder]);
        assert_eq!((check.code, check.stdout.as_str(), check.stderr.as_str()), (Some(0), "", ""), "{name}");
        let test = run(&["policy", "test", folder, "--output", "json"]);
        assert_eq!(test.code, Some(0), "{name}: {test:?}");
        assert!(
            test.json()["tests"].as_array().is_some_and(|tests| tests.len() >= 3),
            "{name} has few tests"
        );
    }
}

/// A file of `examples/requests` is named for the outcome that it has.
#[test]
fn every_request_is_answered_as_its_name_says() {
    for name in RUN {
        let dev = Dev::start(Some(&example(name)));
        let requests = fs::read_dir(example("requests").join(name)).expect("requests");
        let mut outcomes = BTreeSet::new();
        for path in requests.map(|entry| entry.expect("an entry").path()) {
            let expected = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let answer = decide(&dev, name, &path);
            assert_eq!(answer["outcome"], expected.as_str(), "{}: {answer}", path.display());
            outcomes.insert(expected);
        }
        assert!(outcomes.contains("allow") && outcomes.contains("deny"), "{name}: {outcomes:?}");
        assert!(
            dev.ready["commands"]["allow"].is_string() && dev.ready["commands"]["deny"].is_string(),
            "{name}"
        );
        dev.stop();
    }
}

fn decide(dev: &Dev, example: &str, request: &Path) -> Value {
    let mut arguments = vec!["decide", "--output", "json", "--data-dir"];
    arguments.push(dev.data_dir.path().to_str().expect("UTF-8"));
    if example == "healthcare" {
        arguments.extend(["--claim", "purpose=care"]);
    }
    arguments.extend(["--request", request.to_str().expect("UTF-8")]);
    run(&arguments).json()
}

/// The lines of the shell blocks of an example's README.
fn commands(name: &str) -> Vec<String> {
    let text = fs::read_to_string(example(name).join("README.md")).expect("a README");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.flat_map(|(block, _)| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Runs a line of a README as it stands there.
fn paste(line: &str, data_dir: &Path) -> crate::support::Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_aegis")).parent().expect("a folder").display();
    let mut shell = Command::new("sh");
    clean(&mut shell);
    let path = format!("{program}:{}", std::env::var("PATH").expect("a PATH"));
    finish(shell.arg("-c").arg(line).env("PATH", path).env("AEGIS_DATA_DIR", data_dir).current_dir(root()))
}

#[test]
fn the_commands_of_the_readmes_work() {
    for name in RUN.iter().chain(&["managed-security", LIMITED, TOLD]) {
        let lines = commands(name);
        // What needs no cluster.
        let local = |line: &str| {
            ["check", "test", "eval", "build"]
                .iter()
                .any(|verb| line.starts_with(&format!("aegis policy {verb} ")))
        };
        let policy: Vec<&String> = lines.iter().filter(|line| local(line)).collect();
        assert!(!policy.is_empty(), "{name} shows no policy command");
        let nowhere = tempfile::tempdir().expect("a folder");
        for line in policy {
            let expected = if line.ends_with("# exit code 1") { Some(1) } else { Some(0) };
            let ran = paste(line, nowhere.path());
            assert_eq!(ran.code, expected, "{line}: {ran:?}");
        }
        if !RUN.contains(name) {
            continue;
        }
        assert!(
            lines.contains(&format!("aegis dev --policies examples/{name}")),
            "{name} does not say how to run it"
        );
        let dev = Dev::start(Some(&example(name)));
        let decide: Vec<&String> = lines.iter().filter(|line| line.starts_with("aegis decide ")).collect();
        assert!(decide.len() >= 2, "{name} shows no calls");
        for line in decide {
            let (_, expected) = line.rsplit_once("# ").unwrap_or_else(|| panic!("{line} says no outcome"));
            let ran = paste(line, dev.data_dir.path());
            assert_eq!(ran.stdout.lines().next(), Some(expected), "{line}: {ran:?}");
        }
    }
}
