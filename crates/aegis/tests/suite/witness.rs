//! A witness as a process: what it cosigned it does not take back, also after it was killed.

#![expect(clippy::unwrap_used, reason = "where a helper fails, its test fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::hash::Hash;
use aegis_audit::keys::{KeyKind, SigningKey, VerifyingKey};
use aegis_audit::note::{Note, Signature};
use aegis_audit::tree;
use aegis_audit::witness::{Request, cosigned_at};
use aegis_testkit::{TestProcess, eventually};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::nodes::Cluster;
use crate::support::{LONG, aegis, finish, run};

const LOG: &str = "c-1/control";

fn log_key() -> SigningKey {
    SigningKey::generate(LOG.parse().unwrap(), KeyKind::Note, &mut StdRng::seed_from_u64(1))
}

fn leaves(branch: u8) -> Vec<Hash> {
    (0..40_u8).map(|n| tree::leaf(&[n, if n < 4 { 0 } else { branch }])).collect()
}

fn request(leaves: &[Hash], old: u64, new: u64) -> Request {
    let Ok(root) = tree::root_at(leaves, new);
    let Ok(proof) = tree::consistency(leaves, old, new);
    let checkpoint = Checkpoint { origin: LOG.parse().unwrap(), size: new, root };
    Request { old_size: old, proof, note: checkpoint.sign(&log_key()) }
}

struct Witness {
    process: TestProcess,
    address: SocketAddr,
    key: VerifyingKey,
}

/// A folder with a key and a configuration.
fn furnish(folder: &Path) {
    let key = folder.join("w.key").display().to_string();
    let made = run(&["witness", "key", "--name", "witness.example/w1", "--file", &key]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let config = format!(
        "name = 'witness.example/w1'\nkey = 'w.key'\ndata_dir = 'state'\nlisten = '127.0.0.1:0'\nlogs = ['{}']\n",
        log_key().verifying_key()
    );
    std::fs::write(folder.join("w.toml"), config).unwrap();
}

impl Witness {
    fn start(folder: &Path) -> Self {
        let mut command = aegis();
        command.args(["witness", "run", "--output", "json", "--config"]).arg(folder.join("w.toml"));
        let mut process = TestProcess::start(&mut command).unwrap();
        let told: Value = serde_json::from_str(&process.wait_for("started", LONG).unwrap()).unwrap();
        let address = told["http"].as_str().unwrap().parse().unwrap();
        let key = told["verifier"].as_str().unwrap().parse().unwrap();
        Self { process, address, key }
    }

    /// Status, content type and body.
    fn post(&self, path: &str, body: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // Who refuses a request early need not read it to its end, and the connection may be reset behind the answer.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        (status, kind.to_owned(), body.to_owned())
    }

    fn ask(&self, request: &Request) -> u16 {
        let (status, _, body) = self.post("/add-checkpoint", &request.to_bytes());
        if status == 200 {
            let mut note: Note = request.note.clone();
            note.add(Signature::read(body.trim_end_matches('\n')).unwrap());
            cosigned_at(&note, &self.key).unwrap();
        }
        status
    }

    fn kill(mut self) {
        self.process.signal("KILL").unwrap();
        self.process.wait_end(LONG).unwrap();
    }
}

#[test]
fn a_witness_that_is_killed_still_refuses_rollbacks_and_forks() {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    let (honest, forked) = (leaves(0), leaves(1));
    let mut known = 0;
    for round in 0..8 {
        let witness = Witness::start(folder.path());
        let next = known + 4;
        assert_eq!(witness.ask(&request(&honest, known, next)), 200, "round {round}");
        witness.kill();
        let witness = Witness::start(folder.path());
        let (status, kind, body) = witness.post("/add-checkpoint", &request(&honest, 0, next).to_bytes());
        assert_eq!((status, kind.as_str(), body), (409, "text/x.tlog.size", format!("{next}\n")));
        if next > 4 {
            assert_eq!(witness.ask(&request(&forked, next, next)), 409, "a fork of the same size");
            assert_eq!(witness.ask(&request(&forked, next, next + 1)), 422, "a fork that goes on");
        }
        assert_eq!(witness.ask(&request(&honest, next, next)), 200, "the same once more");
        known = next;
    }
}

#[test]
fn what_is_no_request_of_a_log_that_is_watched_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    let witness = Witness::start(folder.path());
    let good = request(&leaves(0), 0, 5);
    let stranger = SigningKey::generate(LOG.parse().unwrap(), KeyKind::Note, &mut StdRng::seed_from_u64(2));
    let unsigned = Note::new(good.note.text().to_owned()).unwrap().sign(&stranger);
    let name = "elsewhere/control";
    let other = SigningKey::generate(name.parse().unwrap(), KeyKind::Note, &mut StdRng::seed_from_u64(1));
    let elsewhere = Checkpoint { origin: name.parse().unwrap(), size: 1, root: leaves(0)[0] }.sign(&other);
    for (body, status) in [
        (Request { note: unsigned, ..good.clone() }.to_bytes(), 403),
        (Request { note: elsewhere, ..good.clone() }.to_bytes(), 404),
        (b"old 0\n\nno note".to_vec(), 400),
        (Request { old_size: 9, ..good.clone() }.to_bytes(), 400),
        (vec![b'x'; 100_000], 413),
    ] {
        assert_eq!(witness.post("/add-checkpoint", &body).0, status);
    }
    assert_eq!(witness.post("/", b"").0, 404);
    assert_eq!(witness.ask(&good), 200, "nothing of it was taken for good");
    // One process at a time.
    let mut second = aegis();
    second.args(["witness", "run", "--config"]).arg(folder.path().join("w.toml"));
    let second = finish(&mut second);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another process uses the folder"), "{}", second.stderr);
}

