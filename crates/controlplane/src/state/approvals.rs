//! Requests for approval: what is asked, who said what, and what became of it.
//!
//! A row says what was written down; how the request *stands* follows from it, the history and the log time
//! ([`standing`]), so that nothing depends on when somebody got round to writing down that time is up.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Approval, ApprovalCount, ApprovalState};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{deliveries, key, row, tenants};

/// Tenant, zero, number inverted → [`Approval`]: the newest first.
pub const APPROVALS: Table = Table::new("approvals");
/// Tenant, zero, id → the number, big-endian.
pub const APPROVAL_IDS: Table = Table::new("approval_ids");
/// Tenant, zero, digest of the call → the number of its newest request, big-endian.
pub const APPROVAL_DIGESTS: Table = Table::new("approval_digests");
/// When it ends by itself or is forgotten, big-endian, then the key in [`APPROVALS`] → nothing: the first to end first.
pub const APPROVALS_DUE: Table = Table::new("approvals_due");
/// Tenant, zero, then nothing, an agent, or an agent, a tool and an action with zeros between → [`ApprovalCount`].
pub const APPROVAL_COUNTS: Table = Table::new("approval_counts");

/// The request of this id.
///
/// # Errors
/// The storage failed.
pub fn approval(state: &impl StateRead, tenant: &TenantId, id: &str) -> Result<Option<Approval>, StoreError> {
    by_index(state, APPROVAL_IDS, tenant, id.as_bytes())
}

/// The newest request for the call of this keyed digest.
///
/// # Errors
/// The storage failed.
pub fn of_call(
    state: &impl StateRead,
    tenant: &TenantId,
    digest: &[u8; 32],
) -> Result<Option<Approval>, StoreError> {
    by_index(state, APPROVAL_DIGESTS, tenant, digest)
}

/// The request of this number.
///
/// # Errors
/// The storage failed.
pub fn numbered(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
) -> Result<Option<Approval>, StoreError> {
    row::read(state, APPROVALS, &key::pair(tenant.as_str(), &key::falling(number)))
}

/// The tenant's requests, the newest first.
///
/// # Errors
/// The storage failed.
pub fn approvals(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<Approval>, StoreError> {
    page::rows(state, APPROVALS, &key::below(tenant.as_str()), query)
}

/// How many requests of all tenants are pending: for metrics, which only the operator of the cluster sees. One that has ended by
/// itself counts until that was written down.
///
/// # Errors
/// The storage failed.
pub fn pending_of_everybody(state: &impl StateRead) -> Result<u64, StoreError> {
    let (mut query, mut pending) = (PageQuery::first(), 0);
    loop {
        let page = tenants::tenants(state, &query)?;
        for tenant in page.rows {
            // When counting began is of no interest here.
            pending += count(state, &tenant.name, Counted::Tenant, 0)?.pending;
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(pending),
        }
    }
}

/// How a request stands: what was written down, unless its history or its time is over.
pub fn standing(approval: &Approval, history: u64, now_ms: u64) -> ApprovalState {
    match approval.state() {
        ApprovalState::Pending | ApprovalState::Approved if approval.history != history => {
            ApprovalState::Cancelled
        }
        ApprovalState::Pending | ApprovalState::Approved if now_ms >= approval.expires_ms => {
            ApprovalState::Expired
        }
        state => state,
    }
}

/// How a state is named wherever one is shown.
pub fn state_name(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Unspecified => "",
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Rejected => "rejected",
        ApprovalState::Expired => "expired",
        ApprovalState::Redeemed => "redeemed",
        ApprovalState::Cancelled => "cancelled",
    }
}

/// The moment at which the first request of any tenant ends by itself or is forgotten; nothing if there is none.
///
/// # Errors
/// The storage failed.
pub fn next_due_ms(state: &impl StateRead) -> Result<Option<u64>, StoreError> {
    let first = state.scan_prefix(APPROVALS_DUE, &[], None, 1)?.pop();
    first.map(|(order, _)| due_of(&order).map(|(due_ms, _)| due_ms)).transpose()
}

