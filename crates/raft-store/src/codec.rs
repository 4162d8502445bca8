//! How log ids, votes, entries and the place of the state become bytes on disk. Little-endian; the first byte of an
//! entry is its version.

use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId, Membership, StoredMembership, Vote};

use crate::tables::StateDigest;
use crate::types::{Batch, NodeId, Peer, TypeConfig};

/// The bytes are not of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The form of an entry that this version writes, and the only one it reads.
const ENTRY_VERSION: u8 = 1;
const BLANK: u8 = 0;
const BATCH: u8 = 1;
const MEMBERSHIP: u8 = 2;

pub(crate) fn entry_to_bytes(entry: &Entry<TypeConfig>) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::with_capacity(64 + payload_bytes(entry));
    bytes.push(ENTRY_VERSION);
    put_log_id(&mut bytes, entry.log_id);
    match &entry.payload {
        EntryPayload::Blank => bytes.push(BLANK),
        EntryPayload::Normal(batch) => {
            bytes.push(BATCH);
            bytes.extend_from_slice(&batch.log_time_ms.to_le_bytes());
            put_length(&mut bytes, batch.commands.len())?;
            for command in &batch.commands {
                put_length(&mut bytes, command.len())?;
                bytes.extend_from_slice(command);
            }
        }
        EntryPayload::Membership(membership) => {
            bytes.push(MEMBERSHIP);
            bytes.extend_from_slice(&serde_json::to_vec(membership).map_err(|_| Malformed)?);
        }
    }
    Ok(bytes)
}

pub(crate) fn entry_from_bytes(bytes: &[u8]) -> Result<Entry<TypeConfig>, Malformed> {
    let mut rest = Reader(bytes);
    if rest.byte()? != ENTRY_VERSION {
        return Err(Malformed);
    }
    let log_id = rest.log_id()?;
    let payload = match rest.byte()? {
        BLANK => EntryPayload::Blank,
        BATCH => {
            let log_time_ms = rest.number()?;
            let count = rest.length()?;
            // A damaged count must not reserve memory: each command has at least its length.
            let mut commands = Vec::with_capacity(count.min(rest.0.len() / size_of::<u32>()));
            for _ in 0..count {
                let length = rest.length()?;
                commands.push(rest.take(length)?.to_vec());
            }
            EntryPayload::Normal(Batch { log_time_ms, commands })
        }
        MEMBERSHIP => {
            let membership: Membership<NodeId, Peer> =
                serde_json::from_slice(rest.rest()).map_err(|_| Malformed)?;
            EntryPayload::Membership(membership)
        }
        _ => return Err(Malformed),
    };
    rest.end()?;
    Ok(Entry { log_id, payload })
}

/// About how many bytes the entry takes in memory and on disk.
pub(crate) fn payload_bytes(entry: &Entry<TypeConfig>) -> usize {
    match &entry.payload {
        EntryPayload::Blank => 0,
        EntryPayload::Normal(batch) => batch.commands.iter().map(|command| 4 + command.len()).sum(),
        EntryPayload::Membership(_) => 1_024,
    }
}

pub(crate) fn log_id_to_bytes(log_id: LogId<NodeId>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    put_log_id(&mut bytes, log_id);
    bytes
}

pub(crate) fn log_id_from_bytes(bytes: &[u8]) -> Result<LogId<NodeId>, Malformed> {
    let mut rest = Reader(bytes);
    let log_id = rest.log_id()?;
    rest.end()?;
    Ok(log_id)
}

pub(crate) fn vote_to_bytes(vote: &Vote<NodeId>) -> Vec<u8> {
    let leader = vote.leader_id();
    let mut bytes = Vec::with_capacity(17);
    bytes.extend_from_slice(&leader.term.to_le_bytes());
    bytes.extend_from_slice(&leader.node_id.to_le_bytes());
    bytes.push(u8::from(vote.is_committed()));
    bytes
}

pub(crate) fn vote_from_bytes(bytes: &[u8]) -> Result<Vote<NodeId>, Malformed> {
    let mut rest = Reader(bytes);
    let (term, node) = (rest.number()?, rest.number()?);
    let vote = match rest.byte()? {
        0 => Vote::new(term, node),
        1 => Vote::new_committed(term, node),
        _ => return Err(Malformed),
    };
    rest.end()?;
    Ok(vote)
}

/// Where the state stands: what is written beside the tables, in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) history: u64,
    pub(crate) last_applied: Option<LogId<NodeId>>,
    pub(crate) log_time_ms: u64,
    pub(crate) digest: StateDigest,
}

/// The history of a cluster that was never restored.
pub(crate) const FIRST_HISTORY: u64 = 1;

impl Default for Standing {
    fn default() -> Self {
        Self { history: FIRST_HISTORY, last_applied: None, log_time_ms: 0, digest: StateDigest::default() }
    }
}

pub(crate) fn standing_to_bytes(standing: &Standing) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(80);
    bytes.extend_from_slice(&standing.history.to_le_bytes());
    bytes.extend_from_slice(&standing.log_time_ms.to_le_bytes());
    bytes.extend_from_slice(&standing.digest.to_bytes());
    if let Some(log_id) = standing.last_applied {
        put_log_id(&mut bytes, log_id);
    }
    bytes
}

pub(crate) fn standing_from_bytes(bytes: &[u8]) -> Result<Standing, Malformed> {
    let mut rest = Reader(bytes);
    let history = rest.number()?;
    let log_time_ms = rest.number()?;
    let digest = StateDigest::from_bytes(rest.take(32)?.try_into().map_err(|_| Malformed)?);
    let last_applied = if rest.0.is_empty() { None } else { Some(rest.log_id()?) };
    rest.end()?;
    Ok(Standing { history, last_applied, log_time_ms, digest })
}

pub(crate) fn membership_to_bytes(membership: &StoredMembership<NodeId, Peer>) -> Result<Vec<u8>, Malformed> {
    serde_json::to_vec(membership).map_err(|_| Malformed)
}

pub(crate) fn membership_from_bytes(bytes: &[u8]) -> Result<StoredMembership<NodeId, Peer>, Malformed> {
    serde_json::from_slice(bytes).map_err(|_| Malformed)
}

fn put_log_id(bytes: &mut Vec<u8>, log_id: LogId<NodeId>) {
    for number in [log_id.leader_id.term, log_id.leader_id.node_id, log_id.index] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) -> Result<(), Malformed> {
    bytes.extend_from_slice(&u32::try_from(length).map_err(|_| Malformed)?.to_le_bytes());
    Ok(())
}

/// What is left to read.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?))
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Malformed)?);
        usize::try_from(length).map_err(|_| Malformed)
    }

    fn log_id(&mut self) -> Result<LogId<NodeId>, Malformed> {
        let (term, node, index) = (self.number()?, self.number()?, self.number()?);
        Ok(LogId::new(CommittedLeaderId::new(term, node), index))
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests;
