//! Connections to control nodes: mutual TLS, or loopback. The feed has one, and so has lending.

use std::io;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::ClusterId;
use aegis_proto::v1::feed_client::FeedClient;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use super::{ControlAddress, FeedTls, OpenError};

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: Option<FeedTls>,
    /// The name that a control node's certificate has to carry, where the cluster is known; otherwise its host.
    role: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("tls", &self.tls.is_some()).finish()
    }
}

/// Both ends of a connection notice within two of these that the other one is gone.
const PING: Duration = Duration::from_secs(3);

impl Connector {
    /// Connects to `controls`, with `tls` where their addresses say so. With `cluster` their certificates have to carry
    /// `control.CLUSTER`, so that no other node of the same authority can stand in for them, wherever an address leads.
    pub(crate) fn new(
        controls: &[ControlAddress],
        tls: Option<FeedTls>,
        cluster: Option<&ClusterId>,
    ) -> Result<Self, OpenError> {
        if controls.is_empty() {
            return Err(OpenError::NoControlNode);
        }
        for address in controls {
            match (address.tls, &tls) {
                (true, None) => return Err(OpenError::NoTls(address.clone())),
                (false, _) if !address.is_loopback() => return Err(OpenError::Plaintext(address.clone())),
                (true, Some(_)) | (false, _) => {}
            }
        }
        let role = cluster.and_then(|cluster| ServerName::try_from(format!("control.{cluster}")).ok());
        Ok(Self { tls, role })
    }

    /// Connects to other data nodes, whose certificates have to carry the host that the shard map names. Where a node advertises
    /// an address without TLS, agents send their tokens there in the clear already.
    pub(crate) fn of_peers(tls: Option<FeedTls>) -> Self {
        Self { tls, role: None }
    }

    /// A client of the feed of the control node at `address`, and its connection.
    pub(super) async fn connect(
        &self,
        address: &ControlAddress,
    ) -> Result<(FeedClient<Channel>, Channel), tonic::transport::Error> {
        let channel = self.channel(address).await?;
        let client = FeedClient::new(channel.clone())
            .max_decoding_message_size(caps::FEED_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::FEED_MESSAGE_BYTES_MAX);
        Ok((client, channel))
    }

    /// A connection to the control node at `address`.
    pub(crate) async fn channel(&self, address: &ControlAddress) -> Result<Channel, tonic::transport::Error> {
        let endpoint = endpoint(address)?.keep_alive_while_idle(true);
        let (connector, address) = (self.clone(), address.clone());
        let dial = tower::service_fn(move |_uri| connector.clone().dial(address.clone()));
        endpoint.connect_with_connector(dial).await
    }

    /// A connection to `address` that opens when it is used.
    pub(crate) fn lazy_channel(&self, address: &ControlAddress) -> Result<Channel, tonic::transport::Error> {
        let endpoint = endpoint(address)?;
        let (connector, address) = (self.clone(), address.clone());
        let dial = tower::service_fn(move |_uri| connector.clone().dial(address.clone()));
        Ok(endpoint.connect_with_connector_lazy(dial))
    }
}

fn endpoint(address: &ControlAddress) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{}:{}", address.host, address.port))?;
    Ok(endpoint.http2_keep_alive_interval(PING).keep_alive_timeout(PING).tcp_nodelay(true))
}

/// A stream of either kind.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Connector {
    async fn dial(self, address: ControlAddress) -> io::Result<TokioIo<Box<dyn Wire>>> {
        let stream = TcpStream::connect((address.server_name(), address.port)).await?;
        // Messages are small and wanted at once. Where the option cannot be set, they are only slower.
        let _ = stream.set_nodelay(true);
        let tls = self.tls.filter(|_| address.tls);
        let wire: Box<dyn Wire> = match tls {
            None if address.tls => {
                return Err(io::Error::other("it is reached with TLS, and no certificates are given"));
            }
            None => Box::new(stream),
            Some(tls) => {
                let host = || ServerName::try_from(address.server_name().to_owned());
                let name = self.role.map_or_else(host, Ok);
                let name = name.map_err(|_bad| io::Error::from(io::ErrorKind::InvalidInput))?;
                Box::new(tls.connector().connect(name, stream).await?)
            }
        };
        Ok(TokioIo::new(wire))
    }
}
