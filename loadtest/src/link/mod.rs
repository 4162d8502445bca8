//! One connection to a server under load, per kind of target. The answer to each call is checked.

mod grpc;
mod http;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::calls::Calls;

pub use grpc::{DecideLink, EchoLink};
pub use http::HttpLink;
pub use stream::StreamLink;

/// What the connections of one run share.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The agent's token. A server that wants none gets it all the same: sizes are equal.
    pub token: Arc<str>,
    /// What is asked.
    pub calls: Arc<Calls>,
    /// Stands in `request_id`s, so that no two runs against one server share one.
    pub run: u32,
}
