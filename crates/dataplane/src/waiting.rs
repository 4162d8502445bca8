//! A client that waits for people: the call is walked, and once they have decided it is walked again, from the start.
//!
//! While it waits, it keeps neither snapshot nor reservation nor a place among the calls in progress.

use std::net::IpAddr;
use std::time::Duration;

use aegis_model::call::ToolCall;
use aegis_model::caps;
use aegis_model::decision::Outcome;
use aegis_model::ids::TenantId;
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;

use crate::answer::Answer;
use crate::case::{Resumed, Surface};
use crate::decider::{Decider, Entry};
use crate::walk::walk;

/// Walks a call to its answer. If a person has to agree and the client is willing to wait, to the answer after that; when the wait
/// is over before, to the first one.
pub(crate) async fn walk_and_wait(
    decider: &Decider,
    entry: Entry,
    surface: Surface,
    source: IpAddr,
    token: &str,
    call: ToolCall,
) -> Answer {
    let wait = Duration::from_millis(call.wait_ms.min(caps::APPROVAL_WAIT_MS_MAX).into());
    if wait.is_zero() || call.dry_run || call.override_token.is_some() {
        return walk(decider, decider.receive(&entry, surface, source, token, None, call)).await;
    }
    // On its own: a call that waits for nobody does not carry the room for it.
    Box::pin(wait_for_people(decider, entry, surface, source, token, call, wait)).await
}

async fn wait_for_people(
    decider: &Decider,
    entry: Entry,
    surface: Surface,
    source: IpAddr,
    token: &str,
    call: ToolCall,
    wait: Duration,
) -> Answer {
    let again = call.clone();
    let first = walk(decider, decider.receive(&entry, surface, source, token, None, call)).await;
    let (Some(id), Some(_place)) = (pending(&first), decider.approvals.place()) else { return first };
    let Some(tenant) = tenant(decider, token) else { return first };
    let caller = entry.caller().cloned();
    drop(entry);
    let watched = tokio::select! {
        watched = decider.approvals.watch(&tenant, &id, wait) => watched,
        () = decider.leaving().cancelled() => return first,
    };
    let Ok(standing) = watched else { return first };
    let (resumed, override_token) = match standing.state.as_str() {
        // One that was used, perhaps by this very call: a repetition finds the answer under its request id.
        "approved" | "redeemed" => (Resumed::Approved, Some(Secret::new(standing.override_token))),
        "pending" => return first,
        "rejected" => (Resumed::Rejected, None),
        _ => (Resumed::Ended, None),
    };
    let entry = match decider.enter(surface) {
        Ok(entry) => entry.traced(caller),
        Err(refused) => return Answer::Refused(refused),
    };
    let call = ToolCall { override_token, ..again };
    let received = decider.receive(&entry, surface, source, token, None, call);
    walk(decider, received.resumed(resumed)).await
}

/// The request that the answer waits for.
fn pending(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Decided(decision) if decision.outcome == Outcome::ApprovalRequired => {
            let open = decision.reasons.iter().any(|reason| {
                matches!(reason.code, ReasonCode::ApprovalRequired | ReasonCode::ApprovalPending)
            });
            decision.approval.as_ref().filter(|_| open).map(|approval| approval.id.clone())
        }
        Answer::Decided(_) | Answer::Refused(_) => None,
    }
}

/// The tenant of a token that was verified a moment ago.
fn tenant(decider: &Decider, token: &str) -> Option<TenantId> {
    let snapshot = decider.snapshot();
    let principal = snapshot.verifier().verify_agent(token, decider.clock.now()).ok()?;
    Some(principal.tenant.clone())
}
