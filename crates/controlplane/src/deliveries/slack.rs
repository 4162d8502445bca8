//! Slack: a message per request with buttons, changed when the request is decided (`chat.postMessage`, `chat.update`).
//!
//! What an agent said stands only in elements that Slack shows as they are (`plain_text`, `rich_text_preformatted`): it can mention
//! nobody, link nowhere and close nothing.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::out::{Out, Undelivered};
use super::secrets::Secrets;
use super::story::{Story, cut};

/// Where the Web API is, unless a channel says otherwise.
pub(super) const BASE: &str = "https://slack.com";
/// The buttons.
pub(crate) const APPROVE: &str = "aegis_approve";
/// See [`APPROVE`].
pub(crate) const REJECT: &str = "aegis_reject";

/// Slack's bounds, in characters: header, text of a section, of a field, of an element of context, and of what is preformatted.
const HEADER_CHARS: usize = 149;
const SECTION_CHARS: usize = 2_900;
const FIELD_CHARS: usize = 400;
const CONTEXT_CHARS: usize = 1_900;
const PARAMS_CHARS: usize = 2_900;

/// A channel of a workspace, and who writes there.
pub(crate) struct Place<'a> {
    pub(crate) base: &'a str,
    pub(crate) target: &'a str,
    pub(crate) secrets: &'a Secrets,
}

/// A message at Slack: its channel there, and its time, which is its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Posted {
    pub(super) channel: String,
    pub(super) ts: String,
}

/// Tells how a request stands: in the message that is there, if there is one.
pub(super) async fn send(
    out: &Out,
    place: &Place<'_>,
    before: &Posted,
    story: &Story,
) -> Result<Posted, Undelivered> {
    if !before.ts.is_empty() {
        let mut message = message(story);
        put(&mut message, "channel", &before.channel);
        put(&mut message, "ts", &before.ts);
        match call(out, place, "chat.update", &message).await? {
            Answer { ok: true, .. } => return Ok(before.clone()),
            // Somebody deleted it: what became of the request is told all the same.
            Answer { error, .. } if error == "message_not_found" => {}
            Answer { error, .. } => return Err(refused(&error)),
        }
    }
    let mut message = message(story);
    put(&mut message, "channel", place.target);
    post(out, place, &message).await
}

/// Says something that asks nobody for anything.
pub(super) async fn test(out: &Out, place: &Place<'_>) -> Result<(), Undelivered> {
    let text = "Aegis can write here. Requests for approval will follow.";
    let message = json!({"channel": place.target, "text": text});
    post(out, place, &message).await.map(|_posted| ())
}

/// Says something to one user of the channel only.
pub(crate) async fn whisper(out: &Out, place: &Place<'_>, user: &str, text: &str) -> Result<(), Undelivered> {
    let mut message = whispered(user, text);
    put(&mut message, "channel", place.target);
    match call(out, place, "chat.postEphemeral", &message).await? {
        Answer { ok: true, .. } => Ok(()),
        Answer { error, .. } => Err(refused(&error)),
    }
}

/// What one user is told, but for its place.
pub(super) fn whispered(user: &str, text: &str) -> Value {
    json!({"user": user, "text": escaped(text), "blocks": [{"type": "section", "text": plain(text, SECTION_CHARS)}]})
}

async fn post(out: &Out, place: &Place<'_>, message: &Value) -> Result<Posted, Undelivered> {
    match call(out, place, "chat.postMessage", message).await? {
        Answer { ok: true, channel, ts, .. } if !ts.is_empty() => Ok(Posted { channel, ts }),
        Answer { ok: true, .. } => Err(Undelivered::Answer("names no message")),
        Answer { error, .. } => Err(refused(&error)),
    }
}

/// What is read of an answer of the Web API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    ok: bool,
    error: String,
    channel: String,
    ts: String,
}

