//! `LabelVersion`: puts a name at a version, moves it, or takes it away.

use aegis_model::caps;
use aegis_model::ids::{ActionName, TenantId};
use aegis_proto::control::{Label, LabelVersion, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::writer::Writer;
use crate::state::{labels, tenants};

/// What becomes of the label.
pub(crate) struct Checked {
    tenant: TenantId,
    label: Label,
    was_there: bool,
}

impl Kind for LabelVersion {
    const NAME: &'static str = "LabelVersion";
    const WHO: Who = Who::roles(&[Role::Author, Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        match self.version {
            0 => format!("label `{}` taken away", self.label),
            version => format!("label `{}` at version {version}", self.label),
        }
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        // A label has the alphabet and the length of any other name.
        let name: ActionName = checks::name("label", &self.label)?;
        let known = labels::label(state, &tenant, name.as_str())?;
        let current = known.as_ref().map_or(0, |label| label.version);
        checks::expected("label's version", self.only_if_version, current)?;
        if self.version == 0 {
            let Some(label) = known else {
                return Err(Refused::unknown(Code::UnknownLabel, "label", name).into());
            };
            return Ok(Checked { tenant, label: Label { version: 0, ..label }, was_there: true });
        }
        checks::known_version(state, &tenant, self.version)?;
        if known.is_none() {
            checks::room("labels", tenants::counters(state, &tenant)?.labels, caps::LABELS_MAX)?;
        }
        let label = Label {
            tenant: tenant.to_string(),
            name: name.into(),
            version: self.version,
            by: asked.by(),
            at_ms: asked.now_ms(),
        };
        Ok(Checked { tenant, label, was_there: known.is_some() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, label, was_there } = checked;
        let mut counters = tenants::counters(write, &tenant)?;
        if label.version == 0 {
            labels::delete(write, &label)?;
            counters.labels = counters.labels.saturating_sub(1);
        } else {
            labels::put(write, &label)?;
            counters.labels += u64::from(!was_there);
        }
        tenants::put_counters(write, &tenant, &counters)?;
        Ok(done::Result::Label(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    fn label(version: u64, only_if_version: Option<u64>) -> LabelVersion {
        LabelVersion { tenant: "acme".to_owned(), label: "good".to_owned(), version, only_if_version }
    }

    #[test]
    fn a_label_moves_and_goes() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.publish(&acme, &World::root(), b"one");
        world.publish(&acme, &World::root(), b"two");
        let at = || labels::label(&world.view(), &acme, "good").expect("memory").map(|label| label.version);
        world.done(label(1, Some(0)), &World::root());
        let refused = world.refused(label(2, Some(0)), &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("1")));
        world.done(label(2, Some(1)), &World::root());
        assert_eq!(at(), Some(2));
        assert_eq!(world.refused(label(3, None), &World::root()).code, Code::UnknownVersion);
        world.done(label(0, None), &World::root());
        assert_eq!(at(), None);
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").labels, 0);
        assert_eq!(world.refused(label(0, None), &World::root()).code, Code::UnknownLabel);
        let bad = LabelVersion { label: "two words".to_owned(), ..label(1, None) };
        assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
    }

    #[test]
    fn labels_have_a_bound() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.publish(&acme, &World::root(), b"one");
        let named = |name: u64| LabelVersion { label: name.to_string(), ..label(1, None) };
        for name in 0..caps::LABELS_MAX {
            world.done(named(name), &World::root());
        }
        assert_eq!(world.refused(named(caps::LABELS_MAX), &World::root()).code, Code::TooMany);
        world.done(named(0), &World::root());
    }
}
