//! Every record of a state, to see what a command changed.

use std::collections::{BTreeMap, BTreeSet};

use aegis_proto::control::Counters;
use aegis_raft_store::tables::{StateDigest, StateRead, StateView, StateWrite};
use prost::Message;
use redb::Database;
use redb::backends::InMemoryBackend;

use crate::state::{TABLES, control_log, control_tree, idempotency, meta};

/// Every record of a state, by table and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump(BTreeMap<(&'static str, Vec<u8>), Vec<u8>>);

/// What a refused command may write: the control log, and its answer for a repetition.
const TRACES: &[&str] = &[
    control_log::CONTROL_LOG.name(),
    control_log::CONTROL_LOG_COUNTS.name(),
    control_log::CONTROL_LOG_ORDER.name(),
    control_tree::CONTROL_TREES.name(),
    control_tree::CONTROL_ENTRIES.name(),
    control_tree::CONTROL_NODES.name(),
    idempotency::REMEMBERED.name(),
    idempotency::REMEMBERED_ORDER.name(),
    idempotency::REMEMBERED_COUNTS.name(),
];

#[expect(clippy::expect_used, reason = "what cannot fail in a test's memory ends the test")]
impl Dump {
    /// Everything in `view`.
    pub fn of(view: &StateView) -> Self {
        let mut records = BTreeMap::new();
        for table in TABLES {
            for (key, value) in view.scan_prefix(*table, &[], None, usize::MAX).expect("memory does not fail")
            {
                records.insert((table.name(), key), value);
            }
        }
        Self(records)
    }

    /// How many records a table holds.
    pub fn count(&self, table: &str) -> usize {
        self.0.keys().filter(|(name, _)| *name == table).count()
    }

    /// The digest of these records, made anew by writing all of them into an empty state.
    pub fn digest(&self) -> StateDigest {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("memory");
        let transaction = database.begin_write().expect("memory");
        let mut state = StateWrite::new(&transaction, TABLES, StateDigest::default()).expect("memory");
        for ((name, key), value) in &self.0 {
            let table = TABLES.iter().find(|table| table.name() == *name).expect("a table of the state");
            state.put(*table, key, value).expect("memory");
        }
        state.digest()
    }

    /// The records that differ, `table key` each, but for the traces that a refused command leaves: the control log,
    /// the remembered answers, and the counters of both.
    pub fn changed_rows(&self, after: &Self) -> Vec<String> {
        let keys: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        keys.into_iter()
            .filter(|(table, _)| !TRACES.contains(table))
            .filter(|key| self.without_traces(key) != after.without_traces(key))
            .map(|(table, key)| format!("{table} {}", key.escape_ascii()))
            .collect()
    }

    fn without_traces(&self, key: &(&'static str, Vec<u8>)) -> Option<Vec<u8>> {
        let value = self.0.get(key)?;
        if key.0 != meta::CLUSTER.name() || key.1 != meta::COUNTERS_KEY {
            return Some(value.clone());
        }
        let counters = Counters::decode(value.as_slice()).expect("counters");
        Some(Counters { control_records: 0, remembered: 0, ..counters }.encode_to_vec())
    }
}
