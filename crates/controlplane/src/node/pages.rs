//! What a control node serves: gRPC for nodes and tools, HTTP for people and tools.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1::FeedSettings;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::{NodeConfig, Parts, StartError};
use crate::admin::backups::Backups;
use crate::admin::progress::ClusterAcknowledgements;
use crate::admin::rest::Rest;
use crate::admin::{Admin, Setup, grpc};
use crate::approvals::{self, ApprovalsConfig, ApprovalsNode};
use crate::command::actor::Actor;
use crate::deliveries::{Deliveries, Sender};
use crate::evidence::{EvidenceConfig, EvidenceNode};
use crate::feed::{Admission, DataNames, FeedNode, FeedNodeConfig};
use crate::lending::{Lead, LendingConfig, LendingNode};
use crate::readiness::Readiness;
use crate::search::SearchNode;
use crate::shards;
use crate::spans::{CallSink, Traced};
use crate::tokens::{TokensConfig, TokensNode};
use crate::witnesses::Witnesses;

/// The feed of the node that `config` describes.
///
/// # Errors
/// The cluster's name cannot issue tokens.
pub(super) fn feed(config: &NodeConfig, parts: &Parts) -> Result<FeedNode, StartError> {
    let feed = FeedNodeConfig {
        name: config.name.clone(),
        id: parts.raft.status().node,
        issuer: config.cluster.as_str().parse()?,
        admission: Admission::Certificates(DataNames::new(&config.cluster)),
        cluster_keys: Arc::clone(&parts.cluster_keys),
        settings: FeedSettings { staleness_max_seconds: config.staleness_seconds_max },
    };
    Ok(FeedNode::new(feed, parts.control.clone()))
}

/// Keeps the feed for as long as the node runs.
pub(super) fn keep_feed(tasks: &mut JoinSet<&'static str>, feed: FeedNode, stop: CancellationToken) {
    tasks.spawn(async move {
        if let Err(error) = feed.run(stop).await {
            tracing::error!(%error, "the feed to data nodes cannot go on");
        }
        "the feed to data nodes"
    });
}

/// The lending of the node that `config` describes.
pub(super) fn lending(config: &NodeConfig, parts: &Parts, lead: watch::Receiver<Lead>) -> LendingNode {
    let lending = LendingConfig {
        name: config.name.clone(),
        id: parts.raft.status().node,
        admission: Admission::Certificates(DataNames::new(&config.cluster)),
        clock: config.clock.clone(),
    };
    LendingNode::new(lending, parts.control.clone(), lead)
}

/// The giving out of tokens by the node that `config` describes.
pub(super) fn tokens(config: &NodeConfig, parts: &Parts) -> TokensNode {
    let tokens = TokensConfig {
        id: parts.raft.status().node,
        cluster: config.cluster.clone(),
        admission: Admission::Certificates(DataNames::new(&config.cluster)),
        clock: config.clock.clone(),
        cluster_keys: Arc::clone(&parts.cluster_keys),
        randomness: StdRng::from_rng(&mut rand::rng()),
    };
    TokensNode::new(tokens, parts.control.clone())
}

/// Lends for as long as the node runs and leads.
pub(super) fn keep_lending(tasks: &mut JoinSet<&'static str>, lending: LendingNode, stop: CancellationToken) {
    tasks.spawn(async move {
        lending.run(stop).await;
        "the lending to data nodes"
    });
}

/// The approvals of the node that `config` describes, whose admin API people reach at `public_url`.
pub(super) fn approvals(
    config: &NodeConfig,
    parts: &Parts,
    public_url: String,
    stop: CancellationToken,
) -> ApprovalsNode {
    let approvals = ApprovalsConfig {
        id: parts.raft.status().node,
        admission: Admission::Certificates(DataNames::new(&config.cluster)),
        cluster_keys: Arc::clone(&parts.cluster_keys),
        randomness: StdRng::from_rng(&mut rand::rng()),
        public_url,
    };
    ApprovalsNode::new(approvals, parts.control.clone(), stop)
}

/// Writes down which requests for approval have ended, for as long as the node runs and leads.
pub(super) fn keep_approvals(
    tasks: &mut JoinSet<&'static str>,
    parts: &Parts,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let me = Actor::ControlNode(parts.raft.status().node);
    let control = parts.control.clone();
    tasks.spawn(async move {
        approvals::keep(control, me, leads, stop).await;
        "the keeper of approvals"
    });
}

/// What sends messages about approvals.
///
/// # Errors
/// There is no TLS.
pub(super) fn sender(config: &NodeConfig, public_url: String) -> Result<Sender, StartError> {
    let keys = Arc::clone(&config.cluster_keys);
    Ok(Sender::new(keys, config.clock.clone(), &public_url, config.deliver_to_private)?)
}

