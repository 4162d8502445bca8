//! A stock OPA, pointed at the store's HTTP address, loads the enforced bundle and follows it. `AEGIS_OPA` names the
//! program; without it, nothing is tested.

use std::process::Command;
use std::time::{Duration, Instant};

use aegis_controlplane::publish::Content;
use aegis_controlplane::publish::build::build;
use aegis_controlplane::store::{Shelf, StoreConfig};
use aegis_policy::ast::SourceFile;
use aegis_testkit::TestProcess;
use http::StatusCode;
use serde_json::{Value, json};

use crate::contract::tenant;
use aegis_testkit::server::{Server, plain};

const VARIABLE: &str = "AEGIS_OPA";

/// Serves a folder with ETags, as every store does.
fn serve(folder: std::path::PathBuf) -> Server {
    Server::start(move |request| {
        let path = folder.join(request.uri().path().trim_start_matches('/'));
        let known = request.headers().get("if-none-match").cloned();
        async move {
            let Ok(content) = std::fs::read(path) else { return plain(StatusCode::NOT_FOUND, "") };
            let tag = format!("\"{}\"", aegis_identity::manifest::digest_of(&content).to_hex());
            let same = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
            let mut answer =
                if same { plain(StatusCode::NOT_MODIFIED, "") } else { plain(StatusCode::OK, content) };
            answer.headers_mut().insert("etag", tag.parse().unwrap());
            answer
        }
    })
}

async fn enforce(shelf: &Shelf, action: &str) {
    let policy = format!("agent: finance-agent\nallowed_tools:\n- name: stripe\n  actions: [{action}]\n");
    let file = SourceFile { path: "pay.yaml".to_owned(), text: policy.into() };
    let built = build(Content::Sources(vec![file])).unwrap();
    shelf.put_enforced(&tenant("acme/payments"), built.bytes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_opa_loads_the_enforced_bundle_and_follows_it() {
    let Some(program) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        println!("skipped: {VARIABLE} does not name an `opa`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let shelf = StoreConfig::folder(&folder.path().join("store")).open().unwrap();
    enforce(&shelf, "pay").await;
    let server = serve(folder.path().join("store"));
    let config = json!({
        "services": {"aegis": {"url": server.url()}},
        "bundles": {"acme": {
            "service": "aegis", "resource": "acme!2Fpayments/bundle.tar.gz",
            "polling": {"min_delay_seconds": 1, "max_delay_seconds": 1},
        }},
    });
    let path = folder.path().join("opa.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--server", "--addr", "127.0.0.1:0", "--disable-telemetry", "--log-format", "json"]);
    command.arg("--config-file").arg(&path);
    let opa = TestProcess::start(&mut command).unwrap();
    let address = aegis_testkit::stores::listening(&opa).to_string();
    assert_eq!(outcome(&address, "pay", "allow").await, "allow");
    assert_eq!(outcome(&address, "refund", "deny").await, "deny");
    enforce(&shelf, "refund").await;
    assert_eq!(outcome(&address, "refund", "allow").await, "allow");
    assert_eq!(outcome(&address, "pay", "deny").await, "deny");
}

/// OPA's answer, asked until it is `expected`, and in the end whatever it is.
async fn outcome(address: &str, action: &str, expected: &str) -> String {
    let input = json!({"input": {
        "agent": "finance-agent", "tool": "stripe", "action": action, "params": {}, "context": {}, "token": {"scope": "*:*"},
        "callers": [], "local": {}, "org": "acme", "tenant": "acme/payments",
    }});
    let client = reqwest::Client::new();
    #[expect(clippy::disallowed_methods, reason = "a deadline of a test is real time")]
    let started = Instant::now();
    loop {
        let answer = client.post(format!("http://{address}/v1/data/aegis/verdict")).json(&input).send().await;
        let answer: Value = match answer {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let outcome = answer["result"]["outcome"].as_str().unwrap_or_default().to_owned();
        if outcome == expected || started.elapsed() > Duration::from_secs(60) {
            return if outcome.is_empty() { answer.to_string() } else { outcome };
        }
        // expect(sleep): OPA tells nobody when it has loaded a bundle.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
