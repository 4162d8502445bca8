//! Somebody who speaks the protocol by hand.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use aegis_controlplane::raft::envelope::{PROTOCOL, REFUSED};
use aegis_identity::tls::{IdentityPem, client_config};
use aegis_proto::v1;
use aegis_proto::v1::raft_client::RaftClient;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::cluster::{CLUSTER, Seat};

/// A client of `seat` that shows `identity` (chain and key), or no certificate.
pub(crate) async fn connect(
    seat: &Seat,
    identity: Option<&(String, String)>,
    authority: &str,
) -> Result<RaftClient<Channel>, tonic::transport::Error> {
    let identity = identity.map(|(chain, key)| IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() });
    let config = Arc::new(client_config(authority.as_bytes(), identity, &[b"h2"]).unwrap());
    let name = ServerName::try_from(format!("{}.control.{CLUSTER}", seat.name)).unwrap();
    let address: SocketAddr = seat.address();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (config, name) = (Arc::clone(&config), name.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            Ok::<_, io::Error>(TokioIo::new(TlsConnector::from(config).connect(name, stream).await?))
        }
    });
    let channel = Endpoint::from_static("http://node").connect_with_connector(connector).await?;
    Ok(RaftClient::new(channel))
}

pub(crate) fn sender(node: u64, name: &str) -> Option<v1::RaftSender> {
    Some(v1::RaftSender { cluster: CLUSTER.to_owned(), node, name: name.to_owned(), protocol: PROTOCOL })
}

/// The code of a refusal.
pub(crate) fn code<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => "taken".to_owned(),
        Err(status) => match status.metadata().get(REFUSED) {
            Some(code) => code.to_str().unwrap().to_owned(),
            None => format!("{:?}: {}", status.code(), status.message()),
        },
    }
}
