//! What each operation does: plain functions from a message to a message, for somebody who was identified. Both surfaces
//! call them, and do nothing else.
//!
//! Two rules hold in all of them. The state is seen only through [`Caller::reads`](super::caller::Caller::reads), which
//! wants to know what is read. A write is a command, and what became of it is said from the answer to the command, never
//! from a second look.

pub(crate) mod activation;
pub(crate) mod agents;
pub(crate) mod approvals;
pub(crate) mod budgets;
pub(crate) mod channels;
pub(crate) mod cluster;
pub(crate) mod data_nodes;
pub(crate) mod decisions;
pub(crate) mod evidence;
pub(crate) mod issuers;
pub(crate) mod keys;
pub(crate) mod labels;
pub(crate) mod object_store;
pub(crate) mod organizations;
pub(crate) mod people;
pub(crate) mod person_tokens;
pub(crate) mod records;
pub(crate) mod reveal;
pub(crate) mod revocations;
pub(crate) mod roles;
pub(crate) mod shards;
pub(crate) mod snapshot;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod versions;
pub(crate) mod watch;
pub(crate) mod whoami;

/// The row of this kind in the answer to a command.
macro_rules! row {
    ($result:expr, $kind:ident) => {
        match $result {
            aegis_proto::control::done::Result::$kind(row) => Ok(row),
            _ => Err($crate::admin::Problem::internal(
                "a command was done with another result than its kind's",
            )),
        }
    };
}
pub(crate) use row;
