//! `RedeemApproval`: an approved call is made, once (APR-1).

use aegis_model::ids::TenantId;
use aegis_proto::control::{Approval, ApprovalRedeemed, ApprovalState, RedeemApproval, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::approvals as shared;
use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::approvals;
use crate::state::writer::Writer;

/// Longest name of an attempt, in bytes: it is as long.
pub(super) const REDEMPTION_BYTES: usize = 16;

/// Why approvals end whose approvers may no longer agree.
const NOBODY_AGREES: &str = "who agreed to it may no longer do so";

/// What is to be answered, and what is to be written for it.
pub(crate) struct Checked {
    before: Option<Approval>,
    after: Option<Approval>,
    refused: &'static str,
}

impl Kind for RedeemApproval {
    const NAME: &'static str = "RedeemApproval";
    const WHO: Who = Who::control_node();
    /// The decision's record says it.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let digest = checks::digest("digest", &self.digest)?;
        let entry_digest = checks::digest("entry_digest", &self.entry_digest)?;
        check_redemption(&self.redemption)?;
        let Some(approval) = approvals::approval(state, &tenant, &self.id)? else {
            return Ok(Checked { before: None, after: None, refused: "unknown" });
        };
        let refused = why_not(self, state, &approval, &digest, &entry_digest, asked)?;
        let agreed = refused.is_some() || shared::is_agreed(state, &tenant, &approval)?;
        Ok(match refused {
            Some(refused) => Checked { before: Some(approval), after: None, refused },
            None if agreed => {
                let after = Some(redeemed(self, &approval, asked));
                Checked { before: Some(approval), after, refused: "" }
            }
            None => {
                let ended = shared::ended(&approval, ApprovalState::Cancelled, asked.now_ms());
                let ended = Approval { cancelled_because: NOBODY_AGREES.to_owned(), ..ended };
                Checked { before: Some(approval), after: Some(ended), refused: "cancelled" }
            }
        })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { before, after, refused } = checked;
        let approval = match (before, after) {
            (Some(before), Some(after)) => Some(approvals::put(write, &before, after)?),
            (before, _) => before,
        };
        Ok(done::Result::ApprovalRedeemed(ApprovalRedeemed { approval, refused: refused.to_owned() }))
    }
}

/// Why not; `Some("")` where this very attempt has redeemed it before.
fn why_not(
    command: &RedeemApproval,
    state: &impl StateRead,
    approval: &Approval,
    digest: &[u8; 32],
    entry_digest: &[u8; 32],
    asked: &Asked<'_>,
) -> Result<Option<&'static str>, StoreError> {
    if approval.digest != digest {
        return Ok(Some("mismatch"));
    }
    if approval.redemption == command.redemption {
        return Ok(Some(""));
    }
    if approval.given_back.contains(&command.redemption) {
        return Ok(Some("cancelled"));
    }
    Ok(match approvals::standing(approval, asked.cluster.history, asked.now_ms()) {
        ApprovalState::Redeemed => Some("used"),
        ApprovalState::Pending => Some("pending"),
        ApprovalState::Rejected => Some("rejected"),
        ApprovalState::Expired => Some("expired"),
        ApprovalState::Cancelled | ApprovalState::Unspecified => Some("cancelled"),
        // A later activation matters only if it changed the rule that asked.
        ApprovalState::Approved if approval.entry_digest != entry_digest => Some("changed"),
        ApprovalState::Approved => {
            (!shared::is_newest(state, command.node, command.incarnation)?).then_some("fenced")
        }
    })
}

fn redeemed(command: &RedeemApproval, approval: &Approval, asked: &Asked<'_>) -> Approval {
    Approval {
        redemption: command.redemption.clone(),
        redeemed_by: command.node,
        ..shared::ended(approval, ApprovalState::Redeemed, asked.now_ms())
    }
}

/// An attempt has a name of its own.
pub(super) fn check_redemption(redemption: &[u8]) -> Result<(), Refused> {
    if redemption.len() == REDEMPTION_BYTES {
        return Ok(());
    }
    Err(Refused::invalid("redemption", format!("{REDEMPTION_BYTES} bytes")))
}

/// The tenant of a command about one approval.
pub(super) fn tenant_of(text: &str) -> Result<TenantId, Refused> {
    checks::name("tenant", text)
}
