//! The rows of the replicated state: one file per family, with its keys, its reads and its writes.
//!
//! Reads take any [`StateRead`](aegis_raft_store::tables::StateRead): the state within an entry that is being applied,
//! or a view of what was applied. Writes take a [`Writer`](writer::Writer), which only a command's apply gets.
//!
//! TEN-1 by construction: the key of a tenant's row begins with the tenant's name and a zero byte, which no name can
//! hold; every read of such rows takes the tenant and looks below that prefix only; and a [`page::Cursor`] holds only what
//! follows the prefix, so that one tenant's cursor cannot lead into another's rows.

pub mod key;
pub mod page;
pub(crate) mod row;
pub mod writer;

pub mod meta;

pub mod members;

pub mod tenant_keys;
pub mod tenants;

pub mod agents;
pub mod assertions;
pub mod tokens;

pub mod chunks;
pub mod labels;
pub mod versions;

pub mod activations;

pub mod data_nodes;
pub mod shards;

pub mod organizations;

pub mod keys;

pub mod people;
pub mod person_tokens;
pub mod roles;

pub mod revocations;

pub mod approvals;
pub mod channels;
pub mod deliveries;

pub mod borrowers;
pub mod budgets;
pub(crate) mod ended_ledgers;
pub mod lender;
pub mod limit_id;
pub mod rates;

pub mod changes;
pub mod control_log;
pub mod control_tree;
pub mod idempotency;
pub mod issuers;
pub mod journals;

use aegis_raft_store::tables::Table;

/// Every table of the state. Snapshots and digests cover exactly these; a new one goes to the end, with a new level.
pub const TABLES: &[Table] = &[
    meta::CLUSTER,
    members::MEMBERS,
    tenants::TENANTS,
    tenants::TENANT_COUNTERS,
    agents::AGENTS,
    chunks::CHUNKS,
    chunks::CHUNK_DATA,
    chunks::CHUNKS_LOOSE,
    versions::VERSIONS,
    labels::LABELS,
    activations::ACTIVATIONS,
    activations::IN_FORCE,
    data_nodes::DATA_NODES,
    keys::KEYS,
    people::PEOPLE,
    roles::ROLES,
    roles::SCOPES,
    person_tokens::PERSON_TOKENS,
    revocations::REVOCATIONS,
    revocations::REVOCATIONS_ORDER,
    control_log::CONTROL_LOG,
    control_log::CONTROL_LOG_COUNTS,
    control_log::CONTROL_LOG_ORDER,
    idempotency::REMEMBERED,
    idempotency::REMEMBERED_ORDER,
    idempotency::REMEMBERED_COUNTS,
    changes::CHANGES,
    budgets::LEDGERS,
    budgets::LEDGERS_BEFORE,
    ended_ledgers::LEDGERS_ENDED,
    budgets::LEDGER_PLACES,
    budgets::LEDGER_ENDS,
    borrowers::BORROWERS,
    rates::RATES,
    rates::RATES_ORDER,
    lender::LENDER,
    shards::SHARDS,
    organizations::ORGANIZATION_LIMITS,
    tenant_keys::TENANT_KEYS,
    approvals::APPROVALS,
    approvals::APPROVAL_IDS,
    approvals::APPROVAL_DIGESTS,
    approvals::APPROVALS_DUE,
    approvals::APPROVAL_COUNTS,
    control_tree::CONTROL_TREES,
    control_tree::CONTROL_ENTRIES,
    control_tree::CONTROL_NODES,
    control_tree::CONTROL_FORGETTABLE,
    control_tree::CONTROL_COSIGNED,
    journals::JOURNALS,
    journals::JOURNALS_GROWN,
    tokens::TOKENS,
    tokens::TOKEN_PACES,
    assertions::ASSERTIONS,
    assertions::ASSERTIONS_ORDER,
    channels::CHANNELS,
    deliveries::DELIVERIES,
    deliveries::DELIVERIES_DUE,
    deliveries::DELIVERIES_BEHIND,
    deliveries::DELIVERY_WINDOWS,
    issuers::ISSUERS,
];
