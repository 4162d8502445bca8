//! Events in files: every record once, in the order of its log, over kills of the node at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use aegis_testkit::eventually;
use serde_json::Value;

use super::metrics;
use crate::nodes::{Cluster, Settings};
use crate::support::{LONG, aegis, finish};

/// Bytes of a file: so few that there are many files.
const BYTES_MAX: u64 = 8 << 10;

/// The events of a folder, by log, in the order of the files' names.
pub(super) fn events(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.expect("a file").path()).collect())
        .unwrap_or_default();
    files.sort();
    let mut logs = BTreeMap::<String, Vec<Value>>::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("text");
        // The last line may be under way.
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let log = event["log"].as_str().expect("a log").to_owned();
            logs.entry(log).or_default().push(event);
        }
    }
    logs
}

pub(super) fn decisions(events: &BTreeMap<String, Vec<Value>>) -> BTreeSet<String> {
    let decided = events
        .values()
        .flatten()
        .filter_map(|event| event["record"]["what"]["decision"]["decision_id"].as_str().map(str::to_owned));
    decided.collect()
}

/// Stops the node in its life of this number: all logs, each to its end. What a busy machine does not export in the time that a node
/// that ends takes for it, its next life does.
pub(super) fn stopped(
    cluster: &mut Cluster,
    lives: usize,
    logs: impl Fn() -> BTreeMap<String, Vec<Value>>,
) -> BTreeMap<String, Vec<Value>> {
    let has_ended =
        |events: &Vec<Value>| events.last().is_some_and(|event| event.to_string().contains("\"last\":true"));
    let whole = (lives..lives + 5).find_map(|life| {
        cluster.data[0].stop();
        let logs = Some(logs()).filter(|logs| logs.len() >= life && logs.values().all(has_ended));
        if logs.is_none() {
            cluster.start_data(0);
        }
        logs
    });
    whole.expect("each log to its end")
}

#[test]
fn files_have_every_record_once_however_often_the_node_is_killed() {
    let export = |cluster: &Cluster| {
        format!(
            "[[audit.export]]\nname = 'files'\nto = 'file://{}'\nformat = 'json-lines'\nfile_bytes_max = {BYTES_MAX}\n",
            cluster.path("events").display()
        )
    };
    let mut cluster = Cluster::running(1, 1);
    cluster.data[0].stop();
    let (config, more) = (cluster.path("data-1.toml"), export(&cluster));
    let text = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, text + &more).expect("a configuration");
    cluster.start_data(0);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let mut seen = BTreeSet::new();
    let folder = cluster.path("events");
    for round in 0..4 {
        for amount in 0..40 {
            let answer = cluster.ask(0, &token, amount % 12);
            seen.insert(answer.body["decision_id"].as_str().expect("an id").to_owned());
        }
        if round == 1 {
            let there = || seen.is_subset(&decisions(&events(&folder))).then_some(());
            eventually("events of a running node", LONG, there).expect("events");
            let page = metrics(cluster.data[0].metrics()).expect("metrics");
            assert!(page.contains("aegis_export_failures{export=\"files\"} 0"), "{page}");
        }
        // Whatever is under way.
        cluster.data[0].kill();
        cluster.start_data(0);
    }
    let logs = stopped(&mut cluster, 5, || events(&folder));
    assert!(seen.is_subset(&decisions(&logs)), "every decision that was answered");
    for (log, events) in &logs {
        let indexes: Vec<u64> =
            events.iter().map(|event| event["index"].as_u64().expect("an index")).collect();
        let expected: Vec<u64> = (0..indexes.len() as u64).collect();
        assert_eq!(indexes, expected, "each once, and in the order of `{log}`");
    }
    for file in fs::read_dir(&folder).expect("files") {
        let file = file.expect("a file");
        assert!(file.metadata().expect("a size").len() <= BYTES_MAX, "{:?}", file.file_name());
    }
}

#[test]
fn an_export_that_cannot_be_made_is_refused_before_the_node_starts() {
    let cluster = Cluster::with(Settings::default(), 1, 1);
    let config = cluster.path("data-1.toml");
    let plain = fs::read_to_string(&config).expect("a configuration");
    let refused = |more: &str, code: i32, expected: &str| {
        fs::write(&config, format!("{plain}[[audit.export]]\nname = 'out'\nformat = 'ecs'\n{more}"))
            .expect("a file");
        let ran = finish(aegis().args(["data", "--config"]).arg(&config));
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    };
    refused(
        "to = 'kafka://broker'\n",
        2,
        "the export `out`: `kafka://broker` is not `syslog+tls://HOST:PORT`",
    );
    refused("to = 'otlp+http://otel:4317'\n", 2, "would leave this machine in the clear");
    refused(
        "to = 's3://bucket'\noptions = { aws_secret_access_key = 'hunter2' }\n",
        1,
        "is a secret: name a file",
    );
    refused("to = 's3://bucket'\nsecret_files = { aws_secret_access_key = 'none' }\n", 1, "cannot be read");
    refused("to = 'otlp+http://127.0.0.1:4317'\nheader_files = { authorization = 'none' }\n", 1, "none");
    refused("to = 'file:///var/log/aegis'\nrotate = 1\n", 2, "unknown field `rotate`");
}
