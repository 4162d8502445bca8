//! The tables of the state's file: those of the machine, and where the state stands.

use openraft::{Entry, EntryPayload, LogId, StoredMembership};
use redb::{
    Database, ReadTransaction, ReadableDatabase, TableDefinition, TableError, TableHandle, WriteTransaction,
};

use crate::checkpoint::Checkpoint;
use crate::codec::{
    Standing, membership_from_bytes, membership_to_bytes, standing_from_bytes, standing_to_bytes,
};
use crate::machine::{Machine, Place};
use crate::sealed::{seal, unseal};
use crate::snapshot::Source;
use crate::state::Applied;
use crate::tables::{StateView, StateWrite, StoreError};
use crate::types::{Batch, NodeId, Peer, Response, TypeConfig};

const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("aegis/meta");
const STANDING: &str = "standing";
const MEMBERSHIP: &str = "membership";

/// Where the state stands, and who the members are as of then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Placed {
    pub(crate) standing: Standing,
    pub(crate) membership: StoredMembership<NodeId, Peer>,
}

impl Placed {
    /// The index of the next entry to apply.
    pub(crate) fn next(&self) -> u64 {
        self.standing.last_applied.map_or(0, |log_id| log_id.index + 1)
    }
}

/// Reads where the state stands, and checks all of it: every record, and the digest of all.
pub(crate) fn load(database: &Database, machine: &dyn Machine) -> Result<Placed, StoreError> {
    let transaction = database.begin_read()?;
    let standing = read_standing(&transaction)?.unwrap_or_default();
    let membership = meta(&transaction, MEMBERSHIP)?
        .map(|bytes| membership_from_bytes(&bytes).map_err(|_| damaged()))
        .transpose()?
        .unwrap_or_default();
    let digest = StateView::new(transaction).recompute_digest(machine.tables())?;
    if digest != standing.digest {
        return Err(StoreError::Broken(
            "the state is not the one that was written: its digest differs".to_owned(),
        ));
    }
    Ok(Placed { standing, membership })
}

/// Where the state stands in `transaction`, if anything was applied to it.
pub(crate) fn read_standing(transaction: &ReadTransaction) -> Result<Option<Standing>, StoreError> {
    let bytes = meta(transaction, STANDING)?;
    bytes.map(|bytes| standing_from_bytes(&bytes).map_err(|_| damaged())).transpose()
}

/// What applying entries gave.
pub(super) struct Advanced {
    /// The answers to each entry's commands.
    pub(super) answers: Vec<Vec<Response>>,
    /// Where the state stands then.
    pub(super) placed: Placed,
    /// The digest after each entry.
    pub(super) checkpoints: Vec<Checkpoint>,
}

/// Applies `entries` to the tables within `transaction`, in order, and notes that in the same transaction.
///
/// # Errors
/// The storage failed, or an entry is not the next one: it would be applied twice, or one left out.
pub(super) fn apply(
    transaction: &WriteTransaction,
    placed: &Placed,
    machine: &dyn Machine,
    entries: &[Entry<TypeConfig>],
    strict: bool,
) -> Result<Advanced, StoreError> {
    let mut next = placed.clone();
    let mut state = StateWrite::new(transaction, machine.tables(), placed.standing.digest)?
        .in_history(placed.standing.history);
    let mut answers = Vec::with_capacity(entries.len());
    let mut checkpoints = Vec::with_capacity(entries.len());
    for entry in entries {
        check_order(&next, entry.log_id, strict)?;
        answers.push(apply_entry(&mut state, &mut next, machine, entry)?);
        next.standing.last_applied = Some(entry.log_id);
        // How entries were put together differs from node to node; what the state is after each of them must not.
        next.standing.digest = state.digest();
        checkpoints.push(Applied::of(&next.standing).into());
    }
    drop(state);
    write(transaction, placed, &next)?;
    Ok(Advanced { answers, placed: next, checkpoints })
}

fn apply_entry(
    state: &mut StateWrite<'_>,
    next: &mut Placed,
    machine: &dyn Machine,
    entry: &Entry<TypeConfig>,
) -> Result<Vec<Response>, StoreError> {
    match &entry.payload {
        EntryPayload::Blank => Ok(Vec::new()),
        EntryPayload::Membership(membership) => {
            next.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            Ok(Vec::new())
        }
        EntryPayload::Normal(Batch { log_time_ms: proposed, commands }) => {
            let log_time_ms = next.standing.log_time_ms.max(*proposed);
            next.standing.log_time_ms = log_time_ms;
            let index = entry.log_id.index;
            let places = (0_u32..).map(|position| Place { index, position, log_time_ms });
            commands.iter().zip(places).map(|(command, place)| machine.apply(state, place, command)).collect()
        }
    }
}

/// Refuses what Raft never asks for: an entry again, or one too far.
///
/// Only openraft's suite is not `strict`: it leaves entries out.
fn check_order(placed: &Placed, log_id: LogId<NodeId>, strict: bool) -> Result<(), StoreError> {
    let next = placed.next();
    let in_order = if strict { log_id.index == next } else { log_id.index >= next };
    if in_order {
        return Ok(());
    }
    Err(StoreError::Broken(format!("entry {} would be applied where {next} is the next", log_id.index)))
}

/// Replaces the whole state by `source` within `transaction`.
pub(crate) fn replace(
    transaction: &WriteTransaction,
    before: &Placed,
    machine: &dyn Machine,
    source: &mut Source<impl std::io::Read>,
) -> Result<Placed, StoreError> {
    let tables = machine.tables();
    let names: Vec<String> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    for table in tables.iter().filter(|table| names.iter().any(|name| name == table.name())) {
        transaction.delete_table(table.definition())?;
    }
    let mut state = StateWrite::new(transaction, tables, Default::default())?;
    source.for_each(tables, |table, key, value| state.put(table, key, value))?;
    let digest = state.digest();
    drop(state);
    let head = source.head();
    if digest != head.digest()? {
        return Err(StoreError::Broken("the snapshot's digest is not that of its records".to_owned()));
    }
    let placed = Placed { standing: head.standing()?, membership: head.membership.clone() };
    write(transaction, before, &placed)?;
    Ok(placed)
}

/// Notes where the state stands within `transaction`.
pub(crate) fn write(
    transaction: &WriteTransaction,
    before: &Placed,
    placed: &Placed,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(META)?;
    let standing = standing_to_bytes(&placed.standing);
    table.insert(STANDING, seal(&place(STANDING), &standing).as_slice())?;
    if before.membership != placed.membership {
        let membership = membership_to_bytes(&placed.membership)
            .map_err(|_| StoreError::Broken("the membership cannot be written".to_owned()))?;
        table.insert(MEMBERSHIP, seal(&place(MEMBERSHIP), &membership).as_slice())?;
    }
    Ok(())
}

fn meta(transaction: &ReadTransaction, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(record) = table.get(name)? else { return Ok(None) };
    Ok(Some(unseal(&place(name), record.value()).map_err(|_| damaged())?.to_vec()))
}

fn place(name: &str) -> [&[u8]; 2] {
    [b"aegis/meta", name.as_bytes()]
}

fn damaged() -> StoreError {
    StoreError::Damaged { table: "aegis/meta".to_owned() }
}
