//! A backup of the whole state.

use aegis_proto::admin::TakeSnapshotRequest;
use aegis_proto::control::NoteMembership;

use crate::admin::Problem;
use crate::admin::backups::{Backup, NoBackup};
use crate::admin::caller::Caller;
use crate::admin::problem::ApiCode;

/// Takes a backup at this node, after it was recorded who wants one.
pub(crate) async fn take(caller: &Caller, request: TakeSnapshotRequest) -> Result<Backup, Problem> {
    let id = caller.admin().membership().status().node;
    let note = NoteMembership { change: "snapshot".to_owned(), id, ..Default::default() };
    caller.write("TakeSnapshot", &request, note).await?;
    Ok(caller.admin().backups().take().await?)
}

impl From<NoBackup> for Problem {
    fn from(error: NoBackup) -> Self {
        match error {
            NoBackup::Stale(_) => Self::new(ApiCode::Unavailable, error.to_string()),
            NoBackup::Failed => Self::internal("a backup cannot be written"),
        }
    }
}