/// Tells people of requests for approval, for as long as the node runs and leads.
pub(super) fn keep_deliveries(
    tasks: &mut JoinSet<&'static str>,
    parts: &Parts,
    sender: Sender,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let me = Actor::ControlNode(parts.raft.status().node);
    let deliveries = Deliveries::new(parts.control.clone(), me, sender, leads);
    tasks.spawn(async move {
        deliveries.run(stop).await;
        "the deliveries of approvals"
    });
}

/// The evidence of data nodes, at the node that `config` describes.
pub(super) fn evidence(config: &NodeConfig, parts: &Parts) -> EvidenceNode {
    let evidence = EvidenceConfig {
        id: parts.raft.status().node,
        admission: Admission::Certificates(DataNames::new(&config.cluster)),
    };
    EvidenceNode::new(evidence, parts.control.clone())
}

/// Takes evidence for as long as the node runs.
pub(super) fn keep_evidence(
    tasks: &mut JoinSet<&'static str>,
    evidence: EvidenceNode,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    tasks.spawn(async move {
        evidence.run(leads, stop).await;
        "the evidence of data nodes"
    });
}

/// The searches of the node that `config` describes.
pub(super) fn search(config: &NodeConfig, parts: &Parts, stop: CancellationToken) -> SearchNode {
    let admission = Admission::Certificates(DataNames::new(&config.cluster));
    SearchNode::new(admission, parts.control.clone(), stop)
}

/// Has outside witnesses cosign the control log for as long as the node runs and leads, if there are any.
///
/// # Errors
/// Nobody can be asked.
pub(super) fn ask_witnesses(
    tasks: &mut JoinSet<&'static str>,
    config: &NodeConfig,
    parts: &Parts,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
) -> Result<(), StartError> {
    if config.witnesses.is_empty() {
        return Ok(());
    }
    let witnesses = Witnesses::new(
        parts.control.clone(),
        parts.raft.status().node,
        Arc::clone(&parts.cluster_keys),
        config.witnesses.clone(),
        Duration::from_secs(caps::WITNESS_EVERY_SECONDS),
    )?;
    tasks.spawn(async move {
        witnesses.run(leads, stop).await;
        "the witnesses of the control log"
    });
    Ok(())
}

/// Keeps the shard map for as long as the node runs and lends.
pub(super) fn keep_shards(
    tasks: &mut JoinSet<&'static str>,
    parts: &Parts,
    lending: &LendingNode,
    stop: CancellationToken,
) {
    let me = Actor::ControlNode(parts.raft.status().node);
    let (control, live) = (parts.control.clone(), lending.live());
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            kept = shards::keep(control, me, live) => if let Err(error) = kept {
                tracing::error!(%error, "the shard map cannot be kept");
            },
        }
        "the shard map"
    });
}

/// The admin API of a node.
pub(super) fn admin(
    parts: &Parts,
    feed: &FeedNode,
    backups: Arc<dyn Backups>,
    readiness: Readiness,
    sender: Sender,
    search: SearchNode,
) -> Admin {
    Admin::new(Setup {
        control: parts.control.clone(),
        cluster_keys: Arc::clone(&parts.cluster_keys),
        publisher: parts.publisher.clone(),
        clock: parts.clock.clone(),
        randomness: StdRng::from_rng(&mut rand::rng()),
        membership: Arc::new(parts.raft.clone()),
        acknowledgements: Arc::new(ClusterAcknowledgements::new(feed.acks().clone(), parts.raft.clone())),
        backups,
        object_store: Arc::new(parts.raft.clone()),
        readiness,
        sender,
        search,
    })
}

/// What a node serves to data nodes over gRPC.
pub(super) struct ForDataNodes<'n> {
    pub(super) feed: &'n FeedNode,
    pub(super) lending: &'n LendingNode,
    pub(super) approvals: &'n ApprovalsNode,
    pub(super) evidence: &'n EvidenceNode,
    pub(super) tokens: &'n TokensNode,
    pub(super) search: &'n SearchNode,
}

/// What is served over gRPC.
pub(super) fn routes(
    parts: &Parts,
    served: &ForDataNodes<'_>,
    admin: &Admin,
    calls: &CallSink,
    tasks: &mut JoinSet<&'static str>,
    stop: CancellationToken,
) -> Routes {
    let (reporter, health) = grpc::health();
    let told = admin.clone();
    tasks.spawn(async move {
        grpc::report_health(told, reporter, stop).await;
        "the report of health"
    });
    Routes::new(parts.raft.service())
        .add_service(served.feed.service())
        .add_service(served.lending.service())
        .add_service(Traced::new(served.approvals.service(), Some(calls.clone())))
        .add_service(served.evidence.service())
        .add_service(Traced::new(served.tokens.service(), Some(calls.clone())))
        .add_service(served.search.service())
        .add_service(Traced::new(grpc::server(admin.clone()), Some(calls.clone())))
        .add_service(health)
        .add_service(grpc::reflection())
}

/// What is served over HTTP.
pub(super) fn rest(admin: &Admin, calls: &CallSink) -> Rest {
    Rest::new(admin.clone()).with_spans(Some(calls.clone()))
}
