//! Live reload: an edit is in force at once, a broken one leaves the last good version.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use aegis_testkit::eventually;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Dev, LONG, dev_command, finish, payment, run, wait_for_error_line};

/// How soon an edit has to be live.
const LIVE: Duration = Duration::from_millis(200);

fn policy(max: u32) -> String {
    format!(
        "agent: finance-agent\nallowed_tools:\n- name: stripe-payments\n  conditions:\n    max_amount: {max}\n"
    )
}

fn folder(max: u32) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("p.yaml"), policy(max)).expect("a file");
    folder
}

/// Waits until a call is judged under another version, and gives that.
fn wait_for_version_after(dev: &Dev, version: u64) -> u64 {
    let newer = || Some(dev.decide(&payment(1)).version()).filter(|&now| now != version);
    eventually("a newer policy version", LONG, newer).expect("a newer policy version")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn an_edit_is_live_within_200_ms() {
    let folder = folder(10);
    let dev = Dev::start(Some(folder.path()));
    let mut version = dev.decide(&payment(1)).version();
    let mut times = Vec::new();
    // The machine may be busy with something else for many of them: one that was quick enough shows that it is done so.
    for max in 11..=60 {
        assert_eq!(dev.decide(&payment(max)).outcome(), "deny");
        let began = Instant::now();
        fs::write(folder.path().join("p.yaml"), policy(max)).expect("a file");
        let newer = wait_for_version_after(&dev, version);
        times.push(began.elapsed());
        assert_eq!(newer, version + 1, "each good edit is a version");
        assert_eq!(dev.decide(&payment(max)).outcome(), "allow");
        version = newer;
        if times.len() >= 5 && times.iter().any(|time| *time < LIVE) {
            break;
        }
    }
    eprintln!("an edit was live after {times:?}");
    assert!(times.iter().any(|time| *time < LIVE), "none of {} was live in time: {times:?}", times.len());
}

#[test]
fn every_way_of_editing_counts() {
    let folder = folder(10);
    let dev = Dev::start(Some(folder.path()));
    let at = |name: &str| folder.path().join(name);
    let mut version = 1;
    let mut live = |max: u32| {
        version = wait_for_version_after(&dev, version);
        assert_eq!(dev.decide(&payment(max)).outcome(), "allow");
        assert_eq!(dev.decide(&payment(max + 1)).outcome(), "deny");
    };
    // Written beside and moved over it, as most editors do.
    fs::write(at("draft.txt"), policy(20)).expect("a file");
    fs::rename(at("draft.txt"), at("p.yaml")).expect("a move");
    live(20);
    // A new file in a new folder; then the old one removed.
    fs::create_dir(at("more")).expect("a folder");
    fs::write(at("more/q.yaml"), policy(30)).expect("a file");
    live(30);
    fs::remove_file(at("p.yaml")).expect("a file to remove");
    live(30);
    // The whole folder replaced.
    let old = tempfile::tempdir().expect("a folder");
    fs::rename(folder.path(), old.path().join("old")).expect("a move");
    fs::create_dir(folder.path()).expect("a folder");
    fs::write(at("p.yaml"), policy(40)).expect("a file");
    live(40);
    fs::write(at("p.yaml"), policy(50)).expect("a file");
    live(50);
}

#[test]
fn a_link_that_is_turned_to_another_folder_counts() {
    let (one, two) = (folder(10), folder(20));
    let place = tempfile::tempdir().expect("a folder");
    let link = place.path().join("policies");
    let turn = |target: &Path| {
        let draft = place.path().join("draft");
        std::os::unix::fs::symlink(target, &draft).expect("a link");
        fs::rename(&draft, &link).expect("a move");
    };
    turn(one.path());
    let dev = Dev::start(Some(&link));
    turn(two.path());
    assert_eq!(wait_for_version_after(&dev, 1), 2);
    assert_eq!(dev.decide(&payment(20)).outcome(), "allow");
    // What is edited there from now on counts as well.
    fs::write(two.path().join("p.yaml"), policy(30)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 2), 3);
}

#[test]
fn a_single_file_may_be_the_policy() {
    let folder = folder(10);
    let file = folder.path().join("p.yaml");
    let dev = Dev::start(Some(&file));
    // Another file beside it is none of its business.
    fs::write(folder.path().join("q.yaml"), "agent: [").expect("a file");
    fs::write(&file, policy(20)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 1), 2);
    assert_eq!(dev.decide(&payment(20)).outcome(), "allow");
}

