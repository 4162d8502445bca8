//! The page behind `approval.url`: whoever signs in sees the request, and may answer it. HTML without scripts.
//!
//! The address is no capability: without a sign-in it shows nothing. One signs in with a person token, as everywhere else; it
//! stays in a cookie that no script can read and no other site can have sent along with a form. A form counts only if it comes from
//! this very page: its `Origin` is the host that was asked, and it holds a code that is derived from the token (CSRF).

use aegis_model::caps;
use aegis_proto::admin::{Approval, ApprovalListRequest, ApprovalRequest, ApprovalVoteRequest};
use aws_lc_rs::{constant_time, hmac};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::forms;
use super::story::{page_path, visible};
use crate::admin::caller::Caller;
use crate::admin::problem::status;
use crate::admin::{Admin, Problem, approval_service};
use crate::command::Code;
use crate::spans::Notes;

/// Where the token is kept in a browser.
const COOKIE_NAME: &str = "aegis_person";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;\
background:#fff}h1{font-size:1.4rem}dl{display:grid;grid-template-columns:9rem 1fr;gap:.3rem 1rem}dt{color:#57606a}\
dd{margin:0;overflow-wrap:anywhere}pre{background:#f6f8fa;padding:1rem;white-space:pre-wrap;overflow-wrap:anywhere}\
.warn{background:#fff8c5;border:1px solid #d4a72c;padding:.6rem 1rem}.error{background:#ffebe9;border:1px solid #cf222e;\
padding:.6rem 1rem}input,textarea{width:100%;box-sizing:border-box;font:inherit;padding:.4rem}button{font:inherit;\
padding:.5rem 1.5rem;margin:.8rem .8rem 0 0}";

/// Whose page it is.
struct At {
    tenant: String,
    approval: String,
}

impl At {
    fn path(&self) -> String {
        page_path(&self.tenant, &self.approval)
    }
}

/// Shows the request, or asks for a sign-in.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Path((tenant, approval)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Ok(_place) = admin.rooms().call() else { return busy() };
    let (parts, _body) = request.into_parts();
    let at = At { tenant, approval };
    let Some(token) = cookie(&parts) else { return sign_in(&at, StatusCode::OK, "") };
    match Caller::identify(&admin, &token, None, notes(&parts)).await {
        Ok(caller) => request_page(&caller, &token, &at, "").await,
        Err(problem) => sign_in(&at, status::http(problem.code), "You have to sign in anew."),
    }
}

/// Takes a sign-in, a sign-out or an answer.
pub(crate) async fn take(
    State(admin): State<Admin>,
    Path((tenant, approval)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Ok(_place) = admin.rooms().call() else { return busy() };
    let at = At { tenant, approval };
    let (parts, body) = request.into_parts();
    if !is_from_here(&parts) {
        return plain(
            &at,
            StatusCode::FORBIDDEN,
            "This form did not come from this page. Nothing was decided.",
        );
    }
    let read = forms::body(&parts.headers, body).await.and_then(|body| forms::fields(&body));
    let mut fields = match read {
        Ok(fields) => fields,
        Err(status) => return plain(&at, status, "The form cannot be read. Nothing was decided."),
    };
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    let (step, given) = (field("step"), field("csrf"));
    if step == "sign-in" {
        return enter(&admin, &at, field("token").trim(), notes(&parts)).await;
    }
    let Some(token) = cookie(&parts) else {
        return sign_in(&at, StatusCode::UNAUTHORIZED, "You have to sign in. Nothing was decided.");
    };
    if constant_time::verify_slices_are_equal(given.as_bytes(), code(&token).as_bytes()).is_err() {
        return plain(&at, StatusCode::FORBIDDEN, "This form is not yours. Nothing was decided.");
    }
    let approve = match step.as_str() {
        "approve" => true,
        "reject" => false,
        "sign-out" => return leave(&admin, &at),
        _ => return plain(&at, StatusCode::BAD_REQUEST, "The form cannot be read. Nothing was decided."),
    };
    let caller = match Caller::identify(&admin, &token, None, notes(&parts)).await {
        Ok(caller) => caller,
        Err(problem) => {
            return sign_in(
                &at,
                status::http(problem.code),
                "You have to sign in anew. Nothing was decided.",
            );
        }
    };
    let vote = ApprovalVoteRequest {
        tenant: at.tenant.clone(),
        approval: at.approval.clone(),
        reason: field("reason").trim().to_owned(),
    };
    let voted = match approve {
        true => approval_service::approve(&caller, vote).await,
        false => approval_service::reject(&caller, vote).await,
    };
    match voted {
        Ok(_approval) => redirect(&at.path(), None),
        Err(problem) => request_page(&caller, &token, &at, &problem.detail).await,
    }
}

/// The token's owner is signed in, if it counts.
async fn enter(admin: &Admin, at: &At, token: &str, notes: Option<Notes>) -> Response {
    let is_token =
        !token.is_empty() && token.len() <= caps::TOKEN_BYTES_MAX && token.bytes().all(is_cookie_byte);
    if !is_token {
        return sign_in(at, StatusCode::UNAUTHORIZED, "This is no person token.");
    }
    match Caller::identify(admin, token, None, notes).await {
        Ok(_caller) => redirect(&at.path(), Some(set_cookie(admin, token, ""))),
        Err(problem) => sign_in(at, status::http(problem.code), "This token does not count."),
    }
}

fn notes(parts: &Parts) -> Option<Notes> {
    parts.extensions.get().cloned()
}

fn leave(admin: &Admin, at: &At) -> Response {
    redirect(&at.path(), Some(set_cookie(admin, "", "; Max-Age=0")))
}

/// What `base64url` and dots are made of.
fn is_cookie_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// `Lax`, so that somebody who comes from a message is signed in; a form of another site does not have it along.
fn set_cookie(admin: &Admin, token: &str, more: &str) -> HeaderValue {
    let secure = if admin.sender().public_url().starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{COOKIE_NAME}={token}; Path=/approvals; HttpOnly; SameSite=Lax{secure}{more}");
    let mut value = HeaderValue::from_str(&text).expect("a token has header characters only");
    value.set_sensitive(true);
    value
}

/// The token in the cookies, if there is exactly one.
fn cookie(parts: &Parts) -> Option<String> {
    let all = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(value)
    });
    let token = found.next().filter(|token| !token.is_empty() && token.bytes().all(is_cookie_byte))?;
    found.next().is_none().then(|| token.to_owned())
}

