//! What a line of the log holds. No token, no parameter and no other value of a call stands in it.

use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::completion::Status;
use aegis_model::decision::{Outcome, PolicyRef, Reason};
use aegis_model::ids::{ActionName, AgentId, OrgId, RequestId, TenantId, ToolName};
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use serde::{Serialize, Serializer};

use crate::laps::{Laps, Stage};
use aegis_model::utc::Utc;

/// One line of the log; `kind` tells which.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    /// A call of a proven principal, and what became of it.
    Decision(Box<DecisionLine<'a>>),
    /// What became of a call that was allowed.
    Completion(Box<CompletionLine<'a>>),
    /// Calls that were refused without a decision, counted per source.
    Refusals(RefusalsLine<'a>),
}

/// One call of a proven principal.
#[derive(Serialize)]
pub(crate) struct DecisionLine<'a> {
    pub(crate) decision_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<&'a RequestId>,
    #[serde(serialize_with = "moment")]
    pub(crate) at: UnixNanos,
    pub(crate) surface: &'static str,
    pub(crate) tenant: &'a TenantId,
    pub(crate) org: &'a OrgId,
    pub(crate) agent: &'a AgentId,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) callers: &'a [AgentId],
    pub(crate) token_id: &'a str,
    pub(crate) tool: &'a ToolName,
    pub(crate) action: &'a ActionName,
    /// `hmac-sha256:` and 64 hexadecimal digits, over the canonical parameters.
    pub(crate) params_digest: String,
    pub(crate) outcome: Outcome,
    pub(crate) reasons: &'a [Reason],
    pub(crate) rules: &'a [String],
    /// How many reasons and rules are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) left_out: usize,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) unverified: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<&'a PolicyRef>,
    pub(crate) snapshot: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
    /// What the call was charged, budget by budget.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) charged: Vec<ChargedPart<'a>>,
    /// The approval that was redeemed for it, or the request that is open for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<ApprovalPart<'a>>,
    pub(crate) latency_ns: Latency,
}

/// An approval, and who gave it.
#[derive(Debug, Serialize)]
pub(crate) struct ApprovalPart<'a> {
    pub(crate) id: &'a str,
    /// Who agreed; nobody while it is only asked for.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) approvers: &'a [String],
}

/// What a call was charged at one budget: that of its organization, tenant or agent, or of an entry.
#[derive(Debug, Serialize)]
pub(crate) struct ChargedPart<'a> {
    pub(crate) level: &'static str,
    /// The entry's name, as the policy writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<&'a str>,
    pub(crate) unit: &'a str,
    pub(crate) amount: Micros,
}

/// What became of a call: it belongs to the decision of that id.
#[derive(Serialize)]
pub(crate) struct CompletionLine<'a> {
    pub(crate) decision_id: &'a str,
    #[serde(serialize_with = "moment")]
    pub(crate) at: UnixNanos,
    pub(crate) tenant: &'a TenantId,
    /// Whose call it was.
    pub(crate) agent: &'a AgentId,
    /// Who says so.
    pub(crate) by: &'a AgentId,
    pub(crate) token_id: &'a str,
    pub(crate) tool: &'a ToolName,
    pub(crate) action: &'a ActionName,
    pub(crate) status: Status,
    /// What it cost, as it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Micros>,
    /// What that means, budget by budget.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) settled: Vec<SettledPart<'a>>,
}

/// What a completion settles at one budget.
#[derive(Debug, Serialize)]
pub(crate) struct SettledPart<'a> {
    pub(crate) level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<&'a str>,
    pub(crate) unit: &'a str,
    /// What was charged when the call was allowed.
    pub(crate) charged: Micros,
    /// What it is charged now.
    pub(crate) cost: Micros,
}

/// Calls that were refused without a decision: at most one line per source, code and second.
#[derive(Serialize)]
pub(crate) struct RefusalsLine<'a> {
    #[serde(serialize_with = "moment")]
    pub(crate) at: UnixNanos,
    /// `address:…` (of IPv6 the first 64 bits), `tenant:…`, or `others`.
    pub(crate) source: &'a str,
    pub(crate) code: ReasonCode,
    /// How many since the source's last line.
    pub(crate) count: u64,
}

impl DecisionLine<'_> {
    /// Shortens reasons and rules to [`caps::RECORD_REASONS_MAX`] each, and says by how much.
    pub(crate) fn bounded(mut self) -> Self {
        let reasons = self.reasons.len().min(caps::RECORD_REASONS_MAX);
        let rules = self.rules.len().min(caps::RECORD_REASONS_MAX);
        self.left_out = self.reasons.len() - reasons + self.rules.len() - rules;
        self.reasons = &self.reasons[..reasons];
        self.rules = &self.rules[..rules];
        self
    }
}

/// Time per stage, as known when the line is made: the stage `record` ends later.
pub(crate) struct Latency(pub(crate) Laps);

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let taken = Stage::ALL.iter().filter(|&&stage| stage != Stage::Record);
        serializer.collect_map(taken.map(|&stage| (stage.as_str(), self.0.nanos(stage))))
    }
}

impl Line<'_> {
    /// The line as JSON with its line feed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1_024);
        serde_json::to_writer(&mut bytes, self)
            .expect("a line has text keys only, and a vector takes any write");
        bytes.push(b'\n');
        bytes
    }
}

fn moment<S: Serializer>(at: &UnixNanos, serializer: S) -> Result<S::Ok, S::Error> {
    Utc(*at).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