#[test]
fn a_broken_edit_keeps_the_last_good_version_and_says_so() {
    let folder = folder(10);
    let mut dev = Dev::start(Some(folder.path()));
    let before = dev.decide(&payment(10));
    fs::write(folder.path().join("p.yaml"), policy(20).replace("conditions", "condition")).expect("a file");
    // A file that was found half written has been told of before.
    wait_for_error_line(&dev.process, "did you mean `conditions`?");
    wait_for_error_line(&dev.process, "p.yaml:4:3");
    wait_for_error_line(&dev.process, "policy version 1 stays in force");
    let after = dev.decide(&payment(10));
    assert_eq!((after.outcome(), &after.body["policy"]), ("allow", &before.body["policy"]));

    // Mended as it was: nothing new is in force. Mended otherwise: a new version, and no number was used up.
    fs::write(folder.path().join("p.yaml"), policy(10)).expect("a file");
    dev.process.wait_for("policy_same", LONG).unwrap_or_else(|error| panic!("{error:#}"));
    fs::write(folder.path().join("p.yaml"), policy(20)).expect("a file");
    let line = dev.process.wait_for("policy_live", LONG).unwrap_or_else(|error| panic!("{error:#}"));
    let live: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&live["policy"]["version"], &live["policy"]["activation"]), (&json!(2), &json!(2)));
    assert_eq!(dev.decide(&payment(20)).outcome(), "allow");
    dev.stop();
}

#[test]
fn versions_of_the_folder_can_be_listed_and_rolled_back_like_any_other() {
    let folder = folder(10);
    let dev = Dev::start(Some(folder.path()));
    fs::write(folder.path().join("p.yaml"), policy(20)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 1), 2);
    let data_dir = dev.data_dir.path().to_str().expect("UTF-8");
    let ask = |arguments: &[&str]| {
        let ran =
            run(&[arguments, &["--tenant", "demo", "--data-dir", data_dir, "--output", "json"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    };
    let versions = ask(&["policy", "versions"]);
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(2), "{versions}");
    let message = versions["items"][0]["message"].as_str().expect("a text");
    assert_eq!(message, format!("reloaded from {}", folder.path().display()));
    let back = ask(&["policy", "rollback", "--wait"]);
    assert_eq!((&back["progress"]["state"], &back["in_force"]["enforced"]), (&json!("done"), &json!(1)));
    assert_eq!(dev.decide(&payment(20)).outcome(), "deny");
    // The next edit goes on from there; what the folder held before keeps its number.
    fs::write(folder.path().join("p.yaml"), policy(30)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 1), 3);
    fs::write(folder.path().join("p.yaml"), policy(20)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 3), 2);
    let minted = run(&["token", "inspect", "--data-dir", data_dir, &dev.mint(&[])]);
    assert_eq!(minted.code, Some(0), "{minted:?}");
    dev.stop();
}

#[test]
fn what_cannot_be_enforced_yet_is_refused_by_name() {
    let folder = folder(10);
    let dev = Dev::start(Some(folder.path()));
    fs::write(folder.path().join("p.yaml"), format!("{}egress: {{allow: []}}\n", policy(20)))
        .expect("a file");
    let line = wait_for_error_line(&dev.process, "egress");
    assert!(line.contains("`egress` cannot be enforced by this build"), "{line}");
    wait_for_error_line(&dev.process, "policy version 1 stays in force");
    assert_eq!(dev.decide(&payment(20)).outcome(), "deny");
}

#[test]
fn a_restart_continues_the_numbers_and_falls_back_to_the_last_good_version() {
    let folder = folder(10);
    let dev = Dev::start(Some(folder.path()));
    fs::write(folder.path().join("p.yaml"), policy(20)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 1), 2);
    let data_dir = dev.stop();

    // The same sources: the same version, in force as it was.
    let dev = Dev::start_in(data_dir, Some(folder.path()));
    assert_eq!((&dev.ready["policy"]["version"], &dev.ready["policy"]["activation"]), (&json!(2), &json!(2)));
    let id = dev.decide(&payment(1)).body["decision_id"].clone();
    assert_eq!(id, json!("d-dev-2-1"), "an incarnation of its own");
    let data_dir = dev.stop();

    fs::write(folder.path().join("p.yaml"), "agent: [").expect("a file");
    let dev = Dev::start_in(data_dir, Some(folder.path()));
    wait_for_error_line(&dev.process, "policy version 2, the last good one, is in force");
    assert_eq!(dev.decide(&payment(20)).outcome(), "allow");
    fs::write(folder.path().join("p.yaml"), policy(30)).expect("a file");
    assert_eq!(wait_for_version_after(&dev, 2), 3);
    let data_dir = dev.stop();

    // Another folder has no last good version here.
    let other = folder_with("agent: [");
    let ran = finish(&mut dev_command(data_dir.path(), Some(other.path())));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("1 error in "), "{ran:?}");
}

fn folder_with(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("p.yaml"), text).expect("a file");
    folder
}

#[test]
fn a_broken_folder_and_a_missing_one_do_not_start() {
    let data_dir = tempfile::tempdir().expect("a folder");
    let broken = folder_with("agent: a\nallowed: []\n");
    let ran = finish(&mut dev_command(data_dir.path(), Some(broken.path())));
    assert!(ran.code == Some(1) && ran.stderr.contains("unknown field `allowed`"), "{ran:?}");
    let ran = finish(&mut dev_command(data_dir.path(), Some(Path::new("no-such-folder"))));
    assert!(ran.code == Some(1) && ran.stderr.contains("no-such-folder"), "{ran:?}");
}
