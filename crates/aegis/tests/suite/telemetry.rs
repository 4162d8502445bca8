//! Telemetry at real parts: an OpenTelemetry collector receives a story's spans, metrics and log lines, and Prometheus scrapes it; every
//! panel of the dashboards finds data in it.
//!
//! `AEGIS_OTELCOL` and `AEGIS_PROMETHEUS` name the programs; without them, the tests that want them say so and pass.

mod collector;
mod events;
mod panels;
mod prometheus;

use std::fs;
use std::path::PathBuf;

use aegis_testkit::{TestProcess, eventually, root};
use serde_json::{Value, json};

use crate::nodes::{Cluster, Settings};
use crate::support::{LONG, aegis, dev_command, get, post, wait_for_error_line};
use collector::{Collector, Protocol, Span};
use prometheus::Prometheus;

/// A program that the environment names; nothing if it does not, which is said.
#[expect(clippy::print_stdout, reason = "a test that cannot be done says so")]
fn program(variable: &str) -> Option<PathBuf> {
    let program = std::env::var_os(variable).map(PathBuf::from);
    if program.is_none() {
        println!("skipped: {variable} names no program");
    }
    program
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Five payments a second, ten dollars a day, larger ones with approval.
const POLICY: &str = "\
agent: finance-agent
daily_budget: 10
allowed_tools:
- name: stripe-payments
  actions: [create_payment]
  cost: {value: 4, unit: usd}
  conditions:
    max_amount: 5000
    approval_needed: true
";

fn payment(amount: u32) -> Value {
    json!({"tool": "stripe-payments", "action": "create_payment", "params": {"amount": amount, "iban": "KEEP-OUT"}})
}

/// What a cluster does while somebody watches: every outcome, limits, an approval, refusals.
fn story(cluster: &Cluster, token: &str, narrow: &str) {
    let http = cluster.data[0].http;
    let ask = |token: &str, call: &Value| post(http, "/v1/decide", token, call);
    let outcome = |call: &Value| ask(token, call).outcome().to_owned();
    assert_eq!(outcome(&payment(100)), "allow");
    assert_eq!(outcome(&payment(7_000)), "approval_required");
    assert_eq!(outcome(&json!({"tool": "made-up", "action": "x", "params": {}})), "deny");
    assert_eq!(ask(narrow, &payment(100)).codes(), ["ScopeExceeded"]);
    assert_eq!(ask("forged", &payment(100)).status, 401);
    for _ in 0..3 {
        ask(token, &payment(100));
    }
}

/// The same again and again, once the budget is spent.
fn traffic(cluster: &Cluster, token: &str, narrow: &str) {
    let http = cluster.data[0].http;
    for (token, amount) in [(token, 100), (token, 7_000), (narrow, 100), ("forged", 100)] {
        post(http, "/v1/decide", token, &payment(amount));
    }
}

/// A cluster whose nodes tell `collector` everything.
fn cluster(collector: &Collector, controls: usize) -> Cluster {
    let (endpoint, events) =
        (collector.endpoint(Protocol::Grpc), collector.path("events").display().to_string());
    let settings = Settings {
        control: format!("telemetry = {{ endpoint = '{endpoint}', metrics_seconds = 1 }}\n"),
        data: format!(
            "[telemetry]\nendpoint = '{endpoint}'\nmetrics_seconds = 1\nattributes = {{ team = 'blue' }}\n\
             [[audit.export]]\nname = 'files'\nto = 'file://{events}'\nformat = 'ecs'\n"
        ),
        ..Settings::default()
    };
    let cluster = Cluster::running_with(settings, controls, 1);
    let folder = cluster.path("policy");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("p.yaml"), POLICY).expect("a file");
    let folder = folder.to_str().expect("UTF-8");
    cluster.done(&["policy", "publish", folder, "--tenant", "acme", "--activate", "--wait", "60s"]);
    cluster
}