/// Whether a form was sent from a page of the host that was asked. Browsers say so with every form.
fn is_from_here(parts: &Parts) -> bool {
    let host = parts.uri.authority().map(|it| it.as_str()).or_else(|| forms::only(&parts.headers, "host"));
    let origin = forms::only(&parts.headers, "origin");
    let origin = origin.and_then(|it| it.strip_prefix("https://").or_else(|| it.strip_prefix("http://")));
    let is_same_site = match forms::only(&parts.headers, "sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => !parts.headers.contains_key("sec-fetch-site"),
    };
    is_same_site && origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

/// What a form of this page holds: nobody who does not know the token can make it.
fn code(token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, b"aegis/approval-page/csrf/v1"))
}

async fn request_page(caller: &Caller, token: &str, at: &At, error: &str) -> Response {
    let request = ApprovalRequest { tenant: at.tenant.clone(), approval: at.approval.clone() };
    let approval = match approval_service::get(caller, request).await {
        Ok(approval) => approval,
        Err(problem) => return refused(caller, token, at, &problem),
    };
    let mut html = String::new();
    if !error.is_empty() {
        html.push_str(&format!("<p class=\"error\" role=\"alert\">{}</p>", escaped(error)));
    }
    html.push_str(&described(&approval));
    let csrf = code(token);
    if approval.state == "pending" {
        html.push_str(&format!(
            "<form method=\"post\" action=\"{path}\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
             <label>Why, in words that are kept<textarea name=\"reason\" rows=\"2\" maxlength=\"500\"></textarea></label>\
             <button name=\"step\" value=\"approve\">Approve</button><button name=\"step\" value=\"reject\">Reject</button></form>",
            path = escaped(&at.path()),
        ));
    }
    html.push_str(&others(caller, &approval).await);
    html.push_str(&sign_out(caller, at, &csrf));
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    document(status, "Request for approval", &html)
}

fn refused(caller: &Caller, token: &str, at: &At, problem: &Problem) -> Response {
    let html = format!(
        "<h1>Request for approval</h1><p class=\"error\" role=\"alert\">{}</p>{}",
        escaped(&problem.detail),
        sign_out(caller, at, &code(token))
    );
    let status = match problem.code {
        code if code == Code::UnknownApproval.into() => StatusCode::NOT_FOUND,
        code => status::http(code),
    };
    document(status, "Request for approval", &html)
}

fn sign_out(caller: &Caller, at: &At, csrf: &str) -> String {
    format!(
        "<hr><form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">Signed in as {}. \
         <button name=\"step\" value=\"sign-out\">Sign out</button></form>",
        escaped(&at.path()),
        escaped(caller.person().as_str()),
    )
}

