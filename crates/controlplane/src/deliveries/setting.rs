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
