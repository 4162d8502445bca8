//! Which limit: its name, how much it is, and how new that is.

use std::sync::Arc;

use aegis_limits::hierarchy::Level;
use aegis_limits::pace::Pace;
use aegis_model::ids::{AgentId, OrgId, TenantId};
use aegis_model::money::Micros;
use aegis_proto::v1;

/// Whose calls a limit counts. It holds no version, so that what was spent stays spent when a policy changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// Those of all tenants of an organization.
    Organization(OrgId),
    /// Those of all agents of a tenant.
    Tenant(TenantId),
    /// All calls of an agent.
    Agent(TenantId, AgentId),
    /// The calls that the entry of this name allows to an agent.
    Entry(TenantId, AgentId, Arc<str>),
}

impl Whose {
    /// The level at which it counts.
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Organization(_) => Level::Organization,
            Self::Tenant(_) => Level::Tenant,
            Self::Agent(..) => Level::Agent,
            Self::Entry(..) => Level::Entry,
        }
    }

    fn to_proto(&self, unit: &str) -> v1::LimitKey {
        let (owner, agent, entry) = match self {
            Self::Organization(organization) => (organization.as_str(), "", ""),
            Self::Tenant(tenant) => (tenant.as_str(), "", ""),
            Self::Agent(tenant, agent) => (tenant.as_str(), agent.as_str(), ""),
            Self::Entry(tenant, agent, entry) => (tenant.as_str(), agent.as_str(), &**entry),
        };
        let level = match self.level() {
            Level::Organization => v1::LimitLevel::Organization,
            Level::Tenant => v1::LimitLevel::Tenant,
            Level::Agent => v1::LimitLevel::Agent,
            Level::Entry => v1::LimitLevel::Entry,
        };
        v1::LimitKey {
            level: level.into(),
            owner: owner.to_owned(),
            agent: agent.to_owned(),
            entry: entry.to_owned(),
            unit: unit.to_owned(),
        }
    }
}

/// A budget's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BudgetKey {
    /// Whose calls it counts.
    pub(crate) whose: Whose,
    /// What it counts, e.g. `usd` or `calls`.
    pub(crate) unit: Arc<str>,
}

impl BudgetKey {
    pub(super) fn to_proto(&self) -> v1::LimitKey {
        self.whose.to_proto(&self.unit)
    }
}

/// A rate's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RateKey {
    /// Whose calls it counts.
    pub(crate) whose: Whose,
}

impl RateKey {
    pub(super) fn to_proto(&self) -> v1::LimitKey {
        self.whose.to_proto("")
    }
}

/// How new a limit is: the newest one counts, and within the same stamp the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    /// The history.
    pub(crate) history: u64,
    /// The activation of the policy that sets the limit; of an organization, the revision of its limits.
    pub(crate) number: u64,
}

impl Stamp {
    pub(super) fn to_proto(self) -> v1::LimitStamp {
        v1::LimitStamp { history: self.history, number: self.number }
    }
}

/// How much a budget is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BudgetTerms {
    /// Its limit per epoch.
    pub(crate) limit: Micros,
    /// The IANA time zone of its epochs. Nothing: UTC.
    pub(crate) zone: Option<Arc<str>>,
    /// How new that is.
    pub(crate) stamp: Stamp,
}

impl BudgetTerms {
    /// The terms that count of these and others.
    pub(super) fn or(&self, other: &Self) -> Self {
        match self.stamp.cmp(&other.stamp) {
            std::cmp::Ordering::Less => other.clone(),
            std::cmp::Ordering::Greater => self.clone(),
            std::cmp::Ordering::Equal => Self { limit: self.limit.min(other.limit), ..self.clone() },
        }
    }
}

/// How much a rate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateTerms {
    /// Of all nodes together.
    pub(crate) whole: Pace,
    /// How new that is.
    pub(crate) stamp: Stamp,
}

impl RateTerms {
    /// The terms that count of these and others.
    pub(super) fn or(self, other: Self) -> Self {
        match self.stamp.cmp(&other.stamp) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => {
                let (one, two) = (self.whole, other.whole);
                // Parts of what is within the bounds are within the bounds.
                let strictest = Pace::new(one.rate().min(two.rate()), one.burst().min(two.burst()));
                Self { whole: strictest.unwrap_or(Pace::NOTHING), ..self }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(limit: u64, number: u64) -> BudgetTerms {
        BudgetTerms { limit: Micros(limit), zone: None, stamp: Stamp { history: 1, number } }
    }

    #[test]
    fn the_newest_terms_count_and_among_equals_the_strictest() {
        for (known, told, expected) in [((10, 1), (20, 2), 20), ((10, 2), (20, 1), 10), ((10, 1), (5, 1), 5)]
        {
            assert_eq!(terms(known.0, known.1).or(&terms(told.0, told.1)).limit, Micros(expected));
        }
        let rate = |rate, burst, number| RateTerms {
            whole: Pace::new(Micros(rate), burst).unwrap(),
            stamp: Stamp { history: 1, number },
        };
        assert_eq!(rate(10, 1, 1).or(rate(5, 2, 1)).whole, Pace::new(Micros(5), 1).unwrap());
        assert_eq!(rate(10, 1, 1).or(rate(5, 2, 2)), rate(5, 2, 2));
        assert_eq!(rate(10, 1, 3).or(rate(5, 2, 2)), rate(10, 1, 3));
    }

    #[test]
    fn a_key_names_only_what_its_level_has() {
        let (tenant, agent) = ("acme".parse().unwrap(), "bot".parse().unwrap());
        let key = BudgetKey { whose: Whose::Entry(tenant, agent, "pay*".into()), unit: "usd".into() };
        let told = key.to_proto();
        assert_eq!(told.level(), v1::LimitLevel::Entry);
        assert_eq!([&*told.owner, &*told.agent, &*told.entry, &*told.unit], ["acme", "bot", "pay*", "usd"]);
        let key = RateKey { whose: Whose::Organization("inc".parse().unwrap()) };
        let told = key.to_proto();
        assert_eq!(told.level(), v1::LimitLevel::Organization);
        assert_eq!([&*told.owner, &*told.agent, &*told.entry, &*told.unit], ["inc", "", "", ""]);
    }
}
