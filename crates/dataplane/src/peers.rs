//! The way to other data nodes: what became of a call is told to the node that decided it, whichever node hears of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::completion::{Completed, Completion};
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use aegis_model::trace::TraceContext;
use aegis_proto::convert;
use aegis_proto::status::reason_of;
use aegis_proto::v1::decision_client::DecisionClient;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::answer::Refused;
use crate::feed::{Connector, ControlAddress, FeedTls};
use crate::snapshot::ShardNode;

/// Metadata of what one node passes on to another: it is not passed on again.
const FORWARDED_METADATA: &str = "aegis-forwarded";

/// Connections to other data nodes, opened when they are needed, by address.
#[derive(Debug)]
pub(crate) struct Peers {
    connector: Connector,
    channels: Mutex<HashMap<Arc<str>, Channel>>,
}

/// Whether another node passed a message on.
pub(crate) fn is_forwarded(metadata: &MetadataMap) -> bool {
    metadata.contains_key(FORWARDED_METADATA)
}

impl Peers {
    /// Reached with `tls` where their addresses say so.
    pub(crate) fn new(tls: Option<FeedTls>) -> Self {
        Self { connector: Connector::of_peers(tls), channels: Mutex::default() }
    }

    /// Tells `node` what became of a call that it decided, for who holds `token`. Gives back the result as it is to be used.
    ///
    /// Refuses for: whatever `node` refuses for; and if it cannot be reached or does not answer in time, which says nothing
    /// about whether it took it. It takes it once, so it may be told again.
    pub(crate) async fn complete(
        &self,
        node: &ShardNode,
        token: &str,
        trace: Option<&TraceContext>,
        completion: &Completion,
    ) -> Result<Completed, Refused> {
        let unreached = |cause: &dyn std::fmt::Display| {
            tracing::warn!(node = node.name, %cause, "a completion did not reach the node that decided");
            let detail =
                format!("node `{}` made the decision and cannot be reached from this one now", node.name);
            Refused::new(ReasonCode::LimitsUnavailable, detail)
        };
        let address =
            node.address.as_ref().ok_or_else(|| unreached(&"it has not said where it is reached"))?;
        let channel = self.channel(address).map_err(|bad| unreached(&bad))?;
        let mut request = Request::new(convert::write_completion(completion));
        request.set_timeout(Duration::from_millis(caps::FORWARD_MS));
        let metadata = request.metadata_mut();
        metadata.insert(FORWARDED_METADATA, AsciiMetadataValue::from_static("1"));
        metadata.insert("authorization", bearer(token)?);
        pass_on(trace, metadata);
        let mut client = DecisionClient::new(channel).max_decoding_message_size(caps::BODY_BYTES_MAX);
        let told = tokio::time::timeout(Duration::from_millis(caps::FORWARD_MS), client.complete(request));
        match told.await {
            Ok(Ok(answer)) => convert::read_completed(answer.into_inner()).map_err(|bad| unreached(&bad)),
            Ok(Err(status)) => Err(refusal(&status).unwrap_or_else(|| unreached(&status))),
            Err(slow) => Err(unreached(&slow)),
        }
    }

    /// The connection to `address`; it opens when it is first used, and again after it broke.
    fn channel(&self, address: &Arc<str>) -> Result<Channel, String> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let parsed: ControlAddress = address.parse().map_err(|bad| format!("`{address}`: {bad}"))?;
        let channel = self.connector.lazy_channel(&parsed).map_err(|bad| bad.to_string())?;
        if channels.len() >= caps::PEER_CONNECTIONS_MAX {
            channels.clear();
        }
        channels.insert(Arc::clone(address), channel.clone());
        Ok(channel)
    }
}

/// Tells whoever is asked to which trace the question belongs.
pub(crate) fn pass_on(trace: Option<&TraceContext>, metadata: &mut MetadataMap) {
    let Some(trace) = trace else { return };
    // Both were read as visible ASCII, or made here.
    if let Ok(parent) = trace.parent().parse() {
        metadata.insert("traceparent", parent);
    }
    if let (false, Ok(state)) = (trace.state.is_empty(), trace.state.parse()) {
        metadata.insert("tracestate", state);
    }
}

fn bearer(token: &str) -> Result<AsciiMetadataValue, Refused> {
    let value = Secret::new(format!("Bearer {token}"));
    let mut value: AsciiMetadataValue =
        value.expose().parse().map_err(|_not_ascii| Refused::plain(ReasonCode::Unauthenticated))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the node itself refuses for; nothing if it is the way to it that failed.
fn refusal(status: &Status) -> Option<Refused> {
    let code: ReasonCode = reason_of(status)?.parse().ok()?;
    // The other node has written the whole sentence; it is written anew around its middle.
    let frame = Refused::new(code, "\u{0}").sentence();
    let (before, after) = frame.split_once('\u{0}')?;
    let detail = status.message().strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    Some(detail.map_or_else(|| Refused::plain(code), |detail| Refused::new(code, detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_is_told_the_trace() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let told = |state: &str| {
            let mut metadata = MetadataMap::new();
            pass_on(TraceContext::read(parent, state).ok().as_ref(), &mut metadata);
            let text = |name: &str| metadata.get(name).map(|value| value.to_str().unwrap().to_owned());
            (text("traceparent"), text("tracestate"))
        };
        assert_eq!(told("k=v, l=w"), (Some(parent.to_owned()), Some("k=v, l=w".to_owned())));
        assert_eq!(told(""), (Some(parent.to_owned()), None));
        let mut metadata = MetadataMap::new();
        pass_on(None, &mut metadata);
        assert!(metadata.is_empty());
    }

    #[test]
    fn what_another_node_refuses_for_is_said_as_it_said_it() {
        let refused = Refused::new(ReasonCode::InvalidRequest, "the decision was completed before");
        let status = aegis_proto::status::refusal(refused.code, &refused.sentence());
        assert_eq!(refusal(&status), Some(refused));
        assert_eq!(refusal(&Status::unavailable("a proxy says so")), None);
        let strange = aegis_proto::status::refusal(ReasonCode::ScopeExceeded, "in other words");
        assert_eq!(refusal(&strange), Some(Refused::plain(ReasonCode::ScopeExceeded)));
    }
}
