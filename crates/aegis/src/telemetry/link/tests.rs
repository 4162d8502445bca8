//! A collector behind TLS that wants a key.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use aegis_identity::tls::{IdentityPem, server_config};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::telemetry::Settings;
use crate::telemetry::resource::Who;
use crate::telemetry::spans;

/// What arrived.
struct Seen {
    version: Version,
    path: String,
    key: String,
    body: Bytes,
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, status: u16, seen: SyncSender<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(stream) = tls.accept(stream).await else { continue };
        let seen = seen.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                let key = head.headers.get("x-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
                let (version, path, key) = (head.version, head.uri.path().to_owned(), key.to_owned());
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                seen.try_send(Seen { version, path, key, body }).expect("few requests");
                let answer = Response::builder().status(status).body(Full::<Bytes>::default());
                Ok::<_, Infallible>(answer.expect("a status"))
            }
        });
        // The client goes away when it has its answer.
        let _gone =
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    }
}

struct Site {
    settings: Settings,
    seen: Receiver<Seen>,
    _folder: tempfile::TempDir,
    _serving: JoinSet<()>,
}

async fn site(protocol: Protocol, status: u16) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    std::fs::write(at("ca.pem"), &chain).unwrap();
    std::fs::write(at("key"), "s3cret\n").unwrap();
    let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
    let tls = server_config(identity, None, &[b"h2", b"http/1.1"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}/otlp", listener.local_addr().unwrap().port());
    let (sender, seen) = sync_channel(8);
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), status, sender));
    let settings = Settings {
        authorities: Some(at("ca.pem")),
        header_files: [("x-key".to_owned(), at("key"))].into(),
        ..Settings::to(&endpoint, protocol)
    };
    settings.check().unwrap();
    Site { settings, seen, _folder: folder, _serving: serving }
}

fn message() -> Message {
    let who = Who {
        service: "aegis-data",
        node: "data-1".to_owned(),
        cluster: String::new(),
        region: String::new(),
    };
    Message::Spans(spans::message(&who.resource(&[].into()), &[]))
}

#[tokio::test]
async fn over_http_with_tls_and_a_key() {
    let site = site(Protocol::Http, 200).await;
    let sender = Link::new(&site.settings.reach()).unwrap().open().unwrap();
    assert_eq!(sender.send(message()).await.unwrap(), 0);
    let seen = site.seen.try_recv().unwrap();
    assert_eq!((seen.path.as_str(), seen.key.as_str()), ("/otlp/v1/traces", "s3cret"));
    let told = ExportTraceServiceRequest::decode(seen.body).unwrap();
    assert_eq!(told.resource_spans.len(), 1);
}

#[tokio::test]
async fn over_grpc_with_tls_and_a_key() {
    let site = site(Protocol::Grpc, 200).await;
    let sender = Link::new(&site.settings.reach()).unwrap().open().unwrap();
    // What answers is no gRPC, which is of no interest here.
    let _ = sender.send(message()).await;
    let seen = site.seen.try_recv().unwrap();
    assert_eq!(seen.version, Version::HTTP_2);
    assert_eq!(seen.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(seen.key, "s3cret");
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    for (status, again) in [(503, true), (429, true), (400, false), (401, false), (302, false)] {
        let site = site(Protocol::Http, status).await;
        let sender = Link::new(&site.settings.reach()).unwrap().open().unwrap();
        let unsent = sender.send(message()).await.unwrap_err();
        assert_eq!(matches!(unsent, Unsent::ForNow(_)), again, "{status}: {unsent}");
    }
}

#[tokio::test]
async fn a_collector_that_nobody_vouches_for_is_told_nothing() {
    let site = site(Protocol::Http, 200).await;
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(site.settings.authorities.as_ref().unwrap(), other.cert.pem()).unwrap();
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let settings = Settings { protocol, ..site.settings.clone() };
        let sender = Link::new(&settings.reach()).unwrap().open().unwrap();
        assert!(matches!(sender.send(message()).await, Err(Unsent::ForNow(_))));
    }
    assert!(site.seen.try_recv().is_err());
}
