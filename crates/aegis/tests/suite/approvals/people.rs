//! Stand-ins for those who are told of requests for approval: HTTP servers that check what they are sent as the vendors say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_testkit::eventually;
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::LONG;

pub(super) const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
pub(super) const BOT_TOKEN: &str = "xoxb-standin-KEEP-OUT";
pub(super) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A workflow's address holds what permits to write to it.
pub(super) const TEAMS_PATH: &str = "/workflows/abc?sig=KEEP-OUT";

/// A server that takes messages. It lives as long as this value.
pub(super) struct StandIn {
    runtime: Option<Runtime>,
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_down: AtomicBool,
    /// What was sent that is not as the vendors say.
    wrong: Mutex<Vec<String>>,
    /// Messages of Slack by their time; changed where they are.
    slack: Mutex<BTreeMap<String, Value>>,
    whispers: Mutex<Vec<Value>>,
    cards: Mutex<Vec<Value>>,
    hooks: Mutex<Vec<(String, Value)>>,
    refused: Mutex<u64>,
}

impl StandIn {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let shared = Arc::<Shared>::default();
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { runtime: Some(runtime), address, shared }
    }

    /// Answers everything with an error from now on, or not.
    pub(super) fn is_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }

    /// How often it answered with an error.
    pub(super) fn refused(&self) -> u64 {
        *self.shared.refused.lock().expect("no panic")
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The only message of Slack, once its text holds this.
    pub(super) fn slack_says(&self, text: &str) -> Value {
        let found = eventually(text, LONG, || {
            let messages = self.shared.slack.lock().expect("no panic");
            messages.values().find(|message| message.to_string().contains(text)).cloned()
        });
        found.unwrap_or_else(|error| panic!("{error}: {:?}, {:?}", self.slack(), self.wrong()))
    }

    pub(super) fn slack(&self) -> Vec<Value> {
        self.shared.slack.lock().expect("no panic").values().cloned().collect()
    }

    pub(super) fn whispers(&self) -> Vec<Value> {
        self.shared.whispers.lock().expect("no panic").clone()
    }

    pub(super) fn cards(&self) -> Vec<Value> {
        self.shared.cards.lock().expect("no panic").clone()
    }

    /// The ids and bodies of webhooks that were signed as they should be.
    pub(super) fn hooks(&self) -> Vec<(String, Value)> {
        self.shared.hooks.lock().expect("no panic").clone()
    }

    /// The webhook of this type, once it is there.
    pub(super) fn hook(&self, kind: &str) -> (String, Value) {
        let found =
            eventually(kind, LONG, || self.hooks().into_iter().find(|(_, body)| body["type"] == kind));
        found.unwrap_or_else(|error| panic!("{error}: {:?}, {:?}", self.hooks(), self.wrong()))
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        self.shared.wrong.lock().expect("no panic").clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

async fn take(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if shared.is_down.load(Ordering::SeqCst) {
        *shared.refused.lock().expect("no panic") += 1;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        shared.wrong.lock().expect("no panic").push(format!("{uri}: no JSON"));
        return StatusCode::BAD_REQUEST.into_response();
    };
    let taken = match uri.path() {
        "/hook" => hook(&shared, &headers, &body, message),
        "/workflows/abc" if uri.query() == Some("sig=KEEP-OUT") => card(&shared, message),
        path if path.starts_with("/api/") => slack(&shared, &path[5..], &headers, message),
        _ => Err("nobody listens there".to_owned()),
    };
    taken.unwrap_or_else(|wrong| {
        shared.wrong.lock().expect("no panic").push(format!("{uri}: {wrong}"));
        StatusCode::UNAUTHORIZED.into_response()
    })
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// As the Standard Webhooks specification has a receiver check.
fn hook(shared: &Shared, headers: &HeaderMap, body: &[u8], message: Value) -> Result<Response, String> {
    let (id, moment) = (header(headers, "webhook-id"), header(headers, "webhook-timestamp"));
    let age = now().abs_diff(moment.parse::<u64>().map_err(|error| error.to_string())?);
    if id.is_empty() || age > 300 {
        return Err(format!("id `{id}`, {age} seconds old"));
    }
    let key = STANDARD.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{moment}.").as_bytes(), body].concat();
    let is_good = header(headers, "webhook-signature")
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .any(|tag| hmac::verify(&key, &signed, &tag).is_ok());
    if !is_good {
        return Err("another signature".to_owned());
    }
    shared.hooks.lock().expect("no panic").push((id.to_owned(), message));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// As a workflow that posts a card takes it.
fn card(shared: &Shared, message: Value) -> Result<Response, String> {
    let attachment = &message["attachments"][0];
    let card = &attachment["content"];
    let is_card = message["type"] == "message"
        && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        && card["type"] == "AdaptiveCard"
        && card["version"] == "1.5";
    if !is_card {
        return Err("no card".to_owned());
    }
    shared.cards.lock().expect("no panic").push(card.clone());
    Ok(StatusCode::ACCEPTED.into_response())
}

/// As the Web API of Slack answers.
fn slack(shared: &Shared, method: &str, headers: &HeaderMap, message: Value) -> Result<Response, String> {
    let refused = |error: &str| Ok(json!({"ok": false, "error": error}).to_string().into_response());
    if header(headers, "authorization") != format!("Bearer {BOT_TOKEN}") {
        return refused("invalid_auth");
    }
    if message["channel"] != "C024BE91L" {
        return refused("channel_not_found");
    }
    let mut messages = shared.slack.lock().expect("no panic");
    let ts = match method {
        "chat.postMessage" => format!("1700000000.{:06}", messages.len()),
        "chat.update" => match message["ts"].as_str().filter(|ts| messages.contains_key(*ts)) {
            Some(ts) => ts.to_owned(),
            None => return refused("message_not_found"),
        },
        "chat.postEphemeral" => {
            shared.whispers.lock().expect("no panic").push(message);
            return Ok(json!({"ok": true, "message_ts": "1"}).to_string().into_response());
        }
        _ => return Err(format!("no method `{method}`")),
    };
    messages.insert(ts.clone(), message);
    Ok(json!({"ok": true, "channel": "C024BE91L", "ts": ts}).to_string().into_response())
}

/// The seconds since 1970.
pub(super) fn now() -> u64 {
    aegis_model::clock::Clock::System.now().seconds()
}

/// What Slack sends when a user presses a button of `message`: its body.
pub(super) fn press(message: &Value, action: &str, user: &str, team: &str) -> String {
    let buttons =
        message["blocks"].as_array().into_iter().flatten().filter(|block| block["type"] == "actions");
    let mut buttons = buttons.flat_map(|block| block["elements"].as_array().into_iter().flatten());
    let button = buttons.find(|button| button["action_id"] == action).expect("a button");
    let payload = json!({
        "type": "block_actions", "api_app_id": "A1", "token": "deprecated", "trigger_id": format!("{}.{user}", now()),
        "user": {"id": user, "username": "somebody", "team_id": team}, "team": {"id": team, "domain": "example"},
        "channel": {"id": "C024BE91L", "name": "payments"}, "response_url": "https://hooks.slack.com/actions/x",
        "container": {"type": "message", "channel_id": "C024BE91L"}, "message": message,
        "actions": [{"type": "button", "action_id": action, "block_id": "aegis", "value": button["value"],
                     "action_ts": "1700000001.0"}],
    });
    let mut url = reqwest::Url::parse("form:/").expect("an address");
    url.query_pairs_mut().append_pair("payload", &payload.to_string());
    url.query().expect("a query").to_owned()
}

/// The signature of what Slack sends.
pub(super) fn slack_signature(secret: &str, moment: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{moment}:{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}
