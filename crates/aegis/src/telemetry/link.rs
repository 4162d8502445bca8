//! The way to the collector: one message, one answer.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::tls::{IdentityPem, client_config};
use aegis_model::caps;
use aegis_model::secret::Secret;
use anyhow::{Context, anyhow};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use super::settings::{Protocol, Reach};
use crate::ended::WrongUse;
use crate::state::read_bounded;

/// What is told.
pub(super) enum Message {
    Spans(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    /// It may be tried again.
    #[error("the collector does not take it: {0}")]
    ForNow(String),
    /// It would be refused again.
    #[error("the collector refuses it: {0}")]
    ForGood(String),
}

/// How to reach the collector; nothing is connected yet.
pub(super) struct Link {
    url: Url,
    protocol: Protocol,
    tls: Option<ClientConfig>,
    headers: HeaderMap,
}

/// Larger than any file of authorities; and than any header.
const PEM_BYTES_MAX: usize = 4 << 20;
const HEADER_BYTES_MAX: usize = 8 << 10;

const ANSWER_WITHIN: Duration = Duration::from_secs(caps::TELEMETRY_ANSWER_SECONDS);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

impl Link {
    /// Reads the files that `reach` names.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(super) fn new(reach: &Reach<'_>) -> anyhow::Result<Self> {
        let url = reach.url().map_err(WrongUse)?;
        let alpn: &[&[u8]] = match reach.protocol {
            Protocol::Grpc => &[b"h2"],
            Protocol::Http => &[],
        };
        let pem = |path: &Path| {
            read_bounded(path, PEM_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))
        };
        let identity = match reach.identity {
            Some((chain, key)) => Some((pem(chain)?, pem(key).map(Secret::new)?)),
            None => None,
        };
        let tls = reach.authorities.map(|authorities| {
            let identity = identity.as_ref().map(|(chain, key)| IdentityPem { chain, key: key.expose() });
            let made = client_config(&pem(authorities)?, identity, alpn);
            made.with_context(|| format!("`{}`", authorities.display()))
        });
        let headers = reach.header_files.iter().map(|(name, file)| header(reach.table, name, file));
        Ok(Self {
            url,
            protocol: reach.protocol,
            tls: tls.transpose()?,
            headers: headers.collect::<anyhow::Result<_>>()?,
        })
    }

    /// A way that is used by all signals. To be called in the runtime that uses it.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(super) fn open(&self) -> anyhow::Result<Sender> {
        match self.protocol {
            Protocol::Grpc => self.grpc(),
            Protocol::Http => self.http(),
        }
    }

    fn grpc(&self) -> anyhow::Result<Sender> {
        let (host, port) = (self.url.host_str().unwrap_or_default().to_owned(), self.port());
        // The connection is made below; its scheme is of no interest to tonic.
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))?.tcp_nodelay(true);
        let dial = Arc::new(Dial { host, port, tls: self.tls.clone() });
        let channel =
            endpoint.connect_with_connector_lazy(tower::service_fn(move |_uri| Arc::clone(&dial).connect()));
        Ok(Sender::Grpc { channel, metadata: MetadataMap::from_headers(self.headers.clone()) })
    }

    fn http(&self) -> anyhow::Result<Sender> {
        let mut builder = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .connect_timeout(CONNECT_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(tls) = &self.tls {
            builder = builder.tls_backend_preconfigured(tls.clone());
        }
        Ok(Sender::Http { client: builder.build()?, url: self.url.clone(), headers: self.headers.clone() })
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(4317)
    }
}

/// The value of a header, from its file. The value is not shown.
fn header(table: &str, name: &str, file: &Path) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let shown = file.display();
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_bad| WrongUse(format!("`{table}header_files`: `{name}` is no name of a header")))?;
    let bytes = read_bounded(file, HEADER_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
    let value = Secret::new(String::from_utf8(bytes).unwrap_or_default());
    let value = HeaderValue::from_str(value.expose().trim());
    let mut value = value.map_err(|_withheld| anyhow!("`{shown}` holds no value of a header"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

struct Dial {
    host: String,
    port: u16,
    tls: Option<ClientConfig>,
}

/// A stream of either kind.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Dial {
    async fn connect(self: Arc<Self>) -> io::Result<TokioIo<Box<dyn Wire>>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let late = |_elapsed| io::Error::from(io::ErrorKind::TimedOut);
        let stream = TcpStream::connect((host, self.port));
        let stream = tokio::time::timeout(CONNECT_WITHIN, stream).await.map_err(late)??;
        let wire: Box<dyn Wire> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_bad| io::Error::from(io::ErrorKind::InvalidInput))?;
                let shaking = TlsConnector::from(Arc::new(tls.clone())).connect(name, stream);
                Box::new(tokio::time::timeout(CONNECT_WITHIN, shaking).await.map_err(late)??)
            }
        };
        Ok(TokioIo::new(wire))
    }
}

