//! Object stores for tests: a server that speaks S3 and checks signatures, and the emulator of Google Cloud Storage
//! (`fake-gcs-server`).
//!
//! The emulator speaks the JSON form of putting an object, clients the XML form; a hop in front of it translates this
//! one request. Everything else, the condition "only if it is not there" among it, is the emulator's.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::Service;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use crate::eventually::eventually;
use crate::process::TestProcess;
use crate::server::{Answer, Server, plain};

/// The one user of [`s3`], and the secret of that user.
pub const S3_USER: &str = "aegis";
/// See [`S3_USER`].
pub const S3_SECRET: &str = "s3cr3t-s3cr3t-s3cr3t";

/// A server over `folder` with a bucket, whose objects are files of its folder there.
///
/// # Panics
/// If the folder cannot be made.
pub fn s3(folder: &Path, bucket: &str) -> Server {
    std::fs::create_dir_all(folder.join(bucket)).expect("a folder");
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).expect("a folder"));
    builder.set_auth(SimpleAuth::from_single(S3_USER, S3_SECRET));
    let service = builder.build();
    Server::start(move |request| {
        let answer = Service::call(&service, request);
        async move {
            let answer = answer.await.expect("the server answers");
            answer.map(|body| body.map_err(Into::into).boxed_unsync())
        }
    })
}

/// A running emulator of Google Cloud Storage with a bucket.
#[derive(Debug)]
pub struct Google {
    address: SocketAddr,
    bucket: String,
    client: reqwest::Client,
    hop: Server,
    _emulator: TestProcess,
}

impl Google {
    /// Starts the program `fake-gcs-server`. To be called within a runtime, which has to go on.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn start(program: &std::ffi::OsStr, bucket: &str) -> Self {
        let mut command = Command::new(program);
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", "0", "-backend", "memory"]);
        command.args(["-public-host", "127.0.0.1"]);
        let emulator = TestProcess::start(&mut command).expect("it starts");
        let address = listening(&emulator);
        let client = reqwest::Client::new();
        let made = serde_json::json!({ "name": bucket });
        let made =
            client.post(format!("http://{address}/storage/v1/b?project=test")).json(&made).send().await;
        assert!(made.expect("an answer").status().is_success(), "a bucket");
        let to = client.clone();
        let hop = Server::start(move |request| hop(to.clone(), address, request));
        Self { address, bucket: bucket.to_owned(), client, hop, _emulator: emulator }
    }

    /// The server that clients are led to.
    pub fn server(&self) -> &Server {
        &self.hop
    }

    /// A service account as it comes from Google, but for where it leads.
    pub fn account(&self) -> String {
        let account = serde_json::json!({
            "gcs_base_url": self.hop.url(), "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": "",
        });
        account.to_string()
    }

    /// Names and contents of all objects, at most a thousand.
    ///
    /// # Panics
    /// If the emulator does not answer.
    pub async fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let of = format!("http://{}/storage/v1/b/{}/o", self.address, self.bucket);
        let listed = self.client.get(&of).send().await.expect("an answer");
        let listed: serde_json::Value = listed.json().await.expect("JSON");
        let names = listed["items"].as_array().into_iter().flatten().filter_map(|item| item["name"].as_str());
        let mut objects = Vec::new();
        for name in names {
            let url = format!(
                "{of}/{}?alt=media",
                name.replace('%', "%25").replace('/', "%2F").replace('=', "%3D")
            );
            let content =
                self.client.get(url).send().await.expect("an answer").bytes().await.expect("content");
            objects.push((name.to_owned(), content.to_vec()));
        }
        objects
    }
}

/// Where a process listens that prints only the port that it was told, which was none.
///
/// # Panics
/// If it listens nowhere in time.
pub fn listening(process: &TestProcess) -> SocketAddr {
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
    eventually("the socket of a process", Duration::from_secs(60), look).expect("it listens")
}

async fn hop(client: reqwest::Client, address: SocketAddr, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let path = head.uri.path().trim_start_matches('/');
    let put = head.method == Method::PUT;
    let url = match path.split_once('/') {
        Some((bucket, object)) if put => {
            let condition = head.headers.get("x-goog-if-generation-match");
            let condition =
                condition.map(|number| format!("&ifGenerationMatch={}", number.to_str().expect("text")));
            format!(
                "http://{address}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={}{}",
                object.replace('/', "%2F"),
                condition.unwrap_or_default()
            )
        }
        _ => format!("http://{address}{}", head.uri),
    };
    let method = if put { Method::POST } else { head.method.clone() };
    let sent =
        client.request(method, url).header("host", "127.0.0.1").body(body).send().await.expect("an answer");
    let (status, headers) = (sent.status(), sent.headers().clone());
    let content = sent.bytes().await.expect("content");
    let mut answer = plain(status, content.clone());
    if put && status == StatusCode::OK {
        let object: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
        for (header, member) in [("etag", "etag"), ("x-goog-generation", "generation")] {
            answer
                .headers_mut()
                .insert(header, object[member].as_str().expect("text").parse().expect("a header"));
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
