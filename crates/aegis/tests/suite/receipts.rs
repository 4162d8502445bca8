//! What an answer waits for, and what its receipt proves to somebody who trusts the control log and no data node.

use std::collections::HashSet;
use std::fs;

use aegis_testkit::eventually;
use serde_json::{Value, json};

use crate::nodes::Cluster;
use crate::support::{Answer, LONG, Ran, aegis, decide, finish, payment, post};

/// How the frame of a record begins that was acknowledged before it was synced.
const RELAXED: [u8; 6] = *b"AJF1\x02\x01";

fn run(arguments: &[&str]) -> Ran {
    finish(aegis().args(arguments))
}

fn enforced() -> (Cluster, String) {
    let cluster = Cluster::running(1, 1);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    (cluster, token)
}

/// The receipt of the first answer of which `holds`.
fn until(cluster: &Cluster, token: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Answer {
    let asked = || Some(cluster.ask(0, token, 1)).filter(|answer| holds(&answer.body["receipt"]));
    eventually(what, LONG, asked).expect("an answer")
}

#[test]
fn a_signed_receipt_is_checked_with_a_key_that_the_control_log_knows() {
    let (mut cluster, token) = enforced();
    let plain = cluster.ask(0, &token, 1).body["receipt"].take();
    assert!(plain["leaf"].is_string() && plain.get("signature").is_none(), "{plain}");
    let mut call = payment(2);
    call["sign_receipt"] = json!(true);
    let asked = decide(cluster.data[0].http, &token, &call);
    assert!(asked.body["receipt"]["signature"].is_string(), "{asked:?}");
    cluster.done(&["tenant", "set", "acme", "--signed-receipts", "true"]);
    let signed = until(&cluster, &token, "the tenant's wish", |receipt| receipt["signature"].is_string());
    let completion = json!({"decision_id": signed.body["decision_id"], "status": "succeeded"});
    let completed = post(cluster.data[0].http, "/v1/complete", &token, &completion);
    assert!(completed.body["receipt"]["signature"].is_string(), "{completed:?}");

    let root = cluster.folder.path().to_owned();
    let path = |name: &str| root.join(name).display().to_string();
    let (evidence, keys) = (path("evidence"), path("keys.txt"));
    let told = cluster.done(&["audit", "control", "download", "--to", &evidence]);
    let key = told["verifiers"][0].as_str().expect("a key");
    let verified = run(&["audit", "control", "verify", &evidence, "--key", key, "--write-keys", &keys]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let check = |body: &Value, more: &[&str]| {
        fs::write(path("answer.json"), body.to_string()).expect("a file");
        let answer = path("answer.json");
        run(&[&["audit", "receipt", &answer, "--key", &keys, "--output", "json"], more].concat())
    };
    for body in [&asked.body, &signed.body, &completed.body] {
        let checked = check(body, &[]);
        assert_eq!((checked.code, &checked.json()["ok"]), (Some(0), &json!(true)), "{checked:?}");
        assert_eq!(checked.json()["signed_at"], body["receipt"]["time"]);
    }
    for (member, other) in
        [("index", json!(0)), ("leaf", json!("00".repeat(32))), ("log", json!("test/data-1/9"))]
    {
        let mut forged = signed.body.clone();
        forged["receipt"][member] = other;
        assert_eq!(check(&forged, &[]).code, Some(1), "{member}");
    }
    let unsigned = check(&plain, &[]);
    assert!(unsigned.code == Some(1) && unsigned.stdout.contains("is not signed"), "{unsigned:?}");

    // The proof is had from the node while it runs, and from its files when it is gone; it speaks for what is not signed as well.
    for receipt in [&plain, &signed.body["receipt"], &completed.body["receipt"]] {
        let proof = post(cluster.data[0].http, "/v1/proof", &token, receipt);
        assert_eq!(proof.status, 200, "{proof:?}");
        fs::write(path("proof.json"), proof.body.to_string()).expect("a file");
        let proved = check(receipt, &["--proof", &path("proof.json")]);
        assert_eq!(proved.code, Some(0), "{proved:?}");
        assert!(proved.json()["size"].as_u64() > receipt["index"].as_u64(), "{proved:?}");
    }
    let other = check(&signed.body, &["--proof", &path("proof.json")]);
    assert!(other.code == Some(1) && other.stdout.contains("about another record"), "{other:?}");
    cluster.data[0].stop();
    let (journal, index) = (cluster.path("data-1/audit"), completed.body["receipt"]["index"].to_string());
    let journal = journal.to_str().expect("UTF-8");
    let proof = run(&["audit", "prove", journal, "--index", &index, "--output", "json"]);
    assert_eq!(proof.code, Some(0), "{proof:?}");
    fs::write(path("proof.json"), &proof.stdout).expect("a file");
    assert_eq!(check(&completed.body, &["--proof", &path("proof.json")]).code, Some(0));

    // A node that stopped in order has said where its log ends: no later life of it is needed for that.
    let log = completed.body["receipt"]["log"].as_str().expect("a log");
    cluster.done(&["audit", "control", "download", "--to", &evidence]);
    let verified = run(&["audit", "control", "verify", &evidence, "--key", key, "--output", "json"]);
    assert_eq!(
        (verified.code, &verified.json()["logs"][log]["closed"]),
        (Some(0), &json!(true)),
        "{verified:?}"
    );
}

/// C4 of a tenant that relaxed what its answers wait for: a killed process loses nothing. What a power cut does, the tests of the
/// journal show: a signed gap (AUD-1).
#[test]
fn a_relaxed_tenant_loses_nothing_to_a_killed_process() {
    let (mut cluster, token) = enforced();
    let reason = "figures of a test bench, which may be lost";
    cluster.done(&["tenant", "set", "acme", "--sync-write", reason]);
    let shown = cluster.done(&["tenant", "show", "acme"]);
    let wish = &shown["tenant"]["sync_write"];
    assert_eq!((&wish["statement"], &wish["by"]), (&json!(reason), &json!("admin")), "{shown}");
    let both = cluster.run(&["tenant", "set", "acme", "--signed-receipts", "true"]);
    assert!(both.code == Some(1) && both.stderr.contains("sync_write"), "{both:?}");
    // Whoever asks for a signature gets it, behind a sync.
    let mut call = payment(2);
    call["sign_receipt"] = json!(true);
    assert!(decide(cluster.data[0].http, &token, &call).body["receipt"]["signature"].is_string());
    // The wish is in force once a frame says that its record was acknowledged before the sync.
    let relaxed = || {
        cluster.ask(0, &token, 1);
        let lives = fs::read_dir(cluster.path("data-1/audit")).expect("a journal");
        let files = lives.filter_map(|life| fs::read_dir(life.ok()?.path().join("wal")).ok()).flatten();
        let frames = files.filter_map(|file| fs::read(file.ok()?.path()).ok());
        frames.into_iter().any(|bytes| bytes.windows(6).any(|header| header == RELAXED)).then_some(())
    };
    eventually("the tenant's wish", LONG, relaxed).expect("it is in force");
    let seen: Vec<String> = (0..50)
        .map(|_| cluster.ask(0, &token, 1).body["decision_id"].as_str().expect("an id").to_owned())
        .collect();
    cluster.data[0].kill();
    cluster.start_data(0);
    cluster.data[0].stop();
    let journal = cluster.path("data-1/audit");
    let verified = run(&["audit", "verify", journal.to_str().expect("UTF-8"), "--output", "json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let told = verified.json();
    assert_eq!(told["logs"][0]["gaps"], json!([]), "the machine did not stop: {told}");
    let events = |life: u32| {
        let log = journal.join(life.to_string());
        let events = run(&["audit", "events", log.to_str().expect("UTF-8"), "--format", "json-lines"]);
        assert_eq!(events.code, Some(0), "{events:?}");
        events.stdout
    };
    let life = told["logs"][0]["log"].as_str().and_then(|log| log.rsplit('/').next()?.parse().ok());
    let text = events(life.expect("a number"));
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let decided = lines
        .filter_map(|line| line["record"]["what"]["decision"]["decision_id"].as_str().map(str::to_owned));
    let recorded: HashSet<String> = decided.collect();
    let lost: Vec<&String> = seen.iter().filter(|id| !recorded.contains(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
