//! Events of the audit log at a real collector, as log records: every one at least once, over a stop of the collector and a kill of the node, and no decision
//! waits for it.

use std::collections::{BTreeMap, BTreeSet};

use aegis_testkit::{eventually, kept};
use serde_json::Value;

use super::collector::{Collector, LogRecord, Protocol};
use super::{PARENT, program};
use crate::nodes::{Cluster, Settings};
use crate::support::{LONG, payment, raw};

/// Over gRPC and over HTTP, in two forms, of all tenants and of one.
fn exports(grpc: &str, http: &str) -> String {
    format!(
        "[[audit.export]]\nname = 'otel'\nto = 'otlp+{grpc}'\nformat = 'json-lines'\n\
         [[audit.export]]\nname = 'otel-http'\nto = 'otlp+{http}'\nprotocol = 'http'\nformat = 'ocsf'\ntenant = 'acme'\n"
    )
}

/// The decisions in records of one form.
fn decisions(records: &[LogRecord], form: impl Fn(&Value) -> Option<&str>) -> BTreeSet<String> {
    let ids = records.iter().filter_map(|record| {
        let event: Value = serde_json::from_str(record.body()).ok()?;
        form(&event).map(str::to_owned)
    });
    ids.collect()
}

fn as_lines(event: &Value) -> Option<&str> {
    event["record"]["what"]["decision"]["decision_id"].as_str()
}

fn as_ocsf(event: &Value) -> Option<&str> {
    event["unmapped"]["aegis"]["decision_id"].as_str()
}

#[test]
fn every_decision_is_at_the_collector_as_a_log_record_whoever_ends_meanwhile() {
    let Some(program) = program("AEGIS_OTELCOL") else { return };
    let address = || kept().expect("a free port").to_string();
    let mut collector = Collector::at(&program, address(), address());
    let more = exports(&collector.endpoint(Protocol::Grpc), &collector.endpoint(Protocol::Http));
    let mut cluster = Cluster::running_with(Settings { data: more, ..Settings::default() }, 1, 1);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let mut seen = BTreeSet::new();
    let ask = |cluster: &Cluster, seen: &mut BTreeSet<String>, times: u32| {
        for amount in 0..times {
            let answer = cluster.ask(0, &token, amount);
            seen.insert(answer.body["decision_id"].as_str().expect("an id").to_owned());
        }
    };
    let has_all = |collector: &Collector, seen: &BTreeSet<String>, what: &str| {
        let has = || {
            let records = collector.records_so_far();
            let both = [decisions(&records, as_lines), decisions(&records, as_ocsf)];
            both.iter().all(|known| seen.is_subset(known)).then_some(())
        };
        eventually(what, LONG, has).expect("it is received");
    };
    // Nobody listens yet.
    ask(&cluster, &mut seen, 15);
    collector.begin();
    has_all(&collector, &seen, "what was decided before it listened");
    collector.stop();
    ask(&cluster, &mut seen, 15);
    collector.begin();
    has_all(&collector, &seen, "what was decided while it was gone");
    ask(&cluster, &mut seen, 15);
    cluster.data[0].kill();
    cluster.start_data(0);
    let http = cluster.data[0].http;
    let body = payment(1).to_string();
    let answer = raw(
        http,
        &format!(
            "POST /v1/decide HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\ntraceparent: {PARENT}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
    );
    let traced = answer.body["decision_id"].as_str().expect("an id").to_owned();
    seen.insert(traced.clone());
    cluster.data[0].stop();
    has_all(&collector, &seen, "what was decided before and after the node was killed");
    let end = || {
        let records = collector.records_so_far();
        records.iter().any(|record| record.body().contains("\"last\":true")).then_some(())
    };
    eventually("the end of the log", LONG, end).expect("the end of the log");

    let records = collector.records_so_far();
    let lines: Vec<&LogRecord> =
        records.iter().filter(|record| record.body().starts_with("{\"index\"")).collect();
    let mut logs = BTreeMap::<String, BTreeSet<u64>>::new();
    for record in &lines {
        let event: Value = serde_json::from_str(record.body()).expect("JSON");
        let index = record.attribute("aegis.index").parse().expect("a number");
        assert_eq!(event["index"].as_u64(), Some(index));
        assert_eq!(event["leaf"], record.attribute("aegis.leaf"));
        assert_eq!(event["log"], record.attribute("aegis.log"));
        let chain = event["record"]["chain"].as_str().expect("a chain");
        assert_eq!(chain.strip_prefix("tenant/").unwrap_or_default(), record.attribute("aegis.tenant"));
        logs.entry(record.attribute("aegis.log")).or_default().insert(index);
    }
    assert_eq!(logs.len(), 2, "a log per life");
    for (log, indexes) in &logs {
        let all: BTreeSet<u64> = (0..indexes.len() as u64).collect();
        assert_eq!(*indexes, all, "every record of `{log}`");
    }
    let of = |id: &str| lines.iter().find(|record| record.body().contains(id)).expect("its record");
    assert_eq!(of(&traced).trace(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(of(&traced).severity(), "INFO");
    let denied =
        lines.iter().find(|record| record.body().contains("\"outcome\":\"deny\"")).expect("a denial");
    assert_eq!(denied.severity(), "WARN");
    assert_eq!(denied.attribute("aegis.kind"), "decision");
    // TEN-1: of one tenant, and of nobody else.
    let ocsf: Vec<&LogRecord> =
        records.iter().filter(|record| !record.body().starts_with("{\"index\"")).collect();
    assert!(ocsf.iter().all(|record| record.attribute("aegis.tenant") == "acme"));
}
