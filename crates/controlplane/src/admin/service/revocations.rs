//! Revocations of a tenant: list, add.

use aegis_proto::admin::{Revocation, RevocationList, RevokeRequest, TenantListRequest};
use aegis_proto::control as rows;
use aegis_proto::control::RevocationKind;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::revocations;

/// What a tenant's nodes no longer accept.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<RevocationList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(revocations::revocations(&state, &tenant, &query)?, shown);
    Ok(RevocationList { items, next })
}

/// Revokes a token, an agent's earlier tokens, a key of an agent, or what an issuer outside proved before.
pub(crate) async fn revoke(caller: &Caller, request: RevokeRequest) -> Result<Revocation, Problem> {
    let command = rows::Revoke {
        tenant: request.tenant.clone(),
        kind: read_kind(&request.kind)?.into(),
        subject: request.subject.clone(),
        // Until the longest life of a token is over: nobody has to know when this one ends.
        expires_ms: 0,
        reason: request.reason.clone(),
    };
    row!(caller.write("Revoke", &request, command).await?, Revocation).map(shown)
}

fn read_kind(text: &str) -> Result<RevocationKind, Problem> {
    match text {
        "token" => Ok(RevocationKind::Token),
        "agent" => Ok(RevocationKind::Agent),
        "key" => Ok(RevocationKind::Key),
        "issuer" => Ok(RevocationKind::Issuer),
        _ => Err(Problem::invalid("kind", "`token`, `agent`, `key` or `issuer`")),
    }
}

fn kind(kind: RevocationKind) -> &'static str {
    match kind {
        RevocationKind::Unspecified => "",
        RevocationKind::Token => "token",
        RevocationKind::Agent => "agent",
        RevocationKind::Key => "key",
        RevocationKind::Issuer => "issuer",
    }
}

fn shown(row: rows::Revocation) -> Revocation {
    Revocation {
        kind: kind(row.kind()).to_owned(),
        tenant: row.tenant,
        subject: row.subject,
        at: form::time(row.at_ms),
        forgotten_at: form::maybe_time(row.expires_ms),
        by: row.by,
        reason: row.reason,
    }
}
