//! The object store: how far it is.

use aegis_proto::admin::{GetObjectStoreRequest, ObjectStoreProblem, ObjectStoreStatus};
use aegis_proto::v1;

use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::problem::ApiCode;
use crate::admin::{Problem, form};
use crate::raft::object_store::NotTold;

/// How far the object store is, as the leader says.
pub(crate) async fn get(
    caller: &Caller,
    _request: GetObjectStoreRequest,
) -> Result<ObjectStoreStatus, Problem> {
    caller.reads(Read::Cluster).await?;
    let told = caller.admin().object_store().status().await?;
    Ok(told.map(shown).unwrap_or_default())
}

fn shown(store: v1::RaftObjectStore) -> ObjectStoreStatus {
    let problem = |it: v1::RaftObjectStoreProblem| ObjectStoreProblem {
        tenant: it.tenant,
        version: it.version,
        code: it.code,
        message: it.message,
    };
    ObjectStoreStatus {
        place: store.place,
        pending: store.pending,
        compared: store.compared,
        complete_at: form::maybe_time(store.complete_ms),
        failures: store.failures,
        problems: store.problems.into_iter().map(problem).collect(),
        more_problems: store.more_problems,
    }
}

impl From<NotTold> for Problem {
    fn from(error: NotTold) -> Self {
        Self::new(ApiCode::Unavailable, error.to_string())
    }
}
