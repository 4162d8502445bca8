//! Evidence of data nodes: that their audit logs began, how far they are, and where they ended, on its way into the control log.
//!
//! ```text
//!  data node ── OpenJournal ────────▶ admitted ────────────────────────────▶ `OpenJournal` ──▶ birth
//!            ── ReportCheckpoint ───▶ admitted ──▶ gathers half a second ──▶ `NoteCheckpoints`, one entry ──▶ accepted, or refused
//! ```
//!
//! Every control node serves it, since what is accepted is judged where the command is applied. A report of an end waits for nobody.
//! Nothing here is remembered: whoever gets no answer asks again, and what was accepted before is accepted again.

mod gather;

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{CheckpointReport, DataNode, OpenJournal};
use aegis_proto::v1;
use aegis_proto::v1::evidence_server::{Evidence, EvidenceServer};
use http::Extensions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::feed::Admission;
use crate::state::data_nodes;

/// What a control node's service is made from.
#[derive(Debug, Clone)]
pub struct EvidenceConfig {
    /// Its Raft node id: in whose name it writes down what data nodes say.
    pub id: u64,
    /// How data nodes prove who they are.
    pub admission: Admission,
}

/// One control node's side of the evidence of data nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EvidenceNode {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: EvidenceConfig,
    control: Control,
    reports: mpsc::Sender<gather::Waiting>,
    inbox: std::sync::Mutex<Option<mpsc::Receiver<gather::Waiting>>>,
}

impl EvidenceNode {
    /// The service over `control`. Checkpoints wait until [`EvidenceNode::run`].
    pub fn new(config: EvidenceConfig, control: Control) -> Self {
        let (reports, inbox) = mpsc::channel(caps::EVIDENCE_QUEUE_MAX);
        let inbox = std::sync::Mutex::new(Some(inbox));
        Self { shared: Arc::new(Shared { config, control, reports, inbox }) }
    }

    /// The gRPC service, with its bounds.
    pub fn service(&self) -> EvidenceServer<Self> {
        EvidenceServer::new(self.clone())
            .max_decoding_message_size(caps::EVIDENCE_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::EVIDENCE_MESSAGE_BYTES_MAX)
    }

    /// Has checkpoints replicated until `stopping`, and while this node `leads`, has written down what no later report would have
    /// written down. To be called once.
    pub async fn run(&self, leads: watch::Receiver<bool>, stopping: CancellationToken) {
        let inbox = self.shared.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(inbox) = inbox else {
            return tracing::error!("evidence is gathered already");
        };
        let actor = Actor::ControlNode(self.shared.config.id);
        let control = &self.shared.control;
        tokio::join!(
            gather::run(control, &actor, inbox, stopping.clone()),
            gather::write_down(control, &actor, leads, stopping),
        );
    }

    /// The data node that asks, in the life in which it asks.
    async fn admit(
        &self,
        extensions: &Extensions,
        node: Option<v1::EvidenceNode>,
    ) -> Result<DataNode, Status> {
        let node = node.ok_or_else(|| Status::invalid_argument("`node` is missing"))?;
        let Shared { config, control, .. } = &*self.shared;
        let incarnation = node.incarnation;
        let row = admitted(control, &config.admission, extensions, node).await?;
        // What is older than the row is refused where the command is applied.
        Ok(DataNode { incarnation, ..row })
    }
}

/// The row of a data node that says that it is `node`, if its certificate proves it, and the row is of this life or of a later one.
pub(crate) async fn admitted(
    control: &Control,
    admission: &Admission,
    extensions: &Extensions,
    node: v1::EvidenceNode,
) -> Result<DataNode, Status> {
    let only: Option<TenantId> = match node.tenant.as_str() {
        "" => None,
        tenant => Some(tenant.parse().map_err(|_bad| Status::invalid_argument("`tenant` is no name"))?),
    };
    admission.admit(extensions, &node.node_name, only.as_ref())?;
    let unavailable = |error: &dyn std::fmt::Display| Status::unavailable(error.to_string());
    let known = |row: Option<DataNode>| row.filter(|row| row.incarnation >= node.incarnation);
    let view = control.view().map_err(|error| unavailable(&error))?;
    let mut row = known(data_nodes::data_node(&view, node.node_id).map_err(|error| unavailable(&error))?);
    if row.is_none() {
        // Another control node may have registered it a moment ago.
        let view = control.read().await.map_err(|error| unavailable(&error))?;
        row = known(data_nodes::data_node(&view, node.node_id).map_err(|error| unavailable(&error))?);
    }
    let row =
        row.ok_or_else(|| Status::unavailable("the cluster does not know the data node's incarnation"))?;
    // The certificate proves the name, and the row binds the id to it.
    if row.name != node.node_name || row.tenant != node.tenant {
        return Err(Status::permission_denied("the id belongs to another data node"));
    }
    Ok(row)
}

#[tonic::async_trait]
impl Evidence for EvidenceNode {
    async fn open_journal(
        &self,
        request: Request<v1::OpenJournalRequest>,
    ) -> Result<Response<v1::OpenJournalResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let node = self.admit(&extensions, message.node).await?;
        let command =
            OpenJournal { node: node.id, incarnation: node.incarnation, verifier: message.verifier };
        let actor = Actor::ControlNode(self.shared.config.id);
        match self.shared.control.propose(command, &actor).await {
            Ok(_opened) => {
                tracing::info!(node = node.id, incarnation = node.incarnation, "a data node begins its log");
                Ok(Response::new(v1::OpenJournalResponse::default()))
            }
            Err(ProposeError::Refused(refused)) => {
                tracing::warn!(node = node.id, %refused, "a data node may not begin its log");
                let refused = v1::OpenJournalResponse {
                    refused: refused.code.as_str().to_owned(),
                    message: refused.message,
                };
                Ok(Response::new(refused))
            }
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    async fn report_checkpoint(
        &self,
        request: Request<v1::ReportCheckpointRequest>,
    ) -> Result<Response<v1::ReportCheckpointResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let node = self.admit(&extensions, message.node).await?;
        if message.request.len() > caps::AUDIT_REPORT_BYTES_MAX {
            return Err(Status::invalid_argument("`request` is too long"));
        }
        let report = CheckpointReport {
            node: node.id,
            incarnation: node.incarnation,
            origin: message.origin,
            request: message.request,
            closing: message.closing,
        };
        let (answer, answered) = oneshot::channel();
        let waiting = gather::Waiting { report, answer };
        if self.shared.reports.try_send(waiting).is_err() {
            return Err(Status::unavailable("too many checkpoints wait, or this control node is stopping"));
        }
        let patience = Duration::from_secs(caps::PROPOSE_SECONDS + 1);
        let late = |_elapsed| Status::unavailable("no answer in time");
        let gone = |_dropped| Status::unavailable("this control node is stopping");
        let noted = tokio::time::timeout(patience, answered).await.map_err(late)?.map_err(gone)??;
        Ok(Response::new(v1::ReportCheckpointResponse { refused: noted.refused, size: noted.size }))
    }
}
