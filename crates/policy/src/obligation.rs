//! What has to be done if a call goes on: as values for who keeps it, and as the document that explanations, a stock OPA
//! and `policy eval` show. Both are made once, when a set is compiled; a verdict only points to them.

use std::sync::Arc;

use aegis_model::money::Micros;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::ast::{ApprovalTerms, Cost, Path};
use crate::compile::literals;

/// One obligation. Cloning it is counting a reference.
#[derive(Debug, Clone)]
pub struct Obligation(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    duty: Duty,
    document: Value,
}

/// What an obligation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// At most so many calls per second.
    Rate(Rate),
    /// What calls cost, and at most so much of it a day.
    Budget(Budget),
    /// Terms under which a person may agree.
    Approval(Approval),
    /// Cleaning what is passed on, given back or recorded.
    Redact(Redact),
    /// Where a call may lead.
    Egress,
}

/// A redaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redact {
    /// Who says so: the name of an entry.
    pub rule: Arc<str>,
    /// Which of the set's redactions it is: equal ones have the same number.
    pub number: u32,
}

/// Whose calls a limit counts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of all agents of the tenant.
    Tenant,
    /// All of the agent.
    Agent,
    /// Those of the agent that entries of this name allow. The name is a glob of tools, as it is written.
    Entry(Arc<str>),
}

/// A limit of calls per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Whose calls count.
    pub whose: Whose,
    /// Who says so: the name of an entry or a document.
    pub rule: Arc<str>,
    /// Calls per second, in millionths of a call; never 0.
    pub rate: Micros,
    /// Calls at once; never 0.
    pub burst: u32,
}

/// What a call costs, and what may be spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Whose calls count.
    pub whose: Whose,
    /// Who says so: the name of an entry or a document.
    pub rule: Arc<str>,
    /// The most per day; nothing where only a cost is stated.
    pub limit: Option<Micros>,
    /// What is counted.
    pub unit: Arc<str>,
    /// What a call costs of it; nothing where that is for others to say.
    pub cost: Option<Price>,
    /// The IANA zone in which the day begins; nothing is UTC.
    pub zone: Option<Arc<str>>,
}

/// Who has to agree to a call, and for how long they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The entry that says so.
    pub rule: Arc<str>,
    /// Roles, and people by names with an `@`.
    pub by: Vec<String>,
    /// How many of them.
    pub of: u32,
    /// For how many seconds they are asked.
    pub within_seconds: u64,
    /// Channels to tell.
    pub notify: Vec<String>,
}

/// What one call costs of the unit that stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    /// Always the same.
    Fixed(Micros),
    /// As the call states, but no more than that much, which is reserved until its real cost is known.
    Stated {
        /// Where in the parameters; without `[*]`.
        path: Path,
        /// The most.
        max: Micros,
    },
}

/// The unit of a budget for which no cost is stated.
pub const CALLS: &str = "calls";

impl Whose {
    /// Its level: `tenant`, `agent` or `entry`.
    pub fn level(&self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Agent => "agent",
            Self::Entry(_) => "entry",
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Tenant | Self::Agent => None,
            Self::Entry(name) => Some(name),
        }
    }
}

impl Price {
    /// The price in a policy's `cost`.
    pub fn of(cost: &Cost) -> Self {
        match cost {
            Cost::Fixed { value, .. } => Self::Fixed(*value),
            Cost::From { path, max, .. } => Self::Stated { path: path.clone(), max: *max },
        }
    }

    /// The most that one call costs by it, which is what is reserved.
    pub fn most(&self) -> Micros {
        match self {
            Self::Fixed(cost) | Self::Stated { max: cost, .. } => *cost,
        }
    }

    fn document(&self, unit: &str) -> Value {
        match self {
            Self::Fixed(value) => json!({"value": value, "unit": unit}),
            Self::Stated { path, max } => {
                json!({"from": literals::spelled("params", &path.0), "max": max, "unit": unit})
            }
        }
    }
}

impl Obligation {
    /// To keep a rate.
    pub fn rate(rate: Rate) -> Self {
        let document = limit_document(
            "rate",
            &rate.whose,
            &rate.rule,
            [("rps_limit", number(rate.rate)), ("burst", json!(rate.burst))],
        );
        Self::new(Duty::Rate(rate), document)
    }

