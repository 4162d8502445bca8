//! C4: a node is killed under load, at any moment, and every decision that a client saw is in its log afterwards. Also what
//! keeps a node from starting, and what a real run looks like to `aegis audit` and to the verifier in Python.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aegis_testkit::{TestProcess, eventually};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Dev, LONG, address, aegis, decide, finish, get, payment, run, try_decide};

/// How often the node is killed: 20 times, 500 in `cargo xtask bar audit-kills`.
const KILLS: usize = 20;
const CLIENTS: usize = 4;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// A data node with the demo's policy from a file, so that it starts quickly, and a key of the test.
struct Site {
    folder: tempfile::TempDir,
    token: String,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("policies")).expect("a folder");
        let policy = "agent: finance-agent\nallowed_tools:\n- name: stripe-payments\n  actions: [create_payment]\n  conditions: {max_amount: 5000}\n";
        fs::write(at("policies/policy.yaml"), policy).expect("a file");
        let key = aegis_identity::keys::SigningKey::generate(&mut StdRng::seed_from_u64(1));
        fs::write(at("issuer.pub.pem"), key.verifying_key().to_public_key_pem()).expect("a file");
        fs::write(at("issuer.pem"), key.to_pkcs8_pem().expose()).expect("a file");
        fs::set_permissions(at("issuer.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("a mode");
        let config = "node = 'data-1'\ndata_dir = 'state'\n[listen]\nhttp = '127.0.0.1:0'\ngrpc = '127.0.0.1:0'\nmetrics = '127.0.0.1:0'\n\
                      [[trust]]\nissuer = 'https://issuer.example'\nkey = 'issuer.pub.pem'\n[[tenants]]\nname = 'acme'\npolicies = 'policies'\n";
        fs::write(at("aegis.toml"), config).expect("a file");
        let mint =
            ["token", "mint", "--issuer", "https://issuer.example", "--org", "acme", "--tenant", "acme"];
        let bearer = ["--agent", "finance-agent", "--scope", "*:*", "--key-file"];
        let token = finish(aegis().args(mint).args(bearer).arg(at("issuer.pem")));
        assert_eq!(token.code, Some(0), "{token:?}");
        Self { folder, token: token.stdout.trim().to_owned() }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("state/audit")
    }

    fn command(&self) -> Command {
        let mut command = aegis();
        command.args(["data", "--output", "json", "--config"]).arg(self.folder.path().join("aegis.toml"));
        command
    }

    fn start(&self) -> (TestProcess, SocketAddr) {
        let mut process = TestProcess::start(&mut self.command()).expect("it starts");
        let line = process.wait_for("\"ready\"", LONG).expect("it is ready");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        (process, address(&ready["http"]))
    }

    /// What it says when it does not start.
    fn refused(&self) -> String {
        let ran = finish(&mut self.command());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.stderr
    }
}

/// Asks until the node is gone; the ids of what it decided.
fn ask(site: &Site, http: SocketAddr, answered: &AtomicUsize, gone: &AtomicBool) -> Vec<String> {
    let mut ids = Vec::new();
    while !gone.load(Ordering::Relaxed) {
        let amount = if ids.len() % 2 == 0 { 4_000 } else { 6_000 };
        let Ok(answer) = try_decide(http, &site.token, &payment(amount)) else { break };
        // A disk that is busy for seconds: nothing was decided, so nothing has to be there.
        if answer.body["code"] == "AuditUnavailable" {
            continue;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        ids.push(answer.body["decision_id"].as_str().expect("an id").to_owned());
        answered.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

/// Kills the node after so many answers and so long; what clients saw.
fn one_life(site: &Site, answers: usize, pause: Duration) -> Vec<String> {
    let (mut process, http) = site.start();
    let (answered, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
    let seen = Mutex::new(Vec::new());
    let enough = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let ids = ask(site, http, &answered, &gone);
                seen.lock().expect("no panic").extend(ids);
            });
        }
        let enough = || (answered.load(Ordering::Relaxed) >= answers).then_some(());
        let enough = eventually("answers", LONG, enough);
        // expect(sleep): a moment that nothing else chooses
        std::thread::sleep(pause);
        process.signal("KILL").expect("it runs");
        gone.store(true, Ordering::Relaxed);
        enough
    });
    process.wait_end(LONG).expect("it ends");
    enough.expect("it answers");
    seen.into_inner().expect("no panic")
}

