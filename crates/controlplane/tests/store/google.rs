//! Google Cloud Storage, by the emulator that `AEGIS_FAKE_GCS` names (`fake-gcs-server`); without it, nothing is tested.
//!
//! The emulator speaks the JSON form of putting an object, the client the XML form; a hop in front of it translates this
//! one request. Everything else, the condition "only if it is not there" among it, is the emulator's.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aegis_controlplane::store::StoreConfig;
use aegis_testkit::TestProcess;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::contract::keeps_the_contract;
use crate::server::{Answer, Server, plain};

const VARIABLE: &str = "AEGIS_FAKE_GCS";
const BUCKET: &str = "bundles";

#[tokio::test(flavor = "multi_thread")]
async fn google_keeps_the_contract() {
    let Some(program) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        println!("skipped: {VARIABLE} does not name a `fake-gcs-server`");
        return;
    };
    let mut command = Command::new(program);
    command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", "0", "-backend", "memory"]);
    command.args(["-public-host", "127.0.0.1"]);
    let mut emulator = TestProcess::start(&mut command).unwrap();
    let address = listening(&emulator);
    let client = reqwest::Client::new();
    let bucket = serde_json::json!({ "name": BUCKET });
    let made = client.post(format!("http://{address}/storage/v1/b?project=test")).json(&bucket).send().await;
    assert!(made.unwrap().status().is_success());

    let hop = Server::start(move |request| hop(client.clone(), address, request));
    // A service account as it comes from Google, but for where it leads.
    let account = serde_json::json!({
        "gcs_base_url": hop.url(), "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": "",
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.json");
    std::fs::write(&path, account.to_string()).unwrap();
    let config = StoreConfig {
        url: format!("gs://{BUCKET}/policies"),
        options: [("allow_http".to_owned(), "true".to_owned())].into(),
        secret_files: [("google_service_account_key".to_owned(), path)].into(),
    };
    keeps_the_contract(&config.open().unwrap()).await;
    emulator.terminate().unwrap();
}

/// Where the process listens: it prints only the port that it was told, which was none.
pub(crate) fn listening(process: &TestProcess) -> SocketAddr {
    let folder = format!("/proc/{}/fd", process.id());
    let look = || {
        let sockets: Vec<String> = std::fs::read_dir(Path::new(&folder))
            .ok()?
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|target| {
                let target = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(target.to_owned())
            })
            .collect();
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(3) == Some(&"0A");
            let ours = sockets.iter().any(|inode| fields.get(9) == Some(&inode.as_str()));
            let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            (listens && ours).then_some(SocketAddr::from(([127, 0, 0, 1], port)))
        })
    };
    aegis_testkit::eventually("the emulator's socket", Duration::from_secs(60), look).unwrap()
}

async fn hop(client: reqwest::Client, address: SocketAddr, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path().trim_start_matches('/');
    let put = head.method == Method::PUT;
    let url = match path.split_once('/') {
        Some((bucket, object)) if put => {
            let condition = head.headers.get("x-goog-if-generation-match");
            let condition =
                condition.map(|number| format!("&ifGenerationMatch={}", number.to_str().unwrap()));
            format!(
                "http://{address}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={}{}",
                object.replace('/', "%2F"),
                condition.unwrap_or_default()
            )
        }
        _ => format!("http://{address}{}", head.uri),
    };
    let method = if put { Method::POST } else { head.method.clone() };
    let sent = client.request(method, url).header("host", "127.0.0.1").body(body).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let content = sent.bytes().await.unwrap();
    let mut answer = plain(status, content.clone());
    if put && status == StatusCode::OK {
        let object: serde_json::Value = serde_json::from_slice(&content).unwrap();
        for (header, member) in [("etag", "etag"), ("x-goog-generation", "generation")] {
            answer.headers_mut().insert(header, object[member].as_str().unwrap().parse().unwrap());
        }
        return answer;
    }
    for header in ["etag", "last-modified", "content-type", "x-goog-generation", "content-length"] {
        if let Some(value) = headers.get(header) {
            answer.headers_mut().insert(http::HeaderName::from_static(header), value.clone());
        }
    }
    answer
}
