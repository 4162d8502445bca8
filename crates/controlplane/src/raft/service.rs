//! What a control node answers to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::raft_install_snapshot_request::Part;
use aegis_proto::v1::raft_server::{Raft as RaftRpc, RaftServer};
use aegis_raft_store::types::NodeId;
use openraft::error::RaftError;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::changes;
use super::envelope::{Refused, Strangers, check_member};
use super::listen::Caller;
use super::membership::Members;
use super::node::describe;
use super::proposal::Route;
use super::proposer::{Proposer, outcome_message};
use super::read::{ReadError, Reads};
use super::shared::Shared;
use super::snapshot::{self, ReceiveError};
use super::wire::{self, Malformed};

/// The gRPC service `aegis.v1.Raft` of one node.
pub struct RaftService {
    shared: Arc<Shared>,
    proposer: Proposer,
    reads: Reads,
    /// How many entries of each peer are being written.
    appends: Mutex<HashMap<NodeId, Arc<Semaphore>>>,
    /// Held while a snapshot is received.
    receiving: Arc<Semaphore>,
}

impl RaftService {
    pub(super) fn server(shared: Arc<Shared>, proposer: Proposer, reads: Reads) -> RaftServer<Self> {
        let receiving = Arc::new(Semaphore::new(1));
        let service = Self { shared, proposer, reads, appends: Mutex::default(), receiving };
        RaftServer::new(service)
            .max_decoding_message_size(caps::RAFT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(caps::RAFT_MESSAGE_BYTES_MAX)
    }

    /// Checks who speaks, and gives the sender.
    fn admit<T>(
        &self,
        request: &Request<T>,
        sender: Option<&v1::RaftSender>,
        target: NodeId,
        strangers: Strangers,
    ) -> Result<v1::RaftSender, Refused> {
        self.admit_caller(request.extensions().get::<Caller>(), sender, target, strangers)
    }

    fn admit_caller(
        &self,
        caller: Option<&Caller>,
        sender: Option<&v1::RaftSender>,
        target: NodeId,
        strangers: Strangers,
    ) -> Result<v1::RaftSender, Refused> {
        let checked = self.shared.peers.envelope().check(sender, target, caller);
        let admitted = checked.and_then(|()| {
            let sender = sender.ok_or(Malformed("sender"))?;
            let removed = || self.shared.local.is_retired(sender.node);
            check_member(sender, &self.shared.membership(), removed, strangers)?;
            Ok(sender.clone())
        });
        if let Err(refused) = &admitted {
            let from = caller.map(|caller| caller.address);
            tracing::warn!(?from, code = refused.code(), %refused, "a message between control nodes was refused");
        }
        admitted
    }

    fn sender(&self) -> Option<v1::RaftSender> {
        Some(self.shared.peers.envelope().sender())
    }

    /// Room for one more `AppendEntries` of `node`.
    fn appends_of(&self, node: NodeId) -> Arc<Semaphore> {
        let mut appends = self.appends.lock().unwrap_or_else(PoisonError::into_inner);
        if appends.len() > 2 * caps::CONTROL_NODES_MAX {
            appends.retain(|_, room| room.available_permits() < caps::APPENDS_PER_PEER_MAX);
        }
        let room =
            appends.entry(node).or_insert_with(|| Arc::new(Semaphore::new(caps::APPENDS_PER_PEER_MAX)));
        Arc::clone(room)
    }
}

fn stopped(_: RaftError<NodeId>) -> Refused {
    Refused::Stopped
}

/// Until when the sender of a request waits; never longer than any caller of ours may.
fn until(within_ms: u32) -> Instant {
    Instant::now() + Duration::from_millis(within_ms.into()).min(Duration::from_secs(caps::CALL_SECONDS))
}

#[tonic::async_trait]
impl RaftRpc for RaftService {
    async fn append_entries(
        &self,
        request: Request<v1::RaftAppendEntriesRequest>,
    ) -> Result<Response<v1::RaftAppendEntriesResponse>, Status> {
        let message = request.get_ref();
        // Who leads by a quorum's vote may be somebody whom this node has not heard of yet.
        let leads = message.vote.as_ref().is_some_and(|vote| vote.committed);
        let strangers = if leads { Strangers::Welcome } else { Strangers::Refused };
        let sender = self.admit(&request, message.sender.as_ref(), message.target, strangers)?;
        let room = self.appends_of(sender.node).try_acquire_owned();
        let room = room.map_err(|_full| Refused::Busy(sender.name.clone()))?;
        let entries = wire::read_append_request(request.into_inner()).map_err(Refused::from)?;
        let raft = self.shared.raft.clone();
        // Raft goes on with it when the leader stops waiting, so the room is taken until Raft is done.
        let writing = self.shared.tasks.spawn(async move {
            let written = raft.append_entries(entries).await;
            drop(room);
            written
        });
        let written = writing.await.map_err(|_ended| Refused::Stopped)?.map_err(stopped)?;
        let sender = self.shared.peers.envelope().sender();
        Ok(Response::new(wire::append_response(sender, &written)))
    }

