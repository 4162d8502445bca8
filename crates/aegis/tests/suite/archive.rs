//! Audit logs in an object store: a node copies what it seals, whatever happens to it, and what is downloaded is verified like
//! the original, by both verifiers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aegis_identity::keys::SigningKey;
use aegis_testkit::{TestProcess, eventually, root};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{LONG, aegis, finish};

struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Self { folder };
        let example = root().join("examples/managed-security/acme-bank");
        fs::create_dir(site.at("acme")).expect("a folder");
        for file in fs::read_dir(example).expect("the example") {
            let file = file.expect("a file").path();
            fs::copy(&file, site.at("acme").join(file.file_name().expect("a name"))).expect("a copy");
        }
        let key = SigningKey::generate(&mut rand::rng());
        fs::write(site.at("issuer.pub.pem"), key.verifying_key().to_public_key_pem()).expect("a file");
        let text = format!(
            "node = 'data-1'\ndata_dir = 'state'\n[listen]\nhttp = '127.0.0.1:0'\ngrpc = '127.0.0.1:0'\n\
             metrics = '127.0.0.1:0'\n[audit.store]\nurl = '{}'\n[[trust]]\nissuer = 'https://issuer.example'\n\
             key = 'issuer.pub.pem'\n[[tenants]]\nname = 'acme-bank'\npolicies = 'acme'\n",
            site.store()
        );
        fs::write(site.at("data.toml"), text).expect("a file");
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> String {
        format!("file://{}", self.at("store").display())
    }

    /// A node that has refused one call: a record in its log.
    fn start(&self) -> TestProcess {
        let mut command = aegis();
        command.args(["data", "--output", "json", "--config"]).arg(self.at("data.toml"));
        let mut process = TestProcess::start(&mut command).expect("it starts");
        let line = process.wait_for("\"ready\"", LONG).expect("it is ready");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let endpoint = format!("http://{}", ready["grpc"].as_str().expect("an address"));
        let mut ask = aegis();
        ask.args(["decide", "--tool", "t", "--action", "a", "--endpoint", &endpoint, "--token", "x"]);
        assert_eq!(finish(&mut ask).code, Some(1), "nobody is proven, and the node writes that down");
        process
    }

    fn fetch(&self, to: &str) -> Value {
        let ran = finish(
            aegis().args(["audit", "fetch", &self.store(), "--output", "json", "--to"]).arg(self.at(to)),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    }
}

fn verified(folder: &Path) -> Value {
    let ran = finish(aegis().args(["audit", "verify", "--output", "json"]).arg(folder));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()
}

/// AUD-1, away from the node: what it sealed is in the store after a stop in order, after a kill once it starts again, and after
/// its disk is lost; a download verifies with both verifiers.
#[test]
fn logs_of_every_life_are_in_the_store_and_verify() {
    let site = Site::new();
    let mut first = site.start();
    first.terminate().expect("it runs");
    assert_eq!(first.wait_end(LONG).expect("it ends").code(), Some(0), "{:?}", first.error_lines());
    let one = site.fetch("one");
    assert_eq!(one["logs"].as_array().map(Vec::len), Some(1), "{one}");

    // Killed: the next start closes its log, and copies it while it runs.
    drop(site.start());
    let third = site.start();
    let there = site.at("store/standalone/data-1/2/checkpoint");
    let copied = eventually("the copy of a log", LONG, || there.exists().then_some(()));
    copied.unwrap_or_else(|error| panic!("{error}: {:?}", third.error_lines()));
    drop(third);
    fs::remove_dir_all(site.at("state")).expect("the disk of the node is lost");
    let logs = site.fetch("two");
    assert_eq!(logs["logs"].as_array().map(Vec::len), Some(2), "{logs}");
    let place = site.at("two/standalone/data-1");
    let sound = verified(&place);
    for log in sound["logs"].as_array().expect("logs") {
        assert!(log["ended"] == true && log["records"] == log["size"], "{log}");
    }

    // The other verifier, for one of them.
    let log = place.join("2");
    let key = fs::read_to_string(log.join("verifier")).expect("a key");
    let script = root().join("crates/audit/python/verify.py");
    match Command::new("python3").arg(script).arg(&log).arg(key.trim()).output() {
        Ok(ran) => assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout)),
        Err(error) => eprintln!("skipped: python3 is not here: {error}"),
    }

    // What was changed at the store is found in the download.
    let segments = log.join("segments/node");
    let file = fs::read_dir(&segments).expect("segments").next().expect("one").expect("a file").path();
    let text = fs::read_to_string(&file).expect("text").replacen("\"count\":1", "\"count\":2", 1);
    fs::write(&file, text).expect("a file");
    let ran = finish(aegis().args(["audit", "verify"]).arg(&place));
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn what_is_not_there_is_said() {
    let site = Site::new();
    let none = finish(aegis().args(["audit", "fetch", "file:///nowhere/at/all", "--to", "x"]));
    assert!(none.code == Some(1) && none.stderr.contains("is no folder"), "{none:?}");
    fs::create_dir(site.at("store")).expect("a folder");
    let mut command = aegis();
    command.args(["audit", "fetch", &site.store(), "--log", "standalone/data-1/9", "--to", "x"]);
    let none = finish(&mut command);
    assert!(none.code == Some(1) && none.stderr.contains("no log `standalone/data-1/9`"), "{none:?}");
}
