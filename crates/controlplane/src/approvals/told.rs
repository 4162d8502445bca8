//! What a data node is told of a request, and the override token of one that was approved.

use aegis_identity::approved::ApprovedCall;
use aegis_identity::mint::Stamp;
use aegis_proto::control::{Approval, ApprovalState};
use aegis_proto::v1;
use aegis_raft_store::tables::StateView;
use tonic::Status;

use super::Shared;
use crate::deliveries::page_address;
use crate::keys::{KeyKind, keyring};
use crate::state::{approvals, meta};

impl Shared {
    /// How `approval` stands. Its token is made anew each time, and is always the same.
    pub(super) fn told(
        &self,
        view: &StateView,
        approval: &Approval,
        opened: bool,
    ) -> Result<v1::ApprovalStanding, Status> {
        let history = meta::history(view).map_err(|error| Status::unavailable(error.to_string()))?;
        let standing = approvals::standing(approval, history, self.now_ms());
        let override_token = match standing {
            // One that was used opens nothing more; by it a data node finds the answer to a call that is repeated.
            ApprovalState::Approved | ApprovalState::Redeemed => self.token(view, approval)?,
            _ => String::new(),
        };
        let call = approval.call.clone().unwrap_or_default();
        Ok(v1::ApprovalStanding {
            id: approval.id.clone(),
            state: approvals::state_name(standing).to_owned(),
            opened,
            refused: String::new(),
            url: page_address(&self.public_url, &approval.tenant, &approval.id),
            expires_ms: approval.expires_ms,
            agent: call.agent,
            callers: call.callers,
            override_token,
        })
    }

    fn token(&self, view: &StateView, approval: &Approval) -> Result<String, Status> {
        let damaged = || Status::internal("a request for approval cannot be read");
        let call = approval.call.as_ref().ok_or_else(damaged)?;
        let approved = ApprovedCall {
            tenant: approval.tenant.parse().map_err(|_bad| damaged())?,
            agent: call.agent.parse().map_err(|_bad| damaged())?,
            approval: approval.id.clone(),
            digest: approval.digest.as_slice().try_into().map_err(|_length| damaged())?,
            key_version: approval.key_version,
        };
        let stamp = Stamp {
            token_id: approval.id.clone(),
            issued_seconds: approval.decided_ms / 1_000,
            expires_seconds: approval.expires_ms / 1_000,
        };
        let minter = keyring::minter(view, &self.cluster_keys, KeyKind::AgentToken)
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let minted =
            minter.override_token(&approved, &stamp).map_err(|error| Status::internal(error.to_string()))?;
        Ok(minted.token.expose().clone())
    }
}