/// The request as people have to see it before they answer: whole.
fn described(approval: &Approval) -> String {
    let mut html = format!(
        "<h1>{} {}: <strong>{}</strong></h1>",
        escaped(&approval.tool),
        escaped(&approval.action),
        escaped(&approval.state)
    );
    if approval.similar > 0 && approval.state == "pending" {
        html.push_str(&format!(
            "<p class=\"warn\">Similar: this agent asked {} times for this tool and action within the day before. Look twice.</p>",
            approval.similar
        ));
    }
    html.push_str("<dl>");
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            html.push_str(&format!("<dt>{name}</dt><dd>{}</dd>", escaped(value)));
        }
    };
    fact("Tenant", &approval.tenant);
    fact("Agent", &approval.agent);
    fact("Called by", &approval.callers.join(", called by "));
    fact("Cost", &approval.cost);
    fact("Policy", &format!("version {}, activation {}", approval.version, approval.activation));
    for terms in &approval.terms {
        fact("Asked", &format!("{} of {} ({})", terms.of, terms.by.join(", "), terms.rule));
    }
    for reason in &approval.reasons {
        let at = if reason.path.is_empty() { String::new() } else { format!(" at {}", reason.path) };
        fact("Why", &format!("{}{at}: {}", reason.code, reason.message));
    }
    for vote in &approval.votes {
        let said = if vote.approve { "agreed" } else { "said no" };
        fact("Vote", &format!("{} {said}: {}", vote.person, vote.reason));
    }
    fact("Asked at", &approval.opened_at);
    fact("Until", &approval.expires_at);
    fact("Cancelled", &approval.cancelled_because);
    html.push_str("</dl>");
    for (name, value) in [("Parameters", &approval.params), ("Circumstances", &approval.context)] {
        html.push_str(&format!("<h2>{name}</h2><pre>{}</pre>", escaped(&indented(value))));
    }
    html
}

/// JSON with a member per line; as it is, where it is none.
fn indented(text: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    value.ok().and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}

/// The agent's other requests that wait, which may not have been shown anywhere else yet.
async fn others(caller: &Caller, approval: &Approval) -> String {
    let request = ApprovalListRequest {
        tenant: approval.tenant.clone(),
        state: "pending".to_owned(),
        agent: approval.agent.clone(),
        ..ApprovalListRequest::default()
    };
    let Ok(listed) = approval_service::list(caller, request).await else { return String::new() };
    let link = |other: &Approval| {
        format!(
            "<li><a href=\"{}\">{} {}</a>, until {}</li>",
            escaped(&page_path(&other.tenant, &other.id)),
            escaped(&other.tool),
            escaped(&other.action),
            escaped(&other.expires_at)
        )
    };
    let links: String = listed.items.iter().filter(|other| other.id != approval.id).map(link).collect();
    if links.is_empty() { links } else { format!("<h2>This agent also waits for</h2><ul>{links}</ul>") }
}

fn sign_in(at: &At, status: StatusCode, error: &str) -> Response {
    let error = match error {
        "" => String::new(),
        error => format!("<p class=\"error\" role=\"alert\">{}</p>", escaped(error)),
    };
    let html = format!(
        "<h1>Sign in</h1>{error}<p>Somebody is asked to agree to what an agent wants to do.</p>\
         <form method=\"post\" action=\"{}\"><label>Your person token<input type=\"password\" name=\"token\" \
         autocomplete=\"current-password\" required></label><button name=\"step\" value=\"sign-in\">Sign in</button></form>",
        escaped(&at.path())
    );
    document(status, "Sign in", &html)
}

fn plain(at: &At, status: StatusCode, text: &str) -> Response {
    let html = format!(
        "<h1>Request for approval</h1><p class=\"error\" role=\"alert\">{}</p><p><a href=\"{}\">Look at the request</a></p>",
        escaped(text),
        escaped(&at.path())
    );
    document(status, "Request for approval", &html)
}

fn busy() -> Response {
    let text = "<h1>One moment</h1><p>The control node has as much to do as it can. Load the page again.</p>";
    document(StatusCode::SERVICE_UNAVAILABLE, "One moment", text)
}

fn redirect(path: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = document(StatusCode::SEE_OTHER, "Request for approval", "");
    let path = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, path);
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// A whole document. Nothing is loaded, nothing runs, nobody frames it, and forms go back here only.
fn document(status: StatusCode, title: &str, html: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · Aegis</title>\
         <style>{STYLE}</style></head><body>{html}</body></html>"
    );
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = HeaderValue::from_str(&policy).expect("base64 has header characters only");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Without an address a form would have no `Origin`.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A text as HTML shows it, and never reads it; what would hide in it is spelled out.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for it in visible(text).chars() {
        match it {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            it => html.push(it),
        }
    }
    html
}

#[cfg(test)]
mod tests;
