//! Organizations: what their tenants may use together.

use aegis_limits::epoch::Zone;
use aegis_model::ids::OrgId;
use aegis_model::money::Micros;
use aegis_proto::admin::{OrganizationRequest, SetOrganizationLimitsRequest, SharedLimits};
use aegis_proto::control as rows;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::organizations;

/// Shows the limits of an organization; none of revision 0 if none were ever set.
pub(crate) async fn limits(caller: &Caller, request: OrganizationRequest) -> Result<SharedLimits, Problem> {
    let organization: OrgId = form::name("organization", &request.organization)?;
    let state = caller.reads(Read::Cluster).await?;
    let row = organizations::limits(&state, &organization)?;
    let none = || rows::OrganizationLimits { organization: organization.into(), ..Default::default() };
    Ok(shown(row.unwrap_or_else(none)))
}

/// Replaces the limits of an organization.
pub(crate) async fn set_limits(
    caller: &Caller,
    request: SetOrganizationLimitsRequest,
) -> Result<SharedLimits, Problem> {
    let rate = form::maybe_amount("rps_limit", &request.rps_limit)?;
    let command = rows::SetOrganizationLimits {
        organization: request.organization.clone(),
        rate: rate.map(|rate| rate.0),
        burst: burst(rate, request.burst),
        daily_budget: form::maybe_amount("daily_budget", &request.daily_budget)?.map(|budget| budget.0),
        unit: request.unit.clone(),
        timezone: known_zone(&request.timezone)?,
        only_if_revision: request.only_if_revision,
    };
    let written = caller.write("SetOrganizationLimits", &request, command).await?;
    row!(written, OrganizationLimits).map(shown)
}

/// Calls at once: those of one second, where nothing else is wanted.
fn burst(rate: Option<Micros>, wanted: u32) -> u32 {
    let Some(rate) = rate.filter(|_| wanted == 0) else { return wanted };
    // Beyond what fits it is refused anyway.
    u32::try_from(rate.0.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1)
}

/// Here and not where the command is applied: nodes of different software may know different zones (RAFT-2).
fn known_zone(name: &str) -> Result<String, Problem> {
    if !name.is_empty() {
        Zone::named(name).map_err(|error| Problem::invalid("timezone", error))?;
    }
    Ok(name.to_owned())
}

fn shown(row: rows::OrganizationLimits) -> SharedLimits {
    let amount = |amount: Option<u64>| amount.map(|it| Micros(it).to_string()).unwrap_or_default();
    SharedLimits {
        organization: row.organization,
        rps_limit: amount(row.rate),
        burst: row.burst,
        daily_budget: amount(row.daily_budget),
        unit: row.unit,
        timezone: row.timezone,
        revision: row.revision,
        changed_at: form::maybe_time(row.changed_ms),
        changed_by: row.changed_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_the_calls_of_a_second_unless_another_is_wanted() {
        let rate = |text: &str| Some(text.parse::<Micros>().unwrap());
        assert_eq!(burst(rate("50"), 0), 50);
        assert_eq!(burst(rate("2.5"), 0), 3);
        assert_eq!(burst(rate("0.1"), 0), 1);
        assert_eq!(burst(rate("50"), 7), 7);
        assert_eq!((burst(None, 0), burst(None, 7)), (0, 7), "the command says what is wrong");
    }

    #[test]
    fn a_zone_has_to_be_known() {
        assert!(known_zone("").is_ok() && known_zone("Europe/Zurich").is_ok());
        let problem = known_zone("Europe/Atlantis").unwrap_err();
        assert!(problem.detail.contains("`timezone`"), "{problem}");
    }
}
