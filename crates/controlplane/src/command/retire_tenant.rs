//! `RetireTenant`: a tenant is served no more. Its rows stay, and its name is never used again.

use aegis_proto::control::{RetireTenant, Role, Tenant, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::who::Who;
use crate::state::tenants;
use crate::state::writer::Writer;

impl Kind for RetireTenant {
    const NAME: &'static str = "RetireTenant";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Tenant;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("tenant `{}`", self.tenant)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Tenant, Failure> {
        let (_, tenant) = checks::living_tenant(state, &self.tenant)?;
        Ok(Tenant { retired_ms: asked.now_ms(), revision: tenant.revision + 1, ..tenant })
    }

    fn apply(tenant: Tenant, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        tenants::put(write, &tenant)?;
        Ok(done::Result::Tenant(tenant))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{Activate, PutChunk, RegisterAgent, SetTenant};

    use super::*;
    use crate::command::{Code, Request};
    use crate::testing::World;

    #[test]
    fn nothing_is_possible_in_a_retired_tenant() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.publish(&acme, &World::root(), b"one");
        world.done(RetireTenant { tenant: acme.to_string() }, &World::root());
        let tenant = || acme.to_string();
        let commands: [Request; 5] = [
            RetireTenant { tenant: tenant() }.into(),
            SetTenant { tenant: tenant(), ..Default::default() }.into(),
            RegisterAgent { tenant: tenant(), name: "a".to_owned(), ..Default::default() }.into(),
            PutChunk { tenant: tenant(), data: vec![1] }.into(),
            Activate { tenant: tenant(), enforced: 1, ..Default::default() }.into(),
        ];
        for command in commands {
            assert_eq!(world.refused(command, &World::root()).code, Code::TenantRetired);
        }
    }
}
