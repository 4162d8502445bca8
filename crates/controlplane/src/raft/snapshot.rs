//! Snapshots on their way: a head, chunks, an end with the checksum; each step with its own deadline.

use std::future::Future;
use std::io::SeekFrom;
use std::pin::pin;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::raft_install_snapshot_request::Part;
use aegis_raft_store::tables::StoreError;
use aegis_raft_store::types::{NodeId, Peer, Raft, SnapshotFile, TypeConfig};
use bytes::BytesMut;
use openraft::error::{Fatal, NetworkError, ReplicationClosed, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use openraft::{
    AnyError, ErrorSubject, ErrorVerb, Snapshot, SnapshotMeta, StorageError, StorageIOError, Vote,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::envelope::Refused;
use super::peers::{CallError, Lane, Peers};
use super::wire::{self, Malformed};

type SendError = StreamingError<TypeConfig, Fatal<NodeId>>;

const CHUNK_TIME: Duration = Duration::from_secs(caps::SNAPSHOT_CHUNK_SECONDS);
const WHOLE_TIME: Duration = Duration::from_secs(caps::SNAPSHOT_SECONDS);

/// Sends `snapshot`; returns when it is installed, or refused for a higher vote.
pub(super) async fn send(
    peers: &Peers,
    target: NodeId,
    peer: &Peer,
    vote: Vote<NodeId>,
    snapshot: Snapshot<TypeConfig>,
    cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
) -> Result<SnapshotResponse<NodeId>, SendError> {
    let unreachable = |error: CallError| SendError::from(Unreachable::new(&AnyError::new(&error)));
    let mut client = peers.client(target, peer, Lane::Bulk).map_err(unreachable)?;
    let Snapshot { meta, snapshot: mut file } = snapshot;
    let bytes = length(&mut file).await.map_err(|error| unread(&meta, &error))?;
    let head = wire::snapshot_head(peers.envelope().sender(), target, &vote, &meta, bytes);
    tracing::info!(peer = peer.name, snapshot = meta.snapshot_id, bytes, "sending a snapshot");

    let (parts, stream) = mpsc::channel(caps::SNAPSHOT_CHUNKS_AHEAD);
    let mut call = pin!(client.install_snapshot(ReceiverStream::new(stream)));
    let mut pump = pin!(pump(parts, head, file));
    let mut cancel = pin!(cancel);
    let mut late = pin!(tokio::time::sleep(WHOLE_TIME));
    let mut pumped = false;
    let answer = loop {
        tokio::select! {
            answer = &mut call => break answer,
            closed = &mut cancel => return Err(closed.into()),
            () = &mut late => return Err(gave_up("a snapshot took too long").into()),
            sent = &mut pump, if !pumped => match sent {
                Ok(()) => pumped = true,
                Err(PumpError::Read(error)) => return Err(unread(&meta, &error).into()),
                Err(PumpError::Stuck) => return Err(gave_up("a snapshot is not taken").into()),
            },
        }
    };
    let answer =
        answer.map_err(|status| unreachable(peers.failed(target, Lane::Bulk, &status)))?.into_inner();
    let checked = peers.envelope().check_answer(answer.sender.as_ref(), target);
    checked.map_err(|refused| unreachable(peers.misanswered(target, Lane::Bulk, &refused)))?;
    peers.answered(target, Lane::Bulk);
    let held = wire::read_vote(answer.vote.as_ref()).map_err(|error| NetworkError::new(&error))?;
    Ok(SnapshotResponse::new(held))
}

async fn length(file: &mut SnapshotFile) -> std::io::Result<u64> {
    let end = file.file.seek(SeekFrom::End(0)).await?;
    file.file.rewind().await?;
    Ok(end)
}

fn gave_up(why: &str) -> NetworkError {
    NetworkError::new(&AnyError::error(why))
}

fn unread(meta: &SnapshotMeta<NodeId, Peer>, error: &std::io::Error) -> StorageError<NodeId> {
    let subject = ErrorSubject::Snapshot(Some(meta.signature()));
    StorageIOError::new(subject, ErrorVerb::Read, AnyError::new(error)).into()
}

/// Why a snapshot did not get out.
enum PumpError {
    /// Our own file cannot be read.
    Read(std::io::Error),
    /// Nobody takes the next chunk.
    Stuck,
}

async fn pump(
    parts: mpsc::Sender<v1::RaftInstallSnapshotRequest>,
    head: v1::RaftSnapshotHead,
    mut file: Box<SnapshotFile>,
) -> Result<(), PumpError> {
    let mut hash = Sha256::new();
    if !put(&parts, Part::Head(head)).await? {
        return Ok(());
    }
    loop {
        let mut chunk = BytesMut::with_capacity(caps::SNAPSHOT_CHUNK_BYTES);
        while chunk.len() < caps::SNAPSHOT_CHUNK_BYTES {
            let room = (caps::SNAPSHOT_CHUNK_BYTES - chunk.len()) as u64;
            if (&mut file.file).take(room).read_buf(&mut chunk).await.map_err(PumpError::Read)? == 0 {
                break;
            }
        }
        if chunk.is_empty() {
            break;
        }
        hash.update(&chunk);
        if !put(&parts, Part::Chunk(chunk.freeze())).await? {
            return Ok(());
        }
    }
    put(&parts, Part::End(v1::RaftSnapshotEnd { sha256: hash.finalize().to_vec() })).await?;
    Ok(())
}

/// Whether the other side still listens; where it does not, its answer says why.
async fn put(parts: &mpsc::Sender<v1::RaftInstallSnapshotRequest>, part: Part) -> Result<bool, PumpError> {
    let message = v1::RaftInstallSnapshotRequest { part: Some(part) };
    match parts.send_timeout(message, CHUNK_TIME).await {
        Ok(()) => Ok(true),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => Ok(false),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(PumpError::Stuck),
    }
}

/// Why a snapshot was not received. Raft has not seen anything of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the stream of a snapshot broke: {0}")]
    Broken(Status),
    #[error("the next part of a snapshot did not come within {} s", caps::SNAPSHOT_CHUNK_SECONDS)]
    Slow,
    #[error("a snapshot of {announced} bytes ended after {received}")]
    Length { announced: u64, received: u64 },
    #[error("a snapshot arrived damaged: its checksum does not fit")]
    Checksum,
    #[error("a snapshot is not the one that was announced")]
    OtherContent,
    #[error("a snapshot cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("a snapshot cannot be written: {0}")]
    Disk(#[from] std::io::Error),
    #[error("raft does not take a snapshot: {0}")]
    Raft(Fatal<NodeId>),
}

impl From<ReceiveError> for Status {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Refused(refused) => refused.into(),
            ReceiveError::Raft(_) => Refused::Stopped.into(),
            ReceiveError::Broken(_) | ReceiveError::Slow => Self::unavailable(error.to_string()),
            ReceiveError::Length { .. }
            | ReceiveError::Checksum
            | ReceiveError::OtherContent
            | ReceiveError::Store(_) => Self::data_loss(error.to_string()),
            ReceiveError::Disk(_) => Self::internal(error.to_string()),
        }
    }
}

