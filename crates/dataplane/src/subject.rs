//! What an answer is about, for those who count and trace it.

use std::sync::Arc;

use aegis_model::decision::{Outcome, Reason};
use aegis_model::metric::Exemplar;

use crate::case::{Case, Surface};
use crate::decider::Decider;
use crate::metrics::ToolCounts;
use crate::snapshot::Tenant;
use crate::spans::DecisionSpan;

/// What is kept of a case until its answer is counted.
pub(crate) struct Subject {
    pub(crate) surface: Surface,
    pub(crate) tenant: Option<Arc<Tenant>>,
    /// The counters of its tool.
    pub(crate) tool: Arc<ToolCounts>,
    /// Its span, if one is wanted.
    pub(crate) span: Option<Box<DecisionSpan>>,
}

impl Subject {
    /// That of `case`, which ends with `outcome` for `reasons`.
    pub(crate) fn of(decider: &Decider, case: &Case, outcome: Outcome, reasons: &[Reason]) -> Self {
        let tenant = case.tenant.clone();
        let tool = decider.metrics.tool(tenant.as_deref(), &case.call.tool, reasons);
        Self { surface: case.surface, tenant, tool, span: decider.spans.open(case, outcome) }
    }

    /// Its span as the example of a bucket.
    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        let span = self.span.as_deref()?;
        Some(Exemplar { trace: span.trace, span: span.span, value: 0.0, at: span.start })
    }
}
