//! `GET /admin/v1/problems/{code}`: what `type` of a problem document leads to. Needs no token.

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::reply;
use crate::admin::problem::{ApiCode, Problem};

/// Every code's section.
const PAGES: &str = include_str!("../../../../../docs/admin-errors.md");

pub(super) async fn serve(Path(code): Path<String>) -> Response {
    match section(&code) {
        Some(text) => {
            reply::with_type(StatusCode::OK, "text/markdown; charset=utf-8", Body::from(text.to_owned()))
        }
        None => Problem::new(ApiCode::NotFound, "no problem has this code").into_response(),
    }
}

/// The section of a code, from its heading to the next one.
pub(crate) fn section(code: &str) -> Option<&'static str> {
    let heading = format!("\n## {code}\n");
    let start = PAGES.find(&heading)? + 1;
    let rest = PAGES.get(start..)?;
    let end = rest.get(3..)?.find("\n## ").map_or(rest.len(), |at| at + 4);
    rest.get(..end)
}
