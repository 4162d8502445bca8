//! Decisions by tool. Who asks chooses the name of the tool, so only what a rule speaks of is a label, and no more than so many.

use std::array;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use aegis_model::caps;
use aegis_model::decision::{Outcome, Reason};
use aegis_model::ids::ToolName;
use aegis_model::reason::ReasonCode;
use papaya::HashMap;
use prometheus::{IntCounter, IntCounterVec};

use super::OTHER_TENANTS;

/// The counters of one tool of one tenant, by outcome.
pub(crate) struct ToolCounts([IntCounter; OUTCOMES.len()]);

/// In the order in which they are declared.
const OUTCOMES: [Outcome; 4] = [Outcome::Allow, Outcome::Deny, Outcome::Sanitize, Outcome::ApprovalRequired];

impl ToolCounts {
    pub(super) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].inc();
    }
}

/// Those of every tool.
pub(super) struct Tools {
    total: IntCounterVec,
    /// By a keyed hash of tenant and tool: two of them that share one are counted together, which nobody can bring about.
    known: HashMap<u64, Arc<ToolCounts>>,
    hasher: RandomState,
}

impl Tools {
    pub(super) fn new(total: IntCounterVec) -> Self {
        Self { total, known: HashMap::new(), hasher: RandomState::new() }
    }

    /// The counters for a call of `tool` that ends for `reasons`.
    pub(super) fn of(&self, tenant: Option<&str>, tool: &ToolName, reasons: &[Reason]) -> Arc<ToolCounts> {
        match tenant {
            Some(tenant) if is_in_policy(reasons) => self.get(tenant, tool.as_str()),
            Some(tenant) => self.get(tenant, OTHER_TOOLS),
            None => self.get(OTHER_TENANTS, OTHER_TOOLS),
        }
    }

    fn get(&self, tenant: &str, tool: &str) -> Arc<ToolCounts> {
        let (key, known) = (self.hasher.hash_one((tenant, tool)), self.known.pin());
        if let Some(counts) = known.get(&key) {
            return Arc::clone(counts);
        }
        // One more for each thread that comes here at the same time.
        if known.len() >= caps::TOOL_SERIES_MAX && (tenant, tool) != (OTHER_TENANTS, OTHER_TOOLS) {
            return self.get(OTHER_TENANTS, OTHER_TOOLS);
        }
        let counter = |at: usize| self.total.with_label_values(&[tenant, tool, OUTCOMES[at].as_str()]);
        let counts = Arc::new(ToolCounts(array::from_fn(counter)));
        Arc::clone(known.get_or_insert(key, counts))
    }
}

/// The label of tools that no rule names, and of those beyond the bound.
const OTHER_TOOLS: &str = "other";

/// Whether a rule speaks of the tool, as far as the reasons tell.
fn is_in_policy(reasons: &[Reason]) -> bool {
    let unknown = [ReasonCode::ToolNotAllowed, ReasonCode::UnknownAgent];
    reasons.first().is_none_or(|reason| !unknown.contains(&reason.code))
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    fn tools() -> Tools {
        let labels = ["tenant", "tool", "outcome"];
        Tools::new(IntCounterVec::new(Opts::new("t", "t"), &labels).unwrap())
    }

    fn value(tools: &Tools, tenant: &str, tool: &str, outcome: Outcome) -> u64 {
        tools.total.with_label_values(&[tenant, tool, outcome.as_str()]).get()
    }

    #[test]
    fn what_no_rule_names_is_no_label() {
        let tools = tools();
        let (pay, made_up) = ("pay".parse().unwrap(), "made-up".parse().unwrap());
        let denied = |code| [Reason::plain(code, "no")];
        tools.of(Some("acme"), &pay, &[]).count(Outcome::Allow);
        tools.of(Some("acme"), &pay, &denied(ReasonCode::ParameterOutOfRange)).count(Outcome::Deny);
        tools.of(Some("acme"), &made_up, &denied(ReasonCode::ToolNotAllowed)).count(Outcome::Deny);
        assert_eq!(value(&tools, "acme", "pay", Outcome::Allow), 1);
        assert_eq!(value(&tools, "acme", "pay", Outcome::Deny), 1);
        assert_eq!(value(&tools, "acme", "other", Outcome::Deny), 1);
        assert_eq!(tools.known.len(), 2);
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let tools = tools();
        for number in 0..caps::TOOL_SERIES_MAX + 10 {
            let tool = format!("tool-{number}").parse().unwrap();
            tools.of(Some("acme"), &tool, &[]).count(Outcome::Allow);
        }
        assert_eq!(tools.known.len(), caps::TOOL_SERIES_MAX + 1);
        assert_eq!(value(&tools, "other", "other", Outcome::Allow), 10);
        assert_eq!(value(&tools, "acme", "tool-0", Outcome::Allow), 1);
    }
}
