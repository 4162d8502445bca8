//! Events as objects at a server that speaks S3 and at the emulator of Google Cloud Storage (`AEGIS_FAKE_GCS`; without it, that test says
//! so and passes): every record once, over a store that is down and kills of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use aegis_testkit::eventually;
use aegis_testkit::server::{Mood, Server};
use aegis_testkit::stores::{Google, S3_SECRET, S3_USER, s3};
use serde_json::Value;

use super::files::{decisions, stopped};
use super::metrics;
use crate::nodes::Cluster;
use crate::support::LONG;

/// Name and content of what is at a store.
type Objects = Vec<(String, Vec<u8>)>;

fn unpacked(content: &[u8]) -> String {
    let mut child = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().expect("gzip is here");
    let (mut to, content) = (child.stdin.take().expect("an input"), content.to_vec());
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut to, &content));
    let mut text = String::new();
    child.stdout.take().expect("an output").read_to_string(&mut text).expect("text");
    writer.join().expect("no panic").expect("it is read");
    assert!(child.wait().expect("it ends").success(), "it is whole");
    text
}

/// The events by log, in the order of their indexes.
fn events(objects: &Objects) -> BTreeMap<String, Vec<Value>> {
    let mut logs = BTreeMap::<String, Vec<Value>>::new();
    for (name, content) in objects {
        for line in unpacked(content).lines() {
            let event: Value = serde_json::from_str(line).expect("JSON");
            let chain = event["record"]["chain"].as_str().expect("a chain");
            // TEN-1: a tenant's folder holds what is that tenant's.
            let folder = match chain.strip_prefix("tenant/") {
                Some(tenant) => format!("aegis/tenant={tenant}/day="),
                None => format!("aegis/{chain}/day="),
            };
            let day = event["record"]["at"].as_str().expect("a moment")[..10].to_owned();
            assert!(name.starts_with(&format!("{folder}{day}/test/data-1/")), "{name} has {chain} of {day}");
            logs.entry(event["log"].as_str().expect("a log").to_owned()).or_default().push(event);
        }
    }
    let index = |event: &Value| event["index"].as_u64();
    logs.values_mut().for_each(|events| events.sort_by_key(index));
    logs
}

/// A node exports to `export`, which `server` serves; it is killed, and the store is down for a while.
fn story(cluster: &mut Cluster, export: &str, server: &Server, objects: &dyn Fn() -> Objects) {
    let config = cluster.path("data-1.toml");
    let text = fs::read_to_string(&config).expect("a configuration");
    fs::write(
        &config,
        format!("{text}[[audit.export]]\nname = 'lake'\nformat = 'json-lines'\ngather_seconds = 1\n{export}"),
    )
    .expect("a configuration");
    cluster.start_data(0);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let mut seen = BTreeSet::new();
    let ask = |cluster: &Cluster, seen: &mut BTreeSet<String>| {
        for amount in 0..25 {
            let answer = cluster.ask(0, &token, amount);
            seen.insert(answer.body["decision_id"].as_str().expect("an id").to_owned());
        }
    };
    let has_all = |seen: &BTreeSet<String>, what: &str| {
        let has = || seen.is_subset(&decisions(&events(&objects()))).then_some(());
        eventually(what, LONG, has).expect("it is there");
    };
    ask(cluster, &mut seen);
    has_all(&seen, "what was decided first");
    server.set(Mood::Failing);
    ask(cluster, &mut seen);
    let failing = || {
        let page = metrics(cluster.data[0].metrics())?;
        let line = page.lines().find(|line| line.starts_with("aegis_export_failures{export=\"lake\"}"))?;
        line.rsplit(' ').next()?.parse::<f64>().ok().filter(|failures| *failures >= 1.0)
    };
    eventually("failures that metrics tell of", LONG, failing).expect("failures");
    // What is under way was noted, and nobody has it.
    cluster.data[0].kill();
    server.set(Mood::Well);
    cluster.start_data(0);
    has_all(&seen, "what was decided while it was down");
    for _ in 0..3 {
        ask(cluster, &mut seen);
        cluster.data[0].kill();
        cluster.start_data(0);
    }
    // A log per life, that of before among them.
    let logs = stopped(cluster, 6, || events(&objects()));
    assert!(seen.is_subset(&decisions(&logs)), "every decision that was answered");
    for (log, events) in &logs {
        let indexes: Vec<u64> =
            events.iter().map(|event| event["index"].as_u64().expect("an index")).collect();
        assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>(), "each record of `{log}` once");
    }
}

/// A cluster whose data node ran once, and does not now.
fn cluster() -> Cluster {
    let mut cluster = Cluster::running(1, 1);
    cluster.data[0].stop();
    cluster
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

#[test]
fn s3_has_every_record_once_whatever_fails() {
    let runtime = runtime();
    let _within = runtime.enter();
    let mut cluster = cluster();
    let folder = cluster.path("s3");
    let server = s3(&folder, "lake");
    fs::write(cluster.path("s3.secret"), S3_SECRET).expect("a file");
    let export = format!(
        "to = 's3://lake/aegis'\nsecret_files = {{ aws_secret_access_key = 's3.secret' }}\n[audit.export.options]\n\
         aws_endpoint = '{}'\naws_allow_http = 'true'\naws_region = 'eu-test-1'\naws_access_key_id = '{S3_USER}'\n",
        server.url()
    );
    let root = folder.join("lake");
    story(&mut cluster, &export, &server, &|| below(&root, &root));
}

/// The files of a folder; those that are being written have other names.
fn below(root: &Path, folder: &Path) -> Objects {
    let mut objects = Objects::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            objects.extend(below(root, &path));
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            let name = path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned();
            objects.push((name, fs::read(&path).expect("a file")));
        }
    }
    objects
}

#[test]
fn google_has_every_record_once_whatever_fails() {
    let Some(program) = std::env::var_os("AEGIS_FAKE_GCS").filter(|program| !program.is_empty()) else {
        println!("skipped: AEGIS_FAKE_GCS does not name a `fake-gcs-server`");
        return;
    };
    let runtime = runtime();
    let google = runtime.block_on(Google::start(&program, "lake"));
    let mut cluster = cluster();
    fs::write(cluster.path("account.json"), google.account()).expect("a file");
    let export = "to = 'gs://lake/aegis'\noptions = { allow_http = 'true' }\n\
                  secret_files = { google_service_account_key = 'account.json' }\n";
    story(&mut cluster, export, google.server(), &|| runtime.block_on(google.objects()));
}
