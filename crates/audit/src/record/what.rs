//! What a record says. The fields of every struct stand in the order of their names, which is what makes their JSON
//! canonical; a property test compares it with the writer of RFC 8785.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aegis_model::clock::UnixNanos;
use aegis_model::completion::Status;
use aegis_model::decision::{Outcome, PolicyRef};
use aegis_model::ids::{ActionName, AgentId, OrgId, PersonId, RequestId, ToolName};
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use serde::{Deserialize, Serialize};

use super::{RecordId, Sealed, moment};
use crate::hash::{Hash, KeyedDigest};

/// The kinds of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A call was decided.
    Decision(Box<Decision>),
    /// A decided call came to its end.
    Completion(Completion),
    /// What a version that is not enforced would have decided.
    Shadow(Shadow),
    /// Calls that were refused without a decision.
    Refusals(Refusals),
    /// Records that were acknowledged may be missing after this point.
    Gap(Gap),
    /// The last record of a segment.
    SegmentEnd(SegmentEnd),
    /// Records of this chain were deleted by retention.
    Pruning(Pruning),
}

/// A call of a proven principal, and what became of it. No token and no parameter in the clear stands in it, but for
/// `params` where a tenant wants its cleaned parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What was to be done with the tool.
    pub action: ActionName,
    /// Who asked.
    pub agent: AgentId,
    /// The approval that the call redeemed or opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Who called the agent, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<AgentId>,
    /// What the call was charged, budget by budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charged: Vec<Charged>,
    /// The id in the answer.
    pub decision_id: String,
    /// Judged only: nothing was spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Sensitive data that was found: its type and place, never its value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Nanoseconds per stage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latency_ns: BTreeMap<Cow<'static, str>, u64>,
    /// How many items were left out of lists that were too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Limits that the call was counted against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitUse>,
    /// The agent's organization.
    pub org: OrgId,
    /// The answer.
    pub outcome: Outcome,
    /// The cleaned parameters as the text of their canonical JSON: as a text, so that a verifier needs no rule for
    /// writing decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<String>,
    /// The digest of the canonical parameters under a secret key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_digest: Option<KeyedDigest>,
    /// The version of the tenant's key that this key comes from; nothing if it is one that the node made at its start and
    /// forgets at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_key: Option<u64>,
    /// The policy that judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The client's own id of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The rules that fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Values of parameters that were replaced by tokens, for who may take them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The node's snapshot that judged.
    pub snapshot: u64,
    /// Where the call came in.
    pub surface: String,
    /// The id of the token that proved the agent.
    pub token_id: String,
    /// The tool.
    pub tool: ToolName,
    /// The trace of the caller, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<RecordId>,
    /// Circumstances that were judged on the caller's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<String>,
}

/// An approval, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<PersonId>,
    /// Which approval.
    pub id: String,
}

/// Sensitive data by type and place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How many at this place.
    pub count: u64,
    /// The type, such as `ssn`.
    pub kind: String,
    /// The place, as a JSON Pointer.
    pub path: String,
}

/// What a call was charged at one budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charged {
    /// How much.
    pub amount: Micros,
    /// The entry's name, as the policy writes it, where the budget is an entry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The number of the ledger that was charged, unique in the cluster: one of each budget and day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<u64>,
    /// Whose budget: `organization`, `tenant`, `agent` or `entry`.
    pub level: String,
    /// The budget's unit.
    pub unit: String,
}

/// What the end of a call settles at one budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// What was charged when the call was allowed.
    pub charged: Micros,
    /// What it is charged now.
    pub cost: Micros,
    /// As in [`Charged`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// As in [`Charged`]. Nothing where the call was free of charge: then it stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<u64>,
    /// As in [`Charged`].
    pub level: String,
    /// The budget's unit.
    pub unit: String,
}

/// One limit, before and after the call was counted, as its node knew it: what its leases and its share have, and what it last heard
/// to be free. Calls at the same time show in both. Equal where the call did not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitUse {
    /// What was left afterwards.
    pub after: Micros,
    /// What was left before.
    pub before: Micros,
    /// Which limit: `rate/LEVEL` in calls, or `budget/LEVEL/UNIT`; of an entry with `/ENTRY` behind it.
    pub name: String,
}

