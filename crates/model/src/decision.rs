//! What is answered: outcome, reasons, and what comes with them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::json::JsonObject;
use crate::money::Micros;
use crate::reason::ReasonCode;

/// The four answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The call may go on as it is.
    Allow,
    /// The call must not go on.
    Deny,
    /// The call may go on with the cleaned parameters of the answer.
    Sanitize,
    /// The call is held until a person agrees.
    ApprovalRequired,
}

impl Outcome {
    /// The name used on every wire: `allow`, `deny`, `sanitize`, `approval_required`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Sanitize => "sanitize",
            Self::ApprovalRequired => "approval_required",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One reason of a decision. Holds no value of the call: reasons are recorded and shown to models.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Stable code.
    pub code: ReasonCode,
    /// One sentence for people and models.
    pub message: String,
    /// JSON Pointer to the member of the call it speaks of, e.g. `/params/amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The rule it comes from, e.g. `finance-agent/allowed_tools[0]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where that rule stands in the policy's source, as `file:line:column`, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

impl Reason {
    /// A reason that is not a policy rule's: no path, rule or position.
    pub fn plain(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: None, rule: None, position: None }
    }
}

/// What was cleaned, without the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    /// JSON Pointer into the parameters or the result, e.g. `/patient/ssn`.
    pub path: String,
    /// What was found, e.g. `us_ssn`; `field` where a rule names the place.
    pub kind: String,
    /// What stands in its place: `mask`, `remove`, `hash` or `token`.
    pub with: String,
}

/// Which policy a call was judged under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    /// The version within its tenant, counted from 1.
    pub version: u64,
    /// `sha256:` and the hexadecimal digest of the bundle. Shared: every decision carries it.
    pub digest: Arc<str>,
    /// The activation under which the node enforces it.
    pub activation: u64,
}

/// What is left of the tightest limits that apply to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The rest of the budget, in its unit, as far as the node knows: what it may spend and what it last heard to be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_remaining: Option<Micros>,
    /// How long to wait before a retry, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A request for approval that is open for a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// The page on which an approver decides. Gives no right.
    pub url: String,
    /// When it ends by itself: RFC 3339 in UTC.
    pub expires_at: String,
}

/// Where the record of a decision stands in the audit log of the node that decided. Whoever has it can ask for the proof that the
/// record is there, now and later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The log, as `CLUSTER/NODE/INCARNATION`.
    pub log: Arc<str>,
    /// The record's place in it, counted from 0.
    pub index: u64,
    /// The hash of its leaf, in hexadecimal.
    pub leaf: String,
    /// When it was signed: RFC 3339 in UTC with nine decimals. Present with the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The signature of the log's key over log, index, leaf and time, in base64; where tenant or call asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// The answer to one call. Shape of the wire form: the 200 body of `POST /v1/decide`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Unique; names the node and its incarnation.
    pub decision_id: String,
    /// The answer.
    pub outcome: Outcome,
    /// Why; empty only for an unremarkable `allow`.
    pub reasons: Vec<Reason>,
    /// The parameters to use; present when the call may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<JsonObject>,
    /// The request for approval, where one is open or was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What was cleaned, in the order of the parameters: each kind once per place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<Redaction>,
    /// The policy it was judged under; absent when no policy was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// What is left after this call; absent when no limit has anything to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Where its record stands in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Whether this is an earlier answer, given again for the same `request_id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Where the data node is reached that owns the agent's slot, when another one does: it needs fewer leases to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// The steps of the judgement, when `explain` was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<serde_json::Value>,
}

/// Without parameters and explanation: they may hold what no log may show (AUD-2).
impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decision")
            .field("decision_id", &self.decision_id)
            .field("outcome", &self.outcome)
            .field("reasons", &self.reasons)
            .field("approval", &self.approval)
            .field("policy", &self.policy)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}
