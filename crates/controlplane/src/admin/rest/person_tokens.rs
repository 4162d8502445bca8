//! `/people/{person}/tokens`.

use aegis_proto::admin::{
    IssuePersonTokenRequest, IssuedPersonToken, PersonToken, PersonTokenList, PersonTokenRequest,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::person_tokens;

/// List a person's tokens
///
/// Without the tokens themselves. To the person, and to `admin` on `*`.
#[utoipa::path(get, path = "/people/{person}/tokens", tag = "people", operation_id = "ListPersonTokens",
    params(
        ("person" = String, Path, description = "The person"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of tokens", body = PersonTokenList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.person_list().await?;
    reply::ok(&person_tokens::list(&call.caller, request).await?)
}

/// Give out a token of a person
///
/// The token is in the answer, and nowhere else. Role `admin` on `*`.
#[utoipa::path(post, path = "/people/{person}/tokens", tag = "people", operation_id = "IssuePersonToken",
    params(
        ("person" = String, Path, description = "The person"),
    ),
    request_body = IssuePersonTokenRequest,
    responses((status = 201, description = "The token", body = IssuedPersonToken)))]
pub(super) async fn issue(mut call: Call) -> Answer {
    let mut request: IssuePersonTokenRequest = call.body().await?;
    request.person = call.path("person");
    reply::created(&call.caller, &person_tokens::issue(&call.caller, request).await?)
}

/// Revoke a token of a person
///
/// The person, or role `admin` on `*`.
#[utoipa::path(delete, path = "/people/{person}/tokens/{token_id}", tag = "people", operation_id = "RevokePersonToken",
    params(
        ("person" = String, Path, description = "The person"),
        ("token_id" = String, Path, description = "The token's `jti`"),
    ),
    responses((status = 200, description = "The token as it is now", body = PersonToken)))]
pub(super) async fn revoke(mut call: Call) -> Answer {
    call.plain().await?;
    let request = PersonTokenRequest { person: call.path("person"), token_id: call.path("token_id") };
    reply::done(&call.caller, &person_tokens::revoke(&call.caller, request).await?)
}
