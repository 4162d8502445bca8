//! The stable codes: those of refused commands, and those of the API itself.

use crate::command::Code;

/// Why there is no answer but a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemCode {
    /// The state machine refused the command, or would have.
    Refused(Code),
    /// The API did not get as far as a command, or does not know what became of it.
    Api(ApiCode),
}

macro_rules! api_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $retryable:literal;)*) => {
        /// A code of the API itself. The texts are stable: programs may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ApiCode {
            $($(#[doc = $doc])+ $name,)*
        }

        impl ApiCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Whether the same call may succeed later, without anybody correcting it.
            pub const fn retryable(self) -> bool {
                match self {
                    $(Self::$name => $retryable,)*
                }
            }
        }
    };
}

api_codes! {
    /// The request cannot be read: its head, its query, or a body that is not strict JSON.
    Malformed = "malformed", false;
    /// Nothing is served at this path.
    NotFound = "not_found", false;
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", false;
    /// The body is of another type than the operation reads.
    UnsupportedMediaType = "unsupported_media_type", false;
    /// The body is larger than the operation reads.
    TooLarge = "too_large", false;
    /// The body did not arrive in time.
    TooSlow = "too_slow", true;
    /// The policy is wrong; `findings` says where.
    PolicyRejected = "policy_rejected", false;
    /// The bundle is not what its sources give, or cannot be read.
    BundleRejected = "bundle_rejected", false;
    /// Raft does not permit this change of the membership; `reason` says why.
    MembershipRefused = "membership_refused", false;
    /// The node has as much to do as it can.
    Overloaded = "overloaded", true;
    /// No leader can be reached, so nothing can be changed or read as of now.
    Unavailable = "unavailable", true;
    /// It is unknown whether the command was applied.
    OutcomeUnknown = "outcome_unknown", true;
    /// The call took longer than a call may.
    TimedOut = "timed_out", true;
    /// The node is at fault.
    Internal = "internal", true;
}

impl ProblemCode {
    /// Every code.
    pub fn all() -> impl Iterator<Item = Self> {
        let refused = Code::ALL.iter().copied().map(Self::Refused);
        refused.chain(ApiCode::ALL.iter().copied().map(Self::Api))
    }

    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused(code) => code.as_str(),
            Self::Api(code) => code.as_str(),
        }
    }

    /// Whether the same call may succeed later, without anybody correcting it.
    pub const fn retryable(self) -> bool {
        match self {
            Self::Refused(code) => code.retryable(),
            Self::Api(code) => code.retryable(),
        }
    }
}

impl From<Code> for ProblemCode {
    fn from(code: Code) -> Self {
        Self::Refused(code)
    }
}

impl From<ApiCode> for ProblemCode {
    fn from(code: ApiCode) -> Self {
        Self::Api(code)
    }
}
