//! Why a command was refused: a stable code, a sentence, and the facts that a program needs to go on.

use std::fmt;

use aegis_model::caps;
use aegis_proto::control as proto;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $retryable:literal;)*) => {
        /// Why a command was refused. The texts are stable: programs may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it means, in words.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)*
                }
            }

            /// Whether the same command may succeed later, without anybody correcting it.
            pub const fn retryable(self) -> bool {
                match self {
                    $(Self::$name => $retryable,)*
                }
            }
        }
    };
}

codes! {
    /// The cluster was not made yet: the first command is `InitCluster`.
    NotInitialized = "not_initialized", true;
    /// The cluster was made before.
    AlreadyInitialized = "already_initialized", false;
    /// The command is not known at the cluster's level: it needs newer software on every member, and `RaiseLevel`.
    UnknownCommand = "unknown_command", false;
    /// The person does not exist or is disabled, or the token ended, was revoked, or was given out in an older history.
    Unauthenticated = "unauthenticated", false;
    /// Whoever wants the command lacks every role that permits it. Says nothing about whether its object exists.
    Forbidden = "forbidden", false;
    /// The author of a version may not put it into force, because the tenant has chosen `four_eyes`.
    FourEyes = "four_eyes", false;
    /// A field does not have the form that it must have; `field` names it.
    Invalid = "invalid", false;
    /// No tenant has this name.
    UnknownTenant = "unknown_tenant", false;
    /// The tenant was retired.
    TenantRetired = "tenant_retired", false;
    /// The tenant has no agent of this name.
    UnknownAgent = "unknown_agent", false;
    /// The agent is disabled, and gets no tokens.
    AgentDisabled = "agent_disabled", false;
    /// What an agent shows does not prove it, or counts no more: a key that is not registered, an assertion that was used, a token
    /// that ended or was revoked.
    ProofRefused = "proof_refused", false;
    /// The scope is wider than what the agent is registered for, or than that of the caller's token.
    ScopeExceeded = "scope_exceeded", false;
    /// The chain of callers would be longer than a token may name.
    ChainTooDeep = "chain_too_deep", false;
    /// The agent asks for tokens too often; `retry_after_ms` says when there is room again.
    TooFast = "too_fast", true;
    /// The tenant has no issuer of this name.
    UnknownIssuer = "unknown_issuer", false;
    /// The tenant has no version of this number; `newest` is its newest.
    UnknownVersion = "unknown_version", false;
    /// The version's bundle was given up.
    VersionRetired = "version_retired", false;
    /// The version is in force, as enforced, canary or shadow.
    VersionInForce = "version_in_force", false;
    /// The tenant has no label of this name.
    UnknownLabel = "unknown_label", false;
    /// The tenant has no channel of this name.
    UnknownChannel = "unknown_channel", false;
    /// No legal hold of this name stands on the tenant.
    UnknownHold = "unknown_hold", false;
    /// A policy that is in force tells this channel of requests for approval; `version` is its number.
    ChannelInUse = "channel_in_use", false;
    /// No person has this name.
    UnknownPerson = "unknown_person", false;
    /// The person does not have the role in exactly this scope.
    UnknownRole = "unknown_role", false;
    /// The person has no token of this id.
    UnknownToken = "unknown_token", false;
    /// The cluster has no key of this id.
    UnknownKey = "unknown_key", false;
    /// No data node has this id.
    UnknownDataNode = "unknown_data_node", false;
    /// Nothing of this budget was asked for in an epoch that is still running.
    UnknownBudget = "unknown_budget", false;
    /// The tenant has no request for approval of this id.
    UnknownApproval = "unknown_approval", false;
    /// The request for approval is not open any more; `state` is how it stands.
    ApprovalClosed = "approval_closed", false;
    /// Whoever stands in the chain of a call cannot decide on it.
    SelfApproval = "self_approval", false;
    /// No control node has this id.
    UnknownMember = "unknown_member", false;
    /// There is one of this name already. Names of tenants and ids of nodes are never used twice.
    AlreadyExists = "already_exists", false;
    /// The node was retired for good: it comes back under a new id only.
    NodeRetired = "node_retired", false;
    /// The node's id belongs to a node of another name; `name` is it.
    NameDiffers = "name_differs", false;
    /// What the command relies on is no longer so; `current` is what is.
    PreconditionFailed = "precondition_failed", false;
    /// Pieces of the bundle are not there: put them, and try again; `missing` lists their digests.
    MissingChunks = "missing_chunks", true;
    /// A bound was reached; `bound` names it and `max` is it.
    TooMany = "too_many", true;
    /// No other version was enforced before.
    NothingToRollBack = "nothing_to_roll_back", false;
    /// Nobody would be left who may give roles for the whole cluster.
    LastAdmin = "last_admin", false;
    /// No key of this kind would be left that may sign.
    LastKey = "last_key", false;
    /// The key signs nothing more.
    KeyRetired = "key_retired", false;
    /// A member does not understand the level; `members` lists them.
    MembersBehind = "members_behind", true;
    /// The idempotency key was used for another request.
    IdempotencyConflict = "idempotency_conflict", false;
    /// A code of newer software than this.
    Unrecognized = "unrecognized", false;
}

