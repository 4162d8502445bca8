//! Tenants: list, make, show, change, retire; the versions of their secret keys.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::admin::{
    CreateTenantRequest, LegalHold, LiftHoldRequest, ListRequest, PlaceHoldRequest, StaleService, Tenant,
    TenantKeyList, TenantKeyVersion, TenantList, TenantRequest, UpdateTenantRequest, WrittenRecords,
};
use aegis_proto::control as rows;
use aegis_raft_store::tables::{StateRead, StoreError};

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused, who};
use crate::keys::{self, wrap};
use crate::state::key::Scope;
use crate::state::page::Page;
use crate::state::{roles, tenant_keys, tenants, versions};

/// The tenants in which the caller has a role: all of them for somebody with a role on `*`.
pub(crate) async fn list(caller: &Caller, request: ListRequest) -> Result<TenantList, Problem> {
    let query = form::page(request.limit, &request.cursor)?;
    let state = caller.reads(Read::Oneself).await?;
    let everywhere = Read::Cluster.needs();
    let page = if who::may(&state, caller.person(), &everywhere.scope, everywhere.roles)? {
        tenants::tenants(&state, &query)?
    } else {
        // By scope, which is the tenant's name: the same order, and the caller's own cursor.
        let bound = roles::scopes(&state, caller.person(), &query)?;
        let mut rows = Vec::new();
        for binding in bound.rows.iter().filter(|binding| !binding.roles.is_empty()) {
            let Ok(Scope::Tenant(tenant)) = binding.scope.parse() else { continue };
            rows.extend(tenants::tenant(&state, &tenant)?);
        }
        Page { rows, next: bound.next }
    };
    let next = page.next.map(|cursor| cursor.to_string()).unwrap_or_default();
    let items = page.rows.into_iter().map(|row| with_newest(&state, row)).collect::<Result<_, _>>()?;
    Ok(TenantList { items, next })
}

/// Makes a tenant.
pub(crate) async fn create(caller: &Caller, request: CreateTenantRequest) -> Result<Tenant, Problem> {
    let serve_stale = (!request.serve_stale.is_empty())
        .then(|| rows::ServeStale { statement: request.serve_stale.clone(), ..Default::default() });
    let sync_write = (!request.sync_write.is_empty())
        .then(|| rows::SyncWrite { statement: request.sync_write.clone(), ..Default::default() });
    let key = {
        let admin = caller.admin();
        // A name that is none is refused when the command is applied.
        let tenant = request.name.parse::<TenantId>().ok();
        if let Some(tenant) = &tenant {
            caller.is_about(tenant);
        }
        let (view, mut randomness) = (admin.control().view()?, admin.randomness());
        let made = tenant
            .map(|tenant| keys::first_tenant_key(&view, admin.cluster_keys(), &tenant, &mut randomness));
        made.transpose()?
    };
    let command = rows::CreateTenant {
        key,
        name: request.name.clone(),
        organization: request.organization.clone(),
        settings: Some(rows::TenantSettings {
            staleness_seconds_max: request.staleness_seconds_max,
            serve_stale,
            four_eyes: request.four_eyes,
            signed_receipts: request.signed_receipts,
            sync_write,
            retention_days: request.retention_days,
        }),
    };
    let tenant = row!(caller.write("CreateTenant", &request, command).await?, Tenant)?;
    Ok(shown(tenant, 0))
}

/// Shows a tenant.
pub(crate) async fn get(caller: &Caller, request: TenantRequest) -> Result<Tenant, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    Ok(with_newest(&state, known(&state, &tenant)?)?)
}

/// Changes what a tenant chose.
pub(crate) async fn update(caller: &Caller, request: UpdateTenantRequest) -> Result<Tenant, Problem> {
    let command = rows::SetTenant {
        tenant: request.tenant.clone(),
        staleness_seconds_max: request.staleness_seconds_max,
        serve_stale: request.serve_stale.clone(),
        four_eyes: request.four_eyes,
        only_if_revision: request.only_if_revision,
        signed_receipts: request.signed_receipts,
        sync_write: request.sync_write.clone(),
        retention_days: request.retention_days,
    };
    let tenant = row!(caller.write("UpdateTenant", &request, command).await?, Tenant)?;
    changed(caller, tenant)
}

/// Retires a tenant.
pub(crate) async fn retire(caller: &Caller, request: TenantRequest) -> Result<Tenant, Problem> {
    let command = rows::RetireTenant { tenant: request.tenant.clone() };
    let tenant = row!(caller.write("RetireTenant", &request, command).await?, Tenant)?;
    changed(caller, tenant)
}

