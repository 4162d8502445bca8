//! `CancelApproval`: takes a request for approval back, or an approval that was not used.

use aegis_proto::control::{Approval, ApprovalState, CancelApproval, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::approvals as shared;
use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::vote_approval::closed;
use super::who::Who;
use crate::state::approvals;
use crate::state::writer::Writer;

impl Kind for CancelApproval {
    const NAME: &'static str = "CancelApproval";
    const WHO: Who = Who::roles(&[Role::Approver, Role::Operator, Role::Admin]);
    /// The request as it is, and as it is to be.
    type Checked = (Approval, Approval);

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let reason =
            if self.reason.is_empty() { String::new() } else { format!(", because: {}", self.reason) };
        format!("request `{}`{reason}", self.id)
    }

    fn outcome(result: &done::Result) -> String {
        match result {
            done::Result::Approval(row) => shared::in_words(row),
            _ => String::new(),
        }
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<(Approval, Approval), Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let reason = checks::words("reason", &self.reason)?;
        let approval = shared::known(state, &tenant, &self.id)?;
        let standing = approvals::standing(&approval, asked.cluster.history, asked.now_ms());
        if !matches!(standing, ApprovalState::Pending | ApprovalState::Approved) {
            return Err(closed(&approval, standing).into());
        }
        let because = if reason.is_empty() { format!("`{}` took it back", asked.by()) } else { reason };
        let ended = shared::ended(&approval, ApprovalState::Cancelled, asked.now_ms());
        let ended = Approval { cancelled_because: because, ..ended };
        Ok((approval, ended))
    }

    fn apply(
        (before, after): (Approval, Approval),
        write: &mut Writer<'_, '_>,
    ) -> Result<done::Result, StoreError> {
        approvals::put(write, &before, after).map(done::Result::Approval)
    }
}
