//! The suite that openraft has for whoever implements its storage.

use std::sync::Arc;

use aegis_raft_store::log::LogStore;
use aegis_raft_store::state::StateStore;
use aegis_raft_store::store::{Store, StoreOptions};
use aegis_raft_store::types::{NodeId, TypeConfig};
use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::machine::Rows;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateStore, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateStore), StorageError<NodeId>> {
        let directory = tempfile::tempdir().expect("a directory");
        let options = StoreOptions { strict: false, ..StoreOptions::default() };
        let opened = Store::open(directory.path(), options, Arc::new(Rows)).expect("the store opens");
        let (log, state, _handle) = opened;
        Ok((directory, log, state))
    }
}

#[test]
fn openraft_s_own_suite_passes() {
    Suite::test_all(Builder).expect("the suite passes");
}