/// Places a legal hold.
pub(crate) async fn place_hold(caller: &Caller, request: PlaceHoldRequest) -> Result<Tenant, Problem> {
    let command = rows::PlaceHold {
        tenant: request.tenant.clone(),
        name: request.hold.clone(),
        reason: request.reason.clone(),
    };
    let tenant = row!(caller.write("PlaceHold", &request, command).await?, Tenant)?;
    changed(caller, tenant)
}

/// Lifts a legal hold.
pub(crate) async fn lift_hold(caller: &Caller, request: LiftHoldRequest) -> Result<Tenant, Problem> {
    let command = rows::LiftHold {
        tenant: request.tenant.clone(),
        name: request.hold.clone(),
        reason: request.reason.clone(),
    };
    let tenant = row!(caller.write("LiftHold", &request, command).await?, Tenant)?;
    changed(caller, tenant)
}

/// The versions of a tenant's secret key, without the keys.
pub(crate) async fn list_keys(caller: &Caller, request: TenantRequest) -> Result<TenantKeyList, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    known(&state, &tenant)?;
    Ok(shown_keys(tenant_keys::tenant_keys(&state, &tenant)?))
}

/// Adds the next version of a tenant's secret key, which counts from then on.
pub(crate) async fn rotate_key(caller: &Caller, request: TenantRequest) -> Result<TenantKeyList, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let admin = caller.admin();
    let mut attempts = 1..=caps::REWRAP_ATTEMPTS_MAX;
    loop {
        attempts.next();
        let command = {
            let state = admin.control().read().await?;
            keys::tenant_key_rotation(&state, admin.cluster_keys(), &tenant, &mut admin.randomness())?
        };
        match caller.write("RotateTenantKey", &request, command).await {
            // Somebody else rotated in between.
            Err(problem) if problem.code == Code::PreconditionFailed.into() && !attempts.is_empty() => {}
            written => return Ok(shown_keys(row!(written?, TenantKeys)?)),
        }
    }
}

fn shown_keys(keys: rows::TenantKeys) -> TenantKeyList {
    let current = tenant_keys::newest(&keys);
    let items = keys.keys.into_iter().map(|row| TenantKeyVersion {
        version: row.version,
        created_at: form::time(row.created_ms),
        created_by: row.created_by,
        cluster_key: row.key.and_then(|key| wrap::cluster_key_of(&key.wrapped).ok()).map(|id| id.to_string()),
    });
    TenantKeyList { tenant: keys.tenant, current, items: items.collect() }
}

/// The row of a tenant, alive or retired.
pub(super) fn known(state: &impl StateRead, tenant: &TenantId) -> Result<rows::Tenant, Problem> {
    let row = tenants::tenant(state, tenant)?;
    row.ok_or_else(|| Refused::unknown(Code::UnknownTenant, "tenant", tenant).into())
}

fn changed(caller: &Caller, row: rows::Tenant) -> Result<Tenant, Problem> {
    let state = caller.admin().control().view()?;
    Ok(with_newest(&state, row)?)
}

fn with_newest(state: &impl StateRead, row: rows::Tenant) -> Result<Tenant, StoreError> {
    let newest = match row.name.parse::<TenantId>() {
        Ok(tenant) => versions::newest(state, &tenant)?,
        Err(_no_name) => 0,
    };
    Ok(shown(row, newest))
}

fn shown_hold(hold: rows::LegalHold) -> LegalHold {
    LegalHold { name: hold.name, reason: hold.reason, by: hold.by, at: form::time(hold.at_ms) }
}

fn shown(row: rows::Tenant, newest_version: u64) -> Tenant {
    let settings = row.settings.unwrap_or_default();
    let serve_stale = settings.serve_stale.map(|it| StaleService {
        statement: it.statement,
        by: it.by,
        at: form::time(it.at_ms),
    });
    let sync_write = settings.sync_write.map(|it| WrittenRecords {
        statement: it.statement,
        by: it.by,
        at: form::time(it.at_ms),
    });
    Tenant {
        name: row.name,
        organization: row.organization,
        staleness_seconds_max: settings.staleness_seconds_max,
        serve_stale,
        four_eyes: settings.four_eyes,
        created_at: form::time(row.created_ms),
        created_by: row.created_by,
        retired_at: form::maybe_time(row.retired_ms),
        revision: row.revision,
        newest_version,
        signed_receipts: settings.signed_receipts,
        sync_write,
        retention_days: settings.retention_days,
        holds: row.holds.into_iter().map(shown_hold).collect(),
    }
}
