//! `GET /whoami`.

use aegis_proto::admin::{WhoAmIRequest, WhoAmIResponse};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::whoami;

/// Who asks
///
/// The person of the token, and the roles they have.
#[utoipa::path(get, path = "/whoami", tag = "people", operation_id = "WhoAmI",
    responses((status = 200, description = "Who asks", body = WhoAmIResponse)))]
pub(super) async fn who_am_i(mut call: Call) -> Answer {
    call.plain().await?;
    reply::ok(&whoami::who_am_i(&call.caller, WhoAmIRequest {}).await?)
}
