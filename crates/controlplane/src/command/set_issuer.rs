//! `SetIssuer`: tokens of an issuer outside prove agents of a tenant from now on, or do so by other keys than before.

use aegis_identity::foreign::{Algorithm, KeySet};
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Role, SetIssuer, TokenIssuer, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::writer::Writer;
use crate::state::{issuers, tenants};

/// The row, and whether it is a new one.
pub(crate) struct Checked {
    tenant: TenantId,
    issuer: TokenIssuer,
    new: bool,
}

impl Kind for SetIssuer {
    const NAME: &'static str = "SetIssuer";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!(
            "issuer `{}`: `{}` for `{}`, {}, claim `{}`",
            self.name, self.issuer, self.audience, self.algorithm, self.subject_claim
        )
    }

    fn outcome(result: &done::Result) -> String {
        let done::Result::TokenIssuer(issuer) = result else { return String::new() };
        let keys = read_keys(&issuer.algorithm, &issuer.key_set).ok();
        let ids = keys.iter().flat_map(KeySet::key_ids).map(|id| format!("`{id}`"));
        format!("keys {}", ids.collect::<Vec<_>>().join(", "))
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let name = name("name", &self.name)?;
        let before = issuers::issuer(state, &tenant, &name)?;
        checks::expected(
            "revision",
            self.only_if_revision,
            before.as_ref().map_or(0, |before| before.revision),
        )?;
        if before.is_none() {
            let count = tenants::counters(state, &tenant)?.issuers;
            checks::room("issuers", count, caps::ISSUERS_MAX)?;
        }
        let keys = read_keys(&self.algorithm, &self.key_set)?;
        let (created_ms, created_by) = match &before {
            Some(before) => (before.created_ms, before.created_by.clone()),
            None => (asked.now_ms(), asked.by()),
        };
        let issuer = TokenIssuer {
            tenant: tenant.to_string(),
            name,
            issuer: text("issuer", &self.issuer)?,
            audience: text("audience", &self.audience)?,
            algorithm: self.algorithm.clone(),
            subject_claim: subject_claim(&self.subject_claim)?,
            key_set: keys.to_jwks().to_string().into_bytes(),
            created_ms,
            created_by,
            changed_ms: asked.now_ms(),
            changed_by: asked.by(),
            // Never the same twice, also where an issuer is removed and made again: what was judged by other keys is void.
            revision: asked.place.index,
        };
        Ok(Checked { tenant, issuer, new: before.is_none() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, issuer, new } = checked;
        if new {
            let mut counters = tenants::counters(write, &tenant)?;
            counters.issuers += 1;
            tenants::put_counters(write, &tenant, &counters)?;
        }
        issuers::put(write, &issuer)?;
        Ok(done::Result::TokenIssuer(issuer))
    }
}

/// The name of an issuer within a tenant.
pub(super) fn name(field: &'static str, text: &str) -> Result<String, Refused> {
    let max = caps::ISSUER_NAME_BYTES_MAX;
    let valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > max || !text.bytes().all(valid) {
        return Err(Refused::invalid(field, format!("1 to {max} characters of `a-z 0-9 - _ .`")));
    }
    Ok(text.to_owned())
}

/// What a token says of itself, compared byte for byte.
pub(super) fn text(field: &'static str, text: &str) -> Result<String, Refused> {
    let max = caps::ISSUER_BYTES_MAX;
    if text.is_empty() || text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refused::invalid(field, format!("1 to {max} printable ASCII characters without spaces")));
    }
    Ok(text.to_owned())
}

/// The claim that names the subject; `sub` unless another one is named.
fn subject_claim(claim: &str) -> Result<String, Refused> {
    match claim {
        "" => Ok("sub".to_owned()),
        // They say something else in every token.
        "iss" | "aud" | "exp" | "iat" | "nbf" | "jti" | "cnf" => {
            Err(Refused::invalid("subject_claim", "a claim that names who the token is about"))
        }
        claim => text("subject_claim", claim),
    }
}

fn read_keys(algorithm: &str, key_set: &[u8]) -> Result<KeySet, Refused> {
    let algorithm: Algorithm = algorithm.parse().map_err(|error| Refused::invalid("algorithm", error))?;
    KeySet::read(key_set, algorithm).map_err(|error| Refused::invalid("key_set", error))
}

