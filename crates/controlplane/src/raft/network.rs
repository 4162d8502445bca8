//! What openraft says to other nodes, over our connections.

use std::future::Future;
use std::time::Duration;

use aegis_model::caps;
use aegis_raft_store::types::{NodeId, Peer, TypeConfig};
use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, Entry, EntryPayload, LogId, Snapshot, Vote};

use super::peers::{CallError, Lane, Peers};
use super::{snapshot, wire};

/// Makes the links that openraft asks for.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) peers: Peers,
}

/// The way to one node.
pub(super) struct Link {
    peers: Peers,
    target: NodeId,
    peer: Peer,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: NodeId, node: &Peer) -> Link {
        Link { peers: self.peers.clone(), target, peer: node.clone() }
    }
}

type RpcError = RPCError<NodeId, Peer, RaftError<NodeId>>;

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        let part = keep_what_fits(&mut request.entries);
        let message = wire::append_request(self.peers.envelope().sender(), self.target, request);
        let mut client = self.peers.client(self.target, &self.peer, Lane::Raft).map_err(rpc_error)?;
        let answer =
            client.append_entries(message).await.map_err(|status| self.failed(&status))?.into_inner();
        self.check(answer.sender.as_ref()).map_err(rpc_error)?;
        match (wire::read_append_response(&answer).map_err(interrupted)?, part) {
            (AppendEntriesResponse::Success, Some(sent)) => {
                Ok(AppendEntriesResponse::PartialSuccess(Some(sent)))
            }
            (answer, _) => Ok(answer),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        _: RPCOption,
    ) -> Result<VoteResponse<NodeId>, RpcError> {
        let message = wire::vote_request(self.peers.envelope().sender(), self.target, &request);
        let mut client = self.peers.client(self.target, &self.peer, Lane::Raft).map_err(rpc_error)?;
        let answer = client.vote(message).await.map_err(|status| self.failed(&status))?.into_inner();
        self.check(answer.sender.as_ref()).map_err(rpc_error)?;
        wire::read_vote_response(&answer).map_err(interrupted)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<NodeId>,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        snapshot::send(&self.peers, self.target, &self.peer, vote, snapshot, cancel).await
    }

    /// Short: a node that comes back is behind by what was written meanwhile, and counts for the quorum only then.
    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_PAUSE))
    }
}

impl Link {
    fn failed(&self, status: &tonic::Status) -> RpcError {
        rpc_error(self.peers.failed(self.target, Lane::Raft, status))
    }

    fn check(&self, sender: Option<&aegis_proto::v1::RaftSender>) -> Result<(), CallError> {
        let checked = self.peers.envelope().check_answer(sender, self.target);
        checked.map_err(|refused| self.peers.misanswered(self.target, Lane::Raft, &refused))?;
        self.peers.answered(self.target, Lane::Raft);
        Ok(())
    }
}

/// Pause before a node that could not be reached is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What openraft makes of it: it waits before the next attempt, whatever went wrong, as an attempt at once would most
/// often fail in the same way.
fn rpc_error(error: CallError) -> RpcError {
    RPCError::Unreachable(Unreachable::new(&AnyError::new(&error)))
}

fn interrupted(error: impl std::error::Error + 'static) -> RpcError {
    RPCError::Network(NetworkError::new(&error))
}

/// Drops the entries beyond [`caps::APPEND_BYTES_MAX`], and says which is the last one left if any were dropped.
fn keep_what_fits(entries: &mut Vec<Entry<TypeConfig>>) -> Option<LogId<NodeId>> {
    let mut bytes = 0;
    let fits = entries.iter().position(|entry| {
        bytes += size(entry);
        bytes > caps::APPEND_BYTES_MAX
    });
    // The first one goes whatever its size, or it would never go.
    let kept = fits?.max(1);
    if kept == entries.len() {
        return None;
    }
    entries.truncate(kept);
    entries.last().map(|entry| entry.log_id)
}

/// About how many bytes an entry takes on the wire, not less.
fn size(entry: &Entry<TypeConfig>) -> usize {
    const AROUND: usize = 64;
    match &entry.payload {
        EntryPayload::Blank => AROUND,
        EntryPayload::Normal(batch) => {
            AROUND + batch.commands.iter().map(|command| command.len() + 8).sum::<usize>()
        }
        EntryPayload::Membership(members) => AROUND * (1 + 8 * members.nodes().count()),
    }
}

#[cfg(test)]
mod tests {
    use aegis_raft_store::types::Batch;
    use openraft::CommittedLeaderId;

    use super::*;

    fn entries(sizes: &[usize]) -> Vec<Entry<TypeConfig>> {
        let entry = |(index, size): (usize, &usize)| Entry {
            log_id: LogId::new(CommittedLeaderId::new(1, 1), index as u64),
            payload: EntryPayload::Normal(Batch { log_time_ms: 0, commands: vec![vec![0; *size]] }),
        };
        sizes.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn a_message_holds_what_fits_and_at_least_one_entry() {
        let fit = |sizes: &[usize]| {
            let mut all = entries(sizes);
            let last = keep_what_fits(&mut all).map(|id| id.index);
            (all.len(), last)
        };
        let half = caps::APPEND_BYTES_MAX / 2;
        assert_eq!(fit(&[]), (0, None));
        assert_eq!(fit(&[1, 2, 3]), (3, None));
        assert_eq!(fit(&[half, half, 1]), (1, Some(0)));
        assert_eq!(fit(&[half - 200, half - 200, 1, half]), (3, Some(2)));
        assert_eq!(fit(&[3 * half]), (1, None));
        assert_eq!(fit(&[3 * half, 1]), (1, Some(0)));
    }
}
