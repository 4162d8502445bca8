//! The command line's client of the admin API: any control node, a person's token, problems shown as they come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_identity::tls::client_config;
use aegis_model::secret::Secret;
use anyhow::Context;
use clap::Args;
use futures_util::future::join_all;
use rand::Rng;
use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::ended::WrongUse;
use crate::output::Output;
use crate::state::{DataDir, read_bounded};

/// Where `aegis dev` keeps its data unless told otherwise.
const DATA_DIR: &str = ".aegis";

/// Larger than any token or PEM file.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Larger than any answer but a bundle.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long to go on trying, while no control node can do what was asked: long enough for a new leader.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two rounds over the control nodes.
const PAUSE: Duration = Duration::from_millis(200);

/// How long one control node may take for an answer: publishing compiles.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Steps of several control nodes that wait to be shown. A control node that tells more at once is not listened to further.
const STEPS_MAX: usize = 1_024;

/// Which control plane, and who asks it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct Server {
    /// The control nodes, any of which serves [default: that of the data directory of `aegis dev`]
    #[arg(long, env = "AEGIS_SERVER", value_delimiter = ',', value_name = "URLS")]
    server: Vec<String>,
    /// The certificates that the control nodes' have to lead to (PEM); required for https
    #[arg(long, env = "AEGIS_SERVER_CA", value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// A person's token; better given as the variable, which other users of the machine cannot see
    #[arg(long, env = "AEGIS_PERSON_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    person_token: Option<String>,
    /// A file that holds the token
    #[arg(long, env = "AEGIS_PERSON_TOKEN_FILE", value_name = "FILE")]
    person_token_file: Option<PathBuf>,
    /// The data directory of `aegis dev`, which knows its control node and a token [default: .aegis, where there is one]
    #[arg(long, env = "AEGIS_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A client of the admin API.
#[derive(Debug)]
pub(crate) struct Admin {
    http: reqwest::Client,
    servers: Vec<String>,
    token: Secret<String>,
}

/// Why a control node did not do what was asked: its problem document.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) document: Value,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A control node refused.
    Refused(Refused),
    /// No control node answered, or not in a form that is understood.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// What is sent beside method and path.
#[derive(Debug, Clone)]
enum Body {
    None,
    Json(Value),
    Bundle(Vec<u8>),
}

impl Server {
    /// Whether a control plane is named at all.
    pub(crate) fn is_named(&self) -> bool {
        !self.server.is_empty()
    }

