//! The claims of an agent token: one reader for each, and the rules that bind them to each other.

use std::fmt;
use std::str::FromStr;

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{AgentId, OrgId, TenantId};
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use serde_json::Value;

use crate::refusal::{ClaimProblem, TokenRefusal};
use crate::token::TokenKind;

/// The claims with a meaning of their own; every other is kept as it is for policies (`token.*`).
pub const REGISTERED: [&str; 11] =
    ["iss", "aud", "sub", "org", "tenant", "scope", "iat", "nbf", "exp", "jti", "callers"];

/// The claim that names what a token rests on: `key:` and the id of the key of an agent on whose strength it was given out,
/// `token:` and the `jti` of a caller's token that it was exchanged for. Whoever revokes one of these revokes the token.
pub const BASIS: &str = "basis";

/// What an agent token says about its bearer. Times, id and issuer are the minter's to add.
#[derive(Debug, Clone)]
pub struct AgentClaims {
    /// The organization (`org`).
    pub org: OrgId,
    /// The tenant whose policy applies (`tenant`).
    pub tenant: TenantId,
    /// The agent that makes the call and is judged (`sub`).
    pub agent: AgentId,
    /// What the token may be used for (`scope`).
    pub scope: Scope,
    /// Who called the agent, nearest first (`callers`); at most [`caps::CHAIN_MEMBERS_MAX`].
    pub callers: Vec<AgentId>,
    /// Every other claim: `purpose`, `environment`, …; none of [`REGISTERED`].
    pub claims: JsonObject,
}

/// When a token counts, with the permitted difference of clocks already granted on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    from: UnixNanos,
    until: UnixNanos,
}

impl Window {
    /// Whether the token counts at `now`: from `from` on, and no longer at `until`.
    pub(crate) fn check(self, now: UnixNanos) -> Result<(), TokenRefusal> {
        if now >= self.until {
            return Err(TokenRefusal::Expired);
        }
        if now < self.from { Err(TokenRefusal::NotYetValid) } else { Ok(()) }
    }

    pub(crate) fn until(self) -> UnixNanos {
        self.until
    }
}

/// All claims of an agent token, each checked by itself and against the others. The issuer is compared by the
/// caller, and the time as well.
#[derive(Debug)]
pub(crate) struct TokenClaims {
    pub(crate) agent: AgentClaims,
    pub(crate) token_id: String,
    pub(crate) issued_at: UnixNanos,
    pub(crate) expires_at: UnixNanos,
    pub(crate) window: Window,
}

impl TokenClaims {
    /// Reads the claims; the first problem ends it.
    pub(crate) fn read(mut claims: JsonObject) -> Result<Self, TokenRefusal> {
        audience(&claims, TokenKind::Agent)?;
        let window = window(&claims, TokenKind::Agent)?;
        let expires_at = UnixNanos::from_seconds(seconds(&claims, "exp")?);
        let issued_at = UnixNanos::from_seconds(seconds(&claims, "iat")?);
        let token_id = token_id(&claims)?.to_owned();
        let (org, tenant, agent) = (name(&claims, "org")?, name(&claims, "tenant")?, name(&claims, "sub")?);
        let (scope, callers) = (scope(&claims)?, callers(&claims)?);
        further(&claims)?;
        claims.retain(|claim, _| !is_registered(claim));
        let agent = AgentClaims { org, tenant, agent, scope, callers, claims };
        Ok(Self { agent, token_id, issued_at, expires_at, window })
    }
}

/// Everything that is wrong with the claims of an agent token at `now`; [`TokenClaims::read`] reports the first.
pub(crate) fn problems(claims: &JsonObject, now: UnixNanos) -> impl Iterator<Item = TokenRefusal> {
    [
        name::<AgentId>(claims, "sub").err(),
        name::<OrgId>(claims, "org").err(),
        name::<TenantId>(claims, "tenant").err(),
        scope(claims).err(),
        callers(claims).err(),
        further(claims).err(),
    ]
    .into_iter()
    .flatten()
    .chain(common_problems(claims, TokenKind::Agent, now))
}

/// What is wrong with the claims that tokens of every kind have.
pub(crate) fn common_problems(
    claims: &JsonObject,
    kind: TokenKind,
    now: UnixNanos,
) -> impl Iterator<Item = TokenRefusal> {
    [
        issuer(claims).err(),
        audience(claims, kind).err(),
        token_id(claims).err(),
        window(claims, kind).and_then(|window| window.check(now)).err(),
    ]
    .into_iter()
    .flatten()
}

pub(crate) fn issuer(claims: &JsonObject) -> Result<&str, TokenRefusal> {
    text(claims, "iss")
}

/// Seconds since 1970 of a time claim: an integer that is not negative.
pub(crate) fn seconds(claims: &JsonObject, claim: &'static str) -> Result<u64, TokenRefusal> {
    let value = claims.get(claim).ok_or(missing(claim))?;
    value.as_u64().ok_or(TokenRefusal::Claim { claim, problem: ClaimProblem::Type })
}

pub(crate) fn is_registered(claim: &str) -> bool {
    REGISTERED.contains(&claim)
}

