//! The service `aegis.v1.Approvals`.

use std::time::Duration;

use aegis_identity::mint::new_token_id;
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{
    Approval, ApprovalCall, ApprovalOpened, ApprovalReason, ApprovalRedeemed, ApprovalState, ApprovalTerms,
    GiveBackApproval, OpenApproval, RedeemApproval, done,
};
use aegis_proto::v1;
use aegis_proto::v1::approvals_server::Approvals;
use aegis_raft_store::tables::{StateRead, StateView, StoreError};
use http::Extensions;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{ApprovalsNode, Shared};
use crate::command::actor::Actor;
use crate::command::{self, Code};
use crate::control::ProposeError;
use crate::spans::Notes;
use crate::state::{approvals, data_nodes, meta};

/// Between two looks at a request whose outcome is waited for, however fast the state changes.
const LOOK: Duration = Duration::from_millis(25);

#[tonic::async_trait]
impl Approvals for ApprovalsNode {
    async fn open_approval(
        &self,
        request: Request<v1::ApprovalOpening>,
    ) -> Result<Response<v1::ApprovalStanding>, Status> {
        let (_, extensions, opening) = request.into_parts();
        let shared = &self.shared;
        let (node, tenant) = shared.admit(&extensions, opening.node.as_ref(), &opening.tenant)?;
        // A request that is repeated, which is the usual case, costs no entry of the log.
        let view = shared.view()?;
        if let Some(known) = pending(&view, &tenant, &opening, shared.now_ms()).map_err(failed)? {
            return shared.told(&view, &known, false).map(Response::new);
        }
        let id = new_token_id(&mut shared.randomness.fork());
        let opened = match shared.propose(&extensions, command(opening, node, id)).await? {
            done::Result::ApprovalOpened(opened) => opened,
            _ => return Err(other_answer()),
        };
        let ApprovalOpened { approval, opened, refused } = opened;
        let standing = match approval {
            Some(approval) => shared.told(&shared.view()?, &approval, opened)?,
            None => {
                note_refused(&extensions, &refused);
                v1::ApprovalStanding { refused, ..v1::ApprovalStanding::default() }
            }
        };
        Ok(Response::new(standing))
    }

    async fn watch_approval(
        &self,
        request: Request<v1::ApprovalWatch>,
    ) -> Result<Response<v1::ApprovalStanding>, Status> {
        let (_, extensions, watch) = request.into_parts();
        let shared = &self.shared;
        let (_, tenant) = shared.admit(&extensions, watch.node.as_ref(), &watch.tenant)?;
        let mut approval = approvals::approval(&shared.view()?, &tenant, &watch.id).map_err(failed)?;
        if approval.is_none() {
            // This node may be behind the one that opened it.
            let newest =
                shared.control.read().await.map_err(|error| Status::unavailable(error.to_string()))?;
            approval = approvals::approval(&newest, &tenant, &watch.id).map_err(failed)?;
        }
        let Some(approval) = approval else {
            return Ok(Response::new(v1::ApprovalStanding::default()));
        };
        let wait = Duration::from_millis(watch.wait_ms.min(caps::APPROVAL_WAIT_MS_MAX).into());
        let approval = shared.outcome(&tenant, approval, wait).await?;
        shared.told(&shared.view()?, &approval, false).map(Response::new)
    }

    async fn redeem_approval(
        &self,
        request: Request<v1::ApprovalRedemption>,
    ) -> Result<Response<v1::ApprovalRedeeming>, Status> {
        let (_, extensions, redemption) = request.into_parts();
        let (node, _) = self.shared.admit(&extensions, redemption.node.as_ref(), &redemption.tenant)?;
        let command = RedeemApproval {
            tenant: redemption.tenant,
            id: redemption.id,
            digest: redemption.digest,
            entry_digest: redemption.entry_digest,
            redemption: redemption.redemption,
            node: node.id,
            incarnation: node.incarnation,
        };
        let redeemed = match self.shared.propose(&extensions, command).await? {
            done::Result::ApprovalRedeemed(redeemed) => redeemed,
            _ => return Err(other_answer()),
        };
        let ApprovalRedeemed { approval, refused } = redeemed;
        note_refused(&extensions, &refused);
        let votes = approval.map(|approval| approval.votes).unwrap_or_default();
        let approvers = votes.into_iter().filter(|vote| vote.approve).map(|vote| vote.person).collect();
        Ok(Response::new(v1::ApprovalRedeeming { refused, approvers }))
    }

    async fn give_back_approval(
        &self,
        request: Request<v1::ApprovalReturn>,
    ) -> Result<Response<v1::ApprovalReturned>, Status> {
        let (_, extensions, back) = request.into_parts();
        let (node, _) = self.shared.admit(&extensions, back.node.as_ref(), &back.tenant)?;
        let command =
            GiveBackApproval { tenant: back.tenant, id: back.id, redemption: back.redemption, node: node.id };
        self.shared.propose(&extensions, command).await?;
        Ok(Response::new(v1::ApprovalReturned {}))
    }
}

/// Notes a refusal that is an answer like any other; nothing where there is none.
fn note_refused(extensions: &Extensions, refused: &str) {
    if let (Some(notes), false) = (extensions.get::<Notes>(), refused.is_empty()) {
        notes.refused(refused);
    }
}