    /// The data directory of `aegis dev`, as it is named or by default.
    pub(crate) fn dev_dir_path(&self) -> &Path {
        self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR))
    }

    /// A client of it.
    ///
    /// # Errors
    /// [`WrongUse`] where something is missing; otherwise a file cannot be used.
    pub(crate) fn client(&self) -> anyhow::Result<Admin> {
        let dev = self.dev_dir()?;
        let servers = match (&dev, self.server.is_empty()) {
            (_, false) => self.server.iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            (Some(dev), true) => {
                let control = dev
                    .dev_node()?
                    .control
                    .context("the `aegis dev` of the data directory has no control plane")?;
                vec![format!("http://{control}")]
            }
            (None, true) => {
                return Err(WrongUse(
                    "no control plane is named: give `--server`, or the `--data-dir` of `aegis dev`"
                        .to_owned(),
                )
                .into());
            }
        };
        let token = self.token(dev.as_ref())?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .redirect(reqwest::redirect::Policy::none())
            // A control plane is reached directly; a token does not belong into a proxy's hands.
            .no_proxy();
        if servers.iter().any(|url| url.starts_with("https://")) {
            let path = self.server_ca.as_deref().ok_or_else(|| {
                WrongUse(
                    "`--server-ca` is missing: the certificates that an https server's has to lead to"
                        .to_owned(),
                )
            })?;
            builder =
                builder.tls_backend_preconfigured(client_config(&read(path)?, None, &[b"h2", b"http/1.1"])?);
        } else {
            // Without the system's certificates, which a small image does not have.
            builder = builder.tls_certs_only([]);
        }
        if let Some(bad) = servers.iter().find(|url| !(url.starts_with("https://") || is_plain_loopback(url)))
        {
            let told = format!(
                "`{bad}` is neither `https://HOST:PORT` nor `http://` on this machine: the token would travel in the clear"
            );
            return Err(WrongUse(told).into());
        }
        Ok(Admin { http: builder.build().context("starting")?, servers, token })
    }

    fn dev_dir(&self) -> anyhow::Result<Option<DataDir>> {
        match &self.data_dir {
            Some(path) => DataDir::open(path).map(Some),
            None if self.server.is_empty() && Path::new(DATA_DIR).is_dir() => {
                DataDir::open(Path::new(DATA_DIR)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn token(&self, dev: Option<&DataDir>) -> anyhow::Result<Secret<String>> {
        let from_file = |path: &Path| -> anyhow::Result<Secret<String>> {
            let text = String::from_utf8(read(path)?).ok();
            let text = text.with_context(|| format!("`{}` holds no token", path.display()))?;
            Ok(Secret::new(text.trim().to_owned()))
        };
        match (&self.person_token, &self.person_token_file, dev) {
            (Some(token), _, _) => Ok(Secret::new(token.trim().to_owned())),
            (None, Some(path), _) => from_file(path),
            (None, None, Some(dev)) => from_file(&dev.admin_token()),
            (None, None, None) => Err(WrongUse(
                "there is no person's token: give `--person-token-file` or AEGIS_PERSON_TOKEN".to_owned(),
            )
            .into()),
        }
    }
}

/// Whether `url` is `http://` to an address of this machine.
fn is_plain_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "http" && (loopback || host == "localhost")
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_bounded(path, FILE_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))
}

/// Runs what talks to the admin API.
///
/// # Errors
/// Those of `work`.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    runtime.block_on(work)
}

/// `segment` as a part of a path.
pub(crate) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