pub(crate) fn audience(claims: &JsonObject, kind: TokenKind) -> Result<(), TokenRefusal> {
    match claims.get("aud") {
        Some(Value::String(audience)) if audience == kind.audience() => Ok(()),
        Some(_) | None => Err(TokenRefusal::Audience(kind)),
    }
}

/// `iat` and `exp` come from one clock, so their distance has no tolerance. With `iat` at most the skew ahead of
/// us, `exp` is at most life and skew ahead of us.
pub(crate) fn window(claims: &JsonObject, kind: TokenKind) -> Result<Window, TokenRefusal> {
    window_within(claims, kind.life_seconds_max())
        .map_err(|problem| problem.unwrap_or(TokenRefusal::Life(kind)))
}

/// The same with another longest life; nothing as the error says that the life is not within it.
pub(crate) fn window_within(
    claims: &JsonObject,
    life_seconds_max: u64,
) -> Result<Window, Option<TokenRefusal>> {
    let (issued, expires) = (seconds(claims, "iat")?, seconds(claims, "exp")?);
    let life = expires.checked_sub(issued).ok_or(None)?;
    if life == 0 || life > life_seconds_max {
        return Err(None);
    }
    let not_before = if claims.contains_key("nbf") { seconds(claims, "nbf")? } else { 0 };
    let from = issued.max(not_before).saturating_sub(caps::CLOCK_SKEW_SECONDS_MAX);
    let until = expires.saturating_add(caps::CLOCK_SKEW_SECONDS_MAX);
    Ok(Window { from: UnixNanos::from_seconds(from), until: UnixNanos::from_seconds(until) })
}

pub(crate) fn token_id(claims: &JsonObject) -> Result<&str, TokenRefusal> {
    let id = text(claims, "jti")?;
    let valid = !id.is_empty()
        && id.len() <= caps::TOKEN_ID_BYTES_MAX
        && id.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { Ok(id) } else { Err(forbidden("jti")) }
}

fn scope(claims: &JsonObject) -> Result<Scope, TokenRefusal> {
    let scope = text(claims, "scope")?;
    let valid = scope.len() <= caps::TOKEN_SCOPE_BYTES_MAX
        && scope.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && scope.split(' ').count() <= caps::TOKEN_SCOPE_ITEMS_MAX;
    if valid { Ok(Scope::parse(scope)) } else { Err(forbidden("scope")) }
}

fn callers(claims: &JsonObject) -> Result<Vec<AgentId>, TokenRefusal> {
    const CLAIM: &str = "callers";
    let callers = match claims.get(CLAIM) {
        None => return Ok(Vec::new()),
        Some(Value::Array(callers)) => callers,
        Some(_) => return Err(TokenRefusal::Claim { claim: CLAIM, problem: ClaimProblem::Type }),
    };
    if callers.len() > caps::CHAIN_MEMBERS_MAX {
        return Err(TokenRefusal::ChainTooLong);
    }
    let parse = |caller: &Value| match caller {
        Value::String(name) => name.parse().map_err(|_withheld| forbidden(CLAIM)),
        _ => Err(TokenRefusal::Claim { claim: CLAIM, problem: ClaimProblem::Type }),
    };
    callers.iter().map(parse).collect()
}

/// The claims that are kept for policies. They are remembered with the token, so what they hold is bounded.
fn further(claims: &JsonObject) -> Result<(), TokenRefusal> {
    if claims.contains_key("cnf") {
        return Err(TokenRefusal::Bound);
    }
    check_basis(claims)?;
    let (mut count, mut values) = (0, 0);
    for (_, value) in claims.iter().filter(|(claim, _)| !is_registered(claim)) {
        count += 1;
        values += count_values(value);
    }
    let fits = count <= caps::TOKEN_CLAIMS_MAX && values <= caps::TOKEN_CLAIM_VALUES_MAX;
    if fits { Ok(()) } else { Err(TokenRefusal::TooManyClaims) }
}

/// What a token rests on, as revocations are looked up by it: texts, a few of them.
fn check_basis(claims: &JsonObject) -> Result<(), TokenRefusal> {
    let sound = match claims.get(BASIS) {
        None => true,
        Some(Value::Array(members)) => {
            members.len() <= caps::TOKEN_BASIS_MAX && members.iter().all(Value::is_string)
        }
        Some(_) => false,
    };
    if sound { Ok(()) } else { Err(forbidden(BASIS)) }
}

/// How many JSON values `value` consists of. Its depth is bounded by the reader.
fn count_values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count_values).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count_values).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

pub(crate) fn name<N: FromStr<Err: fmt::Debug>>(
    claims: &JsonObject,
    claim: &'static str,
) -> Result<N, TokenRefusal> {
    text(claims, claim)?.parse().map_err(|_withheld| forbidden(claim))
}

fn text<'c>(claims: &'c JsonObject, claim: &'static str) -> Result<&'c str, TokenRefusal> {
    let value = claims.get(claim).ok_or(missing(claim))?;
    value.as_str().ok_or(TokenRefusal::Claim { claim, problem: ClaimProblem::Type })
}

fn missing(claim: &'static str) -> TokenRefusal {
    TokenRefusal::Claim { claim, problem: ClaimProblem::Missing }
}

fn forbidden(claim: &'static str) -> TokenRefusal {
    TokenRefusal::Claim { claim, problem: ClaimProblem::Value }
}
