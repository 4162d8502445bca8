//! One call as handlers see it: who makes it, what its path, its query and its body say.

use std::time::Duration;

use aegis_model::caps;
use aegis_model::json::{self, Limits};
use aegis_proto::admin::{ListRequest, PersonListRequest, ScopeListRequest, TenantListRequest};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use super::head::{self, malformed};
use super::query::Query;
use crate::admin::caller::Caller;
use crate::admin::problem::ApiCode;
use crate::admin::room::Place;
use crate::admin::{Admin, Problem};
use crate::spans::Notes;

/// A call whose maker is known. Nothing of its body has been read yet.
pub(super) struct Call {
    pub(super) caller: Caller,
    path: Vec<(String, String)>,
    parts: Parts,
    body: Body,
    _place: Place,
}

impl FromRequest<Admin> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Problem> {
        let place = admin.rooms().call()?;
        let (mut parts, body) = request.into_parts();
        let key = head::idempotency_key(&parts.headers)?;
        let notes = parts.extensions.get::<Notes>().cloned();
        let caller = Caller::identify(admin, head::token(&parts.headers)?, key, notes).await?;
        let params = RawPathParams::from_request_parts(&mut parts, admin).await;
        let params = params.map_err(|_no_text| malformed("the path is not percent-encoded UTF-8"))?;
        let path = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { caller, path, parts, body, _place: place })
    }
}

impl Call {
    /// What stands in the path under `name`.
    pub(super) fn path(&self, name: &str) -> String {
        let found = self.path.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The number in the path under `name`.
    pub(super) fn path_number(&self, name: &str) -> Result<u64, Problem> {
        let text = self.path(name);
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| plain).ok_or_else(|| Problem::invalid(name, "a number"))
    }

    /// The query, in which only `known` names may stand.
    pub(super) fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        Query::read(self.parts.uri.query(), known)
    }

    /// What `If-Match` demands.
    pub(super) fn if_match(&self) -> Result<Option<u64>, Problem> {
        head::if_match(&self.parts.headers)
    }

    /// A precondition that may stand in the body or in `If-Match`; in both, it has to be the same.
    pub(super) fn only_if(&self, body: Option<u64>) -> Result<Option<u64>, Problem> {
        match (self.if_match()?, body) {
            (Some(header), Some(body)) if header != body => {
                Err(malformed("`If-Match` and the body demand different things"))
            }
            (header, body) => Ok(header.or(body)),
        }
    }

    /// The media type of the body.
    pub(super) fn content_type(&self) -> Result<String, Problem> {
        head::content_type(&self.parts.headers)
    }

    /// Nothing but the path: no query and no body.
    pub(super) async fn plain(&mut self) -> Result<(), Problem> {
        self.query(&[])?;
        self.no_body().await
    }

    /// Refuses a body.
    pub(super) async fn no_body(&mut self) -> Result<(), Problem> {
        match self.bytes(0).await {
            Ok(_empty) => Ok(()),
            Err(problem) if problem.code == ApiCode::TooLarge.into() => {
                Err(malformed("this operation takes no body"))
            }
            Err(problem) => Err(problem),
        }
    }

    /// The body as strict JSON: no key twice, none that is unknown, nothing that two readers may read differently.
    pub(super) async fn json<T: DeserializeOwned>(&mut self, bytes_max: usize) -> Result<T, Problem> {
        head::check_json(&self.parts.headers)?;
        let (bytes, _charge) = self.bytes(bytes_max).await?;
        read_json(&bytes, bytes_max)
    }

    /// The same, where no body at all stands for an empty object.
    pub(super) async fn json_or_nothing<T: DeserializeOwned + Default>(
        &mut self,
        bytes_max: usize,
    ) -> Result<T, Problem> {
        if self.body.is_end_stream() { Ok(T::default()) } else { self.json(bytes_max).await }
    }

    /// The body of a write, as strict JSON.
    pub(super) async fn body<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        self.query(&[])?;
        self.json(caps::ADMIN_BODY_BYTES_MAX).await
    }

    /// The body, bounded in size, in time and in the node's memory.
    pub(super) async fn bytes(&mut self, bytes_max: usize) -> Result<(Bytes, Place), Problem> {
        let too_large =
            || Problem::new(ApiCode::TooLarge, format!("the body is larger than {bytes_max} bytes"));
        let body = std::mem::replace(&mut self.body, Body::empty());
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        // What may come is charged, not what has come: a body that was begun can always be finished.
        let may_come = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let charge = self.caller.admin().rooms().body(may_come.unwrap_or(bytes_max).min(bytes_max))?;
        let patience = Duration::from_secs(caps::ADMIN_BODY_SECONDS);
        match tokio::time::timeout(patience, read(body, bytes_max)).await {
            Ok(Ok(Some(bytes))) => Ok((bytes, charge)),
            Ok(Ok(None)) => Err(too_large()),
            Ok(Err(_broken)) => Err(malformed("the body was cut off")),
            Err(_elapsed) => Err(Problem::new(ApiCode::TooSlow, "the body took too long")),
        }
    }

    /// The page of a list that belongs to nobody.
    pub(super) async fn list(&mut self) -> Result<ListRequest, Problem> {
        let (limit, cursor) = self.page().await?;
        Ok(ListRequest { limit, cursor })
    }

    /// The page of a list that belongs to the tenant in the path.
    pub(super) async fn tenant_list(&mut self) -> Result<TenantListRequest, Problem> {
        let (limit, cursor) = self.page().await?;
        Ok(TenantListRequest { tenant: self.path("tenant"), limit, cursor })
    }

    /// The page of a list that belongs to the person in the path.
    pub(super) async fn person_list(&mut self) -> Result<PersonListRequest, Problem> {
        let (limit, cursor) = self.page().await?;
        Ok(PersonListRequest { person: self.path("person"), limit, cursor })
    }

    /// The page of a list that belongs to `scope`.
    pub(super) async fn scope_list(&mut self, scope: String) -> Result<ScopeListRequest, Problem> {
        let (limit, cursor) = self.page().await?;
        Ok(ScopeListRequest { scope, limit, cursor })
    }

    async fn page(&mut self) -> Result<(u32, String), Problem> {
        let query = self.query(&["limit", "cursor"])?;
        self.no_body().await?;
        Ok((query.number("limit")?.unwrap_or_default(), query.text("cursor").to_owned()))
    }
}

