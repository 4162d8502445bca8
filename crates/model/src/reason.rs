//! The stable reason codes, their meaning, and what to do about each.

use serde::{Deserialize, Serialize};

/// A stable reason code. The page `docs/errors/CODE.md` belongs to each, and `aegis explain CODE` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReasonCode {
    /// No rule allows this agent to use the tool.
    ToolNotAllowed,
    /// The tool is allowed, but not with this action.
    ActionNotAllowed,
    /// A rule denies this tool, action or combination of parameters.
    ToolDenied,
    /// A parameter that the policy reads is absent.
    ParameterMissing,
    /// A parameter has another type than the policy expects; nothing is coerced.
    ParameterType,
    /// A number, length or count lies outside its permitted range.
    ParameterOutOfRange,
    /// A parameter has a value that the policy does not permit.
    ParameterMismatch,
    /// The parameters do not satisfy the JSON Schema of the rule.
    SchemaViolation,
    /// The purpose, environment or another circumstance is not the one required.
    ContextMismatch,
    /// A member of the delegation chain may not cause this call.
    CallerNotAllowed,
    /// The delegation chain is longer than the rule permits.
    ChainTooDeep,
    /// The rule permits the call only at other times.
    OutsideTimeWindow,
    /// A custom rule refuses the call or could not be evaluated.
    CustomRule,
    /// The token's scope does not cover this tool and action.
    ScopeExceeded,
    /// A person has to agree before the call may go on.
    ApprovalRequired,
    /// The request for approval is still open.
    ApprovalPending,
    /// An approver said no.
    ApprovalRejected,
    /// Nobody decided on the request in time.
    ApprovalExpired,
    /// The override token does not belong to exactly this call.
    OverrideInvalid,
    /// The override token was used before.
    OverrideUsed,
    /// Too many calls in too short a time.
    RateLimitExceeded,
    /// The budget of this period is spent.
    BudgetExceeded,
    /// The destination is not on the list of permitted domains.
    EgressDenied,
    /// The call holds data that must not leave.
    SensitiveData,
    /// There is no valid token.
    Unauthenticated,
    /// The token's time is over.
    TokenExpired,
    /// The token was revoked.
    TokenRevoked,
    /// The token belongs to another tenant.
    WrongTenant,
    /// No policy names this agent.
    UnknownAgent,
    /// The node has no policy for this tenant yet.
    PolicyUnavailable,
    /// The node's policy is older than the tenant accepts.
    PolicyStale,
    /// The limits cannot be checked right now.
    LimitsUnavailable,
    /// The decision cannot be recorded, so it is not made.
    AuditUnavailable,
    /// The node has more calls than it can take.
    Overloaded,
    /// The request is malformed, ambiguous or too large.
    InvalidRequest,
}

