//! What an answer is about, for those who count it.

use std::sync::Arc;

use aegis_model::decision::Reason;

use crate::case::{Case, Surface};
use crate::decider::Decider;
use crate::metrics::ToolCounts;
use crate::snapshot::Tenant;

/// What is kept of a case until its answer is counted.
pub(crate) struct Subject {
    pub(crate) surface: Surface,
    pub(crate) tenant: Option<Arc<Tenant>>,
    /// The counters of its tool.
    pub(crate) tool: Arc<ToolCounts>,
}

impl Subject {
    /// That of `case`, which ends for `reasons`.
    pub(crate) fn of(decider: &Decider, case: &Case, reasons: &[Reason]) -> Self {
        let tenant = case.tenant.clone();
        let tool = decider.metrics.tool(tenant.as_deref(), &case.call.tool, reasons);
        Self { surface: case.surface, tenant, tool }
    }
}
