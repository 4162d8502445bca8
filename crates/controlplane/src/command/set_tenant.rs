//! `SetTenant`: changes what a tenant chose: how stale its policy may be, whether four eyes are needed, what answers wait for, and
//! how long its audit records are kept.

use aegis_model::caps;
use aegis_proto::control::{Role, ServeStale, SetTenant, SyncWrite, Tenant, TenantSettings, done};
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
        let in_writing = |name: &str, it: &Option<String>| {
            let on = |it: &String| if it.is_empty() { "off" } else { "on" };
            it.as_ref().map(|it| format!(", {name} {}", on(it)))
        };
        let serve_stale = in_writing("serve_stale", &self.serve_stale);
        let sync_write = in_writing("sync_write", &self.sync_write);
        let signed = self.signed_receipts.map(|it| format!(", signed_receipts {it}"));
        let four_eyes = self.four_eyes.map(|it| format!(", four_eyes {it}"));
        let retention = self.retention_days.map(|it| format!(", retention_days {it}"));
        let all = [staleness, serve_stale, four_eyes, signed, sync_write, retention];
        let changes: String = all.into_iter().flatten().collect();
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
        if let Some(days) = self.retention_days {
            chosen.retention_days = days;
        }
        match self.serve_stale.as_deref() {
            None => {}
            Some("") => chosen.serve_stale = None,
            Some(statement) => chosen.serve_stale = Some(in_writing(statement, asked)),
        }
        if let Some(signed) = self.signed_receipts {
            chosen.signed_receipts = signed;
        }
        match self.sync_write.as_deref() {
            None => {}
            Some("") => chosen.sync_write = None,
            Some(statement) => chosen.sync_write = Some(written(statement, asked)),
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
    let sync_write = chosen.sync_write.as_ref().map(|it| written(&it.statement, asked));
    let settings = TenantSettings { serve_stale, sync_write, ..chosen };
    check_form(&settings)?;
    Ok(settings)
}

fn in_writing(statement: &str, asked: &Asked<'_>) -> ServeStale {
    ServeStale { statement: statement.to_owned(), by: asked.by(), at_ms: asked.now_ms() }
}

/// The wish that answers wait for less than the sync (WALK-2): whose it is, why, and when.
fn written(statement: &str, asked: &Asked<'_>) -> SyncWrite {
    SyncWrite { statement: statement.to_owned(), by: asked.by(), at_ms: asked.now_ms() }
}

fn check_form(settings: &TenantSettings) -> Result<(), Refused> {
    let range = caps::STALENESS_SECONDS_MIN..=caps::STALENESS_SECONDS_MAX;
    let seconds = settings.staleness_seconds_max;
    if seconds != 0 && !range.contains(&seconds) {
        let form = format!("0 (the default), or {} to {}", range.start(), range.end());
        return Err(Refused::invalid("staleness_seconds_max", form));
    }
    let (days, range) = (settings.retention_days, caps::RETENTION_DAYS);
    if days != 0 && !range.contains(&days) {
        let form = format!("0 (for ever), or {} to {}", range.start(), range.end());
        return Err(Refused::invalid("retention_days", form));
    }
    if let Some(serve_stale) = &settings.serve_stale {
        check_statement("serve_stale", &serve_stale.statement)?;
    }
    if let Some(sync_write) = &settings.sync_write {
        check_statement("sync_write", &sync_write.statement)?;
        if settings.signed_receipts {
            // A signed receipt is a word that a power cut must not break.
            return Err(Refused::invalid("sync_write", "not together with `signed_receipts`"));
        }
    }
    Ok(())
}

fn check_statement(field: &'static str, statement: &str) -> Result<(), Refused> {
    checks::words(field, statement)?;
    match statement.trim().is_empty() {
        true => Err(Refused::invalid(field, "a statement in words")),
        false => Ok(()),
    }
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

    /// AUD-1: what answers wait for is relaxed in writing, by a named person; a signed receipt speaks for what was synced.
    #[test]
    fn records_are_relaxed_in_writing_and_never_where_receipts_are_signed() {
        let world = World::new();
        let name = world.tenant("acme");
        let settings = || {
            let row = tenants::tenant(&world.view(), &name).expect("memory").expect("a tenant");
            row.settings.expect("settings")
        };
        let relaxed = SetTenant { sync_write: Some("metrics may be lost".to_owned()), ..command() };
        let signed = |it| SetTenant { signed_receipts: Some(it), ..command() };
        assert_eq!(relaxed.summary(), "tenant `acme`, sync_write on");
        world.done(relaxed.clone(), &World::root());
        let wish = settings().sync_write.expect("a wish");
        assert_eq!(wish.statement, "metrics may be lost");
        assert!(!wish.by.is_empty() && wish.at_ms > 0, "{wish:?}");
        assert_eq!(world.refused(signed(true), &World::root()).code, Code::Invalid);
        world.done(SetTenant { sync_write: Some(String::new()), ..command() }, &World::root());
        assert_eq!(settings().sync_write, None);
        world.done(signed(true), &World::root());
        assert!(settings().signed_receipts);
        assert_eq!(world.refused(relaxed.clone(), &World::root()).code, Code::Invalid);
        let both = SetTenant { sync_write: relaxed.sync_write, ..signed(false) };
        world.done(both, &World::root());
        let bad = SetTenant { sync_write: Some(" ".to_owned()), ..command() };
        assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
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
        for days in [1, 182, 36_501, u32::MAX] {
            let bad = SetTenant { retention_days: Some(days), ..command() };
            assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid, "{days}");
        }
        for days in [183, 2_190, 36_500, 0] {
            world.done(SetTenant { retention_days: Some(days), ..command() }, &World::root());
        }
    }
}
