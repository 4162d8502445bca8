//! Channels as an administrator makes, changes and tries them: what is a secret is sealed before anything is replicated.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::admin::{ChannelTested, SetChannelRequest};
use aegis_proto::control::{Channel, ChannelKind, ChannelPerson, SetChannel};
use aegis_raft_store::tables::StateRead;
use rand::CryptoRng;

use super::out::Undelivered;
use super::secrets::{Owner, Secrets};
use super::sender::Sender;
use super::{slack, webhook};
use crate::admin::Problem;
use crate::state::channels;

/// The command that makes the channel what `request` says, its secrets sealed.
///
/// # Errors
/// A field is missing or of no use, and says which; or the tenant's keys cannot be had.
pub(crate) fn command(
    sender: &Sender,
    state: &impl StateRead,
    tenant: &TenantId,
    request: &SetChannelRequest,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<SetChannel, Problem> {
    let before = channels::channel(state, tenant, &request.channel)?;
    let kind = kind(&request.kind)?;
    let known = match &before {
        // Another kind has other secrets.
        // Those that cannot be opened any more have to be given anew.
        Some(row) if row.kind() == kind => sender.secrets(state, tenant, row).ok(),
        Some(_) | None => None,
    };
    let mut channel = SetChannel {
        tenant: tenant.to_string(),
        name: request.channel.clone(),
        kind: kind.into(),
        only_if_revision: before.as_ref().map_or(0, |row| row.revision),
        as_asked: as_asked(&request.parameters)?,
        ..SetChannel::default()
    };
    let known = known.unwrap_or_default();
    let secrets = match kind {
        ChannelKind::Webhook => of_webhook(sender, request, &known, &mut channel)?,
        ChannelKind::Slack => of_slack(sender, request, &known, &mut channel)?,
        ChannelKind::Teams | ChannelKind::Unspecified => of_teams(sender, request, &known, &mut channel)?,
    };
    let owner = Owner { tenant, channel: &request.channel, kind };
    let keys = sender.keys(state, tenant).map_err(own)?;
    channel.secrets = Some(secrets.seal(&keys, owner, randomness));
    Ok(channel)
}

/// Sends a message that asks nobody for anything, through the channel as it is.
///
/// # Errors
/// Its secrets cannot be opened here.
pub(crate) async fn test(
    sender: &Sender,
    state: impl StateRead,
    tenant: &TenantId,
    channel: &Channel,
    id: &str,
) -> Result<ChannelTested, Problem> {
    let secrets = sender.secrets(&state, tenant, channel).map_err(own)?;
    // Nothing is waited for with a view in hand.
    drop(state);
    let error = sender.test(channel, &secrets, id).await.err().map(|error| error.to_string());
    Ok(ChannelTested { delivered: error.is_none(), error: error.unwrap_or_default() })
}

fn kind(text: &str) -> Result<ChannelKind, Problem> {
    match text {
        "webhook" => Ok(ChannelKind::Webhook),
        "slack" => Ok(ChannelKind::Slack),
        "teams" => Ok(ChannelKind::Teams),
        _ => Err(Problem::invalid("kind", "`webhook`, `slack` or `teams`")),
    }
}

/// Whether parameters leave as people are asked about them: only where somebody said so.
fn as_asked(text: &str) -> Result<bool, Problem> {
    match text {
        "" | "masked" => Ok(false),
        "as_asked" => Ok(true),
        _ => Err(Problem::invalid("parameters", "`masked` or `as_asked`")),
    }
}

/// How parameters leave, as the admin API names it.
pub(crate) fn parameters(as_asked: bool) -> &'static str {
    if as_asked { "as_asked" } else { "masked" }
}