/// The whole body; nothing if it is longer than it may be.
async fn read(mut body: Body, bytes_max: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Ok(None);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Some(whole.freeze()))
}

/// Reads strict JSON into a message.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, Problem> {
    let limits = Limits { bytes_max, ..Limits::default() };
    let object = json::read_object(bytes, limits).map_err(|error| {
        let pointer = error.pointer().unwrap_or_default().to_owned();
        malformed(error.to_string()).at(pointer).with("line", error.line()).with("column", error.column())
    })?;
    serde_path_to_error::deserialize(serde_json::Value::Object(object)).map_err(|error| {
        let pointer = pointer(error.path());
        // It names members and types, and values only where they are of the wrong type: of no secret.
        malformed(format!("the body does not have the form that it must have: {}", error.inner())).at(pointer)
    })
}

/// A JSON Pointer (RFC 6901) to where a message could not be read.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => json::pointer_push(&mut pointer, &index.to_string()),
            Segment::Map { key } => json::pointer_push(&mut pointer, key),
            Segment::Enum { variant } => json::pointer_push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use aegis_proto::admin::{ActivateRequest, PublishVersionRequest};

    use super::*;

    #[test]
    fn a_problem_of_a_body_has_its_place() {
        let read = |text: &str| read_json::<ActivateRequest>(text.as_bytes(), 1_000).unwrap_err();
        let unknown = read(r#"{"enforced": 12, "canary": {"version": 13, "percnt": 5}}"#);
        assert_eq!(unknown.pointer, "/canary/percnt");
        assert!(unknown.detail.contains("percnt") && unknown.detail.contains("percent"), "{unknown}");
        let twice = read("{\n  \"enforced\": 12,\n  \"enforced\": 13}");
        assert_eq!((twice.pointer.as_str(), twice.facts[0].1.as_str()), ("/enforced", "3"));
        assert_eq!(read(r#"{"enforced": "12"}"#).pointer, "/enforced");
        assert_eq!(read(r#"{"shadow": [1, -2]}"#).pointer, "/shadow/1");
        // What stands in the path cannot stand in the body as well.
        assert_eq!(read(r#"{"tenant": "other", "enforced": 1}"#).pointer, "/tenant");
        assert!(read("[]").detail.contains("not an object"));
        let sources = r#"{"sources": [{"path": "a", "txt": "b"}]}"#;
        let problem = read_json::<PublishVersionRequest>(sources.as_bytes(), 1_000).unwrap_err();
        assert_eq!(problem.pointer, "/sources/0/txt");
    }
}
