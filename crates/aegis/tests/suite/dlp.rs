//! Sensitive data over real processes: story 2, `aegis dlp scan`, and canaries that must stand nowhere (C6, AUD-2).

#![expect(clippy::panic, reason = "an answer that cannot be read ends a test, and is shown")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use aegis_testkit::root;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Dev, address, decide, run, run_with_input};

const SSN: &str = "219-09-9999";

/// Sends one request and gives the whole answer.
fn exchange(http: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(http).expect("it listens");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {http}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Who refuses a request early may not read it to its end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn complete(http: SocketAddr, token: &str, body: &Value) -> Value {
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let answer = exchange(http, "POST", "/v1/complete", &headers, &body.to_string());
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        match entry.is_dir() {
            true => all.extend(files(&entry)),
            false => all.push(entry),
        }
    }
    all
}

/// Story 2: a hospital's agent may not send patient data out; what goes to a colleague has neither the number nor the date of
/// birth in it, and what comes back is masked.
#[test]
fn a_record_is_forwarded_inside_without_the_number_and_not_at_all_outside() {
    let dev = Dev::start(Some(&root().join("examples/healthcare")));
    let token = dev.mint(&["--agent", "clinical-agent", "--claim", "purpose=care"]);
    let export = json!({
        "tool": "patient-records", "action": "read_patient",
        "params": {"patient_id": "P-004711", "export": true, "ssn": SSN},
        "context": {"destination": "https://files.example.com/upload"},
    });
    let denied = decide(dev.http(), &token, &export);
    assert_eq!((denied.outcome(), denied.codes()), ("deny", vec!["ToolDenied"]));

    let forward = json!({
        "tool": "patient-records", "action": "forward_record",
        "params": {
            "patient_id": "P-004711", "to": "ward.three@clinic.example",
            "record": {"name": "Ada", "ssn": SSN, "date_of_birth": "1974-03-05"},
            "note": format!("SSN {SSN}, born 03/05/1974, stable"),
        },
    });
    let forwarded = decide(dev.http(), &token, &forward);
    assert_eq!(forwarded.outcome(), "sanitize", "{forwarded:?}");
    let params = &forwarded.body["params"];
    assert_eq!(params["record"], json!({"name": "Ada"}));
    assert_eq!(
        (&params["patient_id"], &params["to"]),
        (&json!("P-004711"), &json!("ward.three@clinic.example"))
    );
    let text = params.to_string();
    assert!(!text.contains(SSN) && !text.contains("1974") && text.contains("stable"), "{text}");
    let kinds: BTreeSet<&str> = forwarded.body["redactions"]
        .as_array()
        .expect("redactions")
        .iter()
        .filter_map(|redaction| redaction["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["date_of_birth", "field", "us_ssn"].into());

    let read =
        json!({"tool": "patient-records", "action": "read_patient", "params": {"patient_id": "P-004711"}});
    let allowed = decide(dev.http(), &token, &read);
    assert_eq!(allowed.outcome(), "allow");
    let told = json!({
        "decision_id": allowed.body["decision_id"], "status": "succeeded", "result": {"ssn": SSN, "ward": 3},
    });
    let completed = complete(dev.http(), &token, &told);
    assert_eq!(completed["result"], json!({"ssn": "***-**-9999", "ward": 3}));
    assert_eq!(completed["redactions"], json!([{"path": "/ssn", "kind": "us_ssn", "with": "mask"}]));

    let secret = json!({
        "tool": "patient-records", "action": "read_patient",
        "params": {"patient_id": "P-004711", "note": "password: hunter2-and-more"},
    });
    let blocked = decide(dev.http(), &token, &secret);
    assert_eq!((blocked.outcome(), blocked.codes()), ("deny", vec!["SensitiveData"]));
    let folder = dev.stop();
    for file in files(folder.path()) {
        let bytes = fs::read(&file).expect("a file");
        for raw in [SSN, "hunter2"] {
            let found = bytes.windows(raw.len()).any(|window| window == raw.as_bytes());
            assert!(!found, "`{raw}` stands in {}", file.display());
        }
    }
}

const REVERSIBLE: &str = "
agent: billing
allowed_tools:
- name: ledger
  redact: [{detect: [us_ssn], with: token, reversible: true}]
";

/// A token is taken back to its value by an administrator who says why, from the record of its call: parameters and result. Nobody
/// else, and not from another record; and the value stands in no file.
#[test]
fn a_reversible_token_is_taken_back_and_that_is_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("policy.yaml"), REVERSIBLE).expect("a policy");
    let dev = Dev::start(Some(folder.path()));
    let token = dev.mint(&["--agent", "billing"]);
    let call = json!({"tool": "ledger", "params": {"note": format!("ssn {SSN}")}});
    let decision = decide(dev.http(), &token, &call);
    assert_eq!(decision.outcome(), "sanitize", "{decision:?}");
    let note = decision.body["params"]["note"].as_str().expect("a text");
    let stands = note.strip_prefix("ssn ").expect("a token in the place of the number").to_owned();
    assert!(stands.starts_with("<us_ssn:v1:"), "{note}");
    let other = "219-09-9998";
    let told = json!({
        "decision_id": decision.body["decision_id"], "status": "succeeded", "result": {"owner": format!("ssn {other}")},
    });
    let completed = complete(dev.http(), &token, &told);
    let of_result = completed["result"]["owner"].as_str().and_then(|text| text.strip_prefix("ssn "));
    let of_result = of_result.expect("a token").to_owned();

    let data_dir = dev.data_dir.path().to_str().expect("UTF-8").to_owned();
    let records = run(&["audit", "tail", &format!("{data_dir}/audit"), "--output", "json"]);
    assert_eq!(records.code, Some(0), "{records:?}");
    assert!(records.stdout.contains(&stands) && !records.stdout.contains(SSN), "{records:?}");
    let reveal = |token: &str, reason: &str, records: &str| {
        let arguments = ["dlp", "reveal", "--tenant", "demo", "--records", "-", "--data-dir", &data_dir];
        run_with_input(&[&arguments[..], &["--token", token, "--reason", reason]].concat(), records)
    };
    for (token, value) in [(&stands, SSN), (&of_result, other)] {
        let revealed = reveal(token, "dispute 7", &records.stdout);
        assert_eq!((revealed.code, revealed.stdout.trim()), (Some(0), value), "{revealed:?}");
    }
    assert_eq!(reveal("<us_ssn:v1:00>", "dispute 7", &records.stdout).code, Some(2));
    let nothing_said = reveal(&stands, " ", &records.stdout);
    assert_eq!(nothing_said.code, Some(1), "{nothing_said:?}");
    // The sealing of the call with the tokens of its result: it does not belong to them.
    let forged = records.stdout.replace(&stands, &of_result);
    let refused = reveal(&of_result, "dispute 7", forged.lines().next().expect("a record"));
    assert!(refused.code == Some(1) && !refused.stdout.contains("219"), "{refused:?}");

    let evidence = tempfile::tempdir().expect("a folder");
    let to = evidence.path().join("control").to_str().expect("UTF-8").to_owned();
    let noted = run(&["audit", "control", "download", "--to", &to, "--data-dir", &data_dir]);
    assert_eq!(noted.code, Some(0), "{noted:?}");
    let entries = fs::read_to_string(evidence.path().join("control/entries")).expect("a text");
    let reveals = entries.lines().filter(|line| line.contains("NoteReveal") && line.contains("dispute 7"));
    assert!(reveals.count() >= 2, "{entries}");
    let folder = dev.stop();
    for file in files(folder.path()) {
        let bytes = fs::read(&file).expect("a file");
        for raw in [SSN, other] {
            let found = bytes.windows(raw.len()).any(|window| window == raw.as_bytes());
            assert!(!found, "`{raw}` stands in {}", file.display());
        }
    }
}

