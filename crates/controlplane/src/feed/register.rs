//! Taking a data node on: its incarnation, and whether this control node knows enough to serve it.

use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{DataNode, RegisterDataNode, done};
use aegis_proto::v1;
use tokio::sync::watch;
use tonic::Status;

use super::Shared;
use super::board::Board;
use crate::command::Code;
use crate::command::actor::Actor;
use crate::control::ProposeError;

/// Waits until this control node has applied at least what the data node knows, and gives the picture.
pub(super) async fn caught_up(shared: &Shared, hello: &v1::Hello) -> Result<Arc<Board>, Status> {
    wait(shared, |board| board.history > 0 && (board.history, board.index) >= (hello.history, hello.index))
        .await
        .ok_or_else(|| Status::unavailable("this control node is behind what the data node knows"))
}

/// The incarnation of the process that says `hello`: a new one for a new process.
pub(super) async fn incarnation(shared: &Shared, hello: &v1::Hello) -> Result<u64, Status> {
    if hello.incarnation == 0 {
        return register(shared, hello).await;
    }
    // The row of this process is applied somewhere; here it may still be on its way.
    let known = wait(shared, |board| {
        board.nodes.get(&hello.node_id).is_some_and(|node| node.incarnation >= hello.incarnation)
    });
    let Some(board) = known.await else {
        let newer_history = shared.board.borrow().history > hello.history;
        return Err(match newer_history {
            // The cluster was restored from before this process: what it was given then is void.
            true => Status::failed_precondition(
                "the cluster's history has changed; the data node has to start anew",
            ),
            false => Status::unavailable("this control node does not know the data node's incarnation yet"),
        });
    };
    match board.nodes.get(&hello.node_id) {
        Some(node) if node.incarnation == hello.incarnation && !node.retired => Ok(hello.incarnation),
        Some(_) | None => Err(fenced()),
    }
}

/// Why a data node that was replaced has to end.
pub(super) fn fenced() -> Status {
    Status::failed_precondition("another process has started with this data node's id, or it was retired")
}

async fn register(shared: &Shared, hello: &v1::Hello) -> Result<u64, Status> {
    let command = RegisterDataNode {
        id: hello.node_id,
        name: hello.node_name.clone(),
        address: hello.address.clone(),
        region: hello.region.clone(),
        tenant: hello.tenant.clone(),
        software: hello.version.clone(),
    };
    let answer = shared.control.propose(command, &Actor::ControlNode(shared.config.id)).await;
    match answer.map(|answer| answer.done.result) {
        Ok(Some(done::Result::DataNode(DataNode { incarnation, .. }))) => Ok(incarnation),
        Ok(_) => Err(Status::internal("a data node was registered, and the answer is of something else")),
        Err(ProposeError::Refused(refused)) => Err(match refused.code {
            Code::NotInitialized | Code::TooMany => Status::unavailable(refused.to_string()),
            Code::NodeRetired | Code::NameDiffers => Status::permission_denied(refused.to_string()),
            _ => Status::invalid_argument(refused.to_string()),
        }),
        // A second incarnation does no harm: the first one is never used.
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

async fn wait(shared: &Shared, mut enough: impl FnMut(&Board) -> bool) -> Option<Arc<Board>> {
    let mut board: watch::Receiver<Arc<Board>> = shared.board.subscribe();
    let found = board.wait_for(|board| enough(board));
    let found = tokio::time::timeout(Duration::from_secs(caps::FEED_BEHIND_SECONDS), found).await;
    found.ok()?.ok().map(|board| Arc::clone(&board))
}