fn of_webhook(
    sender: &Sender,
    request: &SetChannelRequest,
    known: &Secrets,
    channel: &mut SetChannel,
) -> Result<Secrets, Problem> {
    absent(&[("token", &request.token), ("target", &request.target), ("workspace", &request.workspace)])?;
    if !request.members.is_empty() {
        return Err(Problem::invalid(
            "members",
            "left out: who answers a webhook answers over REST, as themselves",
        ));
    }
    (channel.url, channel.host) = address(sender, &request.url)?;
    let mut signing = known.signing.clone();
    if !request.secret.is_empty() {
        let form = "`whsec_` and 24 to 64 bytes in base64";
        let new = webhook::read_secret(&request.secret).ok_or_else(|| Problem::invalid("secret", form))?;
        signing.retain(|before| *before != new);
        signing.truncate(usize::from(request.keep_previous));
        signing.insert(0, new);
    } else if !request.keep_previous {
        signing.truncate(1);
    }
    if signing.is_empty() {
        return Err(Problem::invalid("secret", "given for a new channel"));
    }
    Ok(Secrets::webhook(signing))
}

fn of_slack(
    sender: &Sender,
    request: &SetChannelRequest,
    known: &Secrets,
    channel: &mut SetChannel,
) -> Result<Secrets, Problem> {
    not_kept(request)?;
    let base = if request.url.is_empty() { slack::BASE } else { &request.url };
    (channel.url, channel.host) = address(sender, base)?;
    for (name, value) in [("target", &request.target), ("workspace", &request.workspace)] {
        let is_id = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_id {
            return Err(Problem::invalid(name, "an id of Slack, such as `C024BE91L`"));
        }
    }
    (channel.target, channel.workspace) = (request.target.clone(), request.workspace.clone());
    let person = |member: &aegis_proto::admin::ChannelMember| ChannelPerson {
        user: member.user.clone(),
        person: member.person.clone(),
    };
    channel.people = request.members.iter().map(person).collect();
    let slack_signing = given_or_known("secret", &request.secret, &known.slack_signing)?;
    let token = given_or_known("token", &request.token, &known.token)?;
    Ok(Secrets::slack(slack_signing, token))
}

fn of_teams(
    sender: &Sender,
    request: &SetChannelRequest,
    known: &Secrets,
    channel: &mut SetChannel,
) -> Result<Secrets, Problem> {
    not_kept(request)?;
    absent(&[
        ("secret", &request.secret),
        ("token", &request.token),
        ("target", &request.target),
        ("workspace", &request.workspace),
    ])?;
    if !request.members.is_empty() {
        return Err(Problem::invalid("members", "left out: the card leads to the page where people sign in"));
    }
    let url = if request.url.is_empty() { known.url.as_str() } else { &request.url };
    // The address is a secret: whoever knows it writes to the channel.
    channel.host = address(sender, url)?.1;
    Ok(Secrets::teams(url.to_owned()))
}

/// The address and its host.
fn address(sender: &Sender, text: &str) -> Result<(String, String), Problem> {
    if text.is_empty() || text.len() > caps::CHANNEL_URL_BYTES_MAX {
        let form = format!("an address of 1 to {} bytes", caps::CHANNEL_URL_BYTES_MAX);
        return Err(Problem::invalid("url", form));
    }
    let url = sender.out().address(text).map_err(|error| Problem::invalid("url", error))?;
    Ok((text.to_owned(), url.host_str().unwrap_or_default().to_owned()))
}

fn given_or_known(name: &'static str, given: &str, known: &str) -> Result<String, Problem> {
    let text = if given.is_empty() { known } else { given };
    let bytes = caps::CHANNEL_SECRET_BYTES_MIN..=caps::CHANNEL_SECRET_BYTES_MAX;
    if !bytes.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let (least, most) = (bytes.start(), bytes.end());
        return Err(Problem::invalid(
            name,
            format!("{least} to {most} visible ASCII characters, as Slack gives it"),
        ));
    }
    Ok(text.to_owned())
}

