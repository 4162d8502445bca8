//! The echo server: what the stack costs when nobody judges anything.
//!
//! Served as a node serves gRPC: the same HTTP/2 settings, generated service and message types, allocator and
//! runtime. It answers with recorded decisions in turn, so that sizes and shapes are those of real ones. What a node
//! does beyond that (tokens, policy, record, deadlines, counters) is what a comparison shows.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aegis_model::caps;
use aegis_model::decision::Outcome;
use aegis_proto::loadtest::echo_server::{Echo, EchoServer};
use aegis_proto::v1::{self, DecideRequest, DecideResponse};
use anyhow::Context;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

use crate::calls::Calls;

/// Answers without reading the question.
struct Recorded {
    answers: Vec<DecideResponse>,
    next: AtomicUsize,
}

#[tonic::async_trait]
impl Echo for Recorded {
    async fn echo(&self, _: Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.answers.len();
        Ok(Response::new(self.answers[turn].clone()))
    }
}

/// Listens at `address`, tells `listening` where that is, and answers until it is dropped.
///
/// # Errors
/// The address cannot be bound, or there is nothing to answer with.
pub async fn serve(
    address: SocketAddr,
    answers: Vec<DecideResponse>,
    listening: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    anyhow::ensure!(!answers.is_empty(), "the echo has no answers");
    let socket = TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))?;
    listening(socket.local_addr()?);

    let service = EchoServer::from_arc(Arc::new(Recorded { answers, next: AtomicUsize::new(0) }));
    let service = service.max_decoding_message_size(caps::BODY_BYTES_MAX);
    let builder = connections();
    let mut tasks = JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = socket.accept() => accepted.context("accepting a connection")?,
            Some(_ended) = tasks.join_next() => continue,
        };
        stream.set_nodelay(true)?;
        let (builder, service) = (builder.clone(), TowerToHyperService::new(service.clone()));
        tasks.spawn(async move {
            // A client that breaks off ends its own connection only.
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// HTTP/2 as a node's gRPC listener has it.
fn connections() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(caps::CONNECTION_STREAMS_MAX)
        .max_header_list_size(u32::try_from(caps::HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(std::time::Duration::from_secs(caps::CONNECTION_IDLE_SECONDS) / 2)
        .keep_alive_timeout(std::time::Duration::from_secs(caps::HEAD_SECONDS));
    builder.http2_only()
}

/// Decisions as a node would make them, for an echo without a node to record from.
pub fn sample_answers(calls: &Calls) -> Vec<DecideResponse> {
    let answer = |(message, expected): (DecideRequest, Outcome)| {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let policy = Some(v1::PolicyRef { version: 1, digest, activation: 1 });
        let reason = || v1::Reason {
            code: "ParameterOutOfRange".to_owned(),
            message: "`amount` is above what the policy allows".to_owned(),
            path: "/params/amount".to_owned(),
            rule: "typical-agent/allowed_tools[6]".to_owned(),
            position: "typical.yaml:46:15".to_owned(),
        };
        let allowed = expected == Outcome::Allow;
        DecideResponse {
            decision_id: "loadtest-0000000000000001-0000000000000001".to_owned(),
            outcome: v1::Outcome::from(expected).into(),
            reasons: if allowed { Vec::new() } else { vec![reason()] },
            params: if allowed { message.params } else { bytes::Bytes::new() },
            policy,
            ..DecideResponse::default()
        }
    };
    calls.messages().into_iter().zip(calls.expected()).map(answer).collect()
}

/// Writes recorded decisions to a file, each after its length.
///
/// # Errors
/// The file cannot be written.
pub fn write_answers(path: &Path, answers: &[DecideResponse]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = answers.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
    let mut file = std::fs::File::create(path).with_context(|| format!("creating `{}`", path.display()))?;
    file.write_all(&bytes).with_context(|| format!("writing `{}`", path.display()))
}

/// Reads what [`write_answers`] wrote.
///
/// # Errors
/// The file cannot be read, or is something else.
pub fn read_answers(path: &Path) -> anyhow::Result<Vec<DecideResponse>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    let (mut rest, mut answers) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let answer = DecideResponse::decode_length_delimited(&mut rest);
        answers.push(answer.with_context(|| format!("`{}` holds no recorded decisions", path.display()))?);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_answers_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let answers = sample_answers(&Calls::typical().unwrap());
        write_answers(&path, &answers).unwrap();
        assert_eq!(read_answers(&path).unwrap(), answers);
        std::fs::write(&path, [200, 1, 2]).unwrap();
        assert!(read_answers(&path).is_err());
    }
}