impl Shared {
    /// Who asks, if its certificate and its row say so, and it has to do with the tenant (TEN-1).
    fn admit<'n>(
        &self,
        extensions: &Extensions,
        node: Option<&'n v1::ApprovalNode>,
        tenant: &str,
    ) -> Result<(v1::ApprovalNode, TenantId), Status> {
        let node: &'n v1::ApprovalNode = node.ok_or_else(|| Status::invalid_argument("`node` is missing"))?;
        let bad_tenant = |_bad| Status::invalid_argument("`tenant` is no name");
        let tenant: TenantId = tenant.parse().map_err(bad_tenant)?;
        let only: Option<TenantId> = match node.tenant.as_str() {
            "" => None,
            only => Some(only.parse().map_err(bad_tenant)?),
        };
        self.admission.admit(extensions, &node.name, only.as_ref())?;
        let view = self.view()?;
        if node.history != meta::history(&view).map_err(failed)? {
            return Err(Status::unavailable("this control node knows another history"));
        }
        let row = data_nodes::data_node(&view, node.id)
            .map_err(failed)?
            .filter(|row| row.incarnation >= node.incarnation)
            .ok_or_else(|| {
                Status::unavailable("this control node does not know the data node's incarnation")
            })?;
        // The certificate proves the name, and the row binds the id to it.
        let is_its = row.name == node.name && row.tenant == node.tenant;
        if !is_its || only.is_some_and(|only| only != tenant) {
            return Err(Status::permission_denied("the id, or the tenant, belongs to another data node"));
        }
        if let Some(notes) = extensions.get::<Notes>() {
            notes.tenant(&tenant);
            notes.data_node(&row.name);
        }
        Ok((node.clone(), tenant))
    }

    /// The log time, as far as it is known here.
    pub(super) fn now_ms(&self) -> u64 {
        self.control.applied().borrow().log_time_ms
    }

    fn view(&self) -> Result<StateView, Status> {
        self.control.view().map_err(failed)
    }

    async fn propose(
        &self,
        extensions: &Extensions,
        command: impl Into<command::Request>,
    ) -> Result<done::Result, Status> {
        let actor = Actor::ControlNode(self.id);
        let propose = self.control.propose(command, &actor);
        let answer = Notes::step(extensions.get(), "propose", propose).await.map_err(refused)?;
        answer.done.result.ok_or_else(other_answer)
    }

    /// The request once it is decided or has ended, or as it is when the wait is over.
    async fn outcome(
        &self,
        tenant: &TenantId,
        mut approval: Approval,
        wait: Duration,
    ) -> Result<Approval, Status> {
        let Ok(_place) = self.watches.try_acquire() else { return Ok(approval) };
        let until = Instant::now() + wait;
        let mut applied = self.control.applied();
        loop {
            let now = *applied.borrow_and_update();
            let standing = approvals::standing(&approval, now.history, now.log_time_ms);
            if standing != ApprovalState::Pending || Instant::now() >= until {
                return Ok(approval);
            }
            tokio::select! {
                () = self.stopping.cancelled() => return Ok(approval),
                () = tokio::time::sleep_until(until) => {}
                changed = applied.changed() => {
                    changed.map_err(|_gone| Status::unavailable("this control node is stopping"))?;
                    tokio::time::sleep(LOOK).await;
                }
            }
            let view = self.view()?;
            match approvals::approval(&view, tenant, &approval.id).map_err(failed)? {
                Some(newer) => approval = newer,
                None => return Ok(approval),
            }
        }
    }
}

/// The request for the same call that is pending, as far as is known here.
fn pending(
    state: &impl StateRead,
    tenant: &TenantId,
    opening: &v1::ApprovalOpening,
    now_ms: u64,
) -> Result<Option<Approval>, StoreError> {
    let Ok(digest) = opening.digest.as_slice().try_into() else { return Ok(None) };
    let history = meta::history(state)?;
    let known = approvals::of_call(state, tenant, digest)?;
    Ok(known.filter(|known| {
        let standing = approvals::standing(known, history, now_ms);
        known.entry_digest == opening.entry_digest && standing == ApprovalState::Pending
    }))
}

fn command(opening: v1::ApprovalOpening, node: v1::ApprovalNode, id: String) -> OpenApproval {
    let reason = |cause: v1::ApprovalCause| ApprovalReason {
        code: cause.code,
        message: cause.message,
        path: cause.path,
        rule: cause.rule,
    };
    let terms = |need: v1::ApprovalNeed| ApprovalTerms {
        rule: need.rule,
        by: need.by,
        of: need.of,
        within_seconds: need.within_seconds,
        notify: need.notify,
    };
    let call = ApprovalCall {
        organization: opening.organization,
        agent: opening.agent,
        callers: opening.callers,
        tool: opening.tool,
        action: opening.action,
        params: opening.params,
        context: opening.context,
        cost: opening.cost,
        reasons: opening.causes.into_iter().map(reason).collect(),
        version: opening.version,
        activation: opening.activation,
    };
    OpenApproval {
        tenant: opening.tenant,
        id,
        history: node.history,
        digest: opening.digest,
        key_version: opening.key_version,
        entry_digest: opening.entry_digest,
        call: Some(call),
        terms: opening.needs.into_iter().map(terms).collect(),
        node: node.id,
        incarnation: node.incarnation,
    }
}

/// A command that was not done: told apart only as far as it matters to whoever asks again.
fn refused(error: ProposeError) -> Status {
    match error.refused().map(|refused| refused.code) {
        Some(Code::Invalid) => Status::invalid_argument(error.to_string()),
        Some(Code::UnknownApproval | Code::UnknownTenant | Code::TenantRetired) => {
            Status::not_found(error.to_string())
        }
        Some(_) | None => Status::unavailable(error.to_string()),
    }
}

fn failed(error: StoreError) -> Status {
    Status::unavailable(error.to_string())
}

fn other_answer() -> Status {
    Status::unavailable("the state machine gave another answer")
}