/// The ids of all decisions in the journal.
fn recorded(journal: &Path) -> HashSet<String> {
    let names = fs::read_dir(journal).expect("a folder").map(|entry| entry.expect("an entry").path());
    let logs = names.filter(|path| path.join("verifier").exists());
    let mut ids = HashSet::new();
    for log in logs {
        let log = log.to_str().expect("a path");
        let ran = run(&["audit", "tail", log, "--lines", "10000000", "--output", "json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for line in ran.stdout.lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let id = line["record"]["what"]["decision"]["decision_id"].as_str();
            ids.extend(id.map(str::to_owned));
        }
    }
    ids
}

fn verified(journal: &Path) -> Value {
    let ran = run(&["audit", "verify", journal.to_str().expect("a path"), "--output", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()
}

/// C4, WALK-2, AUD-1.
#[test]
fn every_decision_that_a_client_saw_is_in_the_log_of_a_node_that_was_killed() {
    let (kills, seed) = (number("AEGIS_AUDIT_KILLS", KILLS), number("AEGIS_AUDIT_KILLS_SEED", 1));
    let mut random = StdRng::seed_from_u64(seed as u64);
    let (mut site, mut seen_in_all, mut missing) = (Site::new(), 0, 0);
    let mut seen: Vec<String> = Vec::new();
    for kill in 0..kills {
        let answers = random.random_range(1..60);
        let pause = Duration::from_micros(random.random_range(0..5_000));
        seen.extend(one_life(&site, answers, pause));
        // What was cut off, as it lies there; and every now and then all of it, after the next starts have closed it.
        verified(&site.journal());
        if kill % 10 == 9 || kill + 1 == kills {
            let recorded = recorded(&site.journal());
            let lost: Vec<&String> = seen.iter().filter(|id| !recorded.contains(*id)).collect();
            assert!(lost.is_empty(), "AEGIS_AUDIT_KILLS_SEED={seed}, kill {kill}: {lost:?} are lost");
            (seen_in_all, missing) = (seen_in_all + seen.len(), missing + lost.len());
            // Tokens end, and journals grow.
            (site, seen) = (Site::new(), Vec::new());
        }
    }
    for (name, value) in [("tried", kills), ("decisions", seen_in_all), ("missing", missing)] {
        println!("{}", json!({"name": format!("audit-kills/{name}"), "value": value, "unit": "count"}));
    }
}

/// The next start closes what was cut off; what a real node wrote verifies with both verifiers, and a change shows.
#[test]
fn what_a_node_wrote_is_verified_and_a_change_is_found() {
    let site = Site::new();
    one_life(&site, 40, Duration::ZERO);
    let cut_off = &verified(&site.journal())["logs"][0];
    assert_eq!(cut_off["ended"], json!(false));
    let (mut process, http) = site.start();
    decide(http, &site.token, &payment(1));
    let running = verified(&site.journal());
    assert_eq!((&running["logs"][0]["ended"], &running["logs"][1]["ended"]), (&json!(true), &json!(false)));
    let journal = site.journal();
    let journal = journal.to_str().expect("a path");
    let early = run(&["audit", "export", journal, "--tenant", "acme", "--to", &format!("{journal}-0")]);
    assert_eq!(early.code, Some(0), "the first log is sealed: {early:?}");
    process.terminate().expect("it runs");
    assert_eq!(process.wait_end(LONG).expect("it ends").code(), Some(0));

    let whole = verified(&site.journal());
    assert!(
        whole["logs"]
            .as_array()
            .expect("logs")
            .iter()
            .all(|log| log["ended"] == true && log["unsigned"] == 0)
    );
    assert_eq!(whole["logs"][1]["chains"]["tenant/acme"], json!(1));
    let keys = site.folder.path().join("keys.txt");
    let verifier =
        |life: u32| fs::read_to_string(site.journal().join(format!("{life}/verifier"))).expect("a key");
    fs::write(&keys, format!("# of data-1\n{}{}", verifier(1), verifier(2))).expect("a file");
    let checkpoint = site.journal().join("2/checkpoint");
    let args = [
        "audit",
        "verify",
        journal,
        "--key",
        keys.to_str().expect("a path"),
        "--checkpoint",
        checkpoint.to_str().expect("a path"),
    ];
    let judged = run(&args);
    assert_eq!(judged.code, Some(0), "{judged:?}");
    assert!(judged.stdout.contains("integrity     proved: no record was changed"), "{judged:?}");
    assert!(
        judged.stdout.contains("completeness  not proved")
            && judged.stdout.contains("completeness  proved up to index"),
        "{judged:?}"
    );

    let proof = run(&["audit", "prove", journal, "--index", "0", "--output", "json"]).json();
    assert_eq!((&proof["log"], &proof["index"]), (&json!("standalone/data-1/2"), &json!(0)));
    assert_eq!(run(&["audit", "prove", journal, "--index", "99"]).code, Some(1));
    assert_eq!(run(&["audit", "prove", journal, "--decision", "d-none-1-1"]).code, Some(1));
    let to = format!("{journal}-acme");
    assert_eq!(run(&["audit", "export", journal, "--tenant", "acme", "--to", &to]).code, Some(0));
    let exported =
        run(&["audit", "verify", &to, "--tenant", "acme", "--key", keys.to_str().expect("a path")]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert_eq!(
        run(&["audit", "export", journal, "--tenant", "nobody", "--to", &format!("{journal}-n")]).code,
        Some(1)
    );

    let by_python = python(&site.journal().join("1"), verifier(1).trim());
    if by_python.is_none() {
        println!("there is no python3, so its verifier was not asked");
    }
    assert_ne!(by_python, Some(false), "the verifier in Python finds what a node wrote sound");
    let path = site.journal().join("1").join("segments");
    let file =
        walk(&path).into_iter().find(|file| file.to_string_lossy().contains("tenant-")).expect("a segment");
    let text = fs::read_to_string(&file).expect("a segment");
    fs::write(&file, text.replacen("\"outcome\":\"deny\"", "\"outcome\":\"allow\"", 1))
        .expect("it is written");
    let found = run(&args);
    assert_eq!(found.code, Some(1));
    assert!(found.stdout.contains("BAD") && found.stdout.contains("first at index "), "{found:?}");
    assert_ne!(python(&site.journal().join("1"), verifier(1).trim()), Some(true));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Whether the verifier in Python finds the log sound; nothing where there is no Python.
fn python(log: &Path, key: &str) -> Option<bool> {
    let script = aegis_testkit::root().join("crates/audit/python/verify.py");
    let ran = Command::new("python3").arg(script).arg(log).arg(key).output().ok();
    assert!(ran.is_some() || std::env::var_os("CI").is_none(), "CI has Python");
    ran.map(|output| output.status.success())
}

#[test]
fn a_journal_of_another_process_or_node_keeps_a_node_from_starting() {
    let site = Site::new();
    let (process, _) = site.start();
    let config = site.folder.path().join("aegis.toml");
    let text = fs::read_to_string(&config).expect("a file");
    let other = text.replace("data_dir = 'state'", "data_dir = 'other'\naudit_dir = 'state/audit'");
    fs::write(&config, &other).expect("a file");
    let told = site.refused();
    assert!(
        told.contains("the audit journal cannot be opened") && told.contains("in use by another process"),
        "{told}"
    );
    drop(process);
    fs::write(&config, other.replace("data-1", "data-2")).expect("a file");
    let told =
        eventually("the lock to go", LONG, || Some(site.refused()).filter(|told| !told.contains("in use")));
    let told = told.expect("the lock goes with its process");
    assert!(told.contains("is the journal of `standalone/data-1`, not of `data-2`"), "{told}");
    // Read-only, for whoever is bound by that: a file stands where the folder should.
    fs::remove_dir_all(site.journal()).expect("a folder");
    fs::write(site.journal(), "").expect("a file");
    assert!(site.refused().contains("the audit journal cannot be opened"));
}

/// A node whose disk is full answers `AuditUnavailable`, says why at `/readyz`, and what it answered before verifies.
#[test]
fn a_full_disk_is_told_and_nothing_answered_is_lost() {
    let Some(disk) = SmallDisk::mount() else {
        assert!(std::env::var_os("CI").is_none(), "CI may mount a file system");
        println!("no file system can be mounted here, so no disk was filled");
        return;
    };
    let site = Site::new();
    let config = site.folder.path().join("aegis.toml");
    let text = fs::read_to_string(&config).expect("a file");
    let journal = disk.0.path().join("audit");
    let text = text
        .replace("data_dir = 'state'", &format!("data_dir = 'state'\naudit_dir = '{}'", journal.display()));
    fs::write(&config, text).expect("a file");
    let (mut process, http) = site.start();
    let mut seen = Vec::new();
    let refused = loop {
        let answer = decide(http, &site.token, &payment(1));
        match answer.status {
            200 => seen.push(answer.body["decision_id"].as_str().expect("an id").to_owned()),
            _ => break answer,
        }
        assert!(seen.len() < 100_000, "a megabyte is not enough for so many");
    };
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("AuditUnavailable")));
    let ready = get(http, "/readyz");
    assert_eq!(ready.status, 503);
    assert!(
        ready.body["detail"].as_str().expect("a reason").contains("No space left on device"),
        "{ready:?}"
    );
    process.signal("KILL").expect("it runs");
    process.wait_end(LONG).expect("it ends");
    assert!(seen.len() > 100);
    let recorded = recorded(&journal);
    assert!(seen.iter().all(|id| recorded.contains(id)));
    verified(&journal);
}

/// A file system of one megabyte in memory. Goes with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left mounted goes with the machine.
        drop(Command::new("umount").arg("-l").arg(self.0.path()).output());
    }
}

/// `aegis dev` points at its log, and the command that it prints works as it is pasted.
#[test]
fn the_log_of_a_demo_is_followed_as_its_welcome_says() {
    let dev = Dev::start(None);
    let answer = dev.decide(&payment(4_999));
    let tail = dev.ready["tail"].as_str().expect("a command").to_owned();
    let shown = Command::new("sh").arg("-c").arg(&tail).env("NO_COLOR", "1").output().expect("a shell");
    let shown = String::from_utf8(shown.stdout).expect("text");
    let id = answer.body["decision_id"].as_str().expect("an id");
    let line =
        shown.lines().find(|line| line.ends_with(id)).unwrap_or_else(|| panic!("{id} is not in {shown}"));
    assert!(line.contains("  demo  finance-agent  stripe-payments.create_payment  allow  "), "{line}");

    let mut follow = aegis();
    follow.args(["audit", "tail", "--follow", "--output", "json"]).arg(dev.data_dir.path().join("audit"));
    let mut follow = TestProcess::start(&mut follow).expect("it starts");
    follow.wait_for(id, LONG).expect("what was there");
    let next = dev.decide(&payment(5_001));
    follow.wait_for(next.body["decision_id"].as_str().expect("an id"), LONG).expect("what follows");
    follow.signal("KILL").expect("it runs");
    dev.stop();
}
