//! Whether two files belong together, to whom, and what they hold.

use std::path::{Path, PathBuf};

use aegis_model::ids::ClusterId;
use redb::{Database, ReadableDatabase};

use super::{OpenError, StoreOptions};
use crate::identity::{self, FORMAT, Found, Identity, Role, fresh_node_id};
use crate::log::{self, Loaded};
use crate::machine::Machine;
use crate::state::{self, Placed};
use crate::tables::StoreError;
use crate::types::NodeId;

/// What two files hold that belong together.
pub(crate) struct Settled {
    pub(crate) identity: Identity,
    pub(crate) loaded: Loaded,
    pub(crate) placed: Placed,
}

/// Reads both files in full, and makes new ones a node's.
///
/// A file without an identity is new. Both may be: then the node is. One may be only if the other shows that Raft wrote
/// nothing yet, as after a crash when the node was made: a node without its log has forgotten its votes, and must not
/// come back under its id (RAFT-1).
pub(crate) fn settle(
    log: &Database,
    state: &Database,
    directory: &Path,
    options: &StoreOptions,
    machine: &dyn Machine,
) -> Result<Settled, OpenError> {
    let path = |role: Role| directory.join(role.file_name());
    let of_log = identify(log, Role::Log, path(Role::Log))?;
    let of_state = identify(state, Role::State, path(Role::State))?;
    let damaged = |role: Role| move |error| OpenError::Damaged { path: path(role), error };
    let loaded = log::load(log, options.log_cache_bytes, options.strict).map_err(damaged(Role::Log))?;
    let placed = state::load(state, machine).map_err(damaged(Role::State))?;
    let virgin = loaded.is_virgin() && placed.standing.last_applied.is_none();

    let node_id = match (&of_log, &of_state) {
        (None, None) => options.node_id.unwrap_or_else(fresh_node_id),
        (Some(known), None) | (None, Some(known)) if virgin => known.node_id,
        (Some(known), None) => {
            return Err(OpenError::Missing { path: path(Role::State), node_id: known.node_id });
        }
        (None, Some(known)) => {
            return Err(OpenError::Missing { path: path(Role::Log), node_id: known.node_id });
        }
        (Some(of_log), Some(of_state)) => {
            same_node(path(Role::State), of_state.node_id, of_log.node_id)?;
            of_log.node_id
        }
    };
    if let Some(expected) = options.node_id {
        same_node(path(Role::Log), node_id, expected)?;
    }
    let cluster_id = one_cluster(&of_log, &of_state, path(Role::State))?;
    if let (Some(found), Some(expected)) = (&cluster_id, &options.cluster_id) {
        same_cluster(path(Role::Log), found, expected)?;
    }
    let identity = Identity { format: FORMAT, role: Role::Log, node_id, cluster_id };
    // The state first: a log with an identity beside a state without one is a lost state.
    for (database, known, role) in [(state, of_state, Role::State), (log, of_log, Role::Log)] {
        let wanted = Identity { role, ..identity.clone() };
        if known.as_ref() != Some(&wanted) {
            note(database, &wanted).map_err(damaged(role))?;
        }
    }
    Ok(Settled { identity, loaded, placed })
}

fn identify(database: &Database, role: Role, path: PathBuf) -> Result<Option<Identity>, OpenError> {
    let found = database.begin_read().map_err(StoreError::from).and_then(|read| identity::read(&read));
    match found {
        Ok(Found::Nothing) => Ok(None),
        Ok(Found::Newer(found)) => Err(OpenError::Newer { path, found, known: FORMAT }),
        Ok(Found::Identity(identity)) if identity.role != role => Err(OpenError::Misnamed { path }),
        Ok(Found::Identity(identity)) => Ok(Some(identity)),
        Err(error) => Err(OpenError::Damaged { path, error }),
    }
}

fn same_node(path: PathBuf, found: NodeId, expected: NodeId) -> Result<(), OpenError> {
    if found == expected { Ok(()) } else { Err(OpenError::OtherNode { path, found, expected }) }
}

fn same_cluster(path: PathBuf, found: &ClusterId, expected: &ClusterId) -> Result<(), OpenError> {
    if found == expected {
        return Ok(());
    }
    Err(OpenError::OtherCluster { path, found: found.clone(), expected: expected.clone() })
}

/// The cluster that either file names: a crash may have come between writing the one and the other.
fn one_cluster(
    of_log: &Option<Identity>,
    of_state: &Option<Identity>,
    path: PathBuf,
) -> Result<Option<ClusterId>, OpenError> {
    let cluster = |known: &Option<Identity>| known.as_ref().and_then(|known| known.cluster_id.clone());
    match (cluster(of_log), cluster(of_state)) {
        (Some(log), Some(state)) => same_cluster(path, &state, &log).map(|()| Some(log)),
        (log, state) => Ok(log.or(state)),
    }
}

fn note(database: &Database, identity: &Identity) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    identity::write(&transaction, identity)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction.commit()?)
}
