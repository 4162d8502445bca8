//! Which limit: a key as messages carry it, read once into one that cannot be wrong, and where its rows lie.

use std::cmp::Ordering;

use aegis_model::caps;
use aegis_model::ids::{AgentId, OrgId, TenantId};
use aegis_proto::v1::{LimitKey, LimitLevel};

use super::key::{self, EVERYWHERE};

/// A limit's key that has the parts which its level has, and no others. Ordered as the rows are.
#[derive(Debug, Clone)]
pub struct LimitId {
    owner: LimitOwner,
    key: LimitKey,
    row: Vec<u8>,
}

/// Whose calls a limit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitOwner {
    /// Those of a tenant, or of a part of it.
    Tenant(TenantId),
    /// Those of all tenants of an organization.
    Organization(OrgId),
}

/// A key does not have what its level needs, or has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what a limit of its level has there")]
pub struct BadLimitKey {
    /// Which part of the key.
    pub field: &'static str,
}

impl LimitId {
    /// Reads the key of a budget.
    ///
    /// # Errors
    /// [`BadLimitKey`].
    pub fn budget(key: &LimitKey) -> Result<Self, BadLimitKey> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if key.unit.is_empty() || key.unit.len() > caps::NAME_BYTES_MAX || !key.unit.bytes().all(plain) {
            return Err(BadLimitKey { field: "unit" });
        }
        Self::read(key)
    }

    /// Reads the key of a rate.
    ///
    /// # Errors
    /// [`BadLimitKey`].
    pub fn rate(key: &LimitKey) -> Result<Self, BadLimitKey> {
        if !key.unit.is_empty() {
            return Err(BadLimitKey { field: "unit" });
        }
        Self::read(key)
    }

    fn read(key: &LimitKey) -> Result<Self, BadLimitKey> {
        let (has_agent, has_entry) = match key.level() {
            LimitLevel::Unspecified => return Err(BadLimitKey { field: "level" }),
            LimitLevel::Organization | LimitLevel::Tenant => (false, false),
            LimitLevel::Agent => (true, false),
            LimitLevel::Entry => (true, true),
        };
        if key.agent.is_empty() == has_agent || (has_agent && key.agent.parse::<AgentId>().is_err()) {
            return Err(BadLimitKey { field: "agent" });
        }
        // The entry's tool, which may be a pattern.
        let graphic = key.entry.bytes().all(|byte| byte.is_ascii_graphic());
        if key.entry.is_empty() == has_entry || key.entry.len() > caps::NAME_BYTES_MAX || !graphic {
            return Err(BadLimitKey { field: "entry" });
        }
        let bad_owner = |_bad| BadLimitKey { field: "owner" };
        let owner = match key.level() {
            LimitLevel::Organization => LimitOwner::Organization(key.owner.parse().map_err(bad_owner)?),
            _ => LimitOwner::Tenant(key.owner.parse().map_err(bad_owner)?),
        };
        let row = row_key(&owner, key);
        Ok(Self { owner, key: key.clone(), row })
    }

    /// Whose calls it counts.
    pub fn owner(&self) -> &LimitOwner {
        &self.owner
    }

    /// As messages carry it.
    pub fn key(&self) -> &LimitKey {
        &self.key
    }

    /// The key of its rows.
    pub(crate) fn row(&self) -> &[u8] {
        &self.row
    }
}

impl LimitOwner {
    /// The tenant, or `*` for an organization, whose limits are the cluster's affair: where a person needs a role.
    pub fn scope(&self) -> &str {
        match self {
            Self::Tenant(tenant) => tenant.as_str(),
            Self::Organization(_) => EVERYWHERE,
        }
    }
}

/// The beginning of the keys of all rows of `owner`: a tenant's begin with the tenant, and those of an organization with `*`,
/// which no tenant is called (TEN-1).
pub(crate) fn rows_of(owner: &LimitOwner) -> Vec<u8> {
    match owner {
        LimitOwner::Tenant(tenant) => key::below(tenant.as_str()),
        LimitOwner::Organization(organization) => key::pair(EVERYWHERE, &key::below(organization.as_str())),
    }
}

/// None of the parts holds a zero byte, so that no two keys are spelled alike.
fn row_key(owner: &LimitOwner, key: &LimitKey) -> Vec<u8> {
    let mut row = rows_of(owner);
    row.push(key.level.to_le_bytes()[0]);
    row.extend(key::below(&key.agent));
    row.extend(key::below(&key.entry));
    row.extend(key.unit.as_bytes());
    row
}

impl PartialEq for LimitId {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

impl Eq for LimitId {}

impl PartialOrd for LimitId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LimitId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.row.cmp(&other.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(level: LimitLevel, agent: &str, entry: &str, unit: &str) -> LimitKey {
        LimitKey {
            level: level.into(),
            owner: "acme".to_owned(),
            agent: agent.to_owned(),
            entry: entry.to_owned(),
            unit: unit.to_owned(),
        }
    }

    #[test]
    fn a_key_has_the_parts_of_its_level_and_no_others() {
        use LimitLevel::{Agent, Entry, Organization, Tenant, Unspecified};
        for (level, agent, entry, bad) in [
            (Organization, "", "", None),
            (Tenant, "", "", None),
            (Agent, "crawler", "", None),
            (Entry, "crawler", "stripe-*", None),
            (Unspecified, "", "", Some("level")),
            (Organization, "crawler", "", Some("agent")),
            (Tenant, "", "web", Some("entry")),
            (Agent, "", "", Some("agent")),
            (Agent, "a\0b", "", Some("agent")),
            (Agent, "crawler", "web", Some("entry")),
            (Entry, "crawler", "", Some("entry")),
            (Entry, "crawler", "we\0b", Some("entry")),
        ] {
            let read = LimitId::budget(&key(level, agent, entry, "usd"));
            assert_eq!(read.err().map(|bad| bad.field), bad, "{level:?} {agent:?} {entry:?}");
        }
        let nobody = LimitKey { owner: String::new(), ..key(Tenant, "", "", "usd") };
        assert_eq!(LimitId::budget(&nobody), Err(BadLimitKey { field: "owner" }));
    }

    #[test]
    fn a_budget_has_a_unit_and_a_rate_has_none() {
        let of = |unit| key(LimitLevel::Tenant, "", "", unit);
        assert!(LimitId::budget(&of("usd")).is_ok() && LimitId::rate(&of("")).is_ok());
        assert!(LimitId::rate(&of("usd")).is_err());
        for unit in ["", "USD", "u s d", "a\0b"] {
            assert_eq!(LimitId::budget(&of(unit)), Err(BadLimitKey { field: "unit" }));
        }
    }

    #[test]
    fn no_two_keys_share_a_row_and_each_lies_below_its_owner() {
        use LimitLevel::{Agent, Entry, Organization, Tenant};
        let keys = [
            key(Organization, "", "", "usd"),
            key(Tenant, "", "", "usd"),
            key(Tenant, "", "", "calls"),
            key(Agent, "a", "", "usd"),
            key(Entry, "a", "b", "usd"),
            key(Entry, "ab", "b", "usd"),
            key(Entry, "a", "bb", "usd"),
        ];
        let mut rows: Vec<Vec<u8>> = Vec::new();
        for key in &keys {
            let id = LimitId::budget(key).expect("a key");
            assert!(id.row().starts_with(&rows_of(id.owner())));
            assert!(!rows.iter().any(|row| row == id.row()), "{key:?}");
            rows.push(id.row().to_vec());
        }
    }
}