impl ReasonCode {
    /// Every code, in the order of the reference.
    pub const ALL: &'static [ReasonCode] = &[
        Self::ToolNotAllowed,
        Self::ActionNotAllowed,
        Self::ToolDenied,
        Self::ParameterMissing,
        Self::ParameterType,
        Self::ParameterOutOfRange,
        Self::ParameterMismatch,
        Self::SchemaViolation,
        Self::ContextMismatch,
        Self::CallerNotAllowed,
        Self::ChainTooDeep,
        Self::OutsideTimeWindow,
        Self::CustomRule,
        Self::ScopeExceeded,
        Self::ApprovalRequired,
        Self::ApprovalPending,
        Self::ApprovalRejected,
        Self::ApprovalExpired,
        Self::OverrideInvalid,
        Self::OverrideUsed,
        Self::RateLimitExceeded,
        Self::BudgetExceeded,
        Self::EgressDenied,
        Self::SensitiveData,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::WrongTenant,
        Self::UnknownAgent,
        Self::PolicyUnavailable,
        Self::PolicyStale,
        Self::LimitsUnavailable,
        Self::AuditUnavailable,
        Self::Overloaded,
        Self::InvalidRequest,
    ];

    /// The code as it stands on every wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToolNotAllowed => "ToolNotAllowed",
            Self::ActionNotAllowed => "ActionNotAllowed",
            Self::ToolDenied => "ToolDenied",
            Self::ParameterMissing => "ParameterMissing",
            Self::ParameterType => "ParameterType",
            Self::ParameterOutOfRange => "ParameterOutOfRange",
            Self::ParameterMismatch => "ParameterMismatch",
            Self::SchemaViolation => "SchemaViolation",
            Self::ContextMismatch => "ContextMismatch",
            Self::CallerNotAllowed => "CallerNotAllowed",
            Self::ChainTooDeep => "ChainTooDeep",
            Self::OutsideTimeWindow => "OutsideTimeWindow",
            Self::CustomRule => "CustomRule",
            Self::ScopeExceeded => "ScopeExceeded",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::ApprovalPending => "ApprovalPending",
            Self::ApprovalRejected => "ApprovalRejected",
            Self::ApprovalExpired => "ApprovalExpired",
            Self::OverrideInvalid => "OverrideInvalid",
            Self::OverrideUsed => "OverrideUsed",
            Self::RateLimitExceeded => "RateLimitExceeded",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::EgressDenied => "EgressDenied",
            Self::SensitiveData => "SensitiveData",
            Self::Unauthenticated => "Unauthenticated",
            Self::TokenExpired => "TokenExpired",
            Self::TokenRevoked => "TokenRevoked",
            Self::WrongTenant => "WrongTenant",
            Self::UnknownAgent => "UnknownAgent",
            Self::PolicyUnavailable => "PolicyUnavailable",
            Self::PolicyStale => "PolicyStale",
            Self::LimitsUnavailable => "LimitsUnavailable",
            Self::AuditUnavailable => "AuditUnavailable",
            Self::Overloaded => "Overloaded",
            Self::InvalidRequest => "InvalidRequest",
        }
    }

    /// What the code means, as half a sentence in lower case.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ToolNotAllowed => "no rule allows this agent to use the tool",
            Self::ActionNotAllowed => "the tool is allowed, but not with this action",
            Self::ToolDenied => "a rule denies this tool, action or combination of parameters",
            Self::ParameterMissing => "a parameter that the policy reads is absent",
            Self::ParameterType => "a parameter has another type than the policy expects; nothing is coerced",
            Self::ParameterOutOfRange => "a number, length or count lies outside its permitted range",
            Self::ParameterMismatch => "a parameter has a value that the policy does not permit",
            Self::SchemaViolation => "the parameters do not satisfy the JSON Schema of the rule",
            Self::ContextMismatch => {
                "the purpose, environment or another circumstance is not the one required"
            }
            Self::CallerNotAllowed => "a member of the delegation chain may not cause this call",
            Self::ChainTooDeep => "the delegation chain is longer than the rule permits",
            Self::OutsideTimeWindow => "the rule permits the call only at other times",
            Self::CustomRule => "a custom rule refuses the call or could not be evaluated",
            Self::ScopeExceeded => "the token's scope does not cover this tool and action",
            Self::ApprovalRequired => "a person has to agree before the call may go on",
            Self::ApprovalPending => "the request for approval is still open",
            Self::ApprovalRejected => "an approver said no",
            Self::ApprovalExpired => "nobody decided on the request in time",
            Self::OverrideInvalid => "the override token does not belong to exactly this call",
            Self::OverrideUsed => "the override token was used before",
            Self::RateLimitExceeded => "too many calls in too short a time",
            Self::BudgetExceeded => "the budget of this period is spent",
            Self::EgressDenied => "the destination is not on the list of permitted domains",
            Self::SensitiveData => "the call holds data that must not leave",
            Self::Unauthenticated => "there is no valid token",
            Self::TokenExpired => "the token's time is over",
            Self::TokenRevoked => "the token was revoked",
            Self::WrongTenant => "the token belongs to another tenant",
            Self::UnknownAgent => "no policy names this agent",
            Self::PolicyUnavailable => "the node has no policy for this tenant yet",
            Self::PolicyStale => "the node's policy is older than the tenant accepts",
            Self::LimitsUnavailable => "the limits cannot be checked right now",
            Self::AuditUnavailable => "the decision cannot be recorded, so it is not made",
            Self::Overloaded => "the node has more calls than it can take",
            Self::InvalidRequest => "the request is malformed, ambiguous or too large",
        }
    }

    /// One sentence that says what to do next.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::ToolNotAllowed => "Use another tool, or ask for a rule that allows this one.",
            Self::ActionNotAllowed => "Use an action that the policy lists for this tool.",
            Self::ToolDenied => "Do not retry; a denial is not lifted by repeating the call.",
            Self::ParameterMissing => "Send the parameter named in `path`.",
            Self::ParameterType => "Send the parameter named in `path` with the right JSON type.",
            Self::ParameterOutOfRange => {
                "Stay within the range, or ask for approval where the rule offers it."
            }
            Self::ParameterMismatch => "Use a permitted value for the parameter named in `path`.",
            Self::SchemaViolation => "Correct the parameter named in `path` so that it satisfies the schema.",
            Self::ContextMismatch => {
                "Call from the required context, with a token minted for it where the rule wants proof."
            }
            Self::CallerNotAllowed => "Let a permitted agent make the call.",
            Self::ChainTooDeep => "Call with fewer agents between the origin and the tool.",
            Self::OutsideTimeWindow => "Try again within the time window of the rule.",
            Self::CustomRule => "Read the message of the rule; its author decides what helps.",
            Self::ScopeExceeded => "Use a token whose scope covers the call.",
            Self::ApprovalRequired => "Ask an approver, then retry with the override token.",
            Self::ApprovalPending => "Wait for the decision of an approver.",
            Self::ApprovalRejected => "Do not retry; ask the approver for the reason.",
            Self::ApprovalExpired => "Ask again if the call is still needed.",
            Self::OverrideInvalid => "Retry with exactly the parameters that were approved.",
            Self::OverrideUsed => "Ask for a new approval; each is good for one call.",
            Self::RateLimitExceeded => "Wait for `retry_after_ms`, then retry.",
            Self::BudgetExceeded => "Wait for the next period, or ask for a larger budget.",
            Self::EgressDenied => "Use a permitted destination.",
            Self::SensitiveData => "Remove the data named in `path`.",
            Self::Unauthenticated => "Present a valid agent token as `Authorization: Bearer`.",
            Self::TokenExpired => "Get a fresh token and retry.",
            Self::TokenRevoked => "Get a new token, if you still may.",
            Self::WrongTenant => "Use a token of the tenant that the call is for.",
            Self::UnknownAgent => "Ask for a policy for this agent, or check its name.",
            Self::PolicyUnavailable => "Retry shortly; tell the operator if it persists.",
            Self::PolicyStale => "Retry at another node; tell the operator if it persists.",
            Self::LimitsUnavailable => "Retry shortly.",
            Self::AuditUnavailable => "Retry at another node; tell the operator if it persists.",
            Self::Overloaded => "Retry after a short, random pause.",
            Self::InvalidRequest => "Correct the request as the message says; a retry as it is fails again.",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimitExceeded
                | Self::PolicyUnavailable
                | Self::PolicyStale
                | Self::LimitsUnavailable
                | Self::AuditUnavailable
                | Self::Overloaded
        )
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ReasonCode {
    type Err = UnknownCode;

    /// Reads a code; case is ignored, since people type it.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().find(|code| code.as_str().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// No reason code has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no reason code is named `{0}`")]
pub struct UnknownCode(String);