    async fn vote(
        &self,
        request: Request<v1::RaftVoteRequest>,
    ) -> Result<Response<v1::RaftVoteResponse>, Status> {
        let message = request.get_ref();
        let asked = wire::read_vote_request(message).map_err(Refused::from)?;
        let ours = self.shared.raft.data_metrics().borrow().last_log;
        let strangers = if asked.last_log_id > ours { Strangers::Welcome } else { Strangers::Refused };
        self.admit(&request, message.sender.as_ref(), message.target, strangers)?;
        let answer = self.shared.raft.vote(asked).await.map_err(stopped)?;
        Ok(Response::new(wire::vote_response(self.shared.peers.envelope().sender(), &answer)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<v1::RaftInstallSnapshotRequest>>,
    ) -> Result<Response<v1::RaftInstallSnapshotResponse>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let mut stream = request.into_inner();
        let Part::Head(head) = snapshot::next_part(&mut stream).await? else {
            return Err(Refused::from(Malformed("head")).into());
        };
        let sender =
            self.admit_caller(caller.as_ref(), head.sender.as_ref(), head.target, Strangers::Welcome)?;
        let busy = |_full| Refused::Busy(sender.name.clone());
        let _receiving = Arc::clone(&self.receiving).try_acquire_owned().map_err(busy)?;
        let whole = Duration::from_secs(caps::SNAPSHOT_SECONDS);
        let received = snapshot::receive(&self.shared.raft, &head, &mut stream);
        let received = tokio::time::timeout(whole, received).await.unwrap_or(Err(ReceiveError::Slow));
        let held = received.inspect_err(|error| {
            tracing::warn!(from = sender.name, %error, "a snapshot was not received");
        })?;
        Ok(Response::new(v1::RaftInstallSnapshotResponse {
            sender: self.sender(),
            vote: Some(wire::vote(&held)),
        }))
    }

    async fn propose(
        &self,
        request: Request<v1::RaftProposeRequest>,
    ) -> Result<Response<v1::RaftProposeResponse>, Status> {
        let message = request.get_ref();
        self.admit(&request, message.sender.as_ref(), message.target, Strangers::Refused)?;
        if message.commands.len() > caps::ENTRY_COMMANDS_MAX {
            return Err(Refused::from(Malformed("commands")).into());
        }
        let message = request.into_inner();
        let deadline = until(message.within_ms);
        let proposed = message
            .commands
            .into_iter()
            .map(|command| self.proposer.propose(command, Route::HereOnly, deadline));
        let outcomes = futures_util::future::join_all(proposed).await;
        let leader = self.shared.leader().id(self.shared.me());
        let outcomes = outcomes.into_iter().map(|outcome| outcome_message(outcome, leader)).collect();
        Ok(Response::new(v1::RaftProposeResponse { sender: self.sender(), outcomes }))
    }

    async fn read_index(
        &self,
        request: Request<v1::RaftReadIndexRequest>,
    ) -> Result<Response<v1::RaftReadIndexResponse>, Status> {
        let message = request.get_ref();
        self.admit(&request, message.sender.as_ref(), message.target, Strangers::Refused)?;
        let answer = self.reads.index(Route::HereOnly, until(message.within_ms)).await;
        let (index, leader) = match answer {
            Ok(index) => (Some(index), self.shared.me()),
            Err(ReadError::NotLeader(leader)) => (None, leader.unwrap_or_default()),
            Err(error @ (ReadError::TooLate | ReadError::Overloaded)) => {
                return Err(Status::unavailable(error.to_string()));
            }
            Err(ReadError::Stopped) => return Err(Refused::Stopped.into()),
        };
        Ok(Response::new(v1::RaftReadIndexResponse { sender: self.sender(), index, leader }))
    }

    async fn status(
        &self,
        request: Request<v1::RaftStatusRequest>,
    ) -> Result<Response<v1::RaftStatusResponse>, Status> {
        let message = request.get_ref();
        let target = if message.target == 0 { self.shared.me() } else { message.target };
        // A node that is about to join is asked, and asks, before anybody knows it.
        self.admit(&request, message.sender.as_ref(), target, Strangers::Welcome)?;
        let status = describe(&self.shared);
        Ok(Response::new(v1::RaftStatusResponse {
            sender: self.sender(),
            wall_ms: self.shared.wall_ms(),
            term: status.term,
            leader: status.leader.unwrap_or_default(),
            last_log_index: status.last_log_index,
            applied_index: status.applied_index,
            log_time_ms: status.log_time_ms,
            initialized: !status.members.is_empty(),
            checkpoints: wire::checkpoints(&self.shared.local.checkpoints()),
        }))
    }

    async fn standings(
        &self,
        request: Request<v1::RaftStandingsRequest>,
    ) -> Result<Response<v1::RaftStandingsResponse>, Status> {
        let message = request.get_ref();
        self.admit(&request, message.sender.as_ref(), message.target, Strangers::Refused)?;
        let standings = self.shared.standings.get().map(|it| it.standings(&message.tenant));
        Ok(Response::new(v1::RaftStandingsResponse {
            sender: self.sender(),
            standings: standings.unwrap_or_default(),
        }))
    }

    async fn object_store(
        &self,
        request: Request<v1::RaftObjectStoreRequest>,
    ) -> Result<Response<v1::RaftObjectStoreResponse>, Status> {
        let message = request.get_ref();
        self.admit(&request, message.sender.as_ref(), message.target, Strangers::Refused)?;
        let store = self.shared.object_store.get().and_then(|it| it.kept());
        Ok(Response::new(v1::RaftObjectStoreResponse { sender: self.sender(), store }))
    }

    async fn change_members(
        &self,
        request: Request<v1::RaftChangeMembersRequest>,
    ) -> Result<Response<v1::RaftChangeMembersResponse>, Status> {
        let message = request.get_ref();
        self.admit(&request, message.sender.as_ref(), message.target, Strangers::Refused)?;
        let members = Members::new(Arc::clone(&self.shared), self.proposer.clone());
        let change = request.into_inner().change;
        // Whoever asked may go away: a change is not left half done for that.
        let making = self.shared.tasks.spawn(async move { changes::answer(&members, change).await });
        let outcome = making.await.map_err(|_ended| Refused::Stopped)?.map_err(Refused::from)?;
        let sender = self.sender();
        Ok(Response::new(v1::RaftChangeMembersResponse { sender, outcome: Some(outcome) }))
    }
}
