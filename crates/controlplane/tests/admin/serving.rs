//! The HTTP port: TLS and plain, bounds of heads, and the end of a node with a call under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aegis_controlplane::admin::rest::Rest;
use aegis_controlplane::admin::rest::listen::{TlsSource, serve};
use aegis_identity::tls::{IdentityPem, server_config};
use aegis_testkit::loopback;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::setting::Setting;

/// A port that is served.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Served {
    pub(crate) async fn start(setting: &Setting, tls: Option<TlsSource>) -> Self {
        let (listener, address) = loopback().unwrap();
        let (listener, stop) = (TcpListener::from_std(listener).unwrap(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, tls, Rest::new(setting.admin.clone()), stop.clone()));
        Self { address, stop, tasks }
    }

    /// Stops, which has to be done in time.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.tasks.join_next()).await;
        ended.expect("the port closes").expect("a task").expect("no panic");
    }
}

#[tokio::test]
async fn it_is_served_over_tls_with_the_certificate_of_the_moment() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
    let config = Arc::new(server_config(identity, None, &[b"h2", b"http/1.1"]).unwrap());
    let tls: TlsSource = Arc::new(move || Arc::clone(&config));
    let setting = Setting::new().await;
    let served = Served::start(&setting, Some(tls)).await;
    let authority = reqwest::Certificate::from_pem(chain.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).resolve("localhost", served.address);
    let client = client.build().unwrap();
    let url = format!("https://localhost:{}/admin/v1/whoami", served.address.port());
    let reply = client.get(url).bearer_auth(&setting.token).send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.version()), (200, reqwest::Version::HTTP_2));
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn a_call_under_way_is_finished_when_the_node_stops() {
    let setting = Setting::new().await;
    let served = Served::start(&setting, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let body = r#"{"name": "acme"}"#;
    let head = format!(
        "POST /admin/v1/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        setting.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The node asks for the body, so the call is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"), "{asked:?}");
    let address = served.address;
    let finish = async {
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (answer, ()) = tokio::join!(finish, served.stop());
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(TcpStream::connect(address).await.is_err(), "nothing is accepted any more");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let setting = Setting::new().await;
    let served = Served::start(&setting, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-filler: {}\r\n\r\n", "x".repeat(64 << 10));
    // It may be refused before all of it was sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 431") || answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    served.stop().await;
}
