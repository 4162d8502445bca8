//! Issuers outside the cluster whose tokens prove agents of a tenant: list, show, set, remove.

use aegis_identity::foreign::{KeySet, KeySetError};
use aegis_proto::admin::{IssuerList, IssuerRequest, SetIssuerRequest, TenantListRequest, TokenIssuer};
use aegis_proto::control as rows;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused};
use crate::state::issuers;

/// A tenant's issuers, by name.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<IssuerList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(issuers::issuers(&state, &tenant, &query)?, shown);
    Ok(IssuerList { items, next })
}

/// Shows an issuer.
pub(crate) async fn get(caller: &Caller, request: IssuerRequest) -> Result<TokenIssuer, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let issuer = issuers::issuer(&state, &tenant, &request.issuer)?;
    let issuer = issuer.ok_or_else(|| Refused::unknown(Code::UnknownIssuer, "issuer", request.issuer))?;
    Ok(shown(issuer))
}

/// Makes an issuer, or replaces everything that is pinned for it. A set with a private key in it is refused before it gets into the log.
pub(crate) async fn set(caller: &Caller, request: SetIssuerRequest) -> Result<TokenIssuer, Problem> {
    let algorithm = request.algorithm.parse().map_err(|error| Refused::invalid("algorithm", error))?;
    let keys = KeySet::read(request.key_set.as_bytes(), algorithm);
    let keys = keys.map_err(|error: KeySetError| Refused::invalid("key_set", error))?;
    let command = rows::SetIssuer {
        tenant: request.tenant.clone(),
        name: request.issuer.clone(),
        issuer: request.iss.clone(),
        audience: request.aud.clone(),
        algorithm: request.algorithm.clone(),
        subject_claim: request.subject_claim.clone(),
        key_set: keys.to_jwks().to_string().into_bytes(),
        only_if_revision: request.only_if_revision,
    };
    row!(caller.write("SetIssuer", &request, command).await?, TokenIssuer).map(shown)
}

/// Removes an issuer, and ends what was given out on its strength.
pub(crate) async fn remove(caller: &Caller, request: IssuerRequest) -> Result<TokenIssuer, Problem> {
    let command = rows::RemoveIssuer { tenant: request.tenant.clone(), name: request.issuer.clone() };
    row!(caller.write("RemoveIssuer", &request, command).await?, TokenIssuer).map(shown)
}

fn shown(row: rows::TokenIssuer) -> TokenIssuer {
    TokenIssuer {
        tenant: row.tenant,
        name: row.name,
        iss: row.issuer,
        aud: row.audience,
        algorithm: row.algorithm,
        subject_claim: row.subject_claim,
        key_set: String::from_utf8_lossy(&row.key_set).into_owned(),
        created_at: form::time(row.created_ms),
        created_by: row.created_by,
        changed_at: form::time(row.changed_ms),
        changed_by: row.changed_by,
        revision: row.revision,
    }
}
