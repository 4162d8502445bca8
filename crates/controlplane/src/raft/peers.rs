//! Connections to the other control nodes: made when first used, made anew when an address or our certificate changes.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1::raft_client::RaftClient;
use aegis_raft_store::types::{NodeId, Peer};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{ConnectError, Status};
use tower::Service;

use super::envelope::{Envelope, Refused, is_refusal};
use super::tls::TlsIdentity;

/// What a connection is for. Each has its own, so that a snapshot does not hold up a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Entries, heartbeats and votes.
    Raft,
    /// Snapshots.
    Bulk,
    /// Proposals, reads and status.
    Ask,
}

/// The connections of one node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    envelope: Envelope,
    identity: TlsIdentity,
    open: Mutex<HashMap<(NodeId, Lane), Open>>,
}

struct Open {
    peer: Peer,
    generation: u64,
    channel: Channel,
    /// What went wrong last, so that it is said once and not with every heartbeat.
    trouble: Option<String>,
}

/// Why another node could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// It was not reached, or refused the request: nothing happened there.
    #[error("{0}")]
    NotReached(String),
    /// It may have got the request.
    #[error("{0}")]
    Interrupted(String),
}

impl Peers {
    pub(super) fn new(envelope: Envelope, identity: TlsIdentity) -> Self {
        Self { inner: Arc::new(Inner { envelope, identity, open: Mutex::new(HashMap::new()) }) }
    }

    pub(super) fn envelope(&self) -> &Envelope {
        &self.inner.envelope
    }

    /// A client for `node`. Connects nothing yet, so it costs next to nothing: openraft asks within its main loop.
    pub(super) fn client(
        &self,
        node: NodeId,
        peer: &Peer,
        lane: Lane,
    ) -> Result<RaftClient<Channel>, CallError> {
        let generation = self.inner.identity.generation();
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match open.get(&(node, lane)) {
            Some(known) if known.peer == *peer && known.generation == generation => known.channel.clone(),
            _ => {
                let channel = self.channel(peer).map_err(CallError::NotReached)?;
                let known = Open { peer: peer.clone(), generation, channel: channel.clone(), trouble: None };
                open.insert((node, lane), known);
                channel
            }
        };
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(caps::RAFT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::RAFT_MESSAGE_BYTES_MAX))
    }

    fn channel(&self, peer: &Peer) -> Result<Channel, String> {
        let address: Uri =
            peer.address.parse().map_err(|_unquoted| format!("the address of `{}` is no URL", peer.name))?;
        let authority =
            address.authority().ok_or_else(|| format!("the address of `{}` has no host", peer.name))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = self.inner.envelope.names.node(&peer.name).map_err(|error| error.to_string())?;
        // TLS is our connector's matter, so gRPC is told of a plain connection.
        let endpoint =
            Endpoint::from_shared(format!("http://{authority}")).map_err(|error| error.to_string())?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIME)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES);
        let port = address.port_u16().unwrap_or(PORT);
        let identity = self.inner.identity.clone();
        Ok(endpoint.connect_with_connector_lazy(Connector { host, port, server, identity }))
    }

    /// What a failed request means, said in the log when it changes.
    pub(super) fn failed(&self, node: NodeId, lane: Lane, status: &Status) -> CallError {
        let not_reached = is_refusal(status) || was_not_connected(status);
        let text = match std::error::Error::source(status) {
            Some(source) => format!("{} ({})", status.message(), deepest(source)),
            None => status.message().to_owned(),
        };
        self.note(node, lane, Some(&text));
        match not_reached {
            true => CallError::NotReached(text),
            false => CallError::Interrupted(text),
        }
    }

    /// An answer whose sender is somebody else, or who speaks otherwise.
    pub(super) fn misanswered(&self, node: NodeId, lane: Lane, refused: &Refused) -> CallError {
        let text = refused.to_string();
        self.note(node, lane, Some(&text));
        CallError::Interrupted(text)
    }

    /// The node answered.
    pub(super) fn answered(&self, node: NodeId, lane: Lane) {
        self.note(node, lane, None);
    }

    fn note(&self, node: NodeId, lane: Lane, trouble: Option<&str>) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = open.get_mut(&(node, lane)) else { return };
        if known.trouble.as_deref() == trouble {
            return;
        }
        let peer = &known.peer.name;
        match trouble {
            Some(why) => tracing::warn!(peer, ?lane, why, "a control node cannot be asked"),
            None => tracing::info!(peer, ?lane, "a control node answers again"),
        }
        known.trouble = trouble.map(str::to_owned);
    }

    /// Closes the connections to all but `members`.
    pub(super) fn keep(&self, members: impl Fn(NodeId) -> bool) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(node, _), _| members(*node));
    }
}

/// Where an address without a port leads.
const PORT: u16 = 7071;

/// Longest time for a connection with its handshake.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Silence after which a peer is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What a peer may send before it is read.
const WINDOW_BYTES: u32 = 4 << 20;

fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn was_not_connected(status: &Status) -> bool {
    let mut next = std::error::Error::source(status);
    while let Some(error) = next {
        if error.is::<ConnectError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Connects to one node and proves both sides.
#[derive(Clone)]
struct Connector {
    host: String,
    port: u16,
    server: ServerName<'static>,
    identity: TlsIdentity,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { host, port, server, identity } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let stream = TlsConnector::from(identity.client()).connect(server, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(io::Error::other("the node at this address does not speak HTTP/2"));
            }
            Ok(TokioIo::new(stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use aegis_identity::tls::IdentityPem;
    use rcgen::generate_simple_self_signed;

    use super::*;
    use crate::raft::tls::{ControlNames, TlsPem};

    fn with_pem<T>(then: impl Fn(TlsPem<'_>) -> T) -> T {
        let made = generate_simple_self_signed(["control.c".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
        then(TlsPem { identity, authorities: chain.as_bytes() })
    }

    #[tokio::test]
    async fn connections_are_made_anew_for_another_address_or_certificate_and_closed_for_who_is_gone() {
        let identity = with_pem(TlsIdentity::new).unwrap();
        let cluster: aegis_model::ids::ClusterId = "c".parse().unwrap();
        let names = ControlNames::new(&cluster).unwrap();
        let peers =
            Peers::new(Envelope { cluster, node: 1, name: "one".to_owned(), names }, identity.clone());
        let ask = |address: &str| {
            let peer = Peer { name: "two".to_owned(), address: address.to_owned() };
            let made = peers.client(2, &peer, Lane::Ask).map(|_client| ());
            let open = peers.inner.open.lock().unwrap();
            (made.is_ok(), open.get(&(2, Lane::Ask)).map(|open| (open.peer.address.clone(), open.generation)))
        };
        assert_eq!(ask("no url"), (false, None));
        assert_eq!(ask("https://a:1"), (true, Some(("https://a:1".to_owned(), 0))));
        assert_eq!(ask("https://b:1"), (true, Some(("https://b:1".to_owned(), 0))));
        with_pem(|pem| identity.replace(pem)).unwrap();
        assert_eq!(ask("https://b:1"), (true, Some(("https://b:1".to_owned(), 1))));
        peers.keep(|node| node != 2);
        assert!(peers.inner.open.lock().unwrap().is_empty());
    }
}
