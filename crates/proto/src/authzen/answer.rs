//! What is answered: a truth value, and the whole decision beside it.

use std::sync::Arc;

use aegis_model::decision::{Approval, Decision, Limits, Outcome, PolicyRef, Reason, Receipt, Redaction};
use aegis_model::json::JsonObject;
use serde::Serialize;

use crate::bad_request::BadRequest;

/// The answer to one evaluation.
#[derive(Debug, Serialize)]
pub struct EvaluationAnswer {
    /// Whether the call may go on exactly as it was sent: true for `allow` alone.
    ///
    /// A `sanitize` is false here, with the cleaned parameters in the context: an enforcement point that reads
    /// nothing but this value would otherwise send on what had to be cleaned.
    pub decision: bool,
    /// Why, and what comes with it.
    pub context: AnswerContext,
}

/// The answer to a list of evaluations, in its order; shorter when the semantic ended it early.
#[derive(Debug, Serialize)]
pub struct EvaluationAnswers {
    /// One answer per evaluation that was looked at.
    pub evaluations: Vec<EvaluationAnswer>,
}

/// What stands beside the truth value.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum AnswerContext {
    /// The evaluation was judged.
    Judged {
        /// Unique; names the node and its incarnation.
        decision_id: String,
        /// The answer in full: `allow`, `deny`, `sanitize` or `approval_required`.
        outcome: Outcome,
        /// Why.
        reasons: Vec<Reason>,
        /// The cleaned parameters; only with `sanitize`, as an allowed call goes on as it was sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        params: Option<JsonObject>,
        /// The request for approval, where one is open or was decided.
        #[serde(skip_serializing_if = "Option::is_none")]
        approval: Option<Approval>,
        /// What was cleaned.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        redactions: Vec<Redaction>,
        /// The policy it was judged under.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<PolicyRef>,
        /// What is left after it.
        #[serde(skip_serializing_if = "Option::is_none")]
        limits: Option<Limits>,
        /// Where its record stands in the audit log.
        #[serde(skip_serializing_if = "Option::is_none")]
        receipt: Option<Box<Receipt>>,
        /// Where the data node is reached that owns the agent's slot, when another one does.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<Arc<str>>,
    },
    /// The evaluation could not be judged.
    Failed {
        /// Why not.
        error: EvaluationError,
    },
}

/// Why one evaluation of a list could not be judged.
#[derive(Debug, Serialize)]
pub struct EvaluationError {
    /// The HTTP status that it would have had alone.
    pub status: u16,
    /// The stable reason code, e.g. `InvalidRequest`.
    pub code: &'static str,
    /// One sentence; no values of the call.
    pub message: String,
    /// JSON Pointer into the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl From<Decision> for EvaluationAnswer {
    fn from(decision: Decision) -> Self {
        let outcome = decision.outcome;
        Self {
            decision: outcome == Outcome::Allow,
            context: AnswerContext::Judged {
                decision_id: decision.decision_id,
                outcome,
                reasons: decision.reasons,
                params: decision.params.filter(|_| outcome == Outcome::Sanitize),
                approval: decision.approval,
                redactions: decision.redactions,
                policy: decision.policy,
                limits: decision.limits,
                receipt: decision.receipt.map(Box::new),
                owner: decision.owner,
            },
        }
    }
}

impl From<BadRequest> for EvaluationAnswer {
    fn from(bad: BadRequest) -> Self {
        let error = EvaluationError {
            status: 400,
            code: bad.code().as_str(),
            message: bad.sentence(),
            path: bad.path().to_owned(),
        };
        Self { decision: false, context: AnswerContext::Failed { error } }
    }
}
