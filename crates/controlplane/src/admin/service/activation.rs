//! What is in force for a tenant: show, activate, roll back, and what was before.

use aegis_model::ids::TenantId;
use aegis_proto::admin::{
    ActivateRequest, ActivationList, CanaryShare, InForce, RollbackRequest, TenantListRequest, TenantRequest,
};
use aegis_proto::control as rows;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::activations;

/// What is in force; activation 0 before the first.
pub(crate) async fn get(caller: &Caller, request: TenantRequest) -> Result<InForce, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    Ok(activations::in_force(&state, &tenant)?.map_or_else(|| nothing(&tenant), shown))
}

/// Says which versions are in force.
pub(crate) async fn activate(caller: &Caller, request: ActivateRequest) -> Result<InForce, Problem> {
    let canary = request.canary.as_ref();
    let command = rows::Activate {
        tenant: request.tenant.clone(),
        enforced: request.enforced,
        canary: canary.map(|it| rows::Canary { version: it.version, percent: it.percent }),
        shadow: request.shadow.clone(),
        only_if_activation: request.only_if_activation,
        only_if_enforced: request.only_if_enforced,
        message: request.message.clone(),
    };
    row!(caller.write("Activate", &request, command).await?, Activation).map(shown)
}

/// Goes back to an earlier version.
pub(crate) async fn roll_back(caller: &Caller, request: RollbackRequest) -> Result<InForce, Problem> {
    let command = rows::Rollback {
        tenant: request.tenant.clone(),
        to: request.to,
        only_if_activation: request.only_if_activation,
        message: request.message.clone(),
    };
    row!(caller.write("Rollback", &request, command).await?, Activation).map(shown)
}

/// A tenant's activations, the newest first.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<ActivationList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(activations::activations(&state, &tenant, &query)?, shown);
    Ok(ActivationList { items, next })
}

fn nothing(tenant: &TenantId) -> InForce {
    InForce { tenant: tenant.to_string(), ..Default::default() }
}

fn shown(row: rows::Activation) -> InForce {
    InForce {
        tenant: row.tenant,
        activation: row.number,
        history: row.history,
        enforced: row.enforced,
        canary: row.canary.map(|it| CanaryShare { version: it.version, percent: it.percent }),
        shadow: row.shadow,
        by: row.by,
        at: form::time(row.at_ms),
        rollback: row.rollback,
        enforced_before: row.enforced_before,
        message: row.message,
    }
}