impl Admin {
    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, Body::None).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Body::Json(body)).await
    }

    /// `PUT` with a JSON body.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::PUT, path, Body::Json(body)).await
    }

    /// `PUT` without a body: the path says it all.
    pub(crate) async fn put_nothing(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::PUT, path, Body::None).await
    }

    /// `POST` without a body.
    pub(crate) async fn post_nothing(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::POST, path, Body::None).await
    }

    /// `PATCH` with a JSON body.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(Method::PATCH, path, Body::Json(body)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, Body::None).await
    }

    /// `POST` with a bundle as the body.
    pub(crate) async fn post_bundle(&self, path: &str, bundle: Vec<u8>) -> Result<Value, Failure> {
        self.send(Method::POST, path, Body::Bundle(bundle)).await
    }

    /// Every row of a list, page by page.
    pub(crate) async fn all(&self, path: &str) -> Result<Vec<Value>, Failure> {
        self.all_of(path, "").await
    }

    /// The same, of those that `query` wants: `&NAME=VALUE`, as often as needed.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn all_of(&self, path: &str, query: &str) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}?limit=1000{query}{cursor}")).await?;
            rows.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) if !next.is_empty() => cursor = format!("&cursor={}", segment(next)),
                Some(_) | None => return Ok(rows),
            }
        }
    }

    /// The steps of something that is told as it happens, one JSON document per line, from every control node at once: each
    /// goes to `tell`, with the number of the control node. Ends when `tell` says so, or all of them have ended.
    ///
    /// # Errors
    /// No control node told anything: the failure of the last one.
    pub(crate) async fn follow(
        &self,
        path: &str,
        within: Duration,
        mut tell: impl FnMut(usize, Value) -> bool,
    ) -> Result<(), Failure> {
        let (steps, mut told) = mpsc::channel(STEPS_MAX);
        let each = self.servers.iter().enumerate().map(|(number, server)| {
            let request =
                self.request(server, &Method::GET, path, &Body::None, "").timeout(within + ANSWER_WITHIN);
            let steps = steps.clone();
            async move { lines(request, |step| steps.try_send((number, step)).is_ok()).await }
        });
        let all = join_all(each);
        drop(steps);
        let mut all = std::pin::pin!(all);
        let (mut heard, mut ended) = (false, None);
        loop {
            let step = tokio::select! {
                step = told.recv() => step,
                every = &mut all, if ended.is_none() => { ended = Some(every); continue; }
            };
            match step {
                Some((number, step)) => {
                    heard = true;
                    if tell(number, step) {
                        return Ok(());
                    }
                }
                None => break,
            }
        }
        let failed = ended.unwrap_or_default().into_iter().find_map(Result::err);
        match failed {
            Some(failure) if !heard => Err(failure),
            Some(_) | None => Ok(()),
        }
    }

    /// Downloads what is at `path` to a new file: how many bytes. The file is there only if all of it came.
    pub(crate) async fn download(&self, path: &str, file: &Path) -> Result<u64, Failure> {
        let mut last = Err(Failure::Other(anyhow::anyhow!("no control node can be reached")));
        for server in &self.servers {
            let request = self.request(server, &Method::POST, path, &Body::None, "");
            match download_at(request, file).await {
                Err(failure) if failure.may_pass() => last = Err(failure),
                done => return done,
            }
        }
        last
    }

    /// Asks one control node after the other until one answers. A write carries a key, so that it is done once however
    /// often it is sent.
    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Value, Failure> {
        let key =
            format!("{:032x}", u128::from(rand::rng().next_u64()) << 64 | u128::from(rand::rng().next_u64()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut last = None;
            for server in &self.servers {
                let request = self.request(server, &method, path, &body, &key).timeout(ANSWER_WITHIN);
                let answer = match request.send().await {
                    Ok(answer) => read_answer(answer).await,
                    Err(error) => Err(Failure::Other(
                        anyhow::Error::from(plain(error)).context(format!("asking {server}")),
                    )),
                };
                match answer {
                    Err(failure) if failure.may_pass() => last = Some(failure),
                    done => return done,
                }
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(
                    last.unwrap_or_else(|| Failure::Other(anyhow::anyhow!("no control node is named")))
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn request(
        &self,
        server: &str,
        method: &Method,
        path: &str,
        body: &Body,
        key: &str,
    ) -> reqwest::RequestBuilder {
        let url = format!("{server}/admin/v1{path}");
        let mut request = self.http.request(method.clone(), url).bearer_auth(self.token.expose());
        if *method != Method::GET && !key.is_empty() {
            request = request.header("Idempotency-Key", key);
        }
        match body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Bundle(bytes) => {
                request.header(header::CONTENT_TYPE, "application/gzip").body(bytes.clone())
            }
        }
    }
}

/// Without the URL, which may be long, and is named by whoever adds the context.
fn plain(error: reqwest::Error) -> reqwest::Error {
    error.without_url()
}

/// The lines of one answer, each to `tell` until it wants no more.
async fn lines(request: reqwest::RequestBuilder, tell: impl Fn(Value) -> bool) -> Result<(), Failure> {
    let request = request.header(header::ACCEPT, "application/jsonl");
    let mut answer = request.send().await.map_err(|error| Failure::Other(plain(error).into()))?;
    if !answer.status().is_success() {
        return read_answer(answer).await.map(drop);
    }
    let mut buffer = Vec::new();
    loop {
        let chunk = answer.chunk().await.map_err(|error| Failure::Other(plain(error).into()))?;
        let ended = chunk.is_none();
        buffer.extend_from_slice(&chunk.unwrap_or_default());
        if ended && !buffer.is_empty() {
            buffer.push(b'\n');
        }
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let step: Value = serde_json::from_slice(&line)
                .context("a control node answered with something else than JSON")?;
            // A problem that came up on the way stands in place of a step.
            if let (Some(status), true) = (step["status"].as_u64(), step["code"].is_string()) {
                let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Err(Failure::Refused(Refused { status, document: step }));
            }
            if !tell(step) {
                return Ok(());
            }
        }
        if ended {
            return Ok(());
        }
        if buffer.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Other(anyhow::anyhow!("a control node's answer is too long")));
        }
    }
}

