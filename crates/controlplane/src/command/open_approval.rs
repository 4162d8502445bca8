//! `OpenApproval`: asks people to agree to one call, or joins the request that asks for the same one.

use aegis_model::caps;
use aegis_model::ids::{ActionName, AgentId, TenantId, ToolName};
use aegis_proto::control::{
    Approval, ApprovalCall, ApprovalOpened, ApprovalState, ApprovalTerms, OpenApproval, done,
};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::approvals as shared;
use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::approvals::{self, Counted};
use crate::state::tenants;
use crate::state::writer::Writer;

/// What is to be answered, or opened.
pub(crate) enum Checked {
    /// Nothing is opened.
    Answer(Box<ApprovalOpened>),
    /// A new request; another one for the same call, which an older rule had asked for, counts no more.
    Open {
        /// The new one.
        new: Box<Approval>,
        /// The older one.
        replaced: Option<Box<Approval>>,
    },
}

impl Kind for OpenApproval {
    const NAME: &'static str = "OpenApproval";
    const WHO: Who = Who::control_node();
    /// Happens all the time. The decision's record names the request.
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
        if self.history != asked.cluster.history {
            return Err(Refused::stale("history", asked.cluster.history).into());
        }
        let id = checks::token_id("id", &self.id)?;
        let digest = checks::digest("digest", &self.digest)?;
        let entry_digest = checks::digest("entry_digest", &self.entry_digest)?;
        let call = self.call.clone().unwrap_or_default();
        check_call(&call)?;
        check_terms(&self.terms)?;
        if !shared::is_newest(state, self.node, self.incarnation)? {
            return Ok(refused("fenced"));
        }
        let (history, now_ms) = (asked.cluster.history, asked.now_ms());
        let known = approvals::of_call(state, &tenant, &digest)?;
        let mut replaced = None;
        if let Some(known) = known {
            let same = known.entry_digest == entry_digest;
            match approvals::standing(&known, history, now_ms) {
                ApprovalState::Pending | ApprovalState::Approved if same => return Ok(joined(known)),
                ApprovalState::Pending | ApprovalState::Approved => replaced = Some(Box::new(known)),
                // A no holds for as long as people would have been asked.
                ApprovalState::Rejected if same && known.history == history && now_ms < known.expires_ms => {
                    return Ok(joined(known));
                }
                _ => {}
            }
        }
        if let Some(bound) = bound(state, &tenant, &call, now_ms)? {
            return Ok(refused(bound));
        }
        let alike = Counted::Alike(&call.agent, &call.tool, &call.action);
        let similar = approvals::count(state, &self.tenant, alike, now_ms)?.opened;
        // The shortest of them: whoever asks longer has lost by then anyway.
        let seconds = self.terms.iter().map(|terms| terms.within_seconds).min().unwrap_or_default();
        let new = Approval {
            tenant: self.tenant.clone(),
            id,
            history,
            state: ApprovalState::Pending.into(),
            digest: digest.to_vec(),
            key_version: self.key_version,
            entry_digest: entry_digest.to_vec(),
            call: Some(call),
            terms: self.terms.clone(),
            opened_ms: now_ms,
            expires_ms: now_ms + seconds * 1_000,
            similar,
            opened_by: self.node,
            ..Approval::default()
        };
        if approvals::approval(state, &tenant, &new.id)?.is_some() {
            return Err(Refused::exists("request for approval", &new.id).into());
        }
        Ok(Checked::Open { new: Box::new(new), replaced })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let (new, replaced) = match checked {
            Checked::Answer(answer) => return Ok(done::Result::ApprovalOpened(*answer)),
            Checked::Open { new, replaced } => (new, replaced),
        };
        if let Some(replaced) = replaced {
            let because = "the rule that asked for it has changed".to_owned();
            let ended = shared::ended(&replaced, ApprovalState::Cancelled, write.now_ms());
            approvals::put(write, &replaced, Approval { cancelled_because: because, ..ended })?;
        }
        let approval = Some(approvals::open(write, *new)?);
        Ok(done::Result::ApprovalOpened(ApprovalOpened { approval, opened: true, refused: String::new() }))
    }
}

