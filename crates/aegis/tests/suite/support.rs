//! Runs the binary and talks to it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use aegis_testkit::{TestProcess, eventually};
use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A bound for broken code, not a measure.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The binary: another build of it where `AEGIS_FAULTS_PROGRAM` names one, as the bars do.
pub(crate) fn program() -> OsString {
    match std::env::var_os("AEGIS_FAULTS_PROGRAM") {
        Some(other) => aegis_testkit::root().join(other).into(),
        None => env!("CARGO_BIN_EXE_aegis").into(),
    }
}

/// The binary, with nothing of ours in its environment.
pub(crate) fn aegis() -> Command {
    let mut command = Command::new(program());
    clean(&mut command);
    command
}

/// Takes everything that would change what the binary does out of a command's environment.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEGIS_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
}

/// All that stands in the files below a folder, as far as it is text. A running node may move its files meanwhile: then they are read
/// again.
pub(crate) fn text_below(folder: &Path) -> String {
    let whole = || match try_text_below(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && folder.exists() => None,
        read => Some(read.expect("files that can be read")),
    };
    eventually("files that stay where they are", LONG, whole).expect("they stay")
}

fn try_text_below(folder: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&try_text_below(&path)?);
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path)?));
        }
    }
    Ok(text)
}

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output in UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).with_context(|| format!("{self:?}")).expect("JSON")
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ran {
    Ran::of(command.output().expect("the command starts"))
}

/// Runs the binary with `arguments`.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    finish(aegis().args(arguments))
}

/// Runs the binary with `arguments` and something to read.
pub(crate) fn run_with_input(arguments: &[&str], input: &str) -> Ran {
    let mut child = aegis()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Whoever does not read to the end may close it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Ran::of(child.wait_with_output().expect("the command ends"))
}

/// A running `aegis dev`, which has said that it is ready.
pub(crate) struct Dev {
    pub(crate) process: TestProcess,
    pub(crate) data_dir: TempDir,
    /// What it said.
    pub(crate) ready: Value,
}

impl Dev {
    /// Starts it with a policy folder, or with the built-in demo.
    pub(crate) fn start(policies: Option<&Path>) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), policies)
    }

    /// Starts it over a data directory that may have been used before.
    pub(crate) fn start_in(data_dir: TempDir, policies: Option<&Path>) -> Self {
        let mut process =
            TestProcess::start(dev_command(data_dir.path(), policies).args(["--output", "json"]))
                .expect("it starts");
        let line = process.wait_for("\"ready\"", LONG).expect("it is ready");
        let ready = serde_json::from_str(&line).expect("a line of JSON");
        Self { process, data_dir, ready }
    }

    /// Where it answers HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        address(&self.ready["http"])
    }

    /// Asks it over HTTP, with the token that it printed.
    pub(crate) fn decide(&self, call: &Value) -> Answer {
        let token = self.ready["token"].as_str().expect("a token");
        decide(self.http(), token, call)
    }

    /// A fresh token for another agent.
    pub(crate) fn mint(&self, arguments: &[&str]) -> String {
        let data_dir = self.data_dir.path().to_str().expect("a path in UTF-8");
        let minted = run(&[&["token", "mint", "--data-dir", data_dir], arguments].concat());
        assert_eq!(minted.code, Some(0), "{minted:?}");
        minted.stdout.trim().to_owned()
    }

    /// Ends it as a service manager does, and gives its data directory back.
    pub(crate) fn stop(mut self) -> TempDir {
        self.process.terminate().expect("it runs");
        let status = self.process.wait_end(LONG).expect("it ends");
        assert_eq!(status.code(), Some(0), "{:?}", self.process.error_lines());
        self.data_dir
    }
}

/// `aegis dev` with ports from the kernel.
pub(crate) fn dev_command(data_dir: &Path, policies: Option<&Path>) -> Command {
    dev_command_at(data_dir, policies, "127.0.0.1:0")
}

