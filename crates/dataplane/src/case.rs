//! What is known of one call, growing from stage to stage, and the values that stages hand on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::record::{LimitUse, Sealed};
use aegis_model::call::ToolCall;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::{Approval, Limits, Outcome, Reason, Redaction};
use aegis_model::ids::AgentId;
use aegis_model::json::JsonObject;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::trace::TraceContext;
use aegis_policy::judge::Verdict;
use serde_json::Value;

use crate::admission::Admission;
use crate::approvals::Redemption;
use crate::laps::Laps;
use crate::sensitive::{Cleaner, Findings, ResultRules};
use crate::snapshot::{Snapshot, Tenant, Version};
use crate::spans::CallTrace;

/// By which way a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `POST /v1/decide`.
    Http,
    /// AuthZEN over HTTP.
    Authzen,
    /// gRPC `Decide`.
    Grpc,
    /// gRPC `DecideStream`.
    GrpcStream,
}

impl Surface {
    /// Its name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Authzen => "authzen",
            Self::Grpc => "grpc",
            Self::GrpcStream => "grpc_stream",
        }
    }
}

/// Everything that is known of a call. Each stage adds to it; whatever the end, the record is made from it.
pub(crate) struct Case {
    /// What it is judged under, from first to last (WALK-1).
    pub(crate) snapshot: Arc<Snapshot>,
    /// The one moment that the whole judgement sees.
    pub(crate) now: UnixNanos,
    /// How old the news were at that moment.
    pub(crate) news_age: Duration,
    pub(crate) surface: Surface,
    pub(crate) source: IpAddr,
    pub(crate) call: ToolCall,
    pub(crate) laps: Laps,
    /// Where it stands in a trace, if anybody wants to know.
    pub(crate) trace: Option<Box<CallTrace>>,
    /// Who asks, once proven.
    pub(crate) principal: Option<Arc<Principal>>,
    /// The tenant whose policy judges, once known.
    pub(crate) tenant: Option<Arc<Tenant>>,
    /// The version of its policy that judges this agent.
    pub(crate) version: Option<Arc<Version>>,
    /// Rules that decided.
    pub(crate) rules: Vec<String>,
    /// Circumstances that rest on the caller's word.
    pub(crate) unverified: Vec<String>,
    /// What was cleaned in the parameters.
    pub(crate) redactions: Vec<Redaction>,
    /// What cleaned them, if anything was.
    pub(crate) cleaned_by: Option<Cleaner>,
    /// The parameters as they may be kept or shown, where that is not as they are passed on.
    pub(crate) stored_params: Option<JsonObject>,
    /// The circumstances as they may be shown to who is asked to agree, where a rule speaks of sensitive data.
    pub(crate) stored_context: Option<JsonObject>,
    /// The values that tokens stand for in them, sealed, where a rule says so.
    pub(crate) sealed: Option<Sealed>,
    /// What was found in them.
    pub(crate) findings: Findings,
    /// What becomes of the result.
    pub(crate) result_rules: Option<Box<ResultRules>>,
    /// What its limits have to say.
    pub(crate) limits: Option<Limits>,
    /// What they had before and after it.
    pub(crate) limits_seen: Vec<LimitUse>,
    /// The steps of the judgement, if they were asked for.
    pub(crate) explanation: Option<Value>,
    /// The request for approval that is open for it, or was decided.
    pub(crate) approval: Option<Approval>,
    /// The approval that was redeemed for it.
    pub(crate) approved: Option<Approved>,
    /// What became of the request that its client waited for.
    pub(crate) resumed: Option<Resumed>,
}

/// An approval that was redeemed for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Approved {
    pub(crate) id: String,
    /// Who agreed.
    pub(crate) approvers: Vec<String>,
}

/// What became of a request for approval whose client has waited: its call is walked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// People agreed.
    Approved,
    /// One of them said no.
    Rejected,
    /// Nobody decided in time, or it was taken back.
    Ended,
}

/// From a surface: a well-formed call, whoever sent it.
pub struct Received<'a> {
    pub(crate) case: Box<Case>,
    /// The evidence, as sent.
    pub(crate) token: &'a str,
    /// The agent that the question is about, where the surface lets the client name one.
    pub(crate) about: Option<AgentId>,
}

impl Received<'_> {
    /// The same, after its client has waited for people.
    pub(crate) fn resumed(mut self, resumed: Resumed) -> Self {
        self.case.resumed = Some(resumed);
        self
    }
}

/// From `identify`: the principal is proven and not revoked, and the node has a policy for its tenant that is not stale.
pub(crate) struct Identified {
    pub(crate) case: Box<Case>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) tenant: Arc<Tenant>,
    /// The version of the tenant's policy that judges the principal.
    pub(crate) version: Arc<Version>,
}

/// From `authorize`: the policy does not deny.
pub(crate) struct Authorized {
    pub(crate) case: Box<Case>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) verdict: Verdict,
}

/// From `admit`: the call fits its limits, and is charged unless it is refused after all.
pub(crate) struct Admitted {
    pub(crate) case: Box<Case>,
    pub(crate) verdict: Verdict,
    pub(crate) admission: Admission,
}

/// From `inspect`: nothing is in the parameters that may not be passed on.
pub(crate) struct Inspected {
    pub(crate) case: Box<Case>,
    pub(crate) verdict: Verdict,
    pub(crate) admission: Admission,
}

/// From `consent`: the call may go on.
pub(crate) struct Cleared {
    pub(crate) case: Box<Case>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) admission: Admission,
    /// The approval that was redeemed for it. Dropped, it is given back.
    pub(crate) redemption: Option<Redemption>,
}

/// From any stage: the call may not go on. It leaves by the same door as [`Cleared`].
pub(crate) struct Refusal {
    pub(crate) case: Box<Case>,
    /// `Deny` or `ApprovalRequired`.
    pub(crate) outcome: Outcome,
    /// Never empty.
    pub(crate) reasons: Vec<Reason>,
}

impl Case {
    /// The parameters as they may be kept or shown to people: cleaned as they are passed on, and besides as the policy says of
    /// records. Nothing where it says nothing of those: then they are kept as they are passed on.
    pub(crate) fn kept_params(&self) -> Option<&JsonObject> {
        self.stored_params.as_ref()
    }

    /// What is told of its trace to those who are asked for it.
    pub(crate) fn passed_on(&self) -> Option<&TraceContext> {
        self.trace.as_deref().map(CallTrace::passed_on)
    }

    /// Denies the call for one reason that is not a rule's.
    pub(crate) fn deny(self: Box<Self>, code: ReasonCode, message: impl Into<String>) -> Refusal {
        Refusal { case: self, outcome: Outcome::Deny, reasons: vec![Reason::plain(code, message)] }
    }

    /// Denies the call with what the code means as its message.
    pub(crate) fn deny_plainly(self: Box<Self>, code: ReasonCode) -> Refusal {
        self.deny(code, code.meaning())
    }
}
