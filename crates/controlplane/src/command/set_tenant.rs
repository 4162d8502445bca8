//! `SetTenant`: changes what a tenant chose: how stale its policy may be, and whether four eyes are needed.

use aegis_model::caps;
use aegis_proto::control::{Role, ServeStale, SetTenant, Tenant, TenantSettings, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::tenants;
use crate::state::writer::Writer;

impl Kind for SetTenant {
    const NAME: &'static str = "SetTenant";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Tenant;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let staleness = self.staleness_seconds_max.map(|it| format!(", staleness_seconds_max {it}"));
        let serve_stale = self.serve_stale.as_ref().map(|it| match it.is_empty() {
            true => ", serve_stale off".to_owned(),
            false => ", serve_stale on".to_owned(),
        });
        let four_eyes = self.four_eyes.map(|it| format!(", four_eyes {it}"));
        let changes: String = [staleness, serve_stale, four_eyes].into_iter().flatten().collect();
        format!("tenant `{}`{changes}", self.tenant)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Tenant, Failure> {
        let (_, tenant) = checks::living_tenant(state, &self.tenant)?;
        checks::expected("revision", self.only_if_revision, tenant.revision)?;
        let mut chosen = tenant.settings.clone().unwrap_or_default();
        if let Some(seconds) = self.staleness_seconds_max {
            chosen.staleness_seconds_max = seconds;
        }
        if let Some(four_eyes) = self.four_eyes {
            chosen.four_eyes = four_eyes;
        }
        match self.serve_stale.as_deref() {
            None => {}
            Some("") => chosen.serve_stale = None,
            Some(statement) => chosen.serve_stale = Some(in_writing(statement, asked)),
        }
        check_form(&chosen)?;
        Ok(Tenant { settings: Some(chosen), revision: tenant.revision + 1, ..tenant })
    }

    fn apply(tenant: Tenant, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        tenants::put(write, &tenant)?;
        Ok(done::Result::Tenant(tenant))
    }
}

/// The settings that a tenant begins with: a statement is signed by who makes the tenant, whatever it says.
pub(super) fn settings(chosen: TenantSettings, asked: &Asked<'_>) -> Result<TenantSettings, Refused> {
    let serve_stale = chosen.serve_stale.as_ref().map(|it| in_writing(&it.statement, asked));
    let settings = TenantSettings { serve_stale, ..chosen };
    check_form(&settings)?;
    Ok(settings)
}

fn in_writing(statement: &str, asked: &Asked<'_>) -> ServeStale {
    ServeStale { statement: statement.to_owned(), by: asked.by(), at_ms: asked.now_ms() }
}

fn check_form(settings: &TenantSettings) -> Result<(), Refused> {
    let range = caps::STALENESS_SECONDS_MIN..=caps::STALENESS_SECONDS_MAX;
    let seconds = settings.staleness_seconds_max;
    if seconds != 0 && !range.contains(&seconds) {
        let form = format!("0 (the default), or {} to {}", range.start(), range.end());
        return Err(Refused::invalid("staleness_seconds_max", form));
    }
    if let Some(serve_stale) = &settings.serve_stale {
        checks::words("serve_stale", &serve_stale.statement)?;
        if serve_stale.statement.trim().is_empty() {
            return Err(Refused::invalid("serve_stale", "a statement in words"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn command() -> SetTenant {
        SetTenant { tenant: "acme".to_owned(), ..Default::default() }
    }

    #[test]
    fn what_is_not_said_stays() {
        let world = World::new();
        let name = world.tenant("acme");
        let (staleness_seconds_max, serve_stale) = (Some(90), Some("clinic at night".to_owned()));
        world.done(SetTenant { staleness_seconds_max, serve_stale, ..command() }, &World::root());
        world.done(SetTenant { four_eyes: Some(true), ..command() }, &World::root());
        let row = tenants::tenant(&world.view(), &name).expect("memory").expect("a tenant");
        let settings = row.settings.expect("settings");
        assert_eq!((settings.staleness_seconds_max, settings.four_eyes, row.revision), (90, true, 3));
        assert_eq!(settings.serve_stale.expect("a statement").statement, "clinic at night");
        world.done(SetTenant { serve_stale: Some(String::new()), ..command() }, &World::root());
        let row = tenants::tenant(&world.view(), &name).expect("memory").expect("a tenant");
        assert_eq!(row.settings.expect("settings").serve_stale, None);
    }

    #[test]
    fn a_stale_revision_is_refused_with_the_current_one() {
        let world = World::new();
        world.tenant("acme");
        let command = SetTenant { only_if_revision: Some(1), four_eyes: Some(true), ..command() };
        world.done(command.clone(), &World::root());
        let refused = world.refused(command, &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("2")));
    }

    #[test]
    fn forms_and_the_tenant_are_checked() {
        let world = World::new();
        assert_eq!(world.refused(command(), &World::root()).code, Code::UnknownTenant);
        world.tenant("acme");
        let bad = SetTenant { staleness_seconds_max: Some(1), ..command() };
        assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
        let bad = SetTenant { serve_stale: Some(" ".to_owned()), ..command() };
        assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
    }
}
