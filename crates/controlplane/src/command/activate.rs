//! `Activate`: says which versions are in force for a tenant, as one decision (POL-2).

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Activate, Activation, Canary, Role, Tenant, Version, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::writer::Writer;
use crate::state::{activations, tenants, versions};

/// An activation but for its number, and the version that is enforced by it.
pub(crate) struct Checked {
    pub(super) tenant: TenantId,
    pub(super) activation: Activation,
    pub(super) enforced: Version,
}

impl Kind for Activate {
    const NAME: &'static str = "Activate";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let canary = self.canary.as_ref().map(|it| format!(", canary {} for {} %", it.version, it.percent));
        let shadow = match self.shadow.len() {
            0 => String::new(),
            count => format!(", {count} shadow"),
        };
        format!("enforce version {}{}{shadow}", self.enforced, canary.unwrap_or_default())
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, settings) = checks::living_tenant(state, &self.tenant)?;
        let before = activations::in_force(state, &tenant)?.unwrap_or_default();
        checks::expected("activation", self.only_if_activation, before.number)?;
        checks::expected("enforced version", self.only_if_enforced, before.enforced)?;
        let message = checks::words("message", &self.message)?;
        check_form(self)?;
        let enforced = checks::usable_version(state, &tenant, self.enforced)?;
        checks::channels_of(state, &tenant, &enforced)?;
        if self.enforced != before.enforced {
            four_eyes(&settings, &enforced, asked)?;
        }
        if let Some(canary) = &self.canary {
            let version = checks::usable_version(state, &tenant, canary.version)?;
            checks::channels_of(state, &tenant, &version)?;
            if !is_within(canary, &before) {
                four_eyes(&settings, &version, asked)?;
            }
        }
        for shadow in &self.shadow {
            checks::usable_version(state, &tenant, *shadow)?;
        }
        let activation = Activation {
            canary: self.canary,
            shadow: self.shadow.clone(),
            message,
            ..following(&before, &tenant, self.enforced, asked)
        };
        Ok(Checked { tenant, activation, enforced })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        put_in_force(checked, write)
    }
}

fn check_form(command: &Activate) -> Result<(), Refused> {
    if let Some(Canary { version, percent }) = command.canary {
        if !(1..=100).contains(&percent) {
            return Err(Refused::invalid("canary.percent", "1 to 100"));
        }
        if version == command.enforced {
            return Err(Refused::invalid("canary.version", "another version than the enforced one"));
        }
    }
    if command.shadow.len() > caps::SHADOW_VERSIONS_MAX {
        return Err(Refused::invalid("shadow", format!("at most {}", caps::SHADOW_VERSIONS_MAX)));
    }
    let repeated = command.shadow.iter().enumerate().any(|(at, version)| {
        *version == command.enforced || command.shadow.iter().take(at).any(|other| other == version)
    });
    if repeated {
        return Err(Refused::invalid("shadow", "each version once, and not the enforced one"));
    }
    Ok(())
}

/// Whether `canary` reaches no agent that `before` does not reach with the same version: nothing that a second pair of
/// eyes would have to see.
fn is_within(canary: &Canary, before: &Activation) -> bool {
    canary.version == before.enforced
        || before.canary.is_some_and(|it| it.version == canary.version && canary.percent <= it.percent)
}

/// Where the tenant has chosen it, the author of `version` may not put it into force.
pub(super) fn four_eyes(tenant: &Tenant, version: &Version, asked: &Asked<'_>) -> Result<(), Refused> {
    let chosen = tenant.settings.as_ref().is_some_and(|settings| settings.four_eyes);
    if !chosen || version.author != asked.by() {
        return Ok(());
    }
    let message = format!("version {} is by the same person, and the tenant wants four eyes", version.number);
    Err(Refused::new(Code::FourEyes, message).with("version", version.number))
}

/// The activation after `before`, which enforces `enforced` and nothing else, but for its number.
pub(super) fn following(
    before: &Activation,
    tenant: &TenantId,
    enforced: u64,
    asked: &Asked<'_>,
) -> Activation {
    let enforced_before = if before.enforced == enforced { before.enforced_before } else { before.enforced };
    Activation {
        tenant: tenant.to_string(),
        history: asked.cluster.history,
        number: 0,
        index: asked.place.index,
        enforced,
        canary: None,
        shadow: Vec::new(),
        by: asked.by(),
        at_ms: asked.now_ms(),
        rollback: false,
        enforced_before,
        message: String::new(),
    }
}

