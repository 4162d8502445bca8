//! What is answered, as a type that makes the four answers impossible to confuse.

use std::fmt;

use aegis_model::decision::{Outcome as Answer, PolicyRef, Reason};
use aegis_model::json::JsonObject;
use aegis_model::reason::ReasonCode;
use aegis_proto::convert::{BadAnswer, read_decision};
use aegis_proto::v1::{self, Approval, Limits, Receipt, Redaction};
use serde_json::Value;

mod json;

/// The four answers.
#[derive(Clone, PartialEq)]
pub enum Outcome {
    /// The call may go on.
    Allowed {
        /// The parameters to use: the ones that were judged.
        params: JsonObject,
        /// Remarks; usually none.
        reasons: Vec<Reason>,
        /// What comes with every answer.
        decision: Box<Decided>,
    },
    /// The call may go on with cleaned parameters.
    Sanitized {
        /// The parameters to use, cleaned. The ones that were sent must not be used.
        params: JsonObject,
        /// What was cleaned.
        redactions: Vec<Redaction>,
        /// Why.
        reasons: Vec<Reason>,
        /// What comes with every answer.
        decision: Box<Decided>,
    },
    /// The call must not go on.
    Denied {
        /// Why.
        reasons: Vec<Reason>,
        /// What comes with every answer.
        decision: Box<Decided>,
    },
    /// The call is held until a person agrees.
    ApprovalRequired {
        /// The request for approval, when one is open.
        approval: Option<Approval>,
        /// Why.
        reasons: Vec<Reason>,
        /// What comes with every answer.
        decision: Box<Decided>,
    },
}

/// What comes with every answer.
#[derive(Clone, PartialEq)]
pub struct Decided {
    /// Unique. An enforcement point honours it once.
    pub decision_id: String,
    /// The policy that the call was judged under, when one was reached.
    pub policy: Option<PolicyRef>,
    /// What is left of the limits that apply.
    pub limits: Option<Limits>,
    /// Where the decision stands in the audit log.
    pub receipt: Option<Receipt>,
    /// Whether this is an earlier answer, given again for the same `request_id`.
    pub replayed: bool,
    /// The steps of the judgement, when they were asked for.
    pub explanation: Option<Value>,
}

impl Outcome {
    /// Reads an answer. Whatever is not understood is an error (WALK-3).
    pub(crate) fn read(mut response: v1::DecideResponse) -> Result<Self, BadAnswer> {
        let redactions = std::mem::take(&mut response.redactions);
        let approval = response.approval.take();
        let limits = response.limits.take();
        let receipt = response.receipt.take();
        let read = read_decision(response)?;
        let decision = Box::new(Decided {
            decision_id: read.decision_id,
            policy: read.policy,
            limits,
            receipt,
            replayed: read.replayed,
            explanation: read.explanation,
        });
        let reasons = read.reasons;
        Ok(match (read.outcome, read.params) {
            (Answer::Allow, Some(params)) => Self::Allowed { params, reasons, decision },
            (Answer::Sanitize, Some(params)) => Self::Sanitized { params, redactions, reasons, decision },
            (Answer::Allow | Answer::Sanitize, None) => return Err(BadAnswer::NoParams),
            (Answer::Deny, _) => Self::Denied { reasons, decision },
            (Answer::ApprovalRequired, _) => Self::ApprovalRequired { approval, reasons, decision },
        })
    }

    /// The parameters to use, or why the call must not go on. The shortest safe way to enforce an answer.
    pub fn into_params(self) -> Result<JsonObject, Refused> {
        match self {
            Self::Allowed { params, .. } | Self::Sanitized { params, .. } => Ok(params),
            Self::Denied { .. } | Self::ApprovalRequired { .. } => Err(Refused(Box::new(self))),
        }
    }

    /// Why.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Allowed { reasons, .. }
            | Self::Sanitized { reasons, .. }
            | Self::Denied { reasons, .. }
            | Self::ApprovalRequired { reasons, .. } => reasons,
        }
    }

    /// What comes with every answer.
    pub fn decision(&self) -> &Decided {
        match self {
            Self::Allowed { decision, .. }
            | Self::Sanitized { decision, .. }
            | Self::Denied { decision, .. }
            | Self::ApprovalRequired { decision, .. } => decision,
        }
    }

    /// The name of the answer on every wire: `allow`, `deny`, `sanitize` or `approval_required`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allowed { .. } => Answer::Allow.as_str(),
            Self::Sanitized { .. } => Answer::Sanitize.as_str(),
            Self::Denied { .. } => Answer::Deny.as_str(),
            Self::ApprovalRequired { .. } => Answer::ApprovalRequired.as_str(),
        }
    }
}

impl fmt::Display for Outcome {
    /// `PolicyViolation: CODE: MESSAGE NEXT STEP` when the call must not go on; made for people and models.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.reasons().first();
        match self {
            Self::Allowed { .. } | Self::Sanitized { .. } => f.write_str(self.name()),
            Self::Denied { .. } => match first {
                Some(reason) => write_violation(f, reason.code, &reason.message),
                None => f.write_str("PolicyViolation: the call is denied, and the node does not say why"),
            },
            Self::ApprovalRequired { .. } => {
                let code = ReasonCode::ApprovalRequired;
                write_violation(f, code, first.map_or(code.meaning(), |reason| &reason.message))
            }
        }
    }
}

impl fmt::Debug for Outcome {
    /// Names, codes and ids: parameters are values of the call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("name", &self.name())
            .field("reasons", &self.reasons())
            .field("decision", self.decision())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decided")
            .field("decision_id", &self.decision_id)
            .field("policy", &self.policy)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

/// A call that must not go on, as an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub Box<Outcome>);

fn write_violation(f: &mut fmt::Formatter<'_>, code: ReasonCode, message: &str) -> fmt::Result {
    let message = message.trim_end_matches('.');
    write!(f, "PolicyViolation: {code}: {message}. {}", code.next_step())
}

#[cfg(test)]
mod tests;
