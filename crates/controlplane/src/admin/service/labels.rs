//! Labels of a tenant's versions: list, put, take away.

use aegis_proto::admin::{Label, LabelList, LabelRequest, PutLabelRequest, TenantListRequest};
use aegis_proto::control as rows;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::labels;

/// A tenant's labels, by name.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<LabelList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(labels::labels(&state, &tenant, &query)?, shown);
    Ok(LabelList { items, next })
}

/// Puts a label at a version.
pub(crate) async fn put(caller: &Caller, request: PutLabelRequest) -> Result<Label, Problem> {
    if request.version == 0 {
        return Err(Problem::invalid("version", "a version; a label is taken away otherwise"));
    }
    let command = rows::LabelVersion {
        tenant: request.tenant.clone(),
        label: request.label.clone(),
        version: request.version,
        only_if_version: request.only_if_version,
    };
    row!(caller.write("PutLabel", &request, command).await?, Label).map(shown)
}

/// Takes a label away.
pub(crate) async fn remove(caller: &Caller, request: LabelRequest) -> Result<Label, Problem> {
    let command = rows::LabelVersion {
        tenant: request.tenant.clone(),
        label: request.label.clone(),
        version: 0,
        only_if_version: None,
    };
    row!(caller.write("RemoveLabel", &request, command).await?, Label).map(shown)
}

fn shown(row: rows::Label) -> Label {
    Label { tenant: row.tenant, name: row.name, version: row.version, by: row.by, at: form::time(row.at_ms) }
}
