//! What a surface answers: a decision, or why there is none.

use aegis_model::caps;
use aegis_model::decision::Decision;
use aegis_model::reason::ReasonCode;
use aegis_proto::bad_request::BadRequest;

/// The end of a walk. Each surface writes it in its own form.
#[derive(Debug)]
pub enum Answer {
    /// The call was judged and the judgement recorded.
    Decided(Box<Decision>),
    /// The call was not judged; it must not go on.
    Refused(Refused),
}

/// Why a call was not judged. Holds no value of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Stable code.
    pub code: ReasonCode,
    /// What is wrong, as half a sentence in lower case.
    pub detail: String,
    /// JSON Pointer into the request; empty for the request as a whole.
    pub path: String,
}

impl Refused {
    /// A refusal of the request as a whole.
    pub fn new(code: ReasonCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), path: String::new() }
    }

    /// A refusal that says what the code means.
    pub fn plain(code: ReasonCode) -> Self {
        Self::new(code, code.meaning())
    }

    /// What kind of answer it is.
    pub fn standing(&self) -> Standing {
        Standing::of(self.code)
    }

    /// The pause before a retry, in milliseconds, when a retry may help.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code.retryable().then_some(caps::RETRY_AFTER_MS)
    }

    /// The refusal for people and models: code, cause, and what to do next.
    pub fn sentence(&self) -> String {
        format!("PolicyViolation: {}: {}. {}", self.code, self.detail, self.code.next_step())
    }
}

impl From<BadRequest> for Refused {
    fn from(bad: BadRequest) -> Self {
        Self { code: bad.code(), detail: format!("{bad}; {}", bad.help()), path: bad.path().to_owned() }
    }
}

/// How a reason travels: as part of a decision, or instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Part of a decision.
    Decision,
    /// Nobody is proven to have asked: HTTP 401.
    Unproven,
    /// The one who asked belongs elsewhere: HTTP 403.
    Foreign,
    /// The question cannot be understood: HTTP 400.
    Malformed,
    /// The node cannot answer now: HTTP 503.
    Unavailable,
}

impl Standing {
    /// How a reason with `code` travels.
    pub fn of(code: ReasonCode) -> Self {
        match code {
            ReasonCode::Unauthenticated | ReasonCode::TokenExpired | ReasonCode::TokenRevoked => {
                Self::Unproven
            }
            ReasonCode::WrongTenant => Self::Foreign,
            ReasonCode::InvalidRequest => Self::Malformed,
            ReasonCode::PolicyUnavailable
            | ReasonCode::PolicyStale
            | ReasonCode::LimitsUnavailable
            | ReasonCode::AuditUnavailable
            | ReasonCode::Overloaded => Self::Unavailable,
            ReasonCode::ToolNotAllowed
            | ReasonCode::ActionNotAllowed
            | ReasonCode::ToolDenied
            | ReasonCode::ParameterMissing
            | ReasonCode::ParameterType
            | ReasonCode::ParameterOutOfRange
            | ReasonCode::ParameterMismatch
            | ReasonCode::SchemaViolation
            | ReasonCode::ContextMismatch
            | ReasonCode::CallerNotAllowed
            | ReasonCode::ChainTooDeep
            | ReasonCode::OutsideTimeWindow
            | ReasonCode::CustomRule
            | ReasonCode::ScopeExceeded
            | ReasonCode::ApprovalRequired
            | ReasonCode::ApprovalPending
            | ReasonCode::ApprovalRejected
            | ReasonCode::ApprovalExpired
            | ReasonCode::OverrideInvalid
            | ReasonCode::OverrideUsed
            | ReasonCode::RateLimitExceeded
            | ReasonCode::BudgetExceeded
            | ReasonCode::EgressDenied
            | ReasonCode::SensitiveData
            | ReasonCode::UnknownAgent => Self::Decision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_in_trouble_invites_a_retry() {
        for &code in ReasonCode::ALL {
            let refused = Refused::plain(code);
            if refused.standing() == Standing::Unavailable {
                assert_eq!(refused.retry_after_ms(), Some(caps::RETRY_AFTER_MS), "{code}");
            } else if refused.standing() != Standing::Decision {
                assert_eq!(refused.retry_after_ms(), None, "{code}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_to_do_next() {
        let sentence = Refused::plain(ReasonCode::TokenExpired).sentence();
        assert_eq!(
            sentence,
            "PolicyViolation: TokenExpired: the token's time is over. Get a fresh token and retry."
        );
    }
}
