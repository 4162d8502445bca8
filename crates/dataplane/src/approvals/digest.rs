//! The keyed digest of a call: what an approval is bound to (APR-1).

use aegis_model::call::ToolCall;
use aegis_model::json::{self, JsonObject};
use aegis_model::principal::Principal;
use aegis_model::tenant_key::TenantKey;
use serde_json::Value;

use crate::digest::DigestKey;

/// A call's digest, with what it was made of.
#[derive(Debug)]
pub(crate) struct CallDigest {
    pub(crate) digest: [u8; 32],
    /// The version of the key.
    pub(crate) key_version: u32,
    /// The canonical parameters.
    pub(crate) params: Vec<u8>,
    /// The canonical circumstances, without the session.
    pub(crate) context: Vec<u8>,
}

/// Says what the digest is of, so that none of another kind is ever equal to it.
const DOMAIN: &[u8] = b"aegis/approval/v1";

/// The member of the circumstances that may differ: an agent may come back in another session.
const SESSION: &str = "session";

/// What the tenant's key is used for here.
const PURPOSE: &str = "approval";

/// The digest over tenant, agent, tool, action, canonical parameters (RFC 8785), circumstances but for the session, cost, and who
/// called the agent, keyed by the tenant. Equal on every node.
pub(crate) fn digest_of_call(key: &TenantKey, principal: &Principal, call: &ToolCall) -> CallDigest {
    let params = canonical(call.params.clone());
    let context = canonical_context(call.context.clone());
    let mut parts = Parts::default();
    parts.push(DOMAIN);
    parts.push(principal.org.as_str().as_bytes());
    parts.push(principal.tenant.as_str().as_bytes());
    parts.push(principal.agent.as_str().as_bytes());
    parts.push(&(principal.callers.len() as u64).to_be_bytes());
    for caller in &principal.callers {
        parts.push(caller.as_str().as_bytes());
    }
    parts.push(call.tool.as_str().as_bytes());
    parts.push(call.action.as_str().as_bytes());
    parts.push(&params);
    parts.push(&context);
    match call.cost {
        None => parts.push(&[]),
        Some(cost) => parts.push(&cost.0.to_be_bytes()),
    }
    let digest = DigestKey::new(key.derive(PURPOSE).expose()).of(&parts.0);
    CallDigest { digest, key_version: key.version(), params, context }
}

/// Circumstances as they are part of a call's digest.
pub(crate) fn canonical_context(mut context: JsonObject) -> Vec<u8> {
    context.remove(SESSION);
    canonical(context)
}

fn canonical(object: JsonObject) -> Vec<u8> {
    json::canonical(&Value::Object(object))
}

/// Bytes of parts, each behind its length, so that no two lists of parts give the same.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn push(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use aegis_model::scope::Scope;
    use aegis_model::secret::Secret;
    use serde_json::json;

    use super::*;
    use crate::testing::{NOW, call};

    fn principal() -> Principal {
        Principal {
            org: "acme-inc".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            agent: "payer".parse().unwrap(),
            scope: Scope::parse("*"),
            callers: vec!["planner".parse().unwrap()],
            claims: JsonObject::new(),
            token_id: "t".to_owned(),
            issued_at: NOW,
            expires_at: NOW,
        }
    }

    fn key(version: u32) -> TenantKey {
        TenantKey::new(version, Secret::new([7; 32]))
    }

    fn with(params: Value, context: Value) -> ToolCall {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        ToolCall { params: object(params), context: object(context), ..call(1) }
    }

    fn digest(principal: &Principal, call: &ToolCall) -> [u8; 32] {
        digest_of_call(&key(1), principal, call).digest
    }

    #[test]
    fn the_order_of_keys_the_session_and_the_token_do_not_matter() {
        let call =
            with(json!({"amount": 50_000, "vendor": "acme"}), json!({"purpose": "rent", "session": "s-1"}));
        let same =
            with(json!({"vendor": "acme", "amount": 50_000}), json!({"session": "s-2", "purpose": "rent"}));
        let expected = digest(&principal(), &call);
        assert_eq!(digest(&principal(), &same), expected);
        let fresh = Principal { token_id: "other".to_owned(), scope: Scope::parse("pay:*"), ..principal() };
        assert_eq!(digest(&fresh, &call), expected);
        let again = ToolCall { request_id: Some("r".parse().unwrap()), wait_ms: 9, ..call };
        assert_eq!(digest(&principal(), &again), expected);
    }

    #[test]
    fn everything_else_does() {
        let call = with(json!({"amount": 50_000}), json!({"purpose": "rent"}));
        let mut digests = vec![digest(&principal(), &call)];
        digests.push(digest(&principal(), &with(json!({"amount": 50_001}), json!({"purpose": "rent"}))));
        digests.push(digest(
            &principal(),
            &with(json!({"amount": 50_000, "x": null}), json!({"purpose": "rent"})),
        ));
        digests.push(digest(&principal(), &with(json!({"amount": 50_000}), json!({"purpose": "toys"}))));
        digests.push(digest(&principal(), &ToolCall { tool: "paz".parse().unwrap(), ..call.clone() }));
        digests.push(digest(&principal(), &ToolCall { action: "refund".parse().unwrap(), ..call.clone() }));
        digests.push(digest(&principal(), &ToolCall { cost: Some("0".parse().unwrap()), ..call.clone() }));
        for other in [
            Principal { tenant: "globex".parse().unwrap(), ..principal() },
            Principal { agent: "other".parse().unwrap(), ..principal() },
            Principal { callers: vec![], ..principal() },
            Principal { callers: vec!["planner".parse().unwrap(), "root".parse().unwrap()], ..principal() },
        ] {
            digests.push(digest(&other, &call));
        }
        let other = TenantKey::new(1, Secret::new([8; 32]));
        digests.push(digest_of_call(&other, &principal(), &call).digest);
        let count = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), count);
    }
}
