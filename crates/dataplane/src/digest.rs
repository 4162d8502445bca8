//! Digests of what a call holds: keyed ones for records, plain ones to compare calls in memory.

use aegis_model::call::ToolCall;
use aegis_model::json::{self, JsonObject};
use aegis_model::principal::Principal;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// HMAC-SHA-256 (RFC 2104) under one key. A bare hash of a parameter could be guessed; this cannot, by anybody
/// who has not the key. The key is made at the node's start and never leaves it.
pub(crate) struct DigestKey {
    inner: Sha256,
    outer: Sha256,
}

/// The block size of SHA-256, in bytes.
const BLOCK: usize = 64;

impl DigestKey {
    /// Keyed with 32 random bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let padded = |pad: u8| {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            Sha256::new().chain_update(block)
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The digest of `bytes`.
    pub(crate) fn of(&self, bytes: &[u8]) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(bytes).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

/// Writes a digest as hexadecimal text.
pub(crate) fn hex(digest: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in digest {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey([secret])")
    }
}

/// The canonical bytes of `object` (RFC 8785). The object is unchanged afterwards.
pub(crate) fn canonical(object: &mut JsonObject) -> Vec<u8> {
    let value = Value::Object(std::mem::take(object));
    let bytes = json::canonical(&value);
    if let Value::Object(back) = value {
        *object = back;
    }
    bytes
}

/// A digest of everything that `call` says but its `request_id`: equal content, equal digest.
pub(crate) fn content(call: &mut ToolCall) -> [u8; 32] {
    let mut parts = Parts::new();
    parts.push(call.tool.as_str().as_bytes());
    parts.push(call.action.as_str().as_bytes());
    parts.push(&canonical(&mut call.params));
    parts.push(&canonical(&mut call.context));
    parts.push(&call.cost.map_or([0; 9], |cost| {
        let mut present = [1; 9];
        present[1..].copy_from_slice(&cost.0.to_be_bytes());
        present
    }));
    match &call.override_token {
        None => parts.push(&[0]),
        Some(token) => {
            parts.push(&[1]);
            parts.push(token.expose().as_bytes());
        }
    }
    parts.push(&[u8::from(call.dry_run), u8::from(call.explain), u8::from(call.sign_receipt)]);
    parts.finish()
}

/// A digest of who asks and under which id: the same principal with a fresh token has the same one.
pub(crate) fn asker(principal: &Principal, request_id: &str) -> [u8; 32] {
    let mut parts = Parts::new();
    parts.push(principal.org.as_str().as_bytes());
    parts.push(principal.tenant.as_str().as_bytes());
    parts.push(principal.agent.as_str().as_bytes());
    parts.push(&(principal.callers.len() as u64).to_be_bytes());
    for caller in &principal.callers {
        parts.push(caller.as_str().as_bytes());
    }
    for item in principal.scope.items() {
        parts.push(item.as_bytes());
    }
    parts.push(&[]);
    parts.push(&canonical(&mut principal.claims.clone()));
    parts.push(request_id.as_bytes());
    parts.finish()
}

/// SHA-256 over parts, each behind its length, so that no two lists of parts give the same bytes.
struct Parts(Sha256);

impl Parts {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn push(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use aegis_audit::hash::KeyedDigest;

    use super::*;

    fn call(params: Value) -> ToolCall {
        let Value::Object(params) = params else { panic!("an object") };
        ToolCall {
            request_id: None,
            tool: "stripe".parse().unwrap(),
            action: "pay".parse().unwrap(),
            params,
            context: JsonObject::new(),
            cost: None,
            override_token: None,
            dry_run: false,
            explain: false,
            wait_ms: 0,
            sign_receipt: false,
        }
    }

    #[test]
    fn hmac_gives_the_digests_of_rfc_4231() {
        // Test cases 1 and 2, their keys filled up with zeros to 32 bytes, as HMAC itself would.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        let hex = |digest| String::from(KeyedDigest(digest));
        assert_eq!(hex(DigestKey::new(&key).of(b"Hi There")), format!("hmac-sha256:{expected}"));
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let found = hex(DigestKey::new(&key).of(b"what do ya want for nothing?"));
        assert_eq!(found, format!("hmac-sha256:{expected}"));
    }

    #[test]
    fn content_follows_every_member_but_the_request_id() {
        let mut one = call(serde_json::json!({"a": 1, "b": 2}));
        let digest = content(&mut one);
        assert_eq!(one.params.len(), 2, "the call is as before");
        let mut same = call(serde_json::json!({"b": 2, "a": 1}));
        same.request_id = Some("r".parse().unwrap());
        assert_eq!(content(&mut same), digest);

        let mut variants: Vec<ToolCall> = (0..8).map(|_| one.clone()).collect();
        variants[0].tool = "stripf".parse().unwrap();
        variants[1].action = "payy".parse().unwrap();
        variants[2].params.insert("c".into(), Value::Null);
        variants[3].context.insert("c".into(), Value::Null);
        variants[4].cost = Some("0".parse().unwrap());
        variants[5].override_token = Some(aegis_model::secret::Secret::new(String::new()));
        variants[6].dry_run = true;
        variants[7].explain = true;
        let mut digests: Vec<_> = variants.iter_mut().map(content).collect();
        digests.push(digest);
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 9, "each member counts");
    }
}
