//! A real Prometheus with the rules of the repository.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use aegis_testkit::{TestProcess, eventually, kept, root};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Answer, LONG, try_get};

pub(super) struct Prometheus {
    address: SocketAddr,
    process: TestProcess,
    _folder: TempDir,
}

impl Prometheus {
    /// It scrapes these every second, under the names of jobs that rules and dashboards know.
    pub(super) fn start(program: &Path, controls: &[String], data: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = kept().expect("a free port");
        let rules = root().join("deploy/prometheus/rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n\
             - {{job_name: aegis-control, static_configs: [{{targets: {controls:?}}}]}}\n\
             - {{job_name: aegis-data, static_configs: [{{targets: {data:?}}}]}}\n",
            rules.display()
        );
        let at = |name: &str| folder.path().join(name);
        fs::write(at("prometheus.yml"), config).expect("a file");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", at("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", at("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.arg("--enable-feature=exemplar-storage");
        let process = TestProcess::start(&mut command).expect("Prometheus starts");
        let prometheus = Self { address, process, _folder: folder };
        let ready = eventually("Prometheus", LONG, || prometheus.ask("/api/v1/status/buildinfo"));
        assert!(ready.is_ok(), "{:?}", prometheus.process.error_lines());
        prometheus
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let Answer { status, body } = try_get(self.address, path).ok()?;
        assert!(status == 200 || status == 503, "{path}: {body}");
        Some(body).filter(|body| body["status"] == "success")
    }

    fn result(&self, query: &str) -> Vec<Value> {
        let found = self.ask(&format!("/api/v1/query?query={}", escaped(query)));
        found.and_then(|body| body["data"]["result"].as_array().cloned()).unwrap_or_default()
    }

    /// Whether `query` gives a value that is a number.
    pub(super) fn has_data(&self, query: &str) -> bool {
        let value = |series: &Value| series["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
        self.result(query).iter().filter_map(value).any(|value| !value.is_nan())
    }

    /// Waits until `query` gives `expected`.
    pub(super) fn until(&self, query: &str, expected: f64) {
        let found = eventually(query, LONG, || {
            let value = self.result(query).first()?["value"][1].as_str()?.parse::<f64>().ok()?;
            (value == expected).then_some(())
        });
        assert!(found.is_ok(), "{query}: {:?}", self.result(query));
    }

    /// How many alerts are loaded.
    pub(super) fn rules(&self) -> usize {
        let body = self.ask("/api/v1/rules").expect("the rules");
        let groups = body["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().map(|group| group["rules"].as_array().map_or(0, Vec::len)).sum()
    }

    /// The traces of a metric's exemplars.
    pub(super) fn exemplars(&self, metric: &str) -> Vec<String> {
        let path = format!("/api/v1/query_exemplars?query={metric}&start=0&end=4102444800");
        let body = self.ask(&path).expect("exemplars");
        let series = body["data"].as_array().cloned().unwrap_or_default();
        let exemplars = series.iter().filter_map(|series| series["exemplars"].as_array()).flatten();
        exemplars.filter_map(|it| it["labels"]["trace_id"].as_str()).map(str::to_owned).collect()
    }
}

/// A query as part of a URL.
fn escaped(query: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    query
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