/// The next part of the stream.
pub(super) async fn next_part(
    stream: &mut Streaming<v1::RaftInstallSnapshotRequest>,
) -> Result<Part, ReceiveError> {
    let message =
        tokio::time::timeout(CHUNK_TIME, stream.message()).await.map_err(|_late| ReceiveError::Slow)?;
    let message = message.map_err(ReceiveError::Broken)?.ok_or(Refused::Malformed(Malformed("end")))?;
    Ok(message.part.ok_or(Refused::Malformed(Malformed("part")))?)
}

/// Receives what follows `head`, checks it, and installs it: the vote that this node then holds.
pub(super) async fn receive(
    raft: &Raft,
    head: &v1::RaftSnapshotHead,
    stream: &mut Streaming<v1::RaftInstallSnapshotRequest>,
) -> Result<Vote<NodeId>, ReceiveError> {
    let vote = wire::read_vote(head.vote.as_ref()).map_err(Refused::from)?;
    let meta = wire::read_snapshot_meta(head).map_err(Refused::from)?;
    let begun = raft.begin_receiving_snapshot().await;
    let mut file = begun.map_err(|_stopped| ReceiveError::Raft(Fatal::Stopped))?;
    write(head.bytes, &mut file, stream).await?;
    // Raft takes a damaged snapshot for a failed disk, and stops. What was sent is whole; was it a snapshot?
    let inside = file.check().await?;
    if inside.last_log_id != meta.last_log_id || inside.membership != meta.last_membership {
        return Err(ReceiveError::OtherContent);
    }
    tracing::info!(snapshot = meta.snapshot_id, bytes = head.bytes, "received a snapshot");
    let snapshot = Snapshot { meta, snapshot: file };
    let answer = raft.install_full_snapshot(vote, snapshot).await.map_err(ReceiveError::Raft)?;
    Ok(answer.vote)
}

async fn write(
    announced: u64,
    file: &mut SnapshotFile,
    stream: &mut Streaming<v1::RaftInstallSnapshotRequest>,
) -> Result<(), ReceiveError> {
    let mut hash = Sha256::new();
    let mut received = 0_u64;
    let end = loop {
        match next_part(stream).await? {
            Part::Head(_) => return Err(Refused::from(Malformed("chunk")).into()),
            Part::Chunk(chunk) => {
                received += chunk.len() as u64;
                // More than was announced is not even written.
                if chunk.len() > caps::SNAPSHOT_CHUNK_BYTES || received > announced {
                    return Err(ReceiveError::Length { announced, received });
                }
                hash.update(&chunk);
                file.file.write_all(&chunk).await?;
            }
            Part::End(end) => break end,
        }
    };
    if received != announced {
        return Err(ReceiveError::Length { announced, received });
    }
    if hash.finalize().as_slice() != end.sha256 {
        return Err(ReceiveError::Checksum);
    }
    file.file.flush().await?;
    file.file.rewind().await?;
    Ok(())
}
