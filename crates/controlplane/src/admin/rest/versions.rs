//! `/tenants/{tenant}/versions`.

use aegis_model::caps;
use aegis_proto::admin::{
    DiffVersionsRequest, PublishVersionRequest, PublishedVersion, Version, VersionDiff, VersionList,
    VersionRequest,
};
use axum::body::Body;
use http::header::ETAG;
use http::{HeaderValue, StatusCode};

use super::call::Call;
use super::head::unsupported;
use super::reply::{self, Answer};
use crate::admin::Problem;
use crate::admin::service::versions;

/// The media type of bundles.
const GZIP: &str = "application/gzip";

/// List policy versions
///
/// The newest first. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/versions", tag = "versions", operation_id = "ListVersions",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of versions", body = VersionList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&versions::list(&call.caller, request).await?)
}

/// Publish a version
///
/// From sources (`application/json`) or from a bundle (`application/gzip`, with `message`, `force` and `only_if_newest` in the
/// query). Nothing is in force before it is activated. Role `author` or `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/versions", tag = "versions", operation_id = "PublishVersion",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("message" = Option<String>, Query, description = "With a bundle: what its author says of it"),
        ("force" = Option<bool>, Query, description = "With a bundle: make a new version although one has this content"),
        ("only_if_newest" = Option<u64>, Query, description = "With a bundle: only if this is the newest version"),
        ("If-Match" = Option<String>, Header, description = "Only if this is the newest version, in quotes"),
    ),
    request_body(description = "The sources, or a bundle", content(
        (PublishVersionRequest = "application/json"),
        (String = "application/gzip"),
    )),
    responses(
        (status = 201, description = "The version that was published", body = PublishedVersion),
        (status = 200, description = "The version that has the same content already", body = PublishedVersion),
    ))]
pub(super) async fn publish(mut call: Call) -> Answer {
    let mut request = match call.content_type()?.as_str() {
        GZIP => bundle_of(&mut call).await?,
        "application/json" => {
            call.query(&[])?;
            call.json(caps::ADMIN_SOURCES_BYTES_MAX).await?
        }
        _ => {
            return Err(unsupported("the `Content-Type` has to be `application/json` or `application/gzip`"));
        }
    };
    request.tenant = call.path("tenant");
    request.only_if_newest = call.only_if(request.only_if_newest)?;
    let published = versions::publish(&call.caller, request).await?;
    match published.unchanged {
        true => reply::done(&call.caller, &published),
        false => reply::created(&call.caller, &published),
    }
}

/// A publication whose body is the bundle itself.
async fn bundle_of(call: &mut Call) -> Result<PublishVersionRequest, Problem> {
    let query = call.query(&["message", "force", "only_if_newest"])?;
    let (bundle, _charge) = call.bytes(caps::BUNDLE_BYTES_MAX).await?;
    Ok(PublishVersionRequest {
        bundle,
        message: query.text("message").to_owned(),
        force: query.flag("force")?,
        only_if_newest: query.number("only_if_newest")?,
        ..Default::default()
    })
}

/// Show a version
///
/// Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/versions/{version}", tag = "versions", operation_id = "GetVersion",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("version" = u64, Path, description = "The version"),
    ),
    responses((status = 200, description = "The version", body = Version)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let request = VersionRequest { tenant: call.path("tenant"), version: call.path_number("version")? };
    reply::ok(&versions::get(&call.caller, request).await?)
}

/// Give up the bundle of a version
///
/// It can never be activated again; its row stays. Role `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}/versions/{version}", tag = "versions", operation_id = "RetireVersion",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("version" = u64, Path, description = "The version"),
    ),
    responses((status = 200, description = "The version as it is now", body = Version)))]
pub(super) async fn retire(mut call: Call) -> Answer {
    call.plain().await?;
    let request = VersionRequest { tenant: call.path("tenant"), version: call.path_number("version")? };
    reply::done(&call.caller, &versions::retire(&call.caller, request).await?)
}

/// Compare two versions
///
/// Which calls at the boundaries of the rules `version` answers otherwise than `other`. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/versions/{version}/diff/{other}", tag = "versions", operation_id = "DiffVersions",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("version" = u64, Path, description = "The version"),
        ("other" = u64, Path, description = "The version before"),
    ),
    responses((status = 200, description = "What changes from `other` to `version`", body = VersionDiff)))]
pub(super) async fn diff(mut call: Call) -> Answer {
    call.plain().await?;
    let request = DiffVersionsRequest {
        tenant: call.path("tenant"),
        version: call.path_number("version")?,
        other: call.path_number("other")?,
    };
    reply::ok(&versions::diff(&call.caller, request).await?)
}

/// Download the bundle of a version
///
/// As any stock OPA loads it. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/versions/{version}/bundle.tar.gz", tag = "versions", operation_id = "DownloadBundle",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("version" = u64, Path, description = "The version"),
    ),
    responses((status = 200, description = "The bundle; `ETag` is its digest", body = String, content_type = "application/gzip")))]
pub(super) async fn bundle(mut call: Call) -> Answer {
    call.plain().await?;
    let request = VersionRequest { tenant: call.path("tenant"), version: call.path_number("version")? };
    let (bundle, digest) = versions::bundle(&call.caller, request).await?;
    let mut response = reply::with_type(StatusCode::OK, GZIP, Body::from(bundle));
    let tag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("a digest in quotes is header text");
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}