/// An open way. Cheap to clone.
#[derive(Clone)]
pub(super) enum Sender {
    Grpc { channel: Channel, metadata: MetadataMap },
    Http { client: reqwest::Client, url: Url, headers: HeaderMap },
}

impl Sender {
    /// Tells `message`: how many of its parts were refused.
    ///
    /// # Errors
    /// [`Unsent`]
    pub(super) async fn send(&self, message: Message) -> Result<u64, Unsent> {
        match self {
            Self::Grpc { channel, metadata } => {
                let told = by_grpc(channel.clone(), metadata, message);
                let told = tokio::time::timeout(ANSWER_WITHIN, told).await;
                told.unwrap_or_else(|_elapsed| Err(Unsent::ForNow("it does not answer in time".to_owned())))
            }
            Self::Http { client, url, headers } => by_http(client, url, headers, message).await,
        }
    }
}

async fn by_grpc(channel: Channel, metadata: &MetadataMap, message: Message) -> Result<u64, Unsent> {
    fn request<T>(metadata: &MetadataMap, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = metadata.clone();
        request
    }
    let answer = match message {
        Message::Spans(message) => {
            let mut client = TraceServiceClient::new(channel);
            client.export(request(metadata, message)).await.map(|answer| spans_refused(answer.into_inner()))
        }
        Message::Metrics(message) => {
            let mut client = MetricsServiceClient::new(channel);
            client.export(request(metadata, message)).await.map(|answer| points_refused(answer.into_inner()))
        }
        Message::Logs(message) => {
            let mut client = LogsServiceClient::new(channel);
            client.export(request(metadata, message)).await.map(|answer| lines_refused(answer.into_inner()))
        }
    };
    answer.map_err(|status| {
        let words = format!("{}: {}", status.code(), status.message());
        // As the specification of OTLP says.
        match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Unsent::ForNow(words),
            // A connection that breaks comes as `Unknown`.
            Code::Unknown => Unsent::ForNow(words),
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::Internal
            | Code::Unauthenticated => Unsent::ForGood(words),
        }
    })
}

async fn by_http(
    client: &reqwest::Client,
    url: &Url,
    headers: &HeaderMap,
    message: Message,
) -> Result<u64, Unsent> {
    let (path, body) = match &message {
        Message::Spans(message) => ("v1/traces", message.encode_to_vec()),
        Message::Metrics(message) => ("v1/metrics", message.encode_to_vec()),
        Message::Logs(message) => ("v1/logs", message.encode_to_vec()),
    };
    let mut url = url.clone();
    url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    let request = client.post(url).headers(headers.clone()).header(CONTENT_TYPE, "application/x-protobuf");
    let lost = |error: reqwest::Error| Unsent::ForNow(error.without_url().to_string());
    let answer = request.body(body).send().await.map_err(lost)?;
    match answer.status() {
        StatusCode::OK => {}
        status @ (StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT) => return Err(Unsent::ForNow(status.to_string())),
        status => return Err(Unsent::ForGood(status.to_string())),
    }
    // What it says beyond that it took the message is of no consequence if it cannot be read.
    let answer = answer.bytes().await.unwrap_or_default();
    Ok(match message {
        Message::Spans(_) => spans_refused(ExportTraceServiceResponse::decode(answer).unwrap_or_default()),
        Message::Metrics(_) => {
            points_refused(ExportMetricsServiceResponse::decode(answer).unwrap_or_default())
        }
        Message::Logs(_) => lines_refused(ExportLogsServiceResponse::decode(answer).unwrap_or_default()),
    })
}

fn spans_refused(answer: ExportTraceServiceResponse) -> u64 {
    count(answer.partial_success.map(|partly| partly.rejected_spans))
}

fn points_refused(answer: ExportMetricsServiceResponse) -> u64 {
    count(answer.partial_success.map(|partly| partly.rejected_data_points))
}

fn lines_refused(answer: ExportLogsServiceResponse) -> u64 {
    count(answer.partial_success.map(|partly| partly.rejected_log_records))
}

fn count(refused: Option<i64>) -> u64 {
    refused.and_then(|refused| u64::try_from(refused).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