/// The same with an address for HTTP.
pub(crate) fn dev_command_at(data_dir: &Path, policies: Option<&Path>, http: &str) -> Command {
    let mut command = aegis();
    command.arg("dev").arg("--data-dir").arg(data_dir).args(["--listen-http", http]);
    let others = ["--listen-grpc", "--listen-metrics", "--listen-control-http", "--listen-control-grpc"];
    for listener in others {
        command.args([listener, "127.0.0.1:0"]);
    }
    if let Some(policies) = policies {
        command.arg("--policies").arg(policies);
    }
    command
}

/// The first line of a process' standard error that holds `text`, as soon as it is there.
pub(crate) fn wait_for_error_line(process: &TestProcess, text: &str) -> String {
    let found = || process.error_lines().into_iter().find(|line| line.contains(text));
    let line = eventually(text, LONG, found).with_context(|| process.error_lines().join("\n"));
    line.expect("the line is printed")
}

/// The address in a URL or a plain address.
pub(crate) fn address(value: &Value) -> SocketAddr {
    let text = value.as_str().expect("an address");
    text.trim_start_matches("http://").parse().expect("an address")
}

/// An answer of `POST /v1/decide`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// `allow`, `deny`, …; for a problem document its title.
    pub(crate) fn outcome(&self) -> &str {
        self.body["outcome"].as_str().unwrap_or("no outcome")
    }

    /// The codes of the reasons, in order.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let reasons = self.body["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
        reasons.iter().filter_map(|reason| reason["code"].as_str()).collect()
    }

    /// The version that it was judged under.
    pub(crate) fn version(&self) -> u64 {
        self.body["policy"]["version"].as_u64().unwrap_or_default()
    }
}

/// One call over HTTP/1.1, on a connection of its own.
pub(crate) fn decide(http: SocketAddr, token: &str, call: &Value) -> Answer {
    post(http, "/v1/decide", token, call)
}

/// What is answered to `body` at `path`, over HTTP/1.1 on a connection of its own.
pub(crate) fn post(http: SocketAddr, path: &str, token: &str, body: &Value) -> Answer {
    exchange(http, &request(http, path, token, body))
}

fn request(http: SocketAddr, path: &str, token: &str, body: &Value) -> String {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    format!("{head}\r\nConnection: close\r\n\r\n{body}")
}

/// What is at `path`, over HTTP/1.1 on a connection of its own.
pub(crate) fn get(http: SocketAddr, path: &str) -> Answer {
    exchange(http, &format!("GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n"))
}

/// The same of something that may not answer yet.
pub(crate) fn try_get(http: SocketAddr, path: &str) -> std::io::Result<Answer> {
    try_exchange(http, &format!("GET {path} HTTP/1.0\r\nHost: {http}\r\nConnection: close\r\n\r\n"))
}

/// What is answered to a request as it stands.
pub(crate) fn raw(http: SocketAddr, request: &str) -> Answer {
    exchange(http, request)
}

/// The same, as an agent.
pub(crate) fn get_with_token(http: SocketAddr, path: &str, token: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}");
    exchange(http, &format!("{head}\r\nConnection: close\r\n\r\n"))
}

/// The same of a node that may be gone.
pub(crate) fn try_decide(http: SocketAddr, token: &str, call: &Value) -> std::io::Result<Answer> {
    try_exchange(http, &request(http, "/v1/decide", token, call))
}

pub(crate) fn exchange(http: SocketAddr, request: &str) -> Answer {
    try_exchange(http, request).expect("it answers")
}

fn try_exchange(http: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let cut_off = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let mut stream = TcpStream::connect(http)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut_off)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut_off)?;
    Ok(Answer { status, body: serde_json::from_str(body).map_err(|_cut_off| cut_off())? })
}

/// A payment of the demo policy.
pub(crate) fn payment(amount: impl Into<Value>) -> Value {
    json!({"tool": "stripe-payments", "action": "create_payment", "params": {"amount": amount.into()}})
}