fn narrow_token(cluster: &Cluster) -> String {
    let mint = ["token", "mint", "--tenant", "acme", "--agent", "finance-agent", "--scope", "other-tool:*"];
    cluster.done(&mint)["token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_collector_receives_spans_metrics_and_logs_of_a_cluster() {
    let Some(program) = program("AEGIS_OTELCOL") else { return };
    let collector = Collector::start(&program);
    let mut cluster = cluster(&collector, 1);
    let (token, narrow) = (cluster.token("finance-agent"), narrow_token(&cluster));
    story(&cluster, &token, &narrow);
    cluster.data[0].stop();
    cluster.controls[0].stop();

    // The two nodes export apart from each other: neither's spans say that the other's have come.
    let (spans, calls): (Vec<_>, Vec<_>) = collector
        .spans_until(|spans| {
            let of = |name: &str| spans.iter().filter(|span| span.name() == name).count();
            of("aegis.decide") >= 8 && of("aegis.control.OpenApproval") >= 1
        })
        .into_iter()
        .partition(|span| span.name() == "aegis.decide");
    tell_of_calls(&spans, &calls);
    let of = |outcome: &str| {
        spans.iter().filter(|span| span.attribute("aegis.outcome") == outcome).collect::<Vec<_>>()
    };
    for (outcome, least) in [("allow", 1), ("deny", 2), ("approval_required", 1), ("refused", 1)] {
        assert!(of(outcome).len() >= least, "{outcome}: {spans:?}");
    }
    assert_eq!(spans.len(), 8, "one span per decision");
    let allowed = of("allow")[0];
    for (name, value) in [
        ("aegis.tenant", "acme"),
        ("aegis.agent", "finance-agent"),
        ("aegis.tool", "stripe-payments"),
        ("aegis.action", "create_payment"),
        ("aegis.policy.version", "1"),
        ("aegis.surface", "http"),
    ] {
        assert_eq!(allowed.attribute(name), value, "{name}");
    }
    assert!(allowed.attribute("aegis.decision_id").starts_with("d-data-1-"));
    let stages = allowed.events();
    assert!(stages.contains(&"authorize".to_owned()) && stages.contains(&"record".to_owned()), "{stages:?}");
    assert!(of("deny").iter().any(|span| span.attribute("aegis.reason") == "ToolNotAllowed"));
    let names =
        ["aegis_decisions_total", "aegis_decision_seconds", "aegis_control_raft_leader", "aegis_build_info"];
    let names = names.map(|name| format!("\"{name}\""));
    let parts: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .chain(["aegis-data", "team", "aegis-control", "aegis.cluster"])
        .collect();
    collector.text("metrics", &parts);
    collector.text("logs", &["the audit log of this life begins"]);
    for signal in ["traces", "metrics", "logs"] {
        let told = collector.text(signal, &[]);
        assert!(!told.contains("KEEP-OUT") && !told.contains(&token), "{signal} hold a secret");
    }
    assert!(!collector.text("traces", &[]).contains("\"root"), "no name of a person, who is a token's id");
}

/// What the control node tells of the story: what people did, and what the data node asked it for.
fn tell_of_calls(decisions: &[Span], calls: &[Span]) {
    let of = |operation: &str| {
        let name = format!("aegis.control.{operation}");
        let found: Vec<&Span> = calls.iter().filter(|span| span.name() == name).collect();
        assert!(!found.is_empty(), "{operation}: {calls:?}");
        found
    };
    for operation in ["CreateTenant", "RegisterAgent", "PublishVersion", "Activate"] {
        let call = of(operation)[0];
        assert_eq!(call.attribute("aegis.operation"), operation);
        assert_eq!(call.attribute("aegis.outcome"), "done", "{call:?}");
        assert_eq!(call.attribute("aegis.tenant"), "acme");
        assert!(!call.attribute("aegis.person_token").is_empty(), "{call:?}");
        assert!(call.events().contains(&"identify".to_owned()), "{call:?}");
    }
    // The request for approval goes on in the trace of the decision that asked for it.
    let asked = of("OpenApproval")[0];
    assert_eq!(asked.attribute("aegis.data_node"), "data-1");
    let asking = decisions.iter().find(|span| span.id() == asked.parent()).expect("the decision that asked");
    assert_eq!(asking.trace(), asked.trace());
    assert_eq!(asking.attribute("aegis.outcome"), "approval_required");
}

#[test]
fn over_http_and_in_the_callers_trace() {
    let Some(program) = program("AEGIS_OTELCOL") else { return };
    let collector = Collector::start(&program);
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = collector.endpoint(Protocol::Http);
    let mut command = dev_command(folder.path(), None);
    command.args(["--output", "json", "--otlp-endpoint", &endpoint, "--otlp-protocol", "http"]);
    let mut process = TestProcess::start(&mut command).expect("it starts");
    let ready: Value =
        serde_json::from_str(&process.wait_for("\"ready\"", LONG).expect("it is ready")).expect("JSON");
    let (http, token) = (crate::support::address(&ready["http"]), ready["token"].as_str().expect("a token"));
    let body = crate::support::payment(1).to_string();
    let answer = crate::support::raw(
        http,
        &format!(
            "POST /v1/decide HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\ntraceparent: {PARENT}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    process.terminate().expect("it runs");
    assert_eq!(process.wait_end(LONG).expect("it ends").code(), Some(0), "{:?}", process.error_lines());
    let spans = collector.spans_until(|spans| spans.iter().any(|span| span.name() == "aegis.decide"));
    let decisions: Vec<_> = spans.iter().filter(|span| span.name() == "aegis.decide").collect();
    let [span] = decisions[..] else { panic!("{spans:?}") };
    assert_eq!(span.trace(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent(), "00f067aa0ba902b7");
    collector.text("metrics", &["aegis_control_raft_leader", "aegis_decisions_total"]);
}

/// A collector that is not there: the node answers as ever, says so once, and ends in time.
#[test]
fn without_its_collector_a_node_does_its_work() {
    let gone = aegis_testkit::kept().expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = dev_command(folder.path(), None);
    command.args(["--output", "json", "--otlp-endpoint", &format!("http://{gone}")]);
    let mut process = TestProcess::start(&mut command).expect("it starts");
    let ready: Value =
        serde_json::from_str(&process.wait_for("\"ready\"", LONG).expect("it is ready")).expect("JSON");
    let (http, token) = (crate::support::address(&ready["http"]), ready["token"].as_str().expect("a token"));
    for _ in 0..20 {
        assert_eq!(post(http, "/v1/decide", token, &crate::support::payment(1)).status, 200);
    }
    wait_for_error_line(&process, "telemetry is not exported for now");
    process.terminate().expect("it runs");
    assert_eq!(process.wait_end(LONG).expect("it ends").code(), Some(0), "{:?}", process.error_lines());
    let told = process.error_lines().iter().filter(|line| line.contains("signal=\"spans\"")).count();
    assert!(told <= 1, "said once");
}

#[test]
fn what_cannot_be_exported_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = dev_command(folder.path(), None);
    let ran = crate::support::finish(command.args(["--otlp-endpoint", "http://203.0.113.1:4317"]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("in the clear"), "{ran:?}");
    let shown =
        crate::support::finish(aegis().args(["config", "show", "--otlp-endpoint", "http://127.0.0.1:4317"]));
    assert!(shown.stdout.contains("otlp_endpoint = \"http://127.0.0.1:4317\""), "{shown:?}");
}

/// Every panel of every dashboard finds data, alerts are loaded, and what is slow can be looked up in a trace.
#[test]
fn prometheus_scrapes_a_cluster_and_every_panel_finds_data() {
    let (Some(otelcol), Some(prometheus)) = (program("AEGIS_OTELCOL"), program("AEGIS_PROMETHEUS")) else {
        return;
    };
    let collector = Collector::start(&otelcol);
    let cluster = cluster(&collector, 2);
    let (token, narrow) = (cluster.token("finance-agent"), narrow_token(&cluster));
    let addresses = |nodes: &[crate::nodes::Node]| {
        nodes.iter().map(|node| node.metrics().to_string()).collect::<Vec<_>>()
    };
    let prometheus = Prometheus::start(&prometheus, &addresses(&cluster.controls), &addresses(&cluster.data));
    prometheus.until("sum(up)", 3.0);
    let panels = panels::of_all_dashboards(&root().join("deploy/grafana/dashboards"));
    assert!(panels.len() > 30, "{}", panels.len());
    story(&cluster, &token, &narrow);
    let mut missing = panels;
    let found = eventually("data for every panel", LONG * 2, || {
        traffic(&cluster, &token, &narrow);
        cluster.done(&["agent", "list", "--tenant", "acme"]);
        missing.retain(|panel| !prometheus.has_data(&panel.query()));
        missing.is_empty().then_some(())
    });
    assert!(found.is_ok(), "panels without data: {missing:#?}");
    assert_eq!(prometheus.rules(), rules_in_the_file(), "every alert is loaded");
    let exemplars = || {
        let traces = prometheus.exemplars("aegis_decision_seconds_bucket");
        Some(traces).filter(|traces| !traces.is_empty())
    };
    let traces = eventually("exemplars", LONG, exemplars).expect("exemplars");
    let spans = eventually("the spans of exemplars", LONG, || {
        let spans = collector.spans_so_far();
        traces.iter().all(|trace| spans.iter().any(|span| span.trace() == trace)).then_some(spans)
    });
    assert!(spans.is_ok(), "exemplars lead to spans: {traces:?}");
    let dead = get(cluster.data[0].http, "/metrics");
    assert_eq!(dead.status, 404, "metrics are shown at their own port only");
}

fn rules_in_the_file() -> usize {
    let rules = fs::read_to_string(root().join("deploy/prometheus/rules.yml")).expect("the rules");
    rules.lines().filter(|line| line.trim_start().starts_with("- alert: ")).count()
}
