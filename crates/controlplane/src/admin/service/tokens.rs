//! Tokens of agents: recorded first, then signed from the record, so that a repetition gives the same token. And the records of all
//! tokens that were given out, however.

use aegis_identity::claims::AgentClaims;
use aegis_identity::mint::{Stamp, new_token_id};
use aegis_model::caps;
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use aegis_proto::admin::{
    MintTokenRequest, MintedToken, TenantListRequest, TokenClaim, TokenRecord, TokenRecordList,
};
use aegis_proto::control as rows;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::keys::{KeyKind, keyring};
use crate::state::tokens;

/// The tokens that were given out to a tenant's agents, the newest first.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<TokenRecordList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(tokens::tokens(&state, &tenant, &query)?, shown);
    Ok(TokenRecordList { items, next })
}

fn shown(row: rows::TokenRecord) -> TokenRecord {
    TokenRecord {
        tenant: row.tenant,
        number: row.number,
        at: form::time(row.at_ms),
        agent: row.agent,
        token_id: row.token_id,
        scope: row.scope,
        callers: row.callers,
        expires_at: form::time(row.expires_ms),
        by: row.by,
        proof: row.proof,
        data_node: row.data_node,
        caller_token_id: row.caller_token_id,
    }
}

/// Mints a token for an agent.
pub(crate) async fn mint(caller: &Caller, request: MintTokenRequest) -> Result<MintedToken, Problem> {
    let admin = caller.admin();
    let claims = read_claims(&request.claims)?;
    let command = rows::IssueAgentToken {
        tenant: request.tenant.clone(),
        agent: request.agent.clone(),
        token_id: new_token_id(&mut admin.randomness()),
        scope: request.scope.clone(),
        life_seconds: life_seconds(request.life_seconds),
    };
    let made = row!(caller.write("MintToken", &request, command).await?, AgentToken)?;
    let minter = keyring::minter(&admin.control().view()?, admin.cluster_keys(), KeyKind::AgentToken)?;
    let stamp = Stamp {
        token_id: made.token_id.clone(),
        issued_seconds: made.issued_seconds,
        expires_seconds: made.expires_seconds,
    };
    let minted = minter.agent_token(&claims_of(&made, claims)?, &stamp)?;
    Ok(MintedToken {
        token: minted.token.expose().clone(),
        token_id: minted.token_id,
        tenant: made.tenant,
        agent: made.agent,
        issued_at: form::time_of_seconds(made.issued_seconds),
        expires_at: form::time_of_seconds(made.expires_seconds),
    })
}

fn life_seconds(wanted: u32) -> u32 {
    let longest = u32::try_from(caps::TOKEN_LIFE_SECONDS_MAX).unwrap_or(u32::MAX);
    if wanted == 0 { longest } else { wanted }
}

fn read_claims(claims: &[TokenClaim]) -> Result<JsonObject, Problem> {
    if claims.len() > caps::TOKEN_CLAIMS_MAX {
        return Err(Problem::invalid("claims", format!("at most {}", caps::TOKEN_CLAIMS_MAX)));
    }
    let mut read = JsonObject::new();
    for (at, TokenClaim { name, value }) in claims.iter().enumerate() {
        let problem = |form: &str| Problem::invalid("claims", form).at(format!("/claims/{at}/name"));
        if name.is_empty() || aegis_identity::claims::REGISTERED.contains(&name.as_str()) {
            return Err(problem("claims of your own, not those that every token has"));
        }
        if read.insert(name.clone(), value.clone().into()).is_some() {
            return Err(problem("each of them once"));
        }
    }
    Ok(read)
}

fn claims_of(made: &rows::AgentToken, claims: JsonObject) -> Result<AgentClaims, Problem> {
    Ok(AgentClaims {
        org: form::name("organization", &made.organization)?,
        tenant: form::tenant(&made.tenant)?,
        agent: form::name("agent", &made.agent)?,
        scope: Scope::parse(&made.scope),
        callers: Vec::new(),
        claims,
    })
}