/// Values that nobody may find again, of the kinds that policies speak of; no two alike.
fn canaries(count: usize) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(0x000c_a4a4);
    let mut letters = |count: usize| -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..count).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
    };
    let mut random = StdRng::seed_from_u64(0x000c_a4a5);
    let mut canary = |at: usize| match at % 5 {
        0 => format!("{:03}-{:02}-{:04}", 1 + at % 600, 1 + at / 600 % 99, random.random_range(1..9_999)),
        1 => card(&mut random),
        2 => format!("ghp_{}", letters(36)),
        3 => format!("{}.{at}@mail.example.com", letters(8)),
        _ => format!("sk_live_{}", letters(24)),
    };
    let mut all = BTreeSet::new();
    let mut at = 0;
    while all.len() < count {
        all.insert(canary(at));
        at += 1;
    }
    all.into_iter().collect()
}

/// A number of 16 digits that a card could have.
fn card(random: &mut StdRng) -> String {
    let mut digits: Vec<u32> = vec![4, 5];
    digits.extend((0..13).map(|_| random.random_range(0..10)));
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => digit * 2 / 10 + digit * 2 % 10,
            _ => *digit,
        })
        .sum();
    digits.push((10 - sum % 10) % 10);
    digits.iter().map(u32::to_string).collect()
}

