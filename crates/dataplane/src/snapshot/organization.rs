//! What all tenants of an organization may use together, as the feed told it.

use std::sync::Arc;

use aegis_limits::pace::Pace;
use aegis_model::ids::OrgId;
use aegis_model::money::Micros;

/// Limits of an organization. Shared by its tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationLimits {
    /// The organization.
    pub organization: OrgId,
    /// Calls per second; none is no limit.
    pub rate: Option<Pace>,
    /// What may be spent in a day; none is no limit.
    pub budget: Option<OrganizationBudget>,
    /// Grows with each change.
    pub revision: u64,
}

/// A budget of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationBudget {
    /// The most per day.
    pub limit: Micros,
    /// What it counts.
    pub unit: Arc<str>,
    /// The IANA zone in which its day begins; none is UTC.
    pub zone: Option<Arc<str>>,
}
