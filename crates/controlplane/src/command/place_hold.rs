//! `PlaceHold`: keeps a tenant's audit records, whatever their retention, until the hold is lifted.

use aegis_model::caps;
use aegis_proto::control::{LegalHold, PlaceHold, Role, Tenant, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::tenants;
use crate::state::writer::Writer;

impl Kind for PlaceHold {
    const NAME: &'static str = "PlaceHold";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = Tenant;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("legal hold `{}` on tenant `{}`: {}", self.name, self.tenant, self.reason)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Tenant, Failure> {
        let (_, mut tenant) = checks::living_tenant(state, &self.tenant)?;
        let name = checks::hold_name("hold", &self.name)?;
        let reason = checks::reason("reason", &self.reason)?;
        if tenant.holds.iter().any(|hold| hold.name == name) {
            return Err(Refused::exists("legal hold", name).into());
        }
        checks::room("legal holds", tenant.holds.len() as u64, caps::LEGAL_HOLDS_MAX as u64)?;
        tenant.holds.push(LegalHold { name, reason, by: asked.by(), at_ms: asked.now_ms() });
        tenant.holds.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(Tenant { revision: tenant.revision + 1, ..tenant })
    }

    fn apply(tenant: Tenant, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        tenants::put(write, &tenant)?;
        Ok(done::Result::Tenant(tenant))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::LiftHold;

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn place(name: &str) -> PlaceHold {
        PlaceHold { tenant: "acme".to_owned(), name: name.to_owned(), reason: "case 7".to_owned() }
    }

    #[test]
    fn several_stand_at_once_and_each_is_lifted_alone() {
        let world = World::new();
        let acme = world.tenant("acme");
        let holds = || {
            let row = tenants::tenant(&world.view(), &acme).expect("memory").expect("a tenant");
            row.holds.into_iter().map(|hold| hold.name).collect::<Vec<_>>()
        };
        world.done(place("case-7"), &World::root());
        world.done(place("audit"), &World::root());
        assert_eq!(holds(), ["audit", "case-7"]);
        let row = tenants::tenant(&world.view(), &acme).expect("memory").expect("a tenant");
        assert_eq!((row.revision, row.holds[1].reason.as_str()), (3, "case 7"));
        assert!(row.holds[1].at_ms > 0 && !row.holds[1].by.is_empty());
        assert_eq!(world.refused(place("audit"), &World::root()).code, Code::AlreadyExists);
        let lift = |name: &str| LiftHold {
            tenant: "acme".to_owned(),
            name: name.to_owned(),
            reason: "settled".to_owned(),
        };
        world.done(lift("case-7"), &World::root());
        assert_eq!(holds(), ["audit"]);
        assert_eq!(world.refused(lift("case-7"), &World::root()).code, Code::UnknownHold);
    }

    #[test]
    fn forms_and_bounds_are_checked() {
        let world = World::new();
        assert_eq!(world.refused(place("a"), &World::root()).code, Code::UnknownTenant);
        world.tenant("acme");
        for bad in [place(""), place("a b"), PlaceHold { reason: " ".to_owned(), ..place("a") }] {
            assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
        }
        for number in 0..caps::LEGAL_HOLDS_MAX {
            world.done(place(&format!("hold-{number}")), &World::root());
        }
        assert_eq!(world.refused(place("one-more"), &World::root()).code, Code::TooMany);
    }
}