/// Gives the activation its number, and puts it into force.
pub(super) fn put_in_force(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
    let Checked { tenant, activation, enforced } = checked;
    write.counters_mut().activations += 1;
    let activation = Activation { number: write.counters().activations, ..activation };
    let mut counters = tenants::counters(write, &tenant)?;
    counters.activations_kept = activations::put(write, &activation, counters.activations_kept)?;
    tenants::put_counters(write, &tenant, &counters)?;
    let by_other = activation.by != enforced.author;
    let enforced_ms = if enforced.enforced_ms == 0 { activation.at_ms } else { enforced.enforced_ms };
    let enforced_by_other = enforced.enforced_by_other || by_other;
    if enforced_ms != enforced.enforced_ms || enforced_by_other != enforced.enforced_by_other {
        versions::put(write, &Version { enforced_ms, enforced_by_other, ..enforced })?;
    }
    Ok(done::Result::Activation(activation))
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::SetTenant;

    use super::*;
    use crate::command::Request;
    use crate::testing::World;

    /// A tenant `acme` with five versions by `root`.
    fn five_versions() -> (World, TenantId) {
        let world = World::new();
        let acme = world.tenant("acme");
        for bundle in 1..=5_u8 {
            world.publish(&acme, &World::root(), &[bundle]);
        }
        (world, acme)
    }

    fn enforce(version: u64) -> Activate {
        Activate { tenant: "acme".to_owned(), enforced: version, ..Default::default() }
    }

    #[test]
    fn an_activation_is_one_decision_with_a_rising_number() {
        let (world, acme) = five_versions();
        let globex = world.tenant("globex");
        world.publish(&globex, &World::root(), b"other");
        assert_eq!(world.activate(&acme, 1).number, 1);
        assert_eq!(world.activate(&globex, 1).number, 2);
        let canary = Some(Canary { version: 3, percent: 5 });
        world.done(Activate { canary, shadow: vec![4, 3], ..enforce(2) }, &World::root());
        let now = activations::in_force(&world.view(), &acme).expect("memory").expect("an activation");
        assert_eq!((now.number, now.enforced, now.canary, now.shadow.clone()), (3, 2, canary, vec![4, 3]));
        assert_eq!((now.enforced_before, now.history, now.by.as_str()), (1, 1, "root"));
        let kept = activations::activation(&world.view(), &acme, 3).expect("memory");
        assert_eq!(kept, Some(now));
        assert_eq!(activations::in_force(&world.view(), &globex).expect("memory").expect("one").number, 2);
    }

    #[test]
    fn stale_preconditions_say_what_is_current() {
        let (world, acme) = five_versions();
        let only_if = |activation, version| Activate {
            only_if_activation: activation,
            only_if_enforced: version,
            ..enforce(2)
        };
        for command in [only_if(Some(1), None), only_if(None, Some(1))] {
            let refused = world.refused(command, &World::root());
            assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("0")));
        }
        world.done(only_if(Some(0), Some(0)), &World::root());
        let refused = world.refused(only_if(Some(0), None), &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("1")));
        let refused = world.refused(only_if(None, Some(1)), &World::root());
        assert_eq!((refused.detail("of"), refused.detail("current")), (Some("enforced version"), Some("2")));
        world.done(only_if(Some(1), Some(2)), &World::root());
        assert_eq!(activations::in_force(&world.view(), &acme).expect("memory").expect("one").number, 2);
    }

    #[test]
    fn every_version_must_exist_and_every_form_fit() {
        let (world, _) = five_versions();
        let canary = |version, percent| Activate { canary: Some(Canary { version, percent }), ..enforce(1) };
        let shadow = |shadow: &[u64]| Activate { shadow: shadow.to_vec(), ..enforce(1) };
        for command in [enforce(6), enforce(0), canary(6, 5), shadow(&[2, 6])] {
            let refused = world.refused(command, &World::root());
            assert_eq!((refused.code, refused.detail("newest")), (Code::UnknownVersion, Some("5")));
        }
        let long = Activate { message: "m".repeat(caps::WORDS_BYTES_MAX + 1), ..enforce(1) };
        let bad = [
            canary(2, 0),
            canary(2, 101),
            canary(1, 5),
            shadow(&[1]),
            shadow(&[2, 2]),
            shadow(&[2, 3, 4, 5, 6]),
            long,
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::root()).code, Code::Invalid);
        }
        world.done(canary(2, 100), &World::root());
    }

    #[test]
    fn with_four_eyes_an_author_needs_somebody_else() {
        let (world, acme) = five_versions();
        world.with_role("ann", "acme", Role::Author);
        let ann = world.with_role("ann", "acme", Role::Operator);
        world.publish(&acme, &ann, b"by ann");
        let settings = SetTenant { tenant: "acme".into(), four_eyes: Some(true), ..Default::default() };
        let canary = |percent| Activate { canary: Some(Canary { version: 6, percent }), ..enforce(1) };
        world.done(enforce(6), &ann);
        world.done(enforce(1), &ann);
        world.done(settings, &World::root());
        for command in [enforce(6), canary(1)] {
            let refused = world.refused(command, &ann);
            assert_eq!((refused.code, refused.detail("version")), (Code::FourEyes, Some("6")));
        }
        world.done(Activate { shadow: vec![6], ..enforce(1) }, &ann);
        // What somebody else put into force may stay there, but not grow.
        world.done(canary(5), &World::root());
        world.done(canary(4), &ann);
        assert_eq!(world.refused(canary(5), &ann).code, Code::FourEyes);
        world.done(enforce(6), &World::root());
        world.done(enforce(6), &ann);
    }

    #[test]
    fn what_was_first_enforced_is_remembered() {
        let (world, acme) = five_versions();
        let first_ms = world.now_ms();
        world.activate(&acme, 1);
        world.pass_seconds(7);
        let ann = world.with_role("ann", "acme", Role::Operator);
        let version = || checks::known_version(&world.view(), &acme, 1).expect("a version");
        assert_eq!((version().enforced_ms, version().enforced_by_other), (first_ms, false));
        world.done(Request::from(enforce(1)), &ann);
        assert_eq!((version().enforced_ms, version().enforced_by_other), (first_ms, true));
    }

    #[test]
    fn the_oldest_activations_go() {
        let (world, acme) = five_versions();
        for round in 0..caps::ACTIVATIONS_KEPT_MAX + 3 {
            world.activate(&acme, 1 + round % 5);
        }
        let counters = tenants::counters(&world.view(), &acme).expect("memory");
        assert_eq!(counters.activations_kept, caps::ACTIVATIONS_KEPT_MAX);
        let kept = |number| activations::activation(&world.view(), &acme, number).expect("memory").is_some();
        assert!(!kept(3) && kept(4) && kept(caps::ACTIVATIONS_KEPT_MAX + 3));
    }
}
