//! How a request for approval stands, for the agent whose call it is about.

use std::net::IpAddr;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::decision::Approval;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use aegis_proto::v1;

use super::{Unreachable, shown};
use crate::answer::Refused;
use crate::case::Surface;
use crate::complete::prove;
use crate::decider::Decider;

/// How a request stands.
pub(crate) struct Status {
    pub(crate) approval: Approval,
    /// `pending`, `approved`, `rejected`, `expired`, `redeemed` or `cancelled`.
    pub(crate) state: String,
    /// The override token, while it is approved.
    pub(crate) override_token: Option<Secret<String>>,
}

/// How the request `id` stands, after at most `wait_ms` in which people are asked.
///
/// Refuses for: bad evidence, a request that is not of exactly this agent with its callers, and a control plane that does not
/// answer.
pub(crate) async fn status(
    decider: &Decider,
    surface: Surface,
    source: IpAddr,
    token: &str,
    id: &str,
    wait_ms: u32,
) -> Result<Status, Refused> {
    let principal = match prove(decider, token) {
        Ok(principal) => principal,
        Err(refused) => return Err(decider.turn_away(source, surface, refused).await),
    };
    let told = look(decider, &principal, id, wait_ms).await;
    if let Err(refused) = &told {
        decider.metrics.refused(refused.code, surface);
    }
    told
}

async fn look(decider: &Decider, principal: &Principal, id: &str, wait_ms: u32) -> Result<Status, Refused> {
    if id.is_empty() || id.len() > caps::TOKEN_ID_BYTES_MAX {
        return Err(unknown());
    }
    let place = decider.approvals.place();
    let wait = if place.is_some() { wait_ms.min(caps::APPROVAL_WAIT_MS_MAX) } else { 0 };
    let watch = decider.approvals.watch(&principal.tenant, id, Duration::from_millis(wait.into()));
    let standing = tokio::select! {
        standing = watch => standing,
        () = decider.leaving().cancelled(), if wait > 0 => {
            return Err(Refused::new(ReasonCode::Overloaded, "the node is stopping; ask another one"));
        }
    };
    let standing = standing.map_err(unreachable)?;
    if standing.id.is_empty() || !is_of(&standing, principal) {
        return Err(unknown());
    }
    let token = Some(standing.override_token.clone()).filter(|_| standing.state == "approved");
    Ok(Status {
        approval: shown(&standing),
        state: standing.state,
        override_token: token.filter(|token| !token.is_empty()).map(Secret::new),
    })
}

/// Whether the request is about a call of exactly this agent, called by the same.
fn is_of(standing: &v1::ApprovalStanding, principal: &Principal) -> bool {
    let callers = principal.callers.iter().map(|caller| caller.as_str());
    standing.agent == principal.agent.as_str() && callers.eq(standing.callers.iter().map(String::as_str))
}

fn unknown() -> Refused {
    Refused::new(ReasonCode::InvalidRequest, "the agent has no request for approval of this id")
}

fn unreachable(why: Unreachable) -> Refused {
    match why {
        Unreachable::Refused => unknown(),
        Unreachable::None | Unreachable::Late => Refused::new(
            ReasonCode::PolicyUnavailable,
            "the control plane, which knows it, cannot be reached",
        ),
    }
}
