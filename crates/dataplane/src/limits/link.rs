//! Finds the control plane's leader, again and again, and carries what is said to and fro.
//!
//! Control nodes are tried one after the other, and beside one that does not answer soon the next: who does not lead says so,
//! and mostly who does.

use std::collections::VecDeque;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use aegis_proto::v1::lend_farewell::Reason;
use aegis_proto::v1::lend_request::Message as Up;
use aegis_proto::v1::lend_response::Message as Down;
use aegis_proto::v1::lending_client::LendingClient;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::book::Identity;
use super::lender::{Heard, Line};
use crate::feed::{Connector, ControlAddress, Pauses, causes};

/// Who asks, and whom.
#[derive(Debug)]
pub(crate) struct LinkConfig {
    /// The node's name, as in its certificate.
    pub(crate) node: String,
    /// The only tenant that it serves.
    pub(crate) tenant: Option<TenantId>,
    /// The control nodes.
    pub(crate) controls: Vec<ControlAddress>,
    /// Opens connections to them.
    pub(crate) connector: Connector,
    /// Spreads pauses.
    pub(crate) randomness: u64,
}

/// Why a control node does not lend, or stopped.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not welcome this node in time")]
    Slow,
    #[error("it answered {code}: {message}", code = .0.code(), message = .0.message())]
    Refused(Box<Status>),
    #[error("it ended the stream")]
    Closed,
    #[error("it does not lead")]
    NotLeader(Option<ControlAddress>),
    #[error("it said farewell: {0}")]
    Farewell(String),
    #[error("it belongs to another cluster than this node")]
    OtherCluster,
    #[error("this process was replaced or its history is over: {0}")]
    Over(String),
}

/// A stream of the leader.
struct Stream {
    address: ControlAddress,
    up: mpsc::Sender<v1::LendRequest>,
    down: Streaming<v1::LendResponse>,
    nodes: u32,
}

/// Room for everything that is under way at once: an ask, ticks, and that the node leaves.
const UPSTREAM: usize = 16;

const STAGGER: Duration = Duration::from_millis(caps::LEND_STAGGER_MS);

/// Between two warnings that nobody lends.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// Tells `heard` what the leaders say, one after the other. Ends when none will ever lend to this process.
pub(super) async fn link(config: LinkConfig, identity: Identity, heard: mpsc::Sender<Heard>) {
    let longest = Duration::from_millis(caps::LEND_PAUSE_MS_MAX);
    let mut pauses = Pauses::new((longest / 8, longest), config.randomness);
    let mut warned: Option<Instant> = None;
    let mut order: VecDeque<ControlAddress> = config.controls.iter().cloned().collect();
    loop {
        match find(&config, &identity, &mut order).await {
            Ok(stream) => {
                let begun = Instant::now();
                let address = stream.address.clone();
                tracing::info!(control = %address, "borrowing from the leader");
                let cut = carry(stream, &heard).await;
                if heard.send(Heard::Lost).await.is_err() {
                    return;
                }
                match cut {
                    Cut::Over(message) => return over(&address, &message, &heard).await,
                    Cut::NotLeader(leader) => {
                        tracing::info!(control = %address, "a control node leads no longer");
                        prefer(&mut order, leader);
                    }
                    cut => tracing::warn!(control = %address, %cut, "lending by a control node ended"),
                }
                // Nobody hears of it that it leads no longer from a node that is gone.
                if order.front() == Some(&address) {
                    order.rotate_left(1);
                }
                if begun.elapsed() > longest {
                    pauses.begin_anew();
                } else {
                    // One that ends its streams at once is not worth more haste.
                    tokio::time::sleep(pauses.next()).await;
                }
            }
            Err(Cut::Over(message)) => {
                let address = order.front().map(ToString::to_string).unwrap_or_default();
                return over(&address, &message, &heard).await;
            }
            Err(cut) => {
                if warned.is_none_or(|warned| warned.elapsed() > WARN_AGAIN) {
                    warned = Some(Instant::now());
                    tracing::warn!(%cut, "no control node lends to this node at present");
                }
                tokio::time::sleep(pauses.next()).await;
            }
        }
        if heard.is_closed() {
            return;
        }
    }
}

async fn over(control: &(impl std::fmt::Display + ?Sized), message: &str, heard: &mpsc::Sender<Heard>) {
    tracing::error!(%control, message, "this process may not borrow any more, and has to end");
    // A receiver that is gone has ended already.
    let _ = heard.send(Heard::Over).await;
}

/// Puts a node to the front that is said to lead.
fn prefer(order: &mut VecDeque<ControlAddress>, leader: Option<ControlAddress>) {
    let at = leader.and_then(|leader| order.iter().position(|address| *address == leader));
    if let Some(leader) = at.and_then(|at| order.remove(at)) {
        order.push_front(leader);
    }
}