const WATCHED: &str = "
agent: watched
allowed_tools:
- name: clean
  redact: [{detect: [all], with: mask}]
- name: hashed
  redact: [{detect: [all], with: token}]
- name: noted
  redact: [{detect: [all], with: hash, on: record}]
- name: refused
  redact: [{detect: [all], with: block}]
- name: asked
  conditions: {approval_needed: true}
  redact: [{detect: [all], with: mask}]
- name: shown
  conditions: {approval_needed: true}
  redact: [{detect: [all], with: mask, on: record}]
denied_tools:
- name: never
";

/// C6: canaries go in by every door of a running node and its control plane, and stand in no file, no log and no metric.
/// `AEGIS_CANARIES` says how many.
#[test]
fn no_canary_is_found_again() {
    let count = std::env::var("AEGIS_CANARIES").ok().map_or(60, |text| text.parse().expect("a number"));
    let canaries = canaries(count);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("policy.yaml"), WATCHED).expect("a policy");
    let dev = Dev::start(Some(folder.path()));
    let token = dev.mint(&["--agent", "watched"]);
    let (http, metrics) = (dev.http(), address(&dev.ready["metrics"]));
    let control = address(&dev.ready["control"]);
    let mut answers = 0;
    for canary in &canaries {
        answers += push(http, control, &token, canary);
    }
    let page = exchange(metrics, "GET", "/metrics", "", "");
    assert!(page.contains("aegis_sensitive_findings_total"), "{page}");
    let errors = dev.process.error_lines().join("\n");
    let data_dir = dev.stop();
    let kept: Vec<(String, Vec<u8>)> = files(data_dir.path())
        .into_iter()
        .map(|file| (file.display().to_string(), fs::read(&file).expect("a file")))
        .chain([
            ("metrics".to_owned(), page.into_bytes()),
            ("standard error".to_owned(), errors.into_bytes()),
        ])
        .collect();
    assert!(
        kept.iter().any(
            |(name, bytes)| name.contains("audit") && bytes.windows(13).any(|it| it == b"\"params_diges")
        )
    );
    // What people are asked about is kept, so it would be seen there.
    let asked = kept.iter().any(|(_, bytes)| bytes.windows(8).any(|window| window == b", he sai"));
    assert!(
        asked,
        "no request for approval is kept: {:?}",
        kept.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    let mut hits = Vec::new();
    for (name, bytes) in &kept {
        let text = String::from_utf8_lossy(bytes);
        hits.extend(
            canaries.iter().filter(|canary| text.contains(canary.as_str())).map(|canary| (name, canary)),
        );
    }
    println!("{}", json!({"name": "canaries/pushed", "value": count, "unit": "secrets"}));
    println!("{}", json!({"name": "canaries/requests", "value": answers, "unit": "requests"}));
    println!("{}", json!({"name": "canaries/files", "value": kept.len(), "unit": "files"}));
    println!("{}", json!({"name": "canaries/hits", "value": hits.len(), "unit": "hits"}));
    assert_eq!(hits, []);
}