/// Up to `limit` requests that have ended by themselves, or are to be forgotten, at `now_ms`.
pub(crate) fn due(state: &impl StateRead, now_ms: u64, limit: usize) -> Result<Vec<Approval>, StoreError> {
    let mut found = Vec::new();
    for (order, _) in state.scan_prefix(APPROVALS_DUE, &[], None, limit)? {
        let (due_ms, key) = due_of(&order)?;
        if due_ms > now_ms {
            break;
        }
        found.push(row::read(state, APPROVALS, key)?.ok_or_else(damaged)?);
    }
    Ok(found)
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted<'a> {
    /// All of the tenant.
    Tenant,
    /// Those of an agent.
    Agent(&'a str),
    /// Those of an agent for a tool and an action.
    Alike(&'a str, &'a str, &'a str),
}

impl Counted<'_> {
    fn key(self, tenant: &str) -> Vec<u8> {
        let rest = match self {
            Self::Tenant => Vec::new(),
            Self::Agent(agent) => agent.as_bytes().to_vec(),
            Self::Alike(agent, tool, action) => [agent, tool, action].join("\0").into_bytes(),
        };
        key::pair(tenant, &rest)
    }

    fn seconds(self) -> u64 {
        match self {
            Self::Tenant | Self::Agent(_) => caps::APPROVAL_COUNT_SECONDS,
            Self::Alike(..) => caps::APPROVAL_SIMILAR_SECONDS,
        }
    }

    /// Those that count `approval`.
    fn all(approval: &Approval) -> [Counted<'_>; 3] {
        let (agent, tool, action) = match &approval.call {
            Some(call) => (call.agent.as_str(), call.tool.as_str(), call.action.as_str()),
            None => ("", "", ""),
        };
        [Counted::Tenant, Counted::Agent(agent), Counted::Alike(agent, tool, action)]
    }
}

/// How many were opened lately, and how many are pending.
pub(crate) fn count(
    state: &impl StateRead,
    tenant: &str,
    counted: Counted<'_>,
    now_ms: u64,
) -> Result<ApprovalCount, StoreError> {
    let known: ApprovalCount = row::read(state, APPROVAL_COUNTS, &counted.key(tenant))?.unwrap_or_default();
    let over = now_ms.saturating_sub(known.since_ms) >= counted.seconds() * 1_000;
    Ok(if over { ApprovalCount { since_ms: now_ms, opened: 0, ..known } } else { known })
}

/// Adds a new request, which gets the tenant's next number.
pub(crate) fn open(write: &mut Writer<'_, '_>, approval: Approval) -> Result<Approval, StoreError> {
    let tenant: TenantId = approval.tenant.parse().map_err(|_bad| damaged())?;
    let mut counters = tenants::counters(write, &tenant)?;
    counters.approvals += 1;
    counters.approvals_kept += 1;
    tenants::put_counters(write, &tenant, &counters)?;
    let approval = Approval { number: counters.approvals, ..approval };
    for counted in Counted::all(&approval) {
        let mut count = count(write, &approval.tenant, counted, write.now_ms())?;
        count.opened += 1;
        count.pending += 1;
        write.put(APPROVAL_COUNTS, &counted.key(&approval.tenant), &count)?;
    }
    let number = key::rising(approval.number);
    write.put_bytes(APPROVAL_IDS, &key::pair(&approval.tenant, approval.id.as_bytes()), &number)?;
    write.put_bytes(APPROVAL_DIGESTS, &key::pair(&approval.tenant, &approval.digest), &number)?;
    write.put_bytes(APPROVALS_DUE, &due_key(&approval), &[])?;
    write.put(APPROVALS, &row_key(&approval), &approval)?;
    deliveries::opened(write, &approval)?;
    Ok(approval)
}

/// Puts `after` in the place of `before`; one that has ended by it is forgotten later.
pub(crate) fn put(
    write: &mut Writer<'_, '_>,
    before: &Approval,
    mut after: Approval,
) -> Result<Approval, StoreError> {
    if after.ended_ms > 0 && before.ended_ms == 0 {
        after.forget_ms = after.ended_ms + kept_seconds(write, &after)? * 1_000;
    }
    if after.ended_ms == 0 {
        after.forget_ms = 0;
    }
    if before.state() == ApprovalState::Pending && after.state() != ApprovalState::Pending {
        no_longer_pending(write, before)?;
    }
    write.delete(APPROVALS_DUE, &due_key(before))?;
    write.put_bytes(APPROVALS_DUE, &due_key(&after), &[])?;
    write.put(APPROVALS, &row_key(&after), &after)?;
    deliveries::changed(write, before, &after)?;
    Ok(after)
}

/// Forgets a request that has ended.
pub(crate) fn delete(write: &mut Writer<'_, '_>, approval: &Approval) -> Result<(), StoreError> {
    let tenant: TenantId = approval.tenant.parse().map_err(|_bad| damaged())?;
    let mut counters = tenants::counters(write, &tenant)?;
    counters.approvals_kept = counters.approvals_kept.saturating_sub(1);
    tenants::put_counters(write, &tenant, &counters)?;
    write.delete(APPROVALS, &row_key(approval))?;
    write.delete(APPROVALS_DUE, &due_key(approval))?;
    deliveries::forgotten(write, approval)?;
    write.delete(APPROVAL_IDS, &key::pair(&approval.tenant, approval.id.as_bytes()))?;
    let by_digest = key::pair(&approval.tenant, &approval.digest);
    // A newer request for the same call may have taken its place.
    if write.get(APPROVAL_DIGESTS, &by_digest)?.as_deref() == Some(&key::rising(approval.number)) {
        write.delete(APPROVAL_DIGESTS, &by_digest)?;
    }
    for counted in Counted::all(approval) {
        let count = count(write, &approval.tenant, counted, write.now_ms())?;
        if count.pending == 0 && count.opened == 0 {
            write.delete(APPROVAL_COUNTS, &counted.key(&approval.tenant))?;
        }
    }
    Ok(())
}

fn no_longer_pending(write: &mut Writer<'_, '_>, approval: &Approval) -> Result<(), StoreError> {
    for counted in Counted::all(approval) {
        let mut count = count(write, &approval.tenant, counted, write.now_ms())?;
        count.pending = count.pending.saturating_sub(1);
        write.put(APPROVAL_COUNTS, &counted.key(&approval.tenant), &count)?;
    }
    Ok(())
}

/// For how long one is kept that ends now: not long where many are.
fn kept_seconds(state: &impl StateRead, approval: &Approval) -> Result<u64, StoreError> {
    let tenant: TenantId = approval.tenant.parse().map_err(|_bad| damaged())?;
    let crowded = tenants::counters(state, &tenant)?.approvals_kept > caps::APPROVALS_KEPT_MAX / 2;
    Ok(if crowded { caps::APPROVAL_KEPT_CROWDED_SECONDS } else { caps::APPROVAL_KEPT_SECONDS })
}

fn by_index(
    state: &impl StateRead,
    index: Table,
    tenant: &TenantId,
    rest: &[u8],
) -> Result<Option<Approval>, StoreError> {
    let Some(number) = state.get(index, &key::pair(tenant.as_str(), rest))? else { return Ok(None) };
    let number = u64::from_be_bytes(number.as_slice().try_into().map_err(|_length| damaged())?);
    numbered(state, tenant, number)
}

fn row_key(approval: &Approval) -> Vec<u8> {
    key::pair(&approval.tenant, &key::falling(approval.number))
}

fn due_key(approval: &Approval) -> Vec<u8> {
    let due_ms = if approval.forget_ms > 0 { approval.forget_ms } else { approval.expires_ms };
    [&key::rising(due_ms), row_key(approval).as_slice()].concat()
}

fn due_of(order: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    let (due_ms, key) = order.split_first_chunk().ok_or_else(damaged)?;
    Ok((u64::from_be_bytes(*due_ms), key))
}

fn damaged() -> StoreError {
    StoreError::Damaged { table: APPROVALS.name().to_owned() }
}
