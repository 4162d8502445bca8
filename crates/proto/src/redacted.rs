//! `Debug` of the messages that hold tokens, keys, bundles or values of a call: sizes and names only.

use std::fmt::{Debug, Formatter, Result};

use crate::control::{AddKey, ApprovalCall, Key, PutChunk, RewrapKey, SealedSecrets, WrappedKey};
use crate::v1::{
    ApprovalOpening, ApprovalStanding, CompleteRequest, CompleteResponse, DecideRequest, DecideResponse,
    DecideStreamRequest, GetApprovalResponse, IssueTokenRequest, IssuedToken, IssuerToken, OwnToken,
    SearchHit, SignedAssertion, TenantSecretKey,
};

impl Debug for DecideRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("DecideRequest")
            .field("request_id", &self.request_id)
            .field("tool", &self.tool)
            .field("action", &self.action)
            .field("params_bytes", &self.params.len())
            .field("context_bytes", &self.context.len())
            .field("override_token", &present(&self.override_token))
            .field("dry_run", &self.dry_run)
            .field("explain", &self.explain)
            .finish_non_exhaustive()
    }
}

impl Debug for DecideResponse {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("DecideResponse")
            .field("decision_id", &self.decision_id)
            .field("outcome", &self.outcome())
            .field("reasons", &self.reasons)
            .field("params_bytes", &self.params.len())
            .field("policy", &self.policy)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

impl Debug for SearchHit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SearchHit")
            .field("life", &self.life)
            .field("index", &self.index)
            .field("record_bytes", &self.record.len())
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl Debug for CompleteRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("CompleteRequest")
            .field("decision_id", &self.decision_id)
            .field("status", &self.status())
            .field("result_bytes", &self.result.len())
            .finish_non_exhaustive()
    }
}

impl Debug for CompleteResponse {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("CompleteResponse")
            .field("result_bytes", &self.result.len())
            .field("redactions", &self.redactions)
            .field("withheld", &self.withheld)
            .field("receipt", &self.receipt)
            .finish()
    }
}

impl Debug for ApprovalOpening {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("ApprovalOpening")
            .field("node", &self.node)
            .field("tenant", &self.tenant)
            .field("agent", &self.agent)
            .field("tool", &self.tool)
            .field("action", &self.action)
            .field("params_bytes", &self.params.len())
            .field("context_bytes", &self.context.len())
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

impl Debug for IssueTokenRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("IssueTokenRequest")
            .field("node_name", &self.node_name)
            .field("tenant", &self.tenant)
            .field("scope", &self.scope)
            .field("caller_token", &present(&self.caller_token))
            .finish_non_exhaustive()
    }
}

impl Debug for ApprovalStanding {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("ApprovalStanding")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("opened", &self.opened)
            .field("refused", &self.refused)
            .field("expires_ms", &self.expires_ms)
            .field("agent", &self.agent)
            .field("override_token", &present(&self.override_token))
            .finish_non_exhaustive()
    }
}

impl Debug for GetApprovalResponse {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("GetApprovalResponse")
            .field("approval", &self.approval)
            .field("state", &self.state)
            .field("override_token", &present(&self.override_token))
            .finish()
    }
}

impl Debug for ApprovalCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("ApprovalCall")
            .field("agent", &self.agent)
            .field("callers", &self.callers)
            .field("tool", &self.tool)
            .field("action", &self.action)
            .field("params_bytes", &self.params.len())
            .field("context_bytes", &self.context.len())
            .finish_non_exhaustive()
    }
}

impl Debug for SignedAssertion {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SignedAssertion").field("bytes", &self.assertion.len()).finish()
    }
}

impl Debug for OwnToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("OwnToken").field("bytes", &self.token.len()).finish()
    }
}

impl Debug for IssuerToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("IssuerToken")
            .field("tenant", &self.tenant)
            .field("agent", &self.agent)
            .field("bytes", &self.token.len())
            .finish()
    }
}

impl Debug for IssuedToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("IssuedToken").field("token_id", &self.token_id).finish_non_exhaustive()
    }
}

impl Debug for DecideStreamRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("DecideStreamRequest")
            .field("correlation_id", &self.correlation_id)
            .field("token", &present(&self.token))
            .field("request", &self.request)
            .field("traceparent", &self.traceparent)
            .field("tracestate", &self.tracestate)
            .finish()
    }
}

impl Debug for PutChunk {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("PutChunk")
            .field("tenant", &self.tenant)
            .field("data_bytes", &self.data.len())
            .finish()
    }
}

impl Debug for AddKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("AddKey")
            .field("kind", &self.kind())
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

impl Debug for RewrapKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("RewrapKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("kind", &self.kind())
            .field("created_ms", &self.created_ms)
            .field("retired_ms", &self.retired_ms)
            .field("revoked_ms", &self.revoked_ms)
            .finish_non_exhaustive()
    }
}

impl Debug for WrappedKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("WrappedKey([secret])")
    }
}

impl Debug for SealedSecrets {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SealedSecrets").field("key_version", &self.key_version).finish_non_exhaustive()
    }
}

impl Debug for TenantSecretKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("TenantSecretKey").field("version", &self.version).finish_non_exhaustive()
    }
}

fn present(secret: &str) -> &'static str {
    if secret.is_empty() { "" } else { "[secret]" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_shows_a_token_or_a_value() {
        let request = DecideRequest {
            params: r#"{"ssn":"KEEP-OUT"}"#.into(),
            context: r#"{"note":"KEEP-OUT"}"#.into(),
            override_token: "KEEP-OUT".to_owned(),
            ..Default::default()
        };
        let framed = DecideStreamRequest {
            correlation_id: 1,
            token: "KEEP-OUT".to_owned(),
            request: Some(request),
            ..Default::default()
        };
        let response = DecideResponse {
            params: r#"{"ssn":"KEEP-OUT"}"#.into(),
            explanation: r#""KEEP-OUT""#.into(),
            ..Default::default()
        };
        let shown = format!("{framed:?} {response:?}");
        assert!(!shown.contains("KEEP-OUT"), "{shown}");
        assert!(shown.contains("[secret]"), "{shown}");
    }

    #[test]
    fn no_command_shows_a_wrapped_key_or_a_bundle() {
        let secret = b"KEEP-OUT".to_vec();
        let add = AddKey { wrapped_private_key: secret.clone(), ..Default::default() };
        let key = Key { wrapped_private_key: secret.clone(), ..Default::default() };
        let chunk = PutChunk { data: secret.clone(), ..Default::default() };
        let rewrap = RewrapKey { wrapped_private_key: secret.clone(), ..Default::default() };
        let wrapped = WrappedKey { wrapped: secret.clone() };
        let fed = TenantSecretKey { version: 3, key: secret.clone(), ..Default::default() };
        let sealed = SealedSecrets { key_version: 1, sealed: secret.clone() };
        let shown = format!("{add:?} {rewrap:?} {key:?} {chunk:?} {wrapped:?} {fed:?} {sealed:?}");
        assert!(!shown.contains(&format!("{secret:?}")), "{shown}");
        assert!(shown.contains("data_bytes: 8"), "{shown}");
    }
}
