//! `/tenants/{tenant}/decisions`.

use aegis_proto::admin::{DecisionList, DecisionListRequest};

use super::call::Call;
use super::reply::{self, Answer};
use crate::admin::service::decisions;

/// Search decisions
///
/// In the audit logs of the data nodes, the newest first. A page may be short, or empty, and yet not the last one; data nodes that did
/// not answer are named in `missing`. Role `auditor` or `admin` in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/decisions", tag = "records", operation_id = "ListDecisions",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("agent" = Option<String>, Query, description = "Only those that this agent asked for"),
        ("tool" = Option<String>, Query, description = "Only those about this tool"),
        ("action" = Option<String>, Query, description = "Only those about this action"),
        ("outcome" = Option<String>, Query, description = "`allow`, `deny`, `sanitize` or `approval_required`"),
        ("reason" = Option<String>, Query, description = "Only those with this code among their reasons"),
        ("version" = Option<u64>, Query, description = "Only those that this version of the policy judged"),
        ("from" = Option<String>, Query, description = "Only those from this moment on, RFC 3339 in UTC"),
        ("to" = Option<String>, Query, description = "Only those before this moment"),
        ("decision_id" = Option<String>, Query, description = "Only the one with this id"),
        ("trace_id" = Option<String>, Query, description = "Only those of this trace: 32 hexadecimal digits"),
        ("request_id" = Option<String>, Query, description = "Only those with this id of the client's own"),
        ("node" = Option<String>, Query, description = "Only those of this data node"),
        ("retired" = Option<bool>, Query, description = "Also those of retired data nodes, as far as their logs are in the object store"),
        ("limit" = Option<u32>, Query, description = "How many at most, up to 1000"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before, with the same filters"),
    ),
    responses((status = 200, description = "A page of decisions", body = DecisionList)))]
pub(super) async fn list(mut call: Call) -> Answer {
    let query = call.query(&[
        "agent",
        "tool",
        "action",
        "outcome",
        "reason",
        "version",
        "from",
        "to",
        "decision_id",
        "trace_id",
        "request_id",
        "node",
        "retired",
        "limit",
        "cursor",
    ])?;
    call.no_body().await?;
    let text = |name: &str| query.text(name).to_owned();
    let request = DecisionListRequest {
        tenant: call.path("tenant"),
        agent: text("agent"),
        tool: text("tool"),
        action: text("action"),
        outcome: text("outcome"),
        reason: text("reason"),
        version: query.number("version")?.unwrap_or_default(),
        from: text("from"),
        to: text("to"),
        decision_id: text("decision_id"),
        trace_id: text("trace_id"),
        request_id: text("request_id"),
        node: text("node"),
        retired: query.flag("retired")?,
        limit: query.number("limit")?.unwrap_or_default(),
        cursor: text("cursor"),
    };
    reply::ok(&decisions::list(&call.caller, request).await?)
}
