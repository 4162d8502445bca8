//! What a token rests on: the keys, issuers and tokens whose revocation ends it.

use aegis_model::caps;
use aegis_proto::control::TokenProof;

use super::super::refused::{Code, Refused};

/// Members of the claim `basis`, each once, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Basis(Vec<String>);

impl Basis {
    /// The key of an agent.
    pub(super) fn of_key(key_id: &str) -> Self {
        Self(vec![format!("key:{key_id}")])
    }

    /// An issuer outside.
    pub(super) fn of_issuer(name: &str) -> Self {
        Self(vec![format!("issuer:{name}")])
    }

    /// With a token that was handed on, and all that it rests on.
    pub(super) fn hand_on(&mut self, token: &TokenProof) {
        let own = format!("token:{}", token.token_id);
        for member in std::iter::once(&own).chain(&token.basis) {
            if !self.0.contains(member) {
                self.0.push(member.clone());
            }
        }
    }

    /// The members, if a token can name them all.
    pub(super) fn into_members(self) -> Result<Vec<String>, Refused> {
        if self.0.len() > caps::TOKEN_BASIS_MAX {
            return Err(Refused::new(Code::ChainTooDeep, "the token would rest on too many others"));
        }
        Ok(self.0)
    }
}