/// Sends one canary by every door; how many requests that were.
fn push(http: SocketAddr, control: SocketAddr, token: &str, canary: &str) -> usize {
    let bearer = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let mut requests = 0;
    let mut ask = |path: &str, headers: &str, body: &str| {
        requests += 1;
        exchange(http, "POST", path, headers, body)
    };
    let as_name: String = canary.chars().map(|it| if it == '@' { '-' } else { it }).collect();
    let mut ids = Vec::new();
    for tool in ["clean", "hashed", "noted", "refused", "asked", "shown", "never", "unknown"] {
        let call = json!({
            "tool": tool, "params": {"text": format!("it is {canary}, he said"), "list": [canary], "of": {"deep": canary}},
            "context": {"purpose": canary, "session": canary},
        });
        let answer = ask("/v1/decide", &bearer, &call.to_string());
        let body =
            answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
        let body = body.unwrap_or_else(|| panic!("{answer}"));
        if ["asked", "shown"].contains(&tool) {
            assert_eq!(body["outcome"], "approval_required", "{canary}: {body}");
        }
        if ["clean", "hashed"].contains(&tool) {
            assert_eq!(body["outcome"], "sanitize", "{canary}: {body}");
        }
        if tool != "noted" {
            assert!(!answer.contains(canary), "{tool} gives {canary} back");
        }
        ids.extend(
            body["outcome"]
                .as_str()
                .filter(|it| ["allow", "sanitize"].contains(it))
                .map(|_| body["decision_id"].clone()),
        );
    }
    for id in ids {
        let told =
            json!({"decision_id": id, "status": "succeeded", "result": {"text": format!("so {canary}")}});
        ask("/v1/complete", &bearer, &told.to_string());
    }
    let key = json!({"tool": "clean", "params": {canary: 1}});
    let names = json!({"tool": as_name, "action": as_name, "request_id": canary, "params": {}});
    let odd = json!({"tool": "clean", canary: 1, "cost": canary, "override_token": canary});
    let redeemed = json!({"tool": "clean", "params": {}, "override_token": canary});
    let unknown = json!({"decision_id": canary, "status": canary, "result": canary});
    let about = json!({
        "subject": {"type": "agent", "id": "watched"}, "resource": {"type": "tool", "id": "clean", "properties": {"text": canary}},
        "action": {"name": "call"}, "context": {"purpose": canary},
    });
    for body in [&key, &names, &odd, &redeemed] {
        ask("/v1/decide", &bearer, &body.to_string());
    }
    ask("/v1/complete", &bearer, &unknown.to_string());
    ask("/access/v1/evaluation", &bearer, &about.to_string());
    ask("/v1/decide", &bearer, &format!("{{\"tool\": \"clean\", \"params\": {{\"text\": \"{canary}"));
    ask("/v1/decide", &format!("Authorization: Bearer {canary}\r\nContent-Type: application/json\r\n"), "{}");
    ask(
        "/v1/decide",
        &format!("{bearer}X-Request-Id: {canary}\r\nTraceparent: {canary}\r\n"),
        &key.to_string(),
    );
    ask(&format!("/v1/{as_name}?q={as_name}"), &bearer, "{}");
    let admin = [
        (
            "/admin/v1/tenants",
            format!("Authorization: Bearer {canary}\r\nContent-Type: application/json\r\n"),
        ),
        (&*format!("/admin/v1/tenants/{as_name}/tokens"), bearer.clone()),
    ]
    .map(|(path, headers)| exchange(control, "POST", path, &headers, &json!({"name": canary}).to_string()));
    requests + admin.len()
}

#[test]
fn a_scan_says_what_is_where_and_ends_accordingly() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::create_dir(path("deep")).expect("a folder");
    fs::write(path("notes.txt"), format!("nothing\nssn {SSN}, ann@example.com\n")).expect("a file");
    fs::write(path("deep/clean.txt"), "nothing at all\n").expect("a file");

    let text = run(&["dlp", "scan", &path("notes.txt")]);
    assert_eq!(text.code, Some(1), "{text:?}");
    assert!(text.stdout.contains("notes.txt:2:5: us_ssn (looks): ssn ***********"), "{text:?}");
    assert!(!text.stdout.contains(SSN) && !text.stdout.contains("ann@"), "{text:?}");
    let shown = run(&["dlp", "scan", "--show", &path("notes.txt")]);
    assert!(shown.stdout.contains(SSN), "{shown:?}");
    let clean = run(&["dlp", "scan", &path("deep")]);
    assert_eq!((clean.code, clean.stdout.as_str()), (Some(0), ""));

    let json = run(&["dlp", "scan", folder.path().to_str().expect("UTF-8"), "--output", "json"]);
    let document = json.json();
    assert_eq!((json.code, &document["files"], &document["found"]), (Some(1), &json!(2), &json!(2)));
    assert_eq!(
        (&document["findings"][0]["kind"], &document["findings"][0]["line"]),
        (&json!("us_ssn"), &json!(2))
    );
    let only = run(&["dlp", "scan", &path("notes.txt"), "--kinds", "email,secrets", "--output", "json"]);
    assert_eq!(only.json()["found"], 1);

    let sarif = run(&["dlp", "scan", &path("notes.txt"), "--output", "sarif"]);
    assert_eq!(sarif.json()["runs"][0]["results"].as_array().map(Vec::len), Some(2));
    assert!(!sarif.stdout.contains(SSN));
    let piped = run_with_input(&["dlp", "scan", "-"], &format!("ssn {SSN}\n"));
    assert_eq!(piped.code, Some(1));
    assert!(piped.stdout.starts_with("-:1:5: us_ssn"), "{piped:?}");

    for wrong in [
        &["dlp", "scan", "--kinds", "no_such_kind", "-"][..],
        &["dlp", "scan", "/nowhere/at/all"],
        &["dlp", "scan"],
        &["explain", "SensitiveData", "--output", "sarif"],
    ] {
        assert_eq!(run(wrong).code, Some(2), "{wrong:?}");
    }
}
