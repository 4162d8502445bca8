//! `SetOrganizationLimits`: what all tenants of an organization may use together.

use aegis_limits::pace::Pace;
use aegis_model::caps;
use aegis_model::ids::OrgId;
use aegis_model::money::Micros;
use aegis_proto::control::{OrganizationLimits, Role, SetOrganizationLimits, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::organizations;
use crate::state::writer::Writer;

/// The row, and whether it is a new one.
pub(crate) struct Checked {
    limits: OrganizationLimits,
    new: bool,
}

impl Kind for SetOrganizationLimits {
    const NAME: &'static str = "SetOrganizationLimits";
    /// No tenant may say what its neighbours use.
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        let rate = match self.rate {
            Some(rate) => format!("{} calls per second, {} at once", Micros(rate), self.burst),
            None => "no rate".to_owned(),
        };
        let budget = match self.daily_budget {
            Some(budget) => format!("{} {} a day", Micros(budget), self.unit),
            None => "no budget".to_owned(),
        };
        format!("organization `{}`: {rate}, {budget}", self.organization)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let organization: OrgId = checks::name("organization", &self.organization)?;
        let before = organizations::limits(state, &organization)?;
        let revision = before.as_ref().map_or(0, |before| before.revision);
        checks::expected("revision", self.only_if_revision, revision)?;
        check_rate(self.rate, self.burst)?;
        check_budget(self)?;
        if before.is_none() {
            checks::room("organizations with limits", asked.counters.organizations, caps::TENANTS_MAX)?;
        }
        let limits = OrganizationLimits {
            organization: organization.into(),
            revision: revision + 1,
            rate: self.rate,
            burst: self.burst,
            daily_budget: self.daily_budget,
            unit: self.unit.clone(),
            timezone: self.timezone.clone(),
            changed_ms: asked.now_ms(),
            changed_by: asked.by(),
        };
        Ok(Checked { limits, new: before.is_none() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        write.counters_mut().organizations += u64::from(checked.new);
        organizations::put(write, &checked.limits)?;
        Ok(done::Result::OrganizationLimits(checked.limits))
    }
}

fn check_rate(rate: Option<u64>, burst: u32) -> Result<(), Refused> {
    let form = match rate {
        None if burst == 0 => return Ok(()),
        None => return Err(Refused::invalid("burst", "0 without a rate")),
        Some(rate) => Pace::new(Micros(rate), burst),
    };
    match form {
        Ok(pace) if pace.admits_any() => Ok(()),
        Ok(_) => Err(Refused::invalid("rate", "more than 0, with a burst of 1 or more")),
        Err(error) => Err(Refused::invalid("rate", error)),
    }
}

/// The zone's form only: which zones there are, nodes of different software may know differently (RAFT-2). Whether it is
/// known is asked before the command is proposed.
fn check_budget(command: &SetOrganizationLimits) -> Result<(), Refused> {
    let SetOrganizationLimits { daily_budget, unit, timezone, .. } = command;
    let Some(budget) = daily_budget else {
        return match unit.is_empty() && timezone.is_empty() {
            true => Ok(()),
            false => Err(Refused::invalid("daily_budget", "an amount, where there is a unit or a time zone")),
        };
    };
    if Micros(*budget) > Micros::MAX {
        return Err(Refused::invalid("daily_budget", format!("at most {}", Micros::MAX)));
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if unit.is_empty() || unit.len() > caps::NAME_BYTES_MAX || !unit.bytes().all(plain) {
        return Err(Refused::invalid("unit", "lower-case letters, digits, `_` and `-`, e.g. `usd`"));
    }
    let zone = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/');
    if timezone.len() > caps::NAME_BYTES_MAX || !timezone.bytes().all(zone) {
        return Err(Refused::invalid("timezone", "the IANA name of a time zone, e.g. `Europe/Zurich`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::state::page::PageQuery;
    use crate::state::{control_log, meta};
    use crate::testing::World;

    fn command() -> SetOrganizationLimits {
        SetOrganizationLimits {
            organization: "initech".to_owned(),
            rate: Some(50_000_000),
            burst: 100,
            daily_budget: Some(12_500_000),
            unit: "usd".to_owned(),
            timezone: "Europe/Zurich".to_owned(),
            only_if_revision: None,
        }
    }

    fn limits(world: &World) -> Option<OrganizationLimits> {
        organizations::limits(&world.view(), &"initech".parse().expect("a name")).expect("memory")
    }

    #[test]
    fn limits_are_replaced_as_a_whole_and_their_revision_goes_on() {
        let world = World::new();
        assert_eq!(limits(&world), None);
        world.done(command(), &World::root());
        let row = limits(&world).expect("limits");
        assert_eq!((row.revision, row.rate, row.daily_budget), (1, Some(50_000_000), Some(12_500_000)));
        assert_eq!(row.changed_by, "root");
        let nothing = SetOrganizationLimits { organization: "initech".to_owned(), ..Default::default() };
        world.done(SetOrganizationLimits { only_if_revision: Some(1), ..nothing.clone() }, &World::root());
        let row = limits(&world).expect("a row that stays");
        assert_eq!((row.revision, row.rate, row.daily_budget), (2, None, None));
        let stale = SetOrganizationLimits { only_if_revision: Some(1), ..nothing };
        let refused = world.refused(stale, &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("2")));
        assert_eq!(meta::counters(&world.view()).expect("memory").organizations, 1);
    }

    #[test]
    fn who_set_what_stands_in_the_control_log() {
        let world = World::new();
        world.done(command(), &World::root());
        let records = control_log::everything(&world.view(), &PageQuery::first()).expect("memory");
        assert_eq!(
            records.rows[0].summary,
            "organization `initech`: 50 calls per second, 100 at once, 12.5 usd a day"
        );
    }

    #[test]
    fn forms_are_checked() {
        let world = World::new();
        let bad = [
            SetOrganizationLimits { organization: "a b".to_owned(), ..command() },
            SetOrganizationLimits { rate: Some(0), ..command() },
            SetOrganizationLimits { burst: 0, ..command() },
            SetOrganizationLimits { rate: None, ..command() },
            SetOrganizationLimits { rate: Some(u64::MAX), ..command() },
            SetOrganizationLimits { burst: caps::BURST_MAX + 1, ..command() },
            SetOrganizationLimits { daily_budget: Some(u64::MAX), ..command() },
            SetOrganizationLimits { daily_budget: None, ..command() },
            SetOrganizationLimits { unit: String::new(), ..command() },
            SetOrganizationLimits { unit: "US Dollar".to_owned(), ..command() },
            SetOrganizationLimits { timezone: "a b".to_owned(), ..command() },
        ];
        for command in bad {
            let refused = world.refused(command.clone(), &World::root());
            assert_eq!(refused.code, Code::Invalid, "{command:?}");
        }
        assert_eq!(limits(&world), None);
    }
}
