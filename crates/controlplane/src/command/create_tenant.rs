//! `CreateTenant`: makes a tenant, under a name that was never used.

use aegis_model::caps;
use aegis_model::ids::{OrgId, TenantId};
use aegis_proto::control::{CreateTenant, Role, Tenant, TenantKeys, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use super::{checks, rotate_tenant_key, set_tenant};
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{tenant_keys, tenants};

/// The tenant, and its first secret key if one was made for it.
pub(crate) struct Checked {
    tenant: Tenant,
    keys: Option<TenantKeys>,
}

impl Kind for CreateTenant {
    const NAME: &'static str = "CreateTenant";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("tenant `{}`", self.name)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let name: TenantId = checks::name("name", &self.name)?;
        let organization = if self.organization.is_empty() { &self.name } else { &self.organization };
        let organization: OrgId = checks::name("organization", organization)?;
        let settings = set_tenant::settings(self.settings.clone().unwrap_or_default(), asked)?;
        if tenants::tenant(state, &name)?.is_some() {
            return Err(Refused::exists("tenant", name).into());
        }
        checks::room("tenants", asked.counters.tenants, caps::TENANTS_MAX)?;
        let key = self.key.as_ref().map(|key| rotate_tenant_key::row(1, Some(key), asked)).transpose()?;
        let keys = key.map(|key| TenantKeys { tenant: name.to_string(), keys: vec![key] });
        let tenant = Tenant {
            name: name.into(),
            organization: organization.into(),
            settings: Some(settings),
            created_ms: asked.now_ms(),
            created_by: asked.by(),
            retired_ms: 0,
            revision: 1,
            holds: Vec::new(),
        };
        Ok(Checked { tenant, keys })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, keys } = checked;
        write.counters_mut().tenants += 1;
        tenants::put(write, &tenant)?;
        if let Some(keys) = keys {
            tenant_keys::put(write, &keys)?;
        }
        Ok(done::Result::Tenant(tenant))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{RetireTenant, ServeStale, TenantSettings};

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    #[test]
    fn a_name_is_used_once_also_after_its_tenant_is_gone() {
        let world = World::new();
        let name = world.tenant("acme");
        let command = || CreateTenant { name: "acme".to_owned(), ..Default::default() };
        assert_eq!(world.refused(command(), &World::root()).code, Code::AlreadyExists);
        world.done(RetireTenant { tenant: "acme".to_owned() }, &World::root());
        assert_eq!(world.refused(command(), &World::root()).code, Code::AlreadyExists);
        let row = tenants::tenant(&world.view(), &name).expect("memory").expect("a tenant");
        assert_eq!((row.organization.as_str(), row.created_by.as_str(), row.revision), ("acme", "root", 2));
    }

    #[test]
    fn forms_are_checked() {
        let world = World::new();
        let settings = |staleness_seconds_max, statement: &str| TenantSettings {
            staleness_seconds_max,
            serve_stale: Some(ServeStale {
                statement: statement.to_owned(),
                by: "forged".to_owned(),
                at_ms: 1,
            }),
            ..Default::default()
        };
        let command = |name: &str, organization: &str, settings: TenantSettings| CreateTenant {
            name: name.to_owned(),
            organization: organization.to_owned(),
            settings: Some(settings),
            key: None,
        };
        let long = "n".repeat(caps::NAME_BYTES_MAX + 1);
        let good = || settings(caps::STALENESS_SECONDS_MIN, "we sign for it");
        let bad = [
            command("", "", good()),
            command("*", "", good()),
            command("a b", "", good()),
            command(&long, "", good()),
            command("acme", &long, good()),
            command("acme", "", settings(caps::STALENESS_SECONDS_MIN - 1, "we sign for it")),
            command("acme", "", settings(caps::STALENESS_SECONDS_MAX + 1, "we sign for it")),
            command("acme", "", settings(0, "  ")),
            command("acme", "", settings(0, &"w".repeat(caps::WORDS_BYTES_MAX + 1))),
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::root()).code, Code::Invalid);
        }
        world.done(command("acme", "", good()), &World::root());
        let row = tenants::tenant(&world.view(), &"acme".parse().expect("a name")).expect("memory");
        let signed = row.and_then(|row| row.settings).and_then(|it| it.serve_stale).expect("a statement");
        assert_eq!(
            (signed.by.as_str(), signed.at_ms),
            ("root", world.now_ms()),
            "signed by who really made it"
        );
    }
}
