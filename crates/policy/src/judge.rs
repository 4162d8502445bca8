//! The question put to a policy, and the verdict it gives.

use aegis_model::call::ToolCall;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::{Outcome, Reason};
use aegis_model::principal::Principal;
use serde::Serialize;

use crate::obligation::Obligation;

/// Everything a verdict may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked.
    pub call: &'a ToolCall,
    /// The moment of judgement.
    pub now: UnixNanos,
}

/// The verdict document, `data.aegis.verdict`: the same from this crate and from a stock OPA (POL-1).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// `allow`, `deny` or `approval_required`.
    pub outcome: Outcome,
    /// Why, in the order of the sources. Empty for a plain `allow`.
    pub reasons: Vec<Reason>,
    /// The rules that decided: those that denied, allowed, or asked.
    pub rules: Vec<String>,
    /// What has to be done if the call goes on: limits, redaction, egress, approval terms. Empty when denied.
    pub obligations: Vec<Obligation>,
    /// Circumstances (`purpose`, `environment`) that rest on the caller's word alone.
    pub unverified: Vec<String>,
}