    /// To count a cost, and to keep a budget.
    pub fn budget(budget: Budget) -> Self {
        let document = limit_document(
            "budget",
            &budget.whose,
            &budget.rule,
            [
                ("daily_budget", json!(budget.limit)),
                ("unit", json!(budget.unit)),
                ("cost", budget.cost.as_ref().map_or(Value::Null, |cost| cost.document(&budget.unit))),
                ("timezone", json!(budget.zone)),
            ],
        );
        Self::new(Duty::Budget(budget), document)
    }

    /// To ask under these terms.
    pub fn approval(rule: &str, terms: &ApprovalTerms) -> Self {
        let duty = Approval {
            rule: rule.into(),
            by: terms.by.clone(),
            of: terms.of,
            within_seconds: terms.within_seconds,
            notify: terms.notify.clone(),
        };
        Self::new(Duty::Approval(duty), json!({"kind": "approval", "rule": rule, "terms": terms}))
    }

    /// To clean what the redaction of this number and document names.
    pub fn redact(rule: &str, number: u32, redaction: &Value) -> Self {
        let duty = Duty::Redact(Redact { rule: rule.into(), number });
        Self::new(duty, json!({"kind": "redact", "rule": rule, "redact": redaction}))
    }

    /// To let calls lead to no other destinations.
    pub fn egress(rule: &str, allow: &[String]) -> Self {
        Self::new(Duty::Egress, json!({"kind": "egress", "rule": rule, "allow": allow}))
    }

    fn new(duty: Duty, document: Value) -> Self {
        Self(Arc::new(Kept { duty, document }))
    }

    /// What it asks for.
    pub fn duty(&self) -> &Duty {
        &self.0.duty
    }

    /// The same as a document: `kind`, `rule`, and what belongs to the kind.
    pub fn document(&self) -> &Value {
        &self.0.document
    }

    /// Whether both are of one kind, so that an agent's own replaces that of the defaults.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self.duty()) == std::mem::discriminant(other.duty())
    }
}

impl PartialEq for Obligation {
    fn eq(&self, other: &Self) -> bool {
        self.document() == other.document()
    }
}

impl Serialize for Obligation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

fn limit_document<const N: usize>(kind: &str, whose: &Whose, rule: &str, own: [(&str, Value); N]) -> Value {
    let mut document = json!({"kind": kind, "rule": rule, "level": whose.level()});
    if let Some(name) = whose.name() {
        document["name"] = json!(name);
    }
    for (field, value) in own {
        document[field] = value;
    }
    document
}

/// Whole numbers without a fraction, so that every engine prints them alike.
fn number(rate: Micros) -> Value {
    let whole = rate.0 / 1_000_000;
    if rate.0.is_multiple_of(1_000_000) { json!(whole) } else { json!(rate.0 as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_the_values_are() {
        let rate = Rate {
            whose: Whose::Entry("llm*".into()),
            rule: "a/allowed_tools[0]".into(),
            rate: Micros(2_250_000),
            burst: 3,
        };
        assert_eq!(
            *Obligation::rate(rate.clone()).document(),
            json!({
                "kind": "rate", "rule": "a/allowed_tools[0]", "level": "entry", "name": "llm*",
                "rps_limit": 2.25, "burst": 3,
            })
        );
        let whole = Obligation::rate(Rate { whose: Whose::Agent, rate: Micros(5_000_000), ..rate });
        assert_eq!(whole.document()["rps_limit"].to_string(), "5");
        let budget = Budget {
            whose: Whose::Tenant,
            rule: "tenant".into(),
            limit: Some(Micros(20_500_000)),
            unit: CALLS.into(),
            cost: None,
            zone: None,
        };
        assert_eq!(
            *Obligation::budget(budget).document(),
            json!({
                "kind": "budget", "rule": "tenant", "level": "tenant", "daily_budget": "20.5",
                "unit": "calls", "cost": null, "timezone": null,
            })
        );
    }

    #[test]
    fn a_verdict_points_to_what_was_made_once() {
        let one = Obligation::egress("a/egress", &["example.com".to_owned()]);
        let other = one.clone();
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert!(one.is_like(&other) && !one.is_like(&Obligation::redact("a", 0, &json!({}))));
    }
}
