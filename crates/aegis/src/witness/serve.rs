//! Answers `add-checkpoint` (C2SP tlog-witness) over HTTP, until it is told to stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::journal::SystemDisk;
use aegis_audit::keys::{KeyName, SigningKey, VerifyingKey};
use aegis_audit::note::Signature;
use aegis_audit::witness::{Refusal, Request, judge};
use aegis_audit::witness_memory::{Memory, MemoryError};
use aegis_model::caps;
use aegis_model::clock::Clock;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::config::Config;
use super::key;
use crate::ended::Ended;
use crate::output::Output;
use crate::signals::{Signals, Wish};

/// Pause after a failed accept, most often for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A witness.
struct Witness {
    key: SigningKey,
    logs: BTreeMap<KeyName, Vec<VerifyingKey>>,
    memory: Mutex<Memory>,
    clock: Clock,
}

pub(super) fn run(config: &Config, output: Output) -> anyhow::Result<Ended> {
    let key = key::read(&config.name, &config.key)?;
    let memory =
        Memory::open(Arc::new(SystemDisk), &config.data_dir).context("opening the witness's memory")?;
    let witness =
        Witness { key, logs: config.logs.clone(), memory: Mutex::new(memory), clock: Clock::System };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    runtime.block_on(serve(config, Arc::new(witness), output))
}

async fn serve(config: &Config, witness: Arc<Witness>, output: Output) -> anyhow::Result<Ended> {
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("listening at `{}`", config.listen))?;
    let address = listener.local_addr().context("listening")?;
    let verifier = witness.key.verifying_key().to_string();
    let told =
        json!({ "event": "started", "name": config.name.as_str(), "http": address, "verifier": verifier });
    output.result(&told, || {
        format!("the witness `{}` listens at {address}; its key is {verifier}", config.name)
    });
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => break,
                // Its logs and its key are read when it starts.
                Wish::Reload => continue,
            },
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < caps::WITNESS_CONNECTIONS_MAX => {
                connections.spawn(connection(stream, Arc::clone(&witness)));
            }
            Ok(_one_too_many) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whatever is cut off was not answered, and so not cosigned for anybody.
    connections.shutdown().await;
    Ok(Ended::Done)
}

async fn connection(stream: TcpStream, witness: Arc<Witness>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let witness = Arc::clone(&witness);
        async move {
            let within = Duration::from_secs(caps::WITNESS_REQUEST_SECONDS);
            let answered = tokio::time::timeout(within, answer(&witness, request)).await;
            let late = |_elapsed| plain(StatusCode::REQUEST_TIMEOUT, "the request took too long\n");
            Ok::<_, Infallible>(answered.unwrap_or_else(late))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(caps::HEAD_SECONDS))
        .max_buf_size(caps::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(witness: &Arc<Witness>, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/add-checkpoint") => {}
        (_, "/add-checkpoint") => return plain(StatusCode::METHOD_NOT_ALLOWED, "only POST is taken here\n"),
        (&Method::GET, "/healthz") => return plain(StatusCode::OK, "ok\n"),
        _ => return plain(StatusCode::NOT_FOUND, "nothing is served at this path\n"),
    }
    let body = Limited::new(request.into_body(), caps::AUDIT_NOTE_BYTES_MAX).collect().await;
    let Ok(body) = body else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the request cannot be read, or is too large\n");
    };
    let (witness, body) = (Arc::clone(witness), body.to_bytes());
    // The disk is waited for.
    let judged = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    match judged.unwrap_or(Err(NotCosigned::Memory)) {
        Ok(signature) => plain(StatusCode::OK, &signature.to_line()),
        Err(refused) => refused.response(),
    }
}

/// Why a checkpoint is not cosigned.
#[derive(Debug)]
enum NotCosigned {
    /// No log of this name is watched.
    UnknownLog,
    /// By the rules of a witness.
    Refused(Refusal),
    /// The memory cannot be used.
    Memory,
}

impl NotCosigned {
    fn response(&self) -> Response<Full<Bytes>> {
        match self {
            Self::UnknownLog => plain(StatusCode::NOT_FOUND, "no log of this name is watched\n"),
            Self::Memory => plain(StatusCode::INTERNAL_SERVER_ERROR, "the witness's memory has failed\n"),
            Self::Refused(refusal) => {
                let status =
                    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                match refusal {
                    Refusal::Stale(size) => {
                        let mut response = plain(status, &format!("{size}\n"));
                        let kind = hyper::header::HeaderValue::from_static("text/x.tlog.size");
                        response.headers_mut().insert(CONTENT_TYPE, kind);
                        response
                    }
                    Refusal::Malformed | Refusal::Unsigned | Refusal::Forked(_) | Refusal::Inconsistent => {
                        plain(status, &format!("{refusal}\n"))
                    }
                }
            }
        }
    }
}

impl Witness {
    /// Judges one request, remembers what it accepts, and only then cosigns it (AUD-1).
    fn add_checkpoint(&self, body: &[u8]) -> Result<Signature, NotCosigned> {
        let request = Request::read(body).map_err(NotCosigned::Refused)?;
        let origin = Checkpoint::read_text(request.note.text())
            .map_err(|_withheld| NotCosigned::Refused(Refusal::Malformed))?
            .origin;
        let keys = self.logs.get(&origin).ok_or(NotCosigned::UnknownLog)?;
        // Held until it is on disk: two requests are judged one after the other.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.known(&origin).cloned();
        let mut judged = Err(Refusal::Unsigned);
        for key in keys {
            judged = judge(known.as_ref(), &request, key);
            if !matches!(judged, Err(Refusal::Unsigned)) {
                break;
            }
        }
        let accepted = judged.map_err(|refusal| {
            if matches!(refusal, Refusal::Forked(_) | Refusal::Inconsistent) {
                tracing::error!(log = %origin, code = refusal.code(), "a log shows two versions of itself");
            }
            NotCosigned::Refused(refusal)
        })?;
        let seconds = self.clock.now().seconds();
        let cosigned = memory.cosign(known.as_ref(), &accepted, &self.key, seconds);
        cosigned.map_err(|error: MemoryError| {
            tracing::error!(%error, "nothing can be cosigned");
            NotCosigned::Memory
        })
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