fn joined(approval: Approval) -> Checked {
    let answer = ApprovalOpened { approval: Some(approval), opened: false, refused: String::new() };
    Checked::Answer(Box::new(answer))
}

fn refused(code: &str) -> Checked {
    let answer = ApprovalOpened { approval: None, opened: false, refused: code.to_owned() };
    Checked::Answer(Box::new(answer))
}

/// The bound that leaves no room for one more.
fn bound(
    state: &impl StateRead,
    tenant: &TenantId,
    call: &ApprovalCall,
    now_ms: u64,
) -> Result<Option<&'static str>, StoreError> {
    let of_agent = approvals::count(state, tenant.as_str(), Counted::Agent(&call.agent), now_ms)?;
    let of_tenant = approvals::count(state, tenant.as_str(), Counted::Tenant, now_ms)?;
    let kept = tenants::counters(state, tenant)?.approvals_kept;
    Ok(if of_agent.pending >= caps::APPROVALS_PENDING_AGENT_MAX {
        Some("agent_pending")
    } else if of_agent.opened >= caps::APPROVALS_OPENED_AGENT_MAX {
        Some("agent_rate")
    } else if of_tenant.pending >= caps::APPROVALS_PENDING_TENANT_MAX {
        Some("tenant_pending")
    } else if of_tenant.opened >= caps::APPROVALS_OPENED_TENANT_MAX || kept >= caps::APPROVALS_KEPT_MAX {
        Some("tenant_rate")
    } else {
        None
    })
}

fn check_call(call: &ApprovalCall) -> Result<(), Refused> {
    let _agent: AgentId = checks::name("agent", &call.agent)?;
    let _tool: ToolName = checks::name("tool", &call.tool)?;
    let _action: ActionName = checks::name("action", &call.action)?;
    if call.callers.len() > caps::CHAIN_MEMBERS_MAX {
        return Err(Refused::invalid("callers", format!("at most {}", caps::CHAIN_MEMBERS_MAX)));
    }
    for caller in &call.callers {
        let _caller: AgentId = checks::name("callers", caller)?;
    }
    if call.params.len() + call.context.len() > caps::APPROVAL_CONTENT_BYTES_MAX {
        return Err(Refused::invalid(
            "params",
            format!("at most {} bytes", caps::APPROVAL_CONTENT_BYTES_MAX),
        ));
    }
    let short = |text: &String| text.len() <= caps::APPROVAL_TEXT_BYTES_MAX;
    let are_short =
        call.reasons.iter().all(|it| [&it.code, &it.message, &it.path, &it.rule].into_iter().all(short));
    if call.reasons.len() > caps::APPROVAL_REASONS_MAX || !are_short || !short(&call.cost) {
        return Err(Refused::invalid("reasons", "few and short"));
    }
    Ok(())
}

fn check_terms(terms: &[ApprovalTerms]) -> Result<(), Refused> {
    if terms.is_empty() || terms.len() > caps::APPROVAL_TERMS_MAX {
        return Err(Refused::invalid("terms", format!("1 to {}", caps::APPROVAL_TERMS_MAX)));
    }
    let seconds = caps::APPROVAL_SECONDS_MIN..=caps::APPROVAL_SECONDS_MAX;
    let is_good = |terms: &ApprovalTerms| {
        let names = [&terms.by, &terms.notify];
        names.iter().all(|names| names.len() <= caps::APPROVAL_NAMES_MAX)
            && names.iter().flat_map(|names| names.iter()).all(|it| it.len() <= caps::NAME_BYTES_MAX)
            && terms.rule.len() <= caps::APPROVAL_TEXT_BYTES_MAX
            && (1..=caps::APPROVERS_MAX).contains(&terms.of)
            && seconds.contains(&terms.within_seconds)
    };
    if terms.iter().all(is_good) { Ok(()) } else { Err(Refused::invalid("terms", "those of a policy")) }
}