/// The policy that judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The activation under which it was in force.
    pub activation: u64,
    /// The digest of its bundle.
    pub digest: String,
    /// Its version.
    pub version: u64,
}

impl From<Status> for CallResult {
    fn from(status: Status) -> Self {
        match status {
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::NotRun => Self::NotRun,
        }
    }
}

impl From<&PolicyRef> for Policy {
    fn from(policy: &PolicyRef) -> Self {
        Self { activation: policy.activation, digest: policy.digest.to_string(), version: policy.version }
    }
}

/// One reason, as the answer gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Stable code.
    pub code: ReasonCode,
    /// One sentence.
    pub message: String,
    /// The member of the call it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where the rule stands in the policy's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The rule it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl From<&aegis_model::decision::Reason> for Reason {
    fn from(reason: &aegis_model::decision::Reason) -> Self {
        Self {
            code: reason.code,
            message: reason.message.clone(),
            path: reason.path.clone(),
            position: reason.position.clone(),
            rule: reason.rule.clone(),
        }
    }
}

/// Another record of the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The hash of that record.
    pub entry: Hash,
    /// Its id.
    pub id: RecordId,
}

/// A decided call came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// What was to be done with the tool.
    pub action: ActionName,
    /// Whose call it was.
    pub agent: AgentId,
    /// Who says how it ended.
    pub by: AgentId,
    /// What it really cost, as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
    /// The record of the decision that it completes.
    pub decision: Link,
    /// The id of that decision.
    pub decision_id: String,
    /// Sensitive data found in the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many findings are not among them, as there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// How it ended.
    pub result: CallResult,
    /// The digest of the canonical result under the tenant's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_digest: Option<KeyedDigest>,
    /// Values of the result that were replaced by tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// What that means, budget by budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settled>,
    /// The id of the token that proved who says so.
    pub token_id: String,
    /// The tool.
    pub tool: ToolName,
    /// Whether the result was kept back for what was found in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// The tool did what was asked.
    Succeeded,
    /// The tool failed.
    Failed,
    /// The tool was never asked.
    NotRun,
}

/// What a version that is not enforced would have decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// The decision that was enforced.
    pub decision: Link,
    /// What it would have been.
    pub outcome: Outcome,
    /// The version that was not enforced.
    pub policy: Policy,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The rules that would have fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// Calls that were refused without a decision: one record per source, code and second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusals {
    /// Why.
    pub code: ReasonCode,
    /// How many.
    pub count: u64,
    /// Where they came from.
    pub source: String,
}

/// Records that were acknowledged before they were synced may be missing: this chain's, after number `after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The number of the last record before the gap.
    pub after: u64,
    /// What happened.
    pub cause: GapCause,
}

/// What may have lost records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The machine stopped: what it had not yet put on disk is gone.
    PowerLoss,
    /// The disk failed or was full.
    DiskFailure,
}

/// The last record of a segment: it commits to the newest record of every chain, so that a chain which ends too early
/// shows. Commitments are hidden from those who do not know their key (`heads`), so that no tenant learns of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEnd {
    /// The index of this record.
    pub at: u64,
    /// How many chains there are, this one not counted.
    pub heads: u64,
    /// The root of the tree over their commitments.
    pub heads_root: Hash,
    /// Whether the log ends here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// The number of the segment, from 0.
    pub segment: u64,
}

/// The first segments of this record's chain were deleted from a log of this node, since retention did not ask for them any
/// longer. Written, and under a checkpoint, before they went (`pruned`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruning {
    /// The entry of the newest record that was deleted.
    pub entry: Hash,
    /// The log that held them.
    pub log: String,
    /// When, by the time of the control plane.
    #[serde(serialize_with = "moment::write", deserialize_with = "moment::read")]
    pub now: UnixNanos,
    /// The days after which the tenant's records are deleted.
    pub retention_days: u64,
    /// The newest segment that was deleted.
    pub segment: u64,
    /// The number of the newest record that was deleted.
    pub seq: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
