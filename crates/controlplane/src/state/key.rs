//! Keys of rows: parts joined by zero bytes, and numbers that sort as bytes do.

use std::fmt;

use aegis_model::ids::{BadName, TenantId};

/// Stands for all tenants and the cluster itself where a tenant's name could stand. No tenant can have this name.
pub const EVERYWHERE: &str = "*";

/// What a role or a record of the control log is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All tenants, and the cluster itself: `*`.
    Cluster,
    /// One tenant.
    Tenant(TenantId),
}

impl Scope {
    /// The scope as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cluster => EVERYWHERE,
            Self::Tenant(tenant) => tenant.as_str(),
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text == EVERYWHERE { Ok(Self::Cluster) } else { text.parse().map(Self::Tenant) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The beginning of every key below `name`: the name and a zero byte.
pub(crate) fn below(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key
}

/// The key of `rest` below `name`.
pub(crate) fn pair(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = below(name);
    key.extend_from_slice(rest);
    key
}

/// A number whose bytes sort as the numbers do.
pub(crate) fn rising(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// A number whose bytes sort the other way: the newest first.
pub(crate) fn falling(number: u64) -> [u8; 8] {
    (!number).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_reaches_into_another_names_rows() {
        assert!(!pair("ab", b"x").starts_with(&below("a")));
        assert!(pair("a", b"x").starts_with(&below("a")));
    }

    #[test]
    fn numbers_sort_both_ways() {
        assert!(rising(255) < rising(256));
        assert!(falling(256) < falling(255));
    }

    #[test]
    fn a_scope_is_a_tenant_or_everything() {
        assert_eq!("*".parse(), Ok(Scope::Cluster));
        assert_eq!("acme".parse::<Scope>().expect("a tenant").as_str(), "acme");
        assert!("a*".parse::<Scope>().is_err());
        assert!("".parse::<Scope>().is_err());
    }
}