fn absent(fields: &[(&'static str, &String)]) -> Result<(), Problem> {
    match fields.iter().find(|(_, value)| !value.is_empty()) {
        Some((name, _)) => Err(Problem::invalid(name, "left out for a channel of this kind")),
        None => Ok(()),
    }
}

fn not_kept(request: &SetChannelRequest) -> Result<(), Problem> {
    if request.keep_previous {
        return Err(Problem::invalid("keep_previous", "left out: only webhooks have secrets in turn"));
    }
    Ok(())
}

fn own(error: Undelivered) -> Problem {
    Problem::new(crate::admin::problem::ApiCode::Unavailable, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aegis_proto::admin::ChannelMember;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::testing::World;

    const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SECOND: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    struct Desk {
        world: World,
        tenant: TenantId,
        sender: Sender,
    }

    impl Desk {
        fn new(private: bool) -> Self {
            let world = World::new();
            let (tenant, keys) = (world.tenant("acme"), Arc::new(World::cluster_keys()));
            let sender = Sender::new(keys, world.clock.clone(), "https://aegis.example.com", private);
            Self { world, tenant, sender: sender.expect("a client") }
        }

        fn command(&self, request: &SetChannelRequest) -> Result<SetChannel, Problem> {
            let mut random = StdRng::seed_from_u64(1);
            command(&self.sender, &self.world.view(), &self.tenant, request, &mut random)
        }

        /// Makes the channel so, and gives what is kept of it.
        fn set(&self, request: &SetChannelRequest) -> (Channel, Secrets) {
            self.world.done(self.command(request).expect("a sound channel"), &World::root());
            let view = self.world.view();
            let row = channels::channel(&view, &self.tenant, &request.channel).expect("memory").expect("one");
            let secrets = self.sender.secrets(&view, &self.tenant, &row).expect("its own");
            (row, secrets)
        }

        fn refused(&self, request: SetChannelRequest) -> String {
            let problem = self.command(&request).expect_err("not sound");
            problem.facts.iter().find(|(name, _)| name == "field").expect("a field").1.clone()
        }
    }

    fn webhook(secret: &str) -> SetChannelRequest {
        SetChannelRequest {
            channel: "hook".to_owned(),
            kind: "webhook".to_owned(),
            url: "https://hooks.example.com/a".to_owned(),
            secret: secret.to_owned(),
            ..SetChannelRequest::default()
        }
    }

    fn slack() -> SetChannelRequest {
        SetChannelRequest {
            channel: "#chat".to_owned(),
            kind: "slack".to_owned(),
            secret: "8f742231b10e8888abcd99yyyzzz85a5".to_owned(),
            token: "xoxb-a-token-of-a-bot".to_owned(),
            target: "C1".to_owned(),
            workspace: "T1".to_owned(),
            members: vec![ChannelMember { user: "U1".to_owned(), person: "ann".to_owned() }],
            ..SetChannelRequest::default()
        }
    }

    fn teams(url: &str) -> SetChannelRequest {
        SetChannelRequest {
            channel: "teams".to_owned(),
            kind: "teams".to_owned(),
            url: url.to_owned(),
            ..SetChannelRequest::default()
        }
    }

    #[test]
    fn a_webhooks_keys_take_turns() {
        let desk = Desk::new(false);
        let signing = |request: &SetChannelRequest| desk.set(request).1.signing.clone();
        let bare = |secret: &str| secret.trim_start_matches("whsec_").to_owned();
        assert_eq!(signing(&webhook(FIRST)), [bare(FIRST)]);
        // What is left out stays; a new one stands alone, unless the one before is to be kept.
        assert_eq!(signing(&webhook("")), [bare(FIRST)]);
        let keeping = SetChannelRequest { keep_previous: true, ..webhook(SECOND) };
        assert_eq!(signing(&keeping), [bare(SECOND), bare(FIRST)]);
        assert_eq!(signing(&keeping), [bare(SECOND), bare(FIRST)], "the same once more");
        assert_eq!(signing(&webhook(FIRST)), [bare(FIRST)], "alone");
        assert_eq!(signing(&keeping), [bare(SECOND), bare(FIRST)]);
        assert_eq!(signing(&webhook("")), [bare(SECOND)], "the receiver has changed over");
        // After a rotation of the tenant's key the older version opens it still, and the next change seals it with the newest.
        let keys = World::cluster_keys();
        let mut random = StdRng::seed_from_u64(9);
        let rotate = crate::keys::tenant_key_rotation(&desk.world.view(), &keys, &desk.tenant, &mut random);
        desk.world.done(rotate.expect("a key"), &World::root());
        let (row, secrets) = desk.set(&webhook(""));
        assert_eq!(
            (row.secrets.expect("sealed").key_version, secrets.signing.clone()),
            (2, vec![bare(SECOND)])
        );
    }

    #[test]
    fn what_is_secret_is_in_no_field_but_the_sealed_one() {
        let desk = Desk::new(false);
        let (row, secrets) = desk.set(&teams("https://flows.example.com/x?sig=KEEP-OUT"));
        assert_eq!((row.host.as_str(), secrets.url.ends_with("KEEP-OUT")), ("flows.example.com", true));
        let (other, kept) = desk.set(&slack());
        assert_eq!((other.host.as_str(), kept.token.as_str()), ("slack.com", "xoxb-a-token-of-a-bot"));
        for row in [row, other] {
            let sealed = row.secrets.clone().expect("sealed").sealed;
            let shown = format!("{row:?} {}", String::from_utf8_lossy(&sealed));
            assert!(
                !shown.contains("KEEP-OUT") && !shown.contains("xoxb") && !shown.contains("8f742231"),
                "{shown}"
            );
        }
        // Another kind of channel under the same name has other secrets: none is taken over.
        let changed = SetChannelRequest { channel: "#chat".to_owned(), ..webhook("") };
        assert_eq!(desk.refused(changed), "secret");
    }

    #[test]
    fn each_kind_has_its_own_fields_and_needs_them() {
        let desk = Desk::new(false);
        let text = || "x".to_owned();
        let member = || vec![ChannelMember { user: text(), person: text() }];
        for (bad, field) in [
            (SetChannelRequest { kind: "pager".to_owned(), ..webhook(FIRST) }, "kind"),
            (webhook(""), "secret"),
            (webhook("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "secret"),
            (SetChannelRequest { parameters: "full".to_owned(), ..webhook(FIRST) }, "parameters"),
            (SetChannelRequest { url: String::new(), ..webhook(FIRST) }, "url"),
            (SetChannelRequest { url: "http://hooks.example.com/".to_owned(), ..webhook(FIRST) }, "url"),
            (SetChannelRequest { url: "https://127.0.0.1/".to_owned(), ..webhook(FIRST) }, "url"),
            (SetChannelRequest { token: text(), ..webhook(FIRST) }, "token"),
            (SetChannelRequest { target: text(), ..webhook(FIRST) }, "target"),
            (SetChannelRequest { members: member(), ..webhook(FIRST) }, "members"),
            (SetChannelRequest { token: String::new(), ..slack() }, "token"),
            (SetChannelRequest { secret: String::new(), ..slack() }, "secret"),
            (SetChannelRequest { secret: "short".to_owned(), ..slack() }, "secret"),
            (SetChannelRequest { target: String::new(), ..slack() }, "target"),
            (SetChannelRequest { workspace: "T 1".to_owned(), ..slack() }, "workspace"),
            (SetChannelRequest { keep_previous: true, ..slack() }, "keep_previous"),
            (SetChannelRequest { url: "http://127.0.0.1:1".to_owned(), ..slack() }, "url"),
            (teams(""), "url"),
            (SetChannelRequest { secret: text(), ..teams("https://flows.example.com/") }, "secret"),
            (SetChannelRequest { members: member(), ..teams("https://flows.example.com/") }, "members"),
        ] {
            assert_eq!(desk.refused(bad.clone()), field, "{bad:?}");
        }
        let private = Desk::new(true);
        let near = SetChannelRequest { url: "http://127.0.0.1:8080/".to_owned(), ..webhook(FIRST) };
        assert!(private.command(&near).is_ok());
    }
}
