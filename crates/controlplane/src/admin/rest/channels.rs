//! `/tenants/{tenant}/channels` and `/tenants/{tenant}/deliveries`.

use aegis_proto::admin::{
    Channel, ChannelList, ChannelRequest, ChannelTested, DeliveryList, DeliveryListRequest, SetChannelRequest,
};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::channels;

/// List channels
///
/// By name, without their secrets. Any role in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/channels", tag = "approvals", operation_id = "ListChannels",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("limit" = Option<u32>, Query, description = "How many rows at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of channels", body = ChannelList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let request = call.tenant_list().await?;
    reply::ok(&channels::list(&call.caller, request).await?)
}

/// Make or change a channel
///
/// As a whole, but for secrets that are left out, which stay. Role `admin` in the tenant.
#[utoipa::path(put, path = "/tenants/{tenant}/channels/{channel}", tag = "approvals", operation_id = "SetChannel",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("channel" = String, Path, description = "The channel, as `notify` names it"),
    ),
    request_body = SetChannelRequest,
    responses((status = 200, description = "The channel", body = Channel)))]
pub(super) async fn set(mut call: Call) -> Answer {
    let mut request: SetChannelRequest = call.body().await?;
    (request.tenant, request.channel) = (call.path("tenant"), call.path("channel"));
    reply::done(&call.caller, &channels::set(&call.caller, request).await?)
}

/// Take a channel away
///
/// One that no policy in force names. Role `admin` in the tenant.
#[utoipa::path(delete, path = "/tenants/{tenant}/channels/{channel}", tag = "approvals",
    operation_id = "RemoveChannel",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("channel" = String, Path, description = "The channel"),
    ),
    responses((status = 200, description = "The channel that was taken away", body = Channel)))]
pub(super) async fn remove(mut call: Call) -> Answer {
    call.plain().await?;
    let request = ChannelRequest { tenant: call.path("tenant"), channel: call.path("channel") };
    reply::done(&call.caller, &channels::remove(&call.caller, request).await?)
}

/// Try a channel
///
/// Sends a message that asks nobody for anything, and says what came of it. Role `admin` in the tenant.
#[utoipa::path(post, path = "/tenants/{tenant}/channels/{channel}/test", tag = "approvals",
    operation_id = "TestChannel",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("channel" = String, Path, description = "The channel"),
    ),
    responses((status = 200, description = "What came of it", body = ChannelTested)))]
pub(super) async fn test(mut call: Call) -> Answer {
    call.plain().await?;
    let request = ChannelRequest { tenant: call.path("tenant"), channel: call.path("channel") };
    reply::ok(&channels::test(&call.caller, request).await?)
}

/// List deliveries
///
/// What channels were told of requests for approval, and are still to be told: those of the newest request first. Any role in the
/// tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/deliveries", tag = "approvals", operation_id = "ListDeliveries",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("state" = Option<String>, Query, description = "Only those that stand so, e.g. `waiting`"),
        ("channel" = Option<String>, Query, description = "Only those of this channel"),
        ("limit" = Option<u32>, Query, description = "How many rows are looked at at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page of deliveries", body = DeliveryList)))]
pub(super) async fn deliveries(mut call: Call) -> Answer {
    let query = call.query(&["state", "channel", "limit", "cursor"])?;
    call.no_body().await?;
    let request = DeliveryListRequest {
        tenant: call.path("tenant"),
        state: query.text("state").to_owned(),
        channel: query.text("channel").to_owned(),
        limit: query.number("limit")?.unwrap_or_default(),
        cursor: query.text("cursor").to_owned(),
    };
    reply::ok(&channels::deliveries(&call.caller, request).await?)
}