/// Tries all control nodes once, in this order, and those that are said to lead before the others.
async fn find(
    config: &LinkConfig,
    identity: &Identity,
    order: &mut VecDeque<ControlAddress>,
) -> Result<Stream, Cut> {
    let mut untried = order.clone();
    let mut trying = FuturesUnordered::new();
    let mut last = Cut::Closed;
    loop {
        if trying.is_empty() {
            let Some(next) = untried.pop_front() else { return Err(last) };
            trying.push(begin(config, identity, next));
        }
        tokio::select! {
            Some((address, tried)) = trying.next() => match tried {
                Ok(stream) => {
                    prefer(order, Some(address));
                    return Ok(stream);
                }
                Err(Cut::Over(message)) => return Err(Cut::Over(message)),
                Err(Cut::NotLeader(leader)) => {
                    prefer(&mut untried, leader);
                    last = Cut::NotLeader(None);
                }
                Err(cut) => {
                    tracing::debug!(control = %address, %cut, "a control node does not lend");
                    last = cut;
                }
            },
            () = tokio::time::sleep(STAGGER) => if let Some(next) = untried.pop_front() {
                trying.push(begin(config, identity, next));
            },
        }
    }
}

/// From no connection to a welcome.
async fn begin(
    config: &LinkConfig,
    identity: &Identity,
    address: ControlAddress,
) -> (ControlAddress, Result<Stream, Cut>) {
    let welcome = Duration::from_millis(caps::LEND_WELCOME_MS);
    let begun = tokio::time::timeout(welcome, welcomed(config, identity, &address)).await;
    let begun = begun.unwrap_or(Err(Cut::Slow));
    (address, begun)
}

async fn welcomed(config: &LinkConfig, identity: &Identity, address: &ControlAddress) -> Result<Stream, Cut> {
    let unreachable = |error: tonic::transport::Error| Cut::Unreachable(causes(&error));
    let channel = config.connector.channel(address).await.map_err(unreachable)?;
    let mut client = LendingClient::new(channel)
        .max_decoding_message_size(caps::LEND_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(caps::LEND_MESSAGE_BYTES_MAX);
    let (up, requests) = mpsc::channel(UPSTREAM);
    let hello = v1::LendHello {
        node_name: config.node.clone(),
        node_id: identity.node_id,
        incarnation: identity.incarnation,
        history: identity.history,
        tenant: config.tenant.as_ref().map(TenantId::to_string).unwrap_or_default(),
        level: 1,
    };
    // The queue is empty, and its other end is held.
    let _ = up.try_send(v1::LendRequest { message: Some(Up::Hello(hello)) });
    let mut down = client.lend(ReceiverStream::new(requests)).await?.into_inner();
    match down.message().await?.ok_or(Cut::Closed)?.message {
        Some(Down::Welcome(welcome)) if welcome.cluster_id == identity.cluster.as_str() => {
            Ok(Stream { address: address.clone(), up, down, nodes: welcome.nodes })
        }
        Some(Down::Welcome(_)) => Err(Cut::OtherCluster),
        Some(Down::Farewell(farewell)) => Err(farewell_cut(&farewell)),
        Some(Down::Answer(_) | Down::Shares(_) | Down::Recall(_)) | None => Err(Cut::Closed),
    }
}

/// Carries what the leader says, until its stream ends or nobody hears.
async fn carry(stream: Stream, heard: &mpsc::Sender<Heard>) -> Cut {
    let Stream { up, mut down, nodes, .. } = stream;
    let ended = CancellationToken::new();
    let line = Line { nodes, up, _stream: ended.clone().drop_guard() };
    if heard.send(Heard::Welcomed(line)).await.is_err() {
        return Cut::Closed;
    }
    loop {
        let message = tokio::select! {
            message = down.message() => message,
            () = ended.cancelled() => return Cut::Closed,
        };
        let response = match message {
            Ok(Some(response)) => response,
            Ok(None) => return Cut::Closed,
            Err(status) => return status.into(),
        };
        if let Some(Down::Farewell(farewell)) = &response.message {
            return farewell_cut(farewell);
        }
        if heard.send(Heard::Said(response)).await.is_err() {
            return Cut::Closed;
        }
    }
}

fn farewell_cut(farewell: &v1::LendFarewell) -> Cut {
    let message = farewell.message.clone();
    match farewell.reason() {
        Reason::Fenced | Reason::History => Cut::Over(message),
        // An address that is none leads nowhere; the others are tried anyway.
        Reason::NotLeader => Cut::NotLeader(farewell.leader.parse().ok()),
        Reason::Stopping | Reason::Unspecified => Cut::Farewell(message),
    }
}

impl From<Status> for Cut {
    fn from(status: Status) -> Self {
        match status.code() {
            // The control node is sure, and this node's certificate proved who was meant.
            Code::FailedPrecondition => Self::Over(status.message().to_owned()),
            _ => Self::Refused(Box::new(status)),
        }
    }
}

#[cfg(test)]
mod tests;
