//! The control log as evidence: checkpoints, entries, proofs, and the audit logs of data nodes that it vouches for.

use aegis_audit::tree;
use aegis_model::caps;
use aegis_proto::admin::{
    ControlCheckpoint, ControlEntryList, ControlProof, GetControlCheckpointRequest, GetControlEntriesRequest,
    Journal, JournalList, ListRequest, ProveControlLogRequest,
};
use aegis_proto::control as rows;
use aegis_raft_store::tables::{StateRead, StateView};

use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::keys::keyring;
use crate::state::{control_tree, journals, meta};

/// Signs a checkpoint, and shows the newest that was cosigned.
pub(crate) async fn checkpoint(
    caller: &Caller,
    request: GetControlCheckpointRequest,
) -> Result<ControlCheckpoint, Problem> {
    let (state, history) = read(caller, request.history).await?;
    let checkpoint = control_tree::checkpoint(&state, &keyring::cluster_id(&state)?, history)?;
    let key = keyring::control_log_key(&state, caller.admin().cluster_keys(), history)?;
    let verifiers = keyring::control_log_verifiers(&state, history)?;
    let cosigned = control_tree::cosigned(&state, history)?.unwrap_or_default();
    Ok(ControlCheckpoint {
        origin: checkpoint.origin.to_string(),
        history,
        size: checkpoint.size,
        note: text(checkpoint.sign(&key).to_bytes()),
        cosigned: text(cosigned),
        verifiers: verifiers.iter().map(ToString::to_string).collect(),
    })
}

/// Some entries, the oldest first.
pub(crate) async fn entries(
    caller: &Caller,
    request: GetControlEntriesRequest,
) -> Result<ControlEntryList, Problem> {
    let limit = match usize::try_from(request.limit).unwrap_or(usize::MAX) {
        0 => caps::PAGE_ROWS_DEFAULT,
        limit => limit.min(caps::PAGE_ROWS_MAX),
    };
    let (state, history) = read(caller, request.history).await?;
    let found = control_tree::entries(&state, history, request.first, limit)?;
    // An answer is bounded in bytes, too; whoever asked goes on from there.
    let mut bytes = 0;
    let within = |line: &String| {
        let first = bytes == 0;
        bytes += line.len();
        first || bytes <= caps::CONTROL_ENTRIES_ANSWER_BYTES_MAX
    };
    let lines = found.iter().map(control_tree::line).take_while(within).collect();
    Ok(ControlEntryList { first: request.first, lines, size: size(&state, history)? })
}

/// A proof of inclusion or of consistency.
pub(crate) async fn prove(caller: &Caller, request: ProveControlLogRequest) -> Result<ControlProof, Problem> {
    let (state, history) = read(caller, request.history).await?;
    let newest = size(&state, history)?;
    let size = if request.size == 0 { newest } else { request.size };
    if size > newest {
        return Err(Problem::invalid("size", format!("at most {newest}")));
    }
    let nodes = control_tree::Subtrees::new(&state, history);
    let hashes = match (request.index, request.old) {
        (Some(index), None) if index < size => tree::inclusion(&nodes, index, size)?,
        (None, Some(old)) if old <= size => tree::consistency(&nodes, old, size)?,
        (Some(_), None) => return Err(Problem::invalid("index", format!("less than {size}"))),
        (None, Some(_)) => return Err(Problem::invalid("old", format!("at most {size}"))),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::invalid("index", "given, or else `old`, and not both"));
        }
    };
    Ok(ControlProof { size, hashes: hashes.iter().map(aegis_audit::hash::Hash::to_base64).collect() })
}

/// The audit logs of data nodes.
pub(crate) async fn journals(caller: &Caller, request: ListRequest) -> Result<JournalList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Records).await?;
    let (items, next) = form::listed(journals::journals(&state, &query)?, shown);
    Ok(JournalList { items, next })
}

/// The state, for somebody who may read the whole control log, and the history that they mean.
async fn read(caller: &Caller, history: u64) -> Result<(StateView, u64), Problem> {
    let state = caller.reads(Read::Records).await?;
    let newest = meta::history(&state)?;
    match history {
        0 => Ok((state, newest)),
        history if control_tree::tree(&state, history)?.is_some() => Ok((state, history)),
        _ => Err(Problem::invalid("history", format!("one that has a control log, up to {newest}"))),
    }
}

fn size(state: &impl StateRead, history: u64) -> Result<u64, Problem> {
    Ok(control_tree::tree(state, history)?.map_or(0, |tree| tree.size))
}

/// A note: always text.
fn text(note: Vec<u8>) -> String {
    String::from_utf8(note).unwrap_or_default()
}

fn shown(row: rows::Journal) -> Journal {
    let state = match (row.refused.is_empty(), row.closed_ms) {
        (false, _) => "refused",
        (true, 0) => "open",
        (true, _) => "closed",
    };
    Journal {
        origin: row.origin,
        node_id: form::node_id(row.node),
        tenant: row.tenant,
        verifier: row.verifier,
        state: state.to_owned(),
        size: row.size,
        checkpoint: text(row.note),
        began_at: form::time(row.born_ms),
        noted_at: form::maybe_time(row.noted_ms),
        closed_at: form::maybe_time(row.closed_ms),
        refused: row.refused,
    }
}
