//! `RemoveChannel`: takes a channel away that no policy in force names.

use aegis_model::ids::TenantId;
use aegis_proto::control::{Channel, RemoveChannel, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{checks, set_channel};
use crate::state::writer::Writer;
use crate::state::{activations, channels, tenants, versions};

impl Kind for RemoveChannel {
    const NAME: &'static str = "RemoveChannel";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = (TenantId, Channel);

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("channel `{}` taken away", self.name)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<(TenantId, Channel), Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let name = checks::channel_name("channel", &self.name)?;
        let unknown = || Refused::unknown(Code::UnknownChannel, "channel", &name);
        let channel = channels::channel(state, &tenant, &name)?.ok_or_else(unknown)?;
        if let Some(version) = version_that_names(state, &tenant, &name)? {
            let message = format!("version {version}, which is in force, tells the channel `{name}`");
            return Err(Refused::new(Code::ChannelInUse, message).with("version", version).into());
        }
        Ok((tenant, channel))
    }

    fn apply(
        (tenant, channel): (TenantId, Channel),
        write: &mut Writer<'_, '_>,
    ) -> Result<done::Result, StoreError> {
        let mut counters = tenants::counters(write, &tenant)?;
        counters.channels = counters.channels.saturating_sub(1);
        tenants::put_counters(write, &tenant, &counters)?;
        channels::delete(write, &channel)?;
        Ok(done::Result::Channel(set_channel::public(channel)))
    }
}

/// A version that judges calls and names the channel.
fn version_that_names(
    state: &impl StateRead,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<u64>, StoreError> {
    let Some(activation) = activations::in_force(state, tenant)? else { return Ok(None) };
    let canary = activation.canary.map(|canary| canary.version);
    for number in std::iter::once(activation.enforced).chain(canary) {
        let version = versions::version(state, tenant, number)?;
        if version.is_some_and(|version| version.notify.iter().any(|told| told == name)) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{Activate, Canary, ChannelKind, PublishVersion, Rollback};

    use super::*;
    use crate::testing::World;

    fn remove() -> RemoveChannel {
        RemoveChannel { tenant: "acme".to_owned(), name: "#payments".to_owned() }
    }

    /// A tenant with version 1, which tells nobody, in force, and version 2, which tells `#payments`.
    fn world() -> World {
        let world = World::new();
        let acme = world.tenant("acme");
        world.publish(&acme, &World::root(), b"one");
        let tells = world.publication(&acme, &World::root(), b"two");
        world.done(PublishVersion { notify: vec!["#payments".to_owned()], ..tells }, &World::root());
        world.activate(&acme, 1);
        world
    }

    fn activate(enforced: u64, canary: Option<Canary>) -> Activate {
        Activate { tenant: "acme".to_owned(), enforced, canary, ..Default::default() }
    }

    #[test]
    fn a_version_comes_into_force_only_where_its_channels_are() {
        let world = world();
        let canary = activate(1, Some(Canary { version: 2, percent: 5 }));
        for command in [activate(2, None), canary.clone()] {
            let refused = world.refused(command, &World::root());
            assert_eq!((refused.code, refused.detail("name")), (Code::UnknownChannel, Some("#payments")));
        }
        let back = Rollback { tenant: "acme".to_owned(), to: 2, ..Default::default() };
        assert_eq!(world.refused(back, &World::root()).code, Code::UnknownChannel);
        assert_eq!(world.refused(remove(), &World::root()).code, Code::UnknownChannel);
        world.done(World::channel("acme", "#payments", ChannelKind::Webhook), &World::root());
        world.done(canary, &World::root());
        world.done(activate(2, None), &World::root());
    }

    #[test]
    fn a_channel_that_is_named_by_what_is_in_force_stays() {
        let world = world();
        world.done(World::channel("acme", "#payments", ChannelKind::Webhook), &World::root());
        for command in [activate(1, Some(Canary { version: 2, percent: 5 })), activate(2, None)] {
            world.done(command, &World::root());
            let refused = world.refused(remove(), &World::root());
            assert_eq!((refused.code, refused.detail("version")), (Code::ChannelInUse, Some("2")));
        }
        world.done(activate(1, None), &World::root());
        world.done(remove(), &World::root());
        let acme = "acme".parse().expect("a name");
        assert!(channels::channel(&world.view(), &acme, "#payments").expect("memory").is_none());
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").channels, 0);
    }
}
