//! `Rollback`: goes back to a version, for everybody, at once. A rollback is a new activation (POL-2).

use aegis_proto::control::{Activation, Role, Rollback, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::activate::{self, Checked};
use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::activations;
use crate::state::writer::Writer;

impl Kind for Rollback {
    const NAME: &'static str = "Rollback";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        match self.to {
            0 => "to what was before".to_owned(),
            version => format!("to version {version}"),
        }
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, settings) = checks::living_tenant(state, &self.tenant)?;
        let before = activations::in_force(state, &tenant)?.unwrap_or_default();
        checks::expected("activation", self.only_if_activation, before.number)?;
        let message = checks::words("message", &self.message)?;
        let to = if self.to == 0 { the_one_before(&before)? } else { self.to };
        let enforced = checks::usable_version(state, &tenant, to)?;
        checks::channels_of(state, &tenant, &enforced)?;
        // Four eyes have seen a version that somebody else put into force, and so going back to it, even by its
        // author, is no way around them: in an emergency one person is enough.
        if !enforced.enforced_by_other {
            activate::four_eyes(&settings, &enforced, asked)?;
        }
        let activation =
            Activation { rollback: true, message, ..activate::following(&before, &tenant, to, asked) };
        Ok(Checked { tenant, activation, enforced })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        activate::put_in_force(checked, write)
    }
}

/// What a rollback without a version goes back to: without the canary, if there is one, to what is enforced; otherwise
/// to the last other version that was.
fn the_one_before(now: &Activation) -> Result<u64, Refused> {
    let version = if now.canary.is_some() { now.enforced } else { now.enforced_before };
    if version == 0 {
        return Err(Refused::new(Code::NothingToRollBack, "no other version was enforced before"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use aegis_model::ids::TenantId;
    use aegis_proto::control::{Activate, Canary, SetTenant};

    use super::*;
    use crate::testing::World;

    fn three_versions() -> (World, TenantId) {
        let world = World::new();
        let acme = world.tenant("acme");
        for bundle in 1..=3_u8 {
            world.publish(&acme, &World::root(), &[bundle]);
        }
        (world, acme)
    }

    fn back(to: u64) -> Rollback {
        Rollback { tenant: "acme".to_owned(), to, ..Default::default() }
    }

    fn enforced(world: &World, acme: &TenantId) -> u64 {
        activations::in_force(&world.view(), acme).expect("memory").expect("one").enforced
    }

    #[test]
    fn a_rollback_is_a_new_activation_of_the_one_before() {
        let (world, acme) = three_versions();
        assert_eq!(world.refused(back(0), &World::root()).code, Code::NothingToRollBack);
        world.activate(&acme, 1);
        assert_eq!(world.refused(back(0), &World::root()).code, Code::NothingToRollBack);
        world.activate(&acme, 2);
        let number = world.activate(&acme, 2).number;
        world.done(back(0), &World::root());
        let now = activations::in_force(&world.view(), &acme).expect("memory").expect("one");
        assert_eq!((now.enforced, now.rollback, now.number), (1, true, number + 1));
        world.done(back(0), &World::root());
        assert_eq!(enforced(&world, &acme), 2, "the one before is what was in force before the rollback");
        world.done(back(3), &World::root());
        assert_eq!(enforced(&world, &acme), 3);
        assert_eq!(world.refused(back(4), &World::root()).code, Code::UnknownVersion);
    }

    #[test]
    fn with_a_canary_the_enforced_version_is_the_one_before() {
        let (world, acme) = three_versions();
        world.activate(&acme, 1);
        world.activate(&acme, 2);
        let canary = Some(Canary { version: 3, percent: 50 });
        let command =
            Activate { tenant: "acme".into(), enforced: 2, canary, shadow: vec![1], ..Default::default() };
        world.done(command, &World::root());
        world.done(back(0), &World::root());
        let now = activations::in_force(&world.view(), &acme).expect("memory").expect("one");
        assert_eq!((now.enforced, now.canary, now.shadow.len(), now.enforced_before), (2, None, 0, 1));
    }

    #[test]
    fn a_stale_precondition_is_refused() {
        let (world, acme) = three_versions();
        world.activate(&acme, 1);
        let number = world.activate(&acme, 2).number;
        let command = |number| Rollback { only_if_activation: Some(number), ..back(0) };
        let refused = world.refused(command(number - 1), &World::root());
        let current = number.to_string();
        assert_eq!(
            (refused.code, refused.detail("current")),
            (Code::PreconditionFailed, Some(current.as_str()))
        );
        world.done(command(number), &World::root());
    }

    #[test]
    fn one_pair_of_eyes_goes_back_to_what_four_have_seen() {
        let (world, acme) = three_versions();
        world.with_role("ann", "acme", Role::Author);
        let ann = world.with_role("ann", "acme", Role::Operator);
        let seen = world.publish(&acme, &ann, b"seen").number;
        let unseen = world.publish(&acme, &ann, b"unseen").number;
        world.done(
            SetTenant { tenant: "acme".into(), four_eyes: Some(true), ..Default::default() },
            &World::root(),
        );
        world.activate(&acme, seen);
        world.done(Activate { tenant: "acme".into(), enforced: 1, ..Default::default() }, &ann);
        world.done(back(seen), &ann);
        assert_eq!(world.refused(back(unseen), &ann).code, Code::FourEyes);
    }
}