/// A cluster, its witness, and an auditor who believes neither the one nor the other alone.
#[test]
fn a_cluster_is_witnessed_and_its_control_log_verified_offline() {
    let mut cluster = Cluster::running(1, 0);
    let folder = |name: &str| cluster.path(name).display().to_string();
    let (first, second) = (folder("first"), folder("second"));
    let (tampered, config) = (cluster.path("tampered"), cluster.path("w.toml"));
    let told = cluster.done(&["audit", "control", "download", "--to", &first]);
    let key = told["verifiers"][0].as_str().unwrap().to_owned();
    assert_eq!(told["cosigned"], false);

    let made = run(&["witness", "key", "--name", "witness.example/w1", "--file", &folder("w.key")]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let text = format!(
        "name = 'witness.example/w1'\nkey = 'w.key'\ndata_dir = 'witness'\nlisten = '127.0.0.1:0'\nlogs = ['{key}']\n"
    );
    std::fs::write(config, text).unwrap();
    let witness = Witness::start(cluster.folder.path());
    let more = format!("[[witnesses]]\nurl = 'http://{}'\nkey = '{}'\n", witness.address, witness.key);
    cluster.controls[0].stop();
    cluster.configure_control(&cluster.controls[0], &more);
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    cluster.done(&["tenant", "create", "globex"]);

    let cosigned = || {
        let told = cluster.done(&["audit", "control", "download", "--to", &second]);
        (told["cosigned"] == true).then_some(())
    };
    eventually("a cosigned checkpoint", LONG, cosigned).unwrap();
    let witnessed = witness.key.to_string();
    let verify = |folder: &str, more: &[&str]| {
        let arguments = [&["audit", "control", "verify", folder, "--output", "json"], more].concat();
        run(&arguments)
    };
    let seen = format!("{first}/checkpoint");
    let good = verify(&second, &["--key", &key, "--witness", &witnessed, "--seen", &seen]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert_eq!(good.json()["cosigned"][0]["witness"], "witness.example/w1");
    assert!(good.json()["acts"].as_u64().unwrap() >= 3, "{good:?}");

    // An act that never was, another key, another witness, a log that does not go on.
    std::fs::create_dir(&tampered).unwrap();
    for name in ["checkpoint", "cosigned", "entries"] {
        std::fs::copy(cluster.path("second").join(name), tampered.join(name)).unwrap();
    }
    let entries = std::fs::read_to_string(tampered.join("entries")).unwrap();
    std::fs::write(tampered.join("entries"), entries.replace("acme", "evil")).unwrap();
    let bad = verify(tampered.to_str().unwrap(), &["--key", &key]);
    assert_eq!((bad.code, &bad.json()["code"]), (Some(1), &Value::from("control_root")), "{bad:?}");
    let stranger = SigningKey::generate(
        key.split('+').next().unwrap().parse().unwrap(),
        KeyKind::Note,
        &mut StdRng::seed_from_u64(5),
    );
    let bad = verify(&second, &["--key", &stranger.verifying_key().to_string()]);
    assert_eq!((bad.code, &bad.json()["code"]), (Some(1), &Value::from("control_checkpoint")), "{bad:?}");
    let nobody = SigningKey::generate(
        "other.example/w2".parse().unwrap(),
        KeyKind::Cosignature,
        &mut StdRng::seed_from_u64(6),
    );
    let nobody = nobody.verifying_key().to_string();
    let bad = verify(&second, &["--key", &key, "--witness", &nobody]);
    assert_eq!((bad.code, &bad.json()["code"]), (Some(1), &Value::from("control_not_cosigned")), "{bad:?}");
    witness.kill();
}

/// A data node reports its log by itself, its next life where it ended; from then on nothing can be taken from it unseen (AUD-1).
#[test]
fn a_data_nodes_log_is_complete_as_far_as_the_control_log_says() {
    let mut cluster = Cluster::running(1, 1);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    for _ in 0..3 {
        assert_eq!(cluster.ask(0, &token, 10).outcome(), "allow");
    }
    let evidence = cluster.path("evidence").display().to_string();
    let journal = cluster.path("data-1/audit/1").display().to_string();
    // While it grows in its first segment, it has no checkpoint of its own yet.
    assert!(!cluster.path("data-1/audit/1/checkpoint").exists());
    let told = cluster.done(&["audit", "control", "download", "--to", &evidence]);
    let key = told["verifiers"][0].as_str().expect("a key");
    let running = run(&[
        "audit",
        "control",
        "verify",
        &evidence,
        "--key",
        key,
        "--journal",
        &journal,
        "--output",
        "json",
    ]);
    assert_eq!(
        (running.code, &running.json()["journals"][0]["ended"]),
        (Some(0), &Value::from(false)),
        "{running:?}"
    );
    cluster.data[0].stop();
    cluster.start_data(0);
    let closed = || {
        let told = cluster.done(&["audit", "control", "download", "--to", &evidence]);
        let key = told["verifiers"][0].as_str()?.to_owned();
        let trusted = ["--key", &key, "--journal", &journal, "--output", "json"];
        let ran = run(&[&["audit", "control", "verify", &evidence][..], &trusted].concat());
        (ran.json()["logs"]["test/data-1/1"]["closed"] == true).then_some((ran, key))
    };
    let (ran, key) = eventually("the end of the first log", LONG, closed).unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = ran.json()["journals"][0].take();
    assert_eq!((&found["complete_to"], &found["ended"]), (&found["size"], &Value::from(true)), "{found}");
    assert!(found["size"].as_u64().unwrap() > 3, "{found}");

    let trusted = ["--key", &key, "--journal", &journal, "--output", "json"];
    let report = run(&[&["audit", "report", &evidence][..], &trusted].concat());
    assert_eq!(report.code, Some(0), "{report:?}");
    let controls = report.json()["controls"].take();
    let state = |id: &str| {
        let mut rows = controls.as_array().into_iter().flatten();
        rows.find(|row| row["control"] == id).map(|row| row["state"].clone()).unwrap_or_default()
    };
    // Whoever has no witness trusts the cluster, and is told.
    assert_eq!(
        (state("CC6.1"), state("A.8.15"), state("A.5.28")),
        ("shown".into(), "shown".into(), "not shown".into())
    );
    let events = run(&["audit", "events", &journal, "--format", "ocsf", "--chain", "tenant/acme"]);
    assert_eq!((events.code, events.stdout.lines().count() >= 3), (Some(0), true), "{events:?}");
}
