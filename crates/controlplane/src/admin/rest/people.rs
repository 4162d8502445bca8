//! `/people`.

use aegis_proto::admin::{Person, PersonList, PersonRequest, PutPersonRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::people;

/// List people
///
/// By name. Role `viewer`, `auditor` or `admin` on `*`.
#[utoipa::path(get, path = "/people", tag = "people", operation_id = "ListPeople",
    params(
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of people", body = PersonList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.list().await?;
    reply::ok(&people::list(&call.caller, request).await?)
}

/// Show a person
///
/// To the person, and to `viewer`, `auditor` and `admin` on `*`.
#[utoipa::path(get, path = "/people/{person}", tag = "people", operation_id = "GetPerson",
    params(
        ("person" = String, Path, description = "The person"),
    ),
    responses((status = 200, description = "The person", body = Person)))]
pub(super) async fn get(mut call: Call) -> Answer {
    call.plain().await?;
    let request = PersonRequest { person: call.path("person") };
    reply::ok(&people::get(&call.caller, request).await?)
}

/// Make a person, or change one
///
/// Role `admin` on `*`.
#[utoipa::path(put, path = "/people/{person}", tag = "people", operation_id = "PutPerson",
    params(
        ("person" = String, Path, description = "The person"),
    ),
    request_body = PutPersonRequest,
    responses((status = 200, description = "The person as they are now", body = Person)))]
pub(super) async fn put(mut call: Call) -> Answer {
    let mut request: PutPersonRequest = call.body().await?;
    request.person = call.path("person");
    reply::done(&call.caller, &people::put(&call.caller, request).await?)
}
