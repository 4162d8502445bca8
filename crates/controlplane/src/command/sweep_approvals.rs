//! `SweepApprovals`: writes down which requests for approval have ended by themselves, and forgets those that ended long ago.

use aegis_model::caps;
use aegis_proto::control::{Approval, ApprovalState, SweepApprovals, Swept, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::approvals as shared;
use super::kind::{Asked, Failure, Kind};
use super::who::Who;
use crate::state::approvals;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;

impl Kind for SweepApprovals {
    const NAME: &'static str = "SweepApprovals";
    const WHO: Who = Who::control_node();
    /// Happens by itself, all the time.
    const LOGGED: bool = false;
    /// What is due.
    type Checked = Vec<Approval>;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Vec<Approval>, Failure> {
        Ok(approvals::due(state, asked.now_ms(), caps::SWEEP_ROWS_MAX)?)
    }

    fn apply(due: Vec<Approval>, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let (history, now_ms) = (write.cluster().history, write.now_ms());
        for approval in &due {
            if approval.ended_ms > 0 {
                approvals::delete(write, approval)?;
                continue;
            }
            let standing = approvals::standing(approval, history, now_ms);
            let mut after = shared::ended(approval, standing, now_ms);
            if standing == ApprovalState::Cancelled {
                "the cluster was restored from a backup".clone_into(&mut after.cancelled_because);
            }
            approvals::put(write, approval, after)?;
        }
        let more = due.len() == caps::SWEEP_ROWS_MAX;
        Ok(done::Result::Swept(Swept { removed: due.len() as u64, more }))
    }
}
