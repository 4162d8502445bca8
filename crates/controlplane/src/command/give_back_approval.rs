//! `GiveBackApproval`: a redemption is taken back, because nothing was released. One that has not happened yet never will, so that
//! it does not matter which of the two arrives first.

use aegis_model::caps;
use aegis_proto::control::{Approval, ApprovalState, GiveBackApproval, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::approvals as shared;
use super::kind::{Asked, Failure, Kind};
use super::redeem_approval::{check_redemption, tenant_of};
use super::who::Who;
use crate::state::approvals;
use crate::state::writer::Writer;

/// The request as it is, and as it is to be; nothing where nothing changes.
pub(crate) struct Checked {
    before: Approval,
    after: Option<Approval>,
}

impl Kind for GiveBackApproval {
    const NAME: &'static str = "GiveBackApproval";
    const WHO: Who = Who::control_node();
    /// The decision's record says that nothing was released.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Checked, Failure> {
        let tenant = tenant_of(&self.tenant)?;
        check_redemption(&self.redemption)?;
        let approval = shared::known(state, &tenant, &self.id)?;
        let known = approval.given_back.contains(&self.redemption);
        let redeemed = approval.state() == ApprovalState::Redeemed
            && approval.redemption == self.redemption
            && approval.redeemed_by == self.node;
        // A redemption of an open request may still be on its way.
        let open = matches!(approval.state(), ApprovalState::Approved | ApprovalState::Pending);
        if known || !(redeemed || open) || approval.given_back.len() >= caps::APPROVAL_GIVEN_BACK_MAX {
            return Ok(Checked { before: approval, after: None });
        }
        let mut after = approval.clone();
        after.given_back.push(self.redemption.clone());
        if redeemed {
            after.set_state(ApprovalState::Approved);
            after.redemption = Vec::new();
            after.redeemed_by = 0;
            after.ended_ms = 0;
        }
        Ok(Checked { before: approval, after: Some(after) })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { before, after } = checked;
        let row = match after {
            None => before,
            Some(after) => approvals::put(write, &before, after)?,
        };
        Ok(done::Result::Approval(row))
    }
}