async fn call(out: &Out, place: &Place<'_>, method: &str, message: &Value) -> Result<Answer, Undelivered> {
    let base = if place.base.is_empty() { BASE } else { place.base };
    let url = out.address(&format!("{}/api/{method}", base.trim_end_matches('/')))?;
    let mut token = HeaderValue::from_str(&format!("Bearer {}", place.secrets.token))
        .map_err(|_bytes| Undelivered::Own("the channel's token is none".to_owned()))?;
    token.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, token);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let body = serde_json::to_vec(message).expect("JSON is written as JSON");
    let taken = out.post(url, headers, body).await?;
    serde_json::from_slice(&taken.body).map_err(|_form| Undelivered::Answer("is not one of Slack"))
}

/// Slack answers with status 200 and a code; only what is one is repeated.
fn refused(error: &str) -> Undelivered {
    let is_code = !error.is_empty()
        && error.len() <= 64
        && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let told = if is_code { error } else { "an error without a code" };
    let pause_ms = (error == "ratelimited").then_some(30_000);
    Undelivered::Status { status: 200, told: told.to_owned(), pause_ms }
}

/// The message but for its place.
pub(super) fn message(story: &Story) -> Value {
    let approval = &story.approval;
    let text = format!("{} (agent {})", story.headline(), approval.agent);
    json!({
        "text": escaped(&cut(&text, 300).0),
        "blocks": blocks(story),
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn blocks(story: &Story) -> Vec<Value> {
    let mut blocks = vec![json!({"type": "header", "text": plain(&story.headline(), HEADER_CHARS)})];
    let fields: Vec<Value> =
        story.facts().iter().map(|(name, value)| plain(&format!("{name}\n{value}"), FIELD_CHARS)).collect();
    blocks.push(json!({"type": "section", "fields": fields}));
    let section = |text: &str| json!({"type": "section", "text": plain(text, SECTION_CHARS)});
    let (reasons, outcome) = (story.reasons(), story.outcome());
    if !reasons.is_empty() {
        blocks.push(section(&format!("Why\n{reasons}")));
    }
    let (params, whole) = story.params(PARAMS_CHARS);
    if !params.is_empty() {
        blocks.push(json!({"type": "rich_text", "elements": [
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": params}]},
        ]}));
    }
    let mut notes = story.warnings();
    if !whole {
        notes.push("The parameters are longer than this: look at the page before you decide.".to_owned());
    }
    let notes: Vec<Value> = notes.iter().map(|note| plain(note, CONTEXT_CHARS)).collect();
    if !notes.is_empty() {
        blocks.push(json!({"type": "context", "elements": notes}));
    }
    if !outcome.is_empty() {
        blocks.push(section(&outcome));
    }
    // Without `block_id`: Slack wants another one each time a message is changed, and makes one.
    blocks.push(json!({"type": "actions", "elements": buttons(story)}));
    blocks
}

fn buttons(story: &Story) -> Vec<Value> {
    let id = &story.approval.id;
    let button = |action: &str, text: &str, style: &str| json!({"type": "button", "action_id": action, "text": plain(text, 75), "style": style, "value": id});
    let mut buttons = Vec::new();
    if story.is_pending() {
        buttons.push(button(APPROVE, "Approve", "primary"));
        buttons.push(button(REJECT, "Reject", "danger"));
    }
    buttons.push(json!({
        "type": "button", "action_id": "aegis_open", "text": plain("Open in Aegis", 75), "url": story.url,
    }));
    buttons
}

fn plain(text: &str, chars_max: usize) -> Value {
    json!({"type": "plain_text", "text": cut(text, chars_max).0, "emoji": false})
}

/// A text where Slack reads its own marks: what begins one is written otherwise.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn put(message: &mut Value, name: &str, value: &str) {
    if let Value::Object(members) = message {
        members.insert(name.to_owned(), Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::ApprovalState;

    use super::super::story::tests::story;
    use super::*;

    fn text<'v>(value: &'v Value, what: &str) -> &'v str {
        value.as_str().unwrap_or_else(|| panic!("{what} is no text: {value}"))
    }

    fn members(value: &Value, may: &[&str]) {
        let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
        for name in object.keys() {
            assert!(may.contains(&name.as_str()), "`{name}` in {value}");
        }
    }

    fn is_plain(value: &Value, max: usize) {
        members(value, &["type", "text", "emoji"]);
        assert_eq!(value["type"], "plain_text");
        let length = text(&value["text"], "text").chars().count();
        assert!((1..=max).contains(&length), "{length} of {max}: {value}");
    }

    /// The blocks that are used here, by the published reference of Block Kit: every member, its type and its bounds.
    fn check_block(block: &Value) {
        match text(&block["type"], "type") {
            "header" => {
                members(block, &["type", "text"]);
                is_plain(&block["text"], 150);
            }
            "section" => {
                members(block, &["type", "text", "fields"]);
                assert!(block["text"].is_object() != block["fields"].is_array(), "one of both");
                if let Some(fields) = block["fields"].as_array() {
                    assert!((1..=10).contains(&fields.len()), "{}", fields.len());
                    fields.iter().for_each(|field| is_plain(field, 2_000));
                } else {
                    is_plain(&block["text"], 3_000);
                }
            }
            "context" => {
                members(block, &["type", "elements"]);
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                elements.iter().for_each(|element| is_plain(element, 2_000));
            }
            "rich_text" => {
                members(block, &["type", "elements"]);
                for element in block["elements"].as_array().unwrap() {
                    members(element, &["type", "elements"]);
                    assert_eq!(element["type"], "rich_text_preformatted");
                    for part in element["elements"].as_array().unwrap() {
                        members(part, &["type", "text"]);
                        assert_eq!(part["type"], "text");
                        assert!((1..=3_000).contains(&text(&part["text"], "text").chars().count()));
                    }
                }
            }
            "actions" => {
                members(block, &["type", "elements"]);
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=25).contains(&elements.len()));
                elements.iter().for_each(check_button);
            }
            other => panic!("{other} is not one of those that are used"),
        }
    }

    fn check_button(button: &Value) {
        members(button, &["type", "action_id", "text", "style", "value", "url"]);
        assert_eq!(button["type"], "button");
        is_plain(&button["text"], 75);
        assert!(text(&button["action_id"], "action_id").len() <= 255);
        for (name, max) in [("value", 2_000), ("url", 3_000)] {
            assert!(button[name].as_str().unwrap_or_default().len() <= max);
        }
        assert!(button["style"].is_null() || button["style"] == "primary" || button["style"] == "danger");
    }

    #[test]
    fn every_message_has_the_form_that_slack_publishes() {
        use ApprovalState::{Approved, Cancelled, Expired, Pending, Redeemed, Rejected};
        for state in [Pending, Approved, Rejected, Expired, Redeemed, Cancelled] {
            let message = message(&story(state));
            members(&message, &["text", "blocks", "unfurl_links", "unfurl_media"]);
            assert!(text(&message["text"], "text").chars().count() < 4_000);
            let blocks = message["blocks"].as_array().unwrap();
            assert!((1..=50).contains(&blocks.len()));
            blocks.iter().for_each(check_block);
            let shown = message.to_string();
            assert_eq!(shown.contains(APPROVE), state == Pending, "{state:?}");
            assert!(shown.len() < 40_000, "{}", shown.len());
        }
    }

    #[test]
    fn what_an_agent_says_is_shown_and_never_read() {
        let message = message(&story(ApprovalState::Pending));
        assert!(!message["text"].as_str().unwrap().contains('<'));
        assert_eq!(escaped("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@U1&gt;");
        let whole = message.to_string();
        assert!(!whole.contains("mrkdwn") && !whole.contains('\u{202e}'), "{whole}");
        assert!(whole.contains("7 requests") && whole.contains("2 more requests") && whole.contains("50000"));
    }

    #[test]
    fn a_rejected_request_says_who_said_no() {
        let whole = message(&story(ApprovalState::Rejected)).to_string();
        assert!(whole.contains("ann said no") && whole.contains("Rejected: "), "{whole}");
    }

    #[test]
    fn only_codes_of_slack_are_repeated() {
        assert!(refused("channel_not_found").to_string().contains("channel_not_found"));
        assert!(!refused("<b>xoxb-secret</b>").to_string().contains("xoxb"));
        assert_eq!(refused("ratelimited").pause_ms(), Some(30_000));
    }
}