async fn download_at(request: reqwest::RequestBuilder, file: &Path) -> Result<u64, Failure> {
    use tokio::io::AsyncWriteExt;
    let mut answer = request.send().await.map_err(|error| Failure::Other(plain(error).into()))?;
    if !answer.status().is_success() {
        return read_answer(answer).await.map(|_| 0);
    }
    let writing = || format!("writing `{}`", file.display());
    let draft = file.with_extension("part");
    let mut out = tokio::fs::File::create(&draft).await.with_context(writing)?;
    let mut bytes = 0;
    let received = async {
        while let Some(chunk) = answer.chunk().await.map_err(plain)? {
            bytes += chunk.len() as u64;
            out.write_all(&chunk).await.with_context(writing)?;
        }
        out.sync_all().await.with_context(writing)?;
        tokio::fs::rename(&draft, file).await.with_context(writing)
    };
    let received: anyhow::Result<()> = received.await;
    if let Err(error) = received {
        // Half a backup is of no use.
        let _ = tokio::fs::remove_file(&draft).await;
        return Err(Failure::Other(error));
    }
    Ok(bytes)
}

async fn read_answer(mut answer: reqwest::Response) -> Result<Value, Failure> {
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Failure::Other(plain(error).into()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Other(anyhow::anyhow!("a control node's answer is too long")));
        }
    }
    let document = serde_json::from_slice(&bytes).context(
        "the answer is not that of the admin API: is the address that of a control node's HTTP port?",
    )?;
    if status.is_success() { Ok(document) } else { Err(Failure::Refused(Refused { status, document })) }
}

impl Failure {
    /// Whether another control node, or the same one a little later, may do better.
    fn may_pass(&self) -> bool {
        match self {
            Self::Other(_) => true,
            Self::Refused(refused) => {
                refused.status.is_server_error() && !refused.document["retry_after_ms"].is_null()
                    || refused.status == StatusCode::TOO_MANY_REQUESTS
            }
        }
    }

    /// Prints a refusal as the other commands print problems, and gives how the command ends.
    ///
    /// # Errors
    /// It was no refusal.
    pub(crate) fn told(self, output: Output) -> anyhow::Result<crate::ended::Ended> {
        let refused = match self {
            Self::Refused(refused) => refused,
            Self::Other(error) => return Err(error),
        };
        if output.is_json() {
            output.problem(&refused.document);
            return Ok(crate::ended::Ended::Refused);
        }
        let document = &refused.document;
        for finding in document["findings"].as_array().into_iter().flatten() {
            let excerpt = finding["excerpt"].as_str().filter(|text| !text.is_empty());
            output.problem(format!(
                "{}\n",
                excerpt.or(finding["message"].as_str()).unwrap_or_default().trim_end()
            ));
        }
        let detail = document["detail"].as_str().unwrap_or("the control node gave no reason");
        let code = document["code"].as_str().unwrap_or("unknown");
        output.problem(format!("error: {} ({code})", detail.trim_end_matches('.')));
        if let Some(help) = document["help"].as_str().filter(|text| !text.is_empty()) {
            output.problem(format!("help: {help}"));
        }
        Ok(crate::ended::Ended::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_leave_the_machine_in_the_clear() {
        for good in ["http://127.0.0.1:7070", "http://localhost:1", "http://[::1]:7070"] {
            assert!(is_plain_loopback(good), "{good}");
        }
        for bad in [
            "http://10.0.0.1:7070",
            "http://localhost.example:1",
            "ftp://127.0.0.1",
            "127.0.0.1:7070",
            "https://x",
        ] {
            assert!(!is_plain_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(segment("acme/EU:1"), "acme%2FEU%3A1");
        assert_eq!(segment("alice@example.com"), "alice%40example.com");
        assert_eq!(segment("plain-1_2.3~"), "plain-1_2.3~");
    }
}
