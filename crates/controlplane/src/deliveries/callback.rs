//! What people press in Slack.
//!
//! Nothing of a request is believed before its signature was checked over the very bytes that came in, with the secret of the channel
//! that its path names; so a message for one tenant, or one channel, says nothing to another. Who pressed is a person only if the channel
//! maps them to one, and that person votes as everywhere else: by role, never on a call of their own, once.

use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::{PersonId, TenantId};
use aegis_proto::control::{Channel, ChannelKind, VoteApproval};
use aws_lc_rs::hmac;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::secrets::Secrets;
use super::{forms, slack};
use crate::admin::Admin;
use crate::command::actor::Actor;
use crate::command::envelope::Once;
use crate::command::{self, Refused};
use crate::control::ProposeError;
use crate::state::{approvals, channels, deliveries};

pub(crate) use super::story::callback_path as path;

/// Slack waits for three seconds.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Whoever is not mapped is told so.
const UNMAPPED: &str = "Aegis does not know who you are: an administrator has to add your member id to the channel. Nothing was decided.";

/// Takes what somebody pressed.
pub(crate) async fn take(
    State(admin): State<Admin>,
    Path((tenant, channel)): Path<(String, String)>,
    request: Request,
) -> Response {
    let _place = match admin.rooms().call() {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let taken = async {
        let body = forms::body(&parts.headers, body).await?;
        let (tenant, channel, secrets) = signed(&admin, &tenant, &channel, &parts.headers, &body)?;
        pressed(&admin, &tenant, &channel, &secrets, &parts.headers, &body).await
    };
    taken.await.unwrap_or_else(|status: StatusCode| status).into_response()
}

/// The channel whose secret signed these bytes, not long ago.
fn signed(
    admin: &Admin,
    tenant: &str,
    channel: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(TenantId, Channel, Secrets), StatusCode> {
    // No channel, another kind, no signature: it cannot be told apart from outside.
    const NO: StatusCode = StatusCode::UNAUTHORIZED;
    let tenant: TenantId = tenant.parse().map_err(|_bad| NO)?;
    let timestamp = forms::only(headers, "x-slack-request-timestamp").ok_or(NO)?;
    let signature = forms::only(headers, "x-slack-signature").ok_or(NO)?;
    let (channel, secrets) = {
        let state = admin.control().view().map_err(|_failed| StatusCode::SERVICE_UNAVAILABLE)?;
        let row = channels::channel(&state, &tenant, channel);
        let row = row.map_err(|_failed| StatusCode::SERVICE_UNAVAILABLE)?;
        let row = row.filter(|row| row.kind() == ChannelKind::Slack).ok_or(NO)?;
        let secrets = admin.sender().secrets(&state, &tenant, &row).map_err(|error| {
            tracing::warn!(%tenant, channel = row.name, %error, "what Slack sent could not be checked");
            StatusCode::SERVICE_UNAVAILABLE
        })?;
        (row, secrets)
    };
    let now = admin.clock().now().seconds();
    if is_signed(&secrets.slack_signing, timestamp, signature, body, now) {
        Ok((tenant, channel, secrets))
    } else {
        Err(NO)
    }
}

/// Whether `signature` is `v0=` and HMAC-SHA-256 over `v0:{timestamp}:{body}` in lower-case hexadecimal, and the moment is within
/// [`caps::SLACK_SECONDS_MAX`].
fn is_signed(secret: &str, timestamp: &str, signature: &str, body: &[u8], now_seconds: u64) -> bool {
    let plain = timestamp.len() <= 12 && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let Some(moment) = timestamp.parse::<u64>().ok().filter(|_| plain) else { return false };
    if moment.abs_diff(now_seconds) > caps::SLACK_SECONDS_MAX || secret.is_empty() {
        return false;
    }
    let Some(tag) = signature.strip_prefix("v0=").and_then(unhex) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    hmac::verify(&key, &signed, &tag).is_ok()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    let mut tag = [0; 32];
    if bytes.len() != 2 * tag.len() {
        return None;
    }
    for (to, pair) in tag.iter_mut().zip(bytes.chunks_exact(2)) {
        let [high, low] = pair.try_into().ok()?;
        *to = digit(high)? << 4 | digit(low)?;
    }
    Some(tag)
}

/// What is read of what Slack sends when a button is pressed.
#[derive(Debug, Deserialize)]
struct Payload {
    r#type: String,
    user: Id,
    team: Option<Id>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
struct Id {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

/// A button that means something.
struct Pressed {
    user: String,
    approve: bool,
    approval: String,
}

async fn pressed(
    admin: &Admin,
    tenant: &TenantId,
    channel: &Channel,
    secrets: &Secrets,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<StatusCode, StatusCode> {
    let Some(pressed) = read(channel, body)? else { return Ok(StatusCode::OK) };
    let member = channel.people.iter().find(|member| member.user == pressed.user);
    let Some(person) = member.and_then(|member| member.person.parse::<PersonId>().ok()) else {
        answer(admin, channel, secrets, &pressed.user, UNMAPPED).await;
        return Ok(StatusCode::OK);
    };
    if !was_told(admin, tenant, channel, &pressed.approval)? {
        answer(admin, channel, secrets, &pressed.user, "There is no such request. Nothing was decided.")
            .await;
        return Ok(StatusCode::OK);
    }
    match vote(admin, tenant, channel, &pressed, person, headers).await? {
        Ok(()) => {}
        Err(refused) => {
            let text = format!("Nothing was decided: {}.", refused.message);
            answer(admin, channel, secrets, &pressed.user, &text).await;
        }
    }
    Ok(StatusCode::OK)
}

/// What was pressed, if it means something here.
fn read(channel: &Channel, body: &[u8]) -> Result<Option<Pressed>, StatusCode> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let payload = forms::fields(body)?.remove("payload").ok_or(BAD)?;
    let payload: Payload = serde_json::from_str(&payload).map_err(|_form| BAD)?;
    if payload.r#type != "block_actions" {
        return Ok(None);
    }
    // Ids of users are unique within a workspace only.
    if payload.team.is_none_or(|team| team.id != channel.workspace) {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut actions = payload.actions.into_iter();
    let (Some(action), None) = (actions.next(), actions.next()) else { return Err(BAD) };
    let approve = match action.action_id.as_str() {
        slack::APPROVE => true,
        slack::REJECT => false,
        _ => return Ok(None),
    };
    Ok(Some(Pressed { user: payload.user.id, approve, approval: action.value }))
}

/// Whether the channel was told of the request: through another one nobody answers.
fn was_told(admin: &Admin, tenant: &TenantId, channel: &Channel, id: &str) -> Result<bool, StatusCode> {
    let failed = |_error| StatusCode::SERVICE_UNAVAILABLE;
    let state = admin.control().view().map_err(failed)?;
    let Some(approval) = approvals::approval(&state, tenant, id).map_err(failed)? else { return Ok(false) };
    let delivery = deliveries::delivery(&state, tenant, approval.number, &channel.name).map_err(failed)?;
    Ok(delivery.is_some())
}

/// The vote of a person. What Slack sent is remembered by its signature: the same once more is refused.
async fn vote(
    admin: &Admin,
    tenant: &TenantId,
    channel: &Channel,
    pressed: &Pressed,
    person: PersonId,
    headers: &HeaderMap,
) -> Result<Result<(), Refused>, StatusCode> {
    let command = VoteApproval {
        tenant: tenant.to_string(),
        id: pressed.approval.clone(),
        approve: pressed.approve,
        reason: format!("in Slack, through `{}`, as `{}`", channel.name, pressed.user),
    };
    let signature = forms::only(headers, "x-slack-signature").unwrap_or_default();
    let digest = Sha256::digest([tenant.as_str(), &channel.name, signature].join("\0"));
    let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let once = Once { key: format!("slack-{key}"), request_digest: None };
    let request = command::Request::from(command).once(once);
    let proposed = tokio::time::timeout(PATIENCE, async {
        admin.control().propose(request, &Actor::person(person)).await
    });
    match proposed.await {
        Ok(Ok(answer)) if answer.replayed => Err(StatusCode::CONFLICT),
        Ok(Ok(_voted)) => Ok(Ok(())),
        Ok(Err(ProposeError::Refused(refused))) => Ok(Err(refused)),
        Ok(Err(_)) | Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn answer(admin: &Admin, channel: &Channel, secrets: &Secrets, user: &str, text: &str) {
    let said = admin.sender().whisper(channel, secrets, user, text);
    // Whoever is not told in time presses again.
    let _ = tokio::time::timeout(PATIENCE, said).await;
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::ChannelPerson;

    use super::*;

    /// The example of Slack's own description of signatures.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F\
hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.\
803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const MOMENT: u64 = 1_531_420_618;

    #[test]
    fn the_signature_is_that_of_slacks_own_example() {
        let check =
            |body: &[u8], signature: &str, moment: &str, now| is_signed(SECRET, moment, signature, body, now);
        let good = MOMENT.to_string();
        assert!(check(BODY, SIGNATURE, &good, MOMENT));
        assert!(check(BODY, SIGNATURE, &good, MOMENT + 300) && check(BODY, SIGNATURE, &good, MOMENT - 300));
        assert!(!check(BODY, SIGNATURE, &good, MOMENT + 301), "stale");
        assert!(!check(BODY, SIGNATURE, &good, MOMENT - 301), "of the future");
        assert!(!check(&BODY[1..], SIGNATURE, &good, MOMENT), "another body");
        for moment in ["1531420619", "01531420618", " 1531420618", "+1531420618", ""] {
            assert!(!check(BODY, SIGNATURE, moment, MOMENT), "{moment:?}");
        }
        let flipped = SIGNATURE.replace("a2114d", "a2114e");
        for signature in
            [&flipped, &SIGNATURE.to_uppercase(), &SIGNATURE[3..], &SIGNATURE[..66], "v0=", "v1=00", ""]
        {
            assert!(!check(BODY, signature, &good, MOMENT), "{signature}");
        }
        assert!(!is_signed("", &good, SIGNATURE, BODY, MOMENT), "without a secret nothing is signed");
    }

    fn channel() -> Channel {
        let people = vec![ChannelPerson { user: "U1".to_owned(), person: "ann".to_owned() }];
        Channel { workspace: "T1".to_owned(), people, ..Channel::default() }
    }

    fn form(payload: &serde_json::Value) -> Vec<u8> {
        let mut url = reqwest::Url::parse("form:/").unwrap();
        url.query_pairs_mut().append_pair("payload", &payload.to_string());
        url.query().unwrap().as_bytes().to_vec()
    }

    #[test]
    fn only_one_of_our_buttons_in_our_workspace_means_something() {
        let payload = |team: &str, actions: serde_json::Value| serde_json::json!({"type": "block_actions", "user": {"id": "U1"}, "team": {"id": team}, "actions": actions});
        let approve = serde_json::json!({"action_id": "aegis_approve", "value": "a-1"});
        let read_it =
            |value: &serde_json::Value| read(&channel(), &form(value)).map(|it| it.map(|it| it.approval));
        assert_eq!(read_it(&payload("T1", serde_json::json!([approve]))), Ok(Some("a-1".to_owned())));
        let other = serde_json::json!([{"action_id": "aegis_open"}]);
        assert_eq!(read_it(&payload("T1", other)), Ok(None));
        assert_eq!(read_it(&payload("T2", serde_json::json!([approve]))), Err(StatusCode::FORBIDDEN));
        assert_eq!(
            read_it(&payload("T1", serde_json::json!([approve, approve]))),
            Err(StatusCode::BAD_REQUEST)
        );
        let mut no_team = payload("T1", serde_json::json!([approve]));
        no_team["team"] = serde_json::Value::Null;
        assert_eq!(read_it(&no_team), Err(StatusCode::FORBIDDEN));
        assert_eq!(read(&channel(), b"x=1").map(|_| ()), Err(StatusCode::BAD_REQUEST));
    }
}
