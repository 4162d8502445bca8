//! `SweepExpired`: forgets idempotency keys after a day, and revocations of what has ended by itself.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Revocation, SweepExpired, Swept, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{idempotency, revocations, tenants};

/// What is to be removed besides idempotency keys.
pub(crate) struct Checked {
    tenant: Option<TenantId>,
    ended: Vec<Revocation>,
}

impl Kind for SweepExpired {
    const NAME: &'static str = "SweepExpired";
    const WHO: Who = Who::control_node();
    /// Happens by itself, all the time.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        if self.tenant.is_empty() { EVERYWHERE } else { &self.tenant }
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        if self.tenant.is_empty() {
            return Ok(Checked { tenant: None, ended: Vec::new() });
        }
        let tenant: TenantId = checks::name("tenant", &self.tenant)?;
        if tenants::tenant(state, &tenant)?.is_none() {
            return Err(Refused::unknown(Code::UnknownTenant, "tenant", tenant).into());
        }
        let ended = revocations::ended(state, &tenant, asked.now_ms(), caps::SWEEP_ROWS_MAX)?;
        Ok(Checked { tenant: Some(tenant), ended })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let forgotten = idempotency::sweep(write, caps::SWEEP_ROWS_MAX)?;
        let removed = checked.ended.len();
        if let Some(tenant) = checked.tenant.filter(|_| removed > 0) {
            let mut counters = tenants::counters(write, &tenant)?;
            counters.revocations = counters.revocations.saturating_sub(removed as u64);
            tenants::put_counters(write, &tenant, &counters)?;
        }
        for revocation in &checked.ended {
            revocations::delete(write, revocation)?;
        }
        let more = forgotten == caps::SWEEP_ROWS_MAX || removed == caps::SWEEP_ROWS_MAX;
        Ok(done::Result::Swept(Swept { removed: (forgotten + removed) as u64, more }))
    }
}
