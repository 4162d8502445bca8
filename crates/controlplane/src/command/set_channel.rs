//! `SetChannel`: makes a way by which people are told of requests for approval, or changes one as a whole.

use aegis_model::caps;
use aegis_model::ids::{PersonId, TenantId};
use aegis_proto::control::{Channel, ChannelKind, Role, SetChannel, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::writer::Writer;
use crate::state::{channels, tenants};

/// The channel as it is to be.
pub(crate) struct Checked {
    tenant: TenantId,
    channel: Channel,
    is_new: bool,
}

impl Kind for SetChannel {
    const NAME: &'static str = "SetChannel";
    const WHO: Who = Who::roles(&[Role::Admin]);
    /// One that was overtaken is sealed anew for the channel as it is then.
    const REFUSALS_REMEMBERED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    /// Without the address, which may hold what only its receiver should know.
    fn summary(&self) -> String {
        let people = match self.people.len() {
            0 => String::new(),
            count => format!(", {count} people"),
        };
        let unmasked = if self.as_asked { ", parameters as asked" } else { "" };
        format!("channel `{}`, {}, at `{}`{people}{unmasked}", self.name, kind_name(self.kind()), self.host)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let name = checks::channel_name("channel", &self.name)?;
        let before = channels::channel(state, &tenant, &name)?;
        let revision = before.as_ref().map_or(0, |channel| channel.revision);
        checks::expected("channel's revision", Some(self.only_if_revision), revision)?;
        if before.is_none() {
            checks::room("channels", tenants::counters(state, &tenant)?.channels, caps::CHANNELS_MAX)?;
        }
        check_form(self)?;
        let channel = Channel {
            tenant: tenant.to_string(),
            name,
            kind: self.kind,
            url: self.url.clone(),
            host: self.host.clone(),
            target: self.target.clone(),
            workspace: self.workspace.clone(),
            people: self.people.clone(),
            secrets: self.secrets.clone(),
            revision: revision + 1,
            by: asked.by(),
            at_ms: asked.now_ms(),
            as_asked: self.as_asked,
        };
        Ok(Checked { tenant, channel, is_new: before.is_none() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, channel, is_new } = checked;
        if is_new {
            let mut counters = tenants::counters(write, &tenant)?;
            counters.channels += 1;
            tenants::put_counters(write, &tenant, &counters)?;
        }
        channels::put(write, &channel)?;
        Ok(done::Result::Channel(public(channel)))
    }
}

/// What is at the other end, as the admin API names it.
pub(crate) fn kind_name(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Unspecified => "",
        ChannelKind::Webhook => "webhook",
        ChannelKind::Slack => "slack",
        ChannelKind::Teams => "teams",
    }
}

/// What an answer may show of a channel.
pub(super) fn public(channel: Channel) -> Channel {
    Channel { secrets: None, url: String::new(), ..channel }
}

fn check_form(command: &SetChannel) -> Result<(), Refused> {
    if command.kind() == ChannelKind::Unspecified {
        return Err(Refused::invalid("kind", "`webhook`, `slack` or `teams`"));
    }
    let url_max = caps::CHANNEL_URL_BYTES_MAX;
    if command.url.len() > url_max || command.host.len() > url_max {
        return Err(Refused::invalid("url", format!("at most {url_max} bytes")));
    }
    foreign_id("target", &command.target)?;
    foreign_id("workspace", &command.workspace)?;
    if command.people.len() > caps::CHANNEL_PEOPLE_MAX {
        return Err(Refused::invalid("members", format!("at most {}", caps::CHANNEL_PEOPLE_MAX)));
    }
    for (at, member) in command.people.iter().enumerate() {
        foreign_id("members", &member.user)?;
        let _person: PersonId = checks::name("members", &member.person)?;
        let named_before = command.people.iter().take(at).any(|other| other.user == member.user);
        if member.user.is_empty() || named_before {
            return Err(Refused::invalid("members", "each user once"));
        }
    }
    let sealed = command.secrets.as_ref().map_or(0, |secrets| secrets.sealed.len());
    if sealed == 0 || sealed > caps::CHANNEL_SEALED_BYTES_MAX {
        return Err(Refused::invalid(
            "secrets",
            format!("sealed, at most {} bytes", caps::CHANNEL_SEALED_BYTES_MAX),
        ));
    }
    Ok(())
}

fn foreign_id(field: &'static str, text: &str) -> Result<(), Refused> {
    let max = caps::FOREIGN_ID_BYTES_MAX;
    if text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refused::invalid(field, format!("up to {max} visible ASCII characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{ChannelPerson, SealedSecrets};

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    #[test]
    fn a_channel_is_made_and_changed_as_a_whole_and_no_answer_holds_its_secrets() {
        let world = World::new();
        let acme = world.tenant("acme");
        let sound = World::channel("acme", "#payments", ChannelKind::Slack);
        let made = world.done(sound.clone(), &World::root());
        let Some(done::Result::Channel(shown)) = made.result() else { panic!("{made:?}") };
        assert_eq!((shown.revision, &shown.secrets), (1, &None));
        let stale = world.refused(sound.clone(), &World::root());
        assert_eq!((stale.code, stale.detail("current")), (Code::PreconditionFailed, Some("1")));
        world.done(SetChannel { only_if_revision: 1, ..sound.clone() }, &World::root());
        let kept = channels::channel(&world.view(), &acme, "#payments").expect("memory").expect("one");
        assert_eq!((kept.revision, kept.secrets), (2, sound.secrets.clone()));
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").channels, 1);
        let member = |user: &str| ChannelPerson { user: user.to_owned(), person: "ann".to_owned() };
        let sound = SetChannel { name: "other".to_owned(), ..sound };
        for bad in [
            SetChannel { name: String::new(), ..sound.clone() },
            SetChannel { name: "a\0b".to_owned(), ..sound.clone() },
            SetChannel { kind: 0, ..sound.clone() },
            SetChannel { target: "C 1".to_owned(), ..sound.clone() },
            SetChannel { people: vec![member("U1"), member("U1")], ..sound.clone() },
            SetChannel { people: vec![member("")], ..sound.clone() },
            SetChannel { secrets: None, ..sound.clone() },
            SetChannel {
                secrets: Some(SealedSecrets {
                    key_version: 1,
                    sealed: vec![1; caps::CHANNEL_SEALED_BYTES_MAX + 1],
                }),
                ..sound
            },
        ] {
            assert_eq!(world.refused(bad.clone(), &World::root()).code, Code::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn there_is_a_bound_of_channels() {
        let world = World::new();
        world.tenant("acme");
        for number in 0..caps::CHANNELS_MAX {
            world.done(World::channel("acme", &format!("c{number}"), ChannelKind::Webhook), &World::root());
        }
        let one_more = World::channel("acme", "one-more", ChannelKind::Webhook);
        assert_eq!(world.refused(one_more, &World::root()).code, Code::TooMany);
    }
}
