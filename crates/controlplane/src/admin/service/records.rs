//! The control log: of everything, and of one tenant.

use aegis_proto::admin::{ControlRecord, ControlRecordList, ListRequest, TenantListRequest};
use aegis_proto::control as rows;

use super::tenants;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::control_log;

/// The records of all tenants and of the cluster, the newest first.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<ControlRecordList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Records).await?;
    let (items, next) = form::listed(control_log::everything(&state, &query)?, shown);
    Ok(ControlRecordList { items, next })
}

/// The records of one tenant, the newest first.
pub(crate) async fn of_tenant(
    caller: &Caller,
    request: TenantListRequest,
) -> Result<ControlRecordList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::TenantRecords(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(control_log::of_tenant(&state, &tenant, &query)?, shown);
    Ok(ControlRecordList { items, next })
}

fn shown(row: rows::ControlRecord) -> ControlRecord {
    let outcome = if row.refused.is_empty() { "done".to_owned() } else { row.refused };
    ControlRecord {
        sequence: row.sequence,
        number: row.number,
        scope: row.scope,
        index: row.index,
        at: form::time(row.at_ms),
        actor: row.actor,
        command: row.command,
        outcome,
        summary: row.summary,
    }
}