impl Code {
    /// The code with this text; [`Code::Unrecognized`] for one of newer software.
    pub fn from_text(text: &str) -> Self {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(Self::Unrecognized)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A command was refused, and nothing was changed. Holds neither secrets nor policy text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub code: Code,
    /// One sentence for people.
    pub message: String,
    /// The facts, by name.
    pub details: Vec<(String, String)>,
}

impl Refused {
    /// The fact of this name.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.details.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn unknown_command() -> Self {
        Self::new(Code::UnknownCommand, "the cluster does not know this command at its level")
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "the person or the token no longer counts")
    }

    /// `form` says what the field must be.
    pub(crate) fn invalid(field: &'static str, form: impl fmt::Display) -> Self {
        Self::new(Code::Invalid, format!("`{field}` must be: {form}")).with("field", field)
    }

    /// Something of this name, number or id is not there.
    pub(crate) fn unknown(code: Code, what: &str, name: impl fmt::Display) -> Self {
        Self::new(code, format!("there is no {what} `{}`", short(&name.to_string())))
            .with("name", short(&name.to_string()))
    }

    pub(crate) fn exists(what: &str, name: impl fmt::Display) -> Self {
        Self::new(Code::AlreadyExists, format!("there is a {what} `{name}` already")).with("name", name)
    }

    /// `what` is at `current`, and the command expected something else.
    pub(crate) fn stale(what: &str, current: impl fmt::Display) -> Self {
        let message = format!("the {what} is `{current}` by now, which is not what was expected");
        Self::new(Code::PreconditionFailed, message).with("of", what).with("current", current)
    }

    pub(crate) fn too_many(bound: &'static str, max: impl fmt::Display) -> Self {
        Self::new(Code::TooMany, format!("there are {max} {bound}, and no more can be"))
            .with("bound", bound)
            .with("max", max)
    }
}

/// A client's own text as far as a message may repeat it.
fn short(text: &str) -> String {
    let end = text.floor_char_boundary(caps::NAME_BYTES_MAX);
    text.get(..end)
        .unwrap_or_default()
        .chars()
        .map(|it| if it.is_control() { '\u{fffd}' } else { it })
        .collect()
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refused {}

impl From<&Refused> for proto::Refusal {
    fn from(refused: &Refused) -> Self {
        let detail = |(name, value): &(String, String)| proto::RefusalDetail {
            name: name.clone(),
            value: value.clone(),
        };
        Self {
            code: refused.code.as_str().to_owned(),
            message: refused.message.clone(),
            details: refused.details.iter().map(detail).collect(),
        }
    }
}

impl From<proto::Refusal> for Refused {
    fn from(refusal: proto::Refusal) -> Self {
        Self {
            code: Code::from_text(&refusal.code),
            message: refusal.message,
            details: refusal.details.into_iter().map(|detail| (detail.name, detail.value)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own_and_comes_back() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            let refused = Refused::new(*code, "why").with("current", 7);
            assert_eq!(Refused::from(proto::Refusal::from(&refused)), refused);
            assert!(!code.meaning().trim().is_empty());
        }
        assert_eq!(Code::from_text("of_the_future"), Code::Unrecognized);
    }

    #[test]
    fn a_message_repeats_no_more_than_a_name() {
        let refused = Refused::unknown(Code::UnknownTenant, "tenant", "x\n".repeat(100_000));
        assert!(refused.message.len() < 600 && !refused.message.contains('\n'), "{}", refused.message.len());
    }
}
