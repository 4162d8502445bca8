//! Why a token does not count. No message holds any part of the token.

use std::fmt;

use aegis_model::caps;
use aegis_model::reason::ReasonCode;

use crate::token::TokenKind;

/// Why a token is refused. Every text in it is a constant of ours, so it may be shown to anybody and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenRefusal {
    /// Longer than [`caps::TOKEN_BYTES_MAX`]; nothing of it was decoded.
    #[error("the token is longer than {} bytes", caps::TOKEN_BYTES_MAX)]
    TooLong,
    /// Not `header.payload.signature`.
    #[error("the token is not three parts separated by dots")]
    NotCompact,
    /// Padding, white space, other alphabet, or trailing bits that are not zero.
    #[error("the token's {0} is not canonical base64url without padding")]
    Encoding(TokenPart),
    /// Not JSON, not an object, duplicate members, or anything else the strict reader refuses.
    #[error("the token's {0} is not a strict JSON object")]
    Json(TokenPart),
    /// A header member besides the three: `crit`, `jwk`, `jku`, `x5u`, …
    #[error("the token's header has a member besides `alg`, `kid` and `typ`")]
    HeaderMember,
    /// `alg` is absent or another: `none`, `HS256`, …
    #[error("the token's `alg` is not `EdDSA`")]
    Algorithm,
    /// `typ` is absent, unknown, or that of a token for another door.
    #[error("the token's `typ` is not the one that is accepted here")]
    Kind,
    /// `kid` is absent or has not the form of a key id.
    #[error("the token's `kid` is not a key id")]
    KeyId,
    /// Nobody who is trusted has the key named.
    #[error("the token's key is not trusted")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is not the issuer to whom the key is bound.
    #[error("the token's issuer is not the owner of its key")]
    Issuer,
    /// `aud` is not the one string of the token's kind.
    #[error("the token's `aud` is not the string `{}`", .0.audience())]
    Audience(TokenKind),
    /// `aud` of an assertion is not the cluster that it was shown to.
    #[error("the assertion's `aud` is not this cluster's id")]
    AssertionAudience,
    /// `exp` of an assertion is not after `iat`, or more than [`caps::ASSERTION_LIFE_SECONDS_MAX`] after it.
    #[error("the assertion's life is not between 1 and {} seconds", caps::ASSERTION_LIFE_SECONDS_MAX)]
    AssertionLife,
    /// `alg` of a token of an issuer outside is not the one that is pinned for it.
    #[error("the token's `alg` is not the one that is pinned for its issuer")]
    ForeignAlgorithm,
    /// `aud` of a token of an issuer outside is not, alone, the one that is pinned for it.
    #[error("the token's `aud` is not, alone, the one that is pinned for its issuer")]
    ForeignAudience,
    /// `exp` of a token of an issuer outside is more than [`caps::FOREIGN_TOKEN_SECONDS_MAX`] after its `iat`.
    #[error("the token's life is longer than {} seconds", caps::FOREIGN_TOKEN_SECONDS_MAX)]
    ForeignLife,
    /// A token of an issuer outside does not say, in the claim that is pinned, who it is about.
    #[error("the token does not say who it is about")]
    ForeignSubject,
    /// A claim is absent or cannot be used.
    #[error("the token's `{claim}` {problem}")]
    Claim {
        /// Which claim.
        claim: &'static str,
        /// What is wrong with it.
        problem: ClaimProblem,
    },
    /// A confirmation claim (`cnf`): the token is bound to a key whose possession is not checked here.
    #[error("the token is bound to a key of its bearer, which is not checked here")]
    Bound,
    /// More or larger further claims than are kept.
    #[error(
        "the token has more than {} further claims or {} values in them",
        caps::TOKEN_CLAIMS_MAX,
        caps::TOKEN_CLAIM_VALUES_MAX
    )]
    TooManyClaims,
    /// More callers than [`caps::CHAIN_MEMBERS_MAX`].
    #[error("the token's delegation chain is longer than {}", caps::CHAIN_MEMBERS_MAX)]
    ChainTooLong,
    /// A claim that tokens of this kind never have.
    #[error("the token has a claim that tokens of its kind do not have")]
    UnknownClaim,
    /// `exp` is not after `iat`, or more than [`TokenKind::life_seconds_max`] after it.
    #[error("the token's life is not between 1 and {} seconds", .0.life_seconds_max())]
    Life(TokenKind),
    /// `iat` or `nbf` lies ahead by more than [`caps::CLOCK_SKEW_SECONDS_MAX`].
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `exp` has passed by [`caps::CLOCK_SKEW_SECONDS_MAX`].
    #[error("the token has expired")]
    Expired,
}

impl TokenRefusal {
    /// The stable code for clients.
    pub fn code(self) -> ReasonCode {
        match self {
            Self::Expired => ReasonCode::TokenExpired,
            Self::TooLong
            | Self::NotCompact
            | Self::Encoding(_)
            | Self::Json(_)
            | Self::HeaderMember
            | Self::Algorithm
            | Self::Kind
            | Self::KeyId
            | Self::UnknownKey
            | Self::Signature
            | Self::Issuer
            | Self::Audience(_)
            | Self::AssertionAudience
            | Self::AssertionLife
            | Self::ForeignAlgorithm
            | Self::ForeignAudience
            | Self::ForeignLife
            | Self::ForeignSubject
            | Self::Claim { .. }
            | Self::Bound
            | Self::TooManyClaims
            | Self::ChainTooLong
            | Self::UnknownClaim
            | Self::Life(_)
            | Self::NotYetValid => ReasonCode::Unauthenticated,
        }
    }

    /// Whether the same token may be accepted later without anybody changing anything.
    pub fn retryable(self) -> bool {
        self.code().retryable()
    }
}

/// One of the parts of a token that hold JSON, or the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenPart {
    /// Before the first dot.
    Header,
    /// Between the dots.
    Payload,
    /// After the second dot.
    Signature,
}

impl fmt::Display for TokenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// What is wrong with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimProblem {
    /// It is not there.
    Missing,
    /// It has another JSON type.
    Type,
    /// It is empty, too long, or holds characters that it may not.
    Value,
}

impl fmt::Display for ClaimProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Type => "has the wrong JSON type",
            Self::Value => "is empty, too long or has forbidden characters",
        })
    }
}