#[cfg(test)]
pub(super) mod tests {
    use aegis_proto::control::{RemoveIssuer, RevocationKind};
    use serde_json::json;

    use super::*;
    use crate::command::Code;
    use crate::state::page::PageQuery;
    use crate::state::revocations;
    use crate::testing::World;

    /// An issuer `ci` that signs with the key of this seed.
    pub(in crate::command) fn ci(seed: &str) -> SetIssuer {
        let mut key = World::signing_key(seed).verifying_key().to_jwk();
        key["kid"] = json!(seed);
        SetIssuer {
            tenant: "acme".to_owned(),
            name: "ci".to_owned(),
            issuer: "https://ci.example".to_owned(),
            audience: "aegis".to_owned(),
            algorithm: "EdDSA".to_owned(),
            subject_claim: String::new(),
            key_set: json!({"keys": [key], "more": 1}).to_string().into_bytes(),
            only_if_revision: None,
        }
    }

    #[test]
    fn an_issuer_is_pinned_with_its_keys_and_nothing_else() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.done(ci("k-1"), &World::root());
        let first = issuers::issuer(&world.view(), &acme, "ci").expect("memory").expect("one");
        assert_eq!((first.subject_claim.as_str(), first.algorithm.as_str()), ("sub", "EdDSA"));
        let kept: serde_json::Value = serde_json::from_slice(&first.key_set).expect("JSON");
        assert_eq!(kept["keys"][0]["kid"], "k-1");
        assert!(kept.get("more").is_none() && kept["keys"][0].get("use").is_none());
        let stale = SetIssuer { only_if_revision: Some(first.revision + 1), ..ci("k-2") };
        assert_eq!(world.refused(stale, &World::root()).code, Code::PreconditionFailed);
        world.done(SetIssuer { only_if_revision: Some(first.revision), ..ci("k-2") }, &World::root());
        let second = issuers::issuer(&world.view(), &acme, "ci").expect("memory").expect("one");
        assert!(second.revision > first.revision && second.created_ms == first.created_ms);
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").issuers, 1);
    }

    #[test]
    fn what_is_no_issuer_is_refused() {
        let world = World::new();
        world.tenant("acme");
        for bad in [
            SetIssuer { name: "CI".to_owned(), ..ci("k") },
            SetIssuer { name: String::new(), ..ci("k") },
            SetIssuer { issuer: String::new(), ..ci("k") },
            SetIssuer { audience: "two words".to_owned(), ..ci("k") },
            SetIssuer { algorithm: "HS256".to_owned(), ..ci("k") },
            SetIssuer { algorithm: "RS256".to_owned(), ..ci("k") },
            SetIssuer { subject_claim: "exp".to_owned(), ..ci("k") },
            SetIssuer { key_set: b"{}".to_vec(), ..ci("k") },
        ] {
            assert_eq!(world.refused(bad.clone(), &World::root()).code, Code::Invalid, "{bad:?}");
        }
        for number in 0..caps::ISSUERS_MAX {
            world.done(SetIssuer { name: format!("i-{number}"), ..ci("k") }, &World::root());
        }
        assert_eq!(world.refused(ci("k"), &World::root()).code, Code::TooMany);
        world.done(SetIssuer { name: "i-0".to_owned(), ..ci("k-2") }, &World::root());
    }

    #[test]
    fn a_removed_issuer_takes_what_it_proved_with_it() {
        let world = World::new();
        let acme = world.tenant("acme");
        let remove = || RemoveIssuer { tenant: "acme".to_owned(), name: "ci".to_owned() };
        assert_eq!(world.refused(remove(), &World::root()).code, Code::UnknownIssuer);
        world.done(ci("k-1"), &World::root());
        let at_ms = world.now_ms();
        world.done(remove(), &World::root());
        assert!(issuers::issuers(&world.view(), &acme, &PageQuery::first()).expect("memory").rows.is_empty());
        let revoked = revocations::revocation(&world.view(), &acme, RevocationKind::Issuer, "ci");
        assert!(revoked.expect("memory").expect("one").at_ms >= at_ms);
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").issuers, 0);
    }
}
