//! `LiftHold`: a legal hold ends; what retention asks for is deleted from then on, unless another one stands.

use aegis_proto::control::{LiftHold, Role, Tenant, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::tenants;
use crate::state::writer::Writer;

impl Kind for LiftHold {
    const NAME: &'static str = "LiftHold";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Tenant;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("legal hold `{}` on tenant `{}` lifted: {}", self.name, self.tenant, self.reason)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Tenant, Failure> {
        let (_, mut tenant) = checks::living_tenant(state, &self.tenant)?;
        let name = checks::hold_name("hold", &self.name)?;
        checks::reason("reason", &self.reason)?;
        let place = tenant.holds.iter().position(|hold| hold.name == name);
        let unknown = || Refused::unknown(Code::UnknownHold, "legal hold", &name);
        tenant.holds.remove(place.ok_or_else(unknown)?);
        Ok(Tenant { revision: tenant.revision + 1, ..tenant })
    }

    fn apply(tenant: Tenant, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        tenants::put(write, &tenant)?;
        Ok(done::Result::Tenant(tenant))
    }
}
