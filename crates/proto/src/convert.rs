//! Between the gRPC messages and the model: a call in, a decision out, and back for clients.

use aegis_model::call::ToolCall;
use aegis_model::caps;
use aegis_model::completion::{Completed, Completion, Status};
use aegis_model::decision::{self, Decision, Outcome, PolicyRef, Reason, Redaction};
use aegis_model::ids::ActionName;
use aegis_model::json::{JsonError, JsonObject, Limits};
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use bytes::Bytes;

use crate::bad_request::BadRequest;
use crate::members::{name, read_object, read_value};
use crate::v1;

/// Reads a call. An empty field is an absent one, as protobuf has no other way to say so.
///
/// Errors: a name, the cost or the override token is malformed, or `params` or `context` is not one strict
/// JSON object. `path()` of the error names the field, e.g. `/params`.
pub fn read_call(request: v1::DecideRequest) -> Result<ToolCall, BadRequest> {
    let present = |text: String| Some(text).filter(|text| !text.is_empty());
    CallParts {
        request_id: present(request.request_id),
        tool: request.tool,
        action: present(request.action),
        params: read_document(&request.params, "/params")?,
        context: read_document(&request.context, "/context")?,
        cost: present(request.cost),
        override_token: present(request.override_token),
        dry_run: request.dry_run,
        explain: request.explain,
        wait_ms: request.wait_ms,
        sign_receipt: request.sign_receipt,
    }
    .into_call()
}

/// The decision as a gRPC message. `judged` is what the call brought as `params`: an allowance gives it back byte for
/// byte. Without it, or where the parameters were cleaned, they are written anew.
pub fn write_decision(decision: Decision, judged: Option<Bytes>) -> v1::DecideResponse {
    let judged = judged.filter(|bytes| decision.outcome == Outcome::Allow && !bytes.is_empty());
    let params = decision.params.map(|params| judged.unwrap_or_else(|| json_bytes(&params)));
    v1::DecideResponse {
        decision_id: decision.decision_id,
        outcome: v1::Outcome::from(decision.outcome).into(),
        reasons: decision.reasons.into_iter().map(write_reason).collect(),
        params: params.unwrap_or_default(),
        policy: decision.policy.map(|policy| v1::PolicyRef {
            version: policy.version,
            digest: policy.digest.as_ref().to_owned(),
            activation: policy.activation,
        }),
        replayed: decision.replayed,
        owner: decision.owner.map(|owner| owner.as_ref().to_owned()).unwrap_or_default(),
        explanation: decision.explanation.as_ref().map(json_bytes).unwrap_or_default(),
        limits: decision.limits.map(write_limits),
        approval: decision.approval.map(write_approval),
        receipt: decision.receipt.map(write_receipt),
        redactions: decision.redactions.into_iter().map(write_redaction).collect(),
    }
}

/// Reads a decision as a client does: whatever it does not know is an error, never an allowance (WALK-3).
pub fn read_decision(response: v1::DecideResponse) -> Result<Decision, BadAnswer> {
    if response.decision_id.is_empty() {
        return Err(BadAnswer::NoDecisionId);
    }
    let outcome = read_outcome(response.outcome)?;
    let params = match outcome {
        Outcome::Allow | Outcome::Sanitize => Some(read_params(&response.params)?),
        Outcome::Deny | Outcome::ApprovalRequired => None,
    };
    let explanation = match response.explanation.as_ref() {
        [] => None,
        bytes => Some(serde_json::from_slice(bytes).map_err(|_| BadAnswer::Explanation)?),
    };
    Ok(Decision {
        decision_id: response.decision_id,
        outcome,
        reasons: response.reasons.into_iter().map(read_reason).collect::<Result<_, _>>()?,
        params,
        redactions: response.redactions.into_iter().map(read_redaction).collect(),
        policy: response.policy.map(|policy| PolicyRef {
            version: policy.version,
            digest: policy.digest.into(),
            activation: policy.activation,
        }),
        limits: response.limits.map(read_limits).transpose()?,
        approval: response.approval.map(|approval| decision::Approval {
            id: approval.id,
            url: approval.url,
            expires_at: approval.expires_at,
        }),
        receipt: response.receipt.map(read_receipt),
        replayed: response.replayed,
        owner: (!response.owner.is_empty()).then(|| response.owner.into()),
        explanation,
    })
}

/// A request for approval as a message.
pub fn write_approval(approval: decision::Approval) -> v1::Approval {
    v1::Approval { id: approval.id, url: approval.url, expires_at: approval.expires_at }
}

fn write_receipt(receipt: decision::Receipt) -> v1::Receipt {
    let decision::Receipt { log, index, leaf, time, signature } = receipt;
    v1::Receipt {
        log: log.as_ref().to_owned(),
        index,
        leaf,
        time: time.unwrap_or_default(),
        signature: signature.unwrap_or_default(),
    }
}

fn read_receipt(receipt: v1::Receipt) -> decision::Receipt {
    let v1::Receipt { log, index, leaf, time, signature } = receipt;
    let present = |text: String| Some(text).filter(|text| !text.is_empty());
    decision::Receipt { log: log.into(), index, leaf, time: present(time), signature: present(signature) }
}

fn write_redaction(redaction: Redaction) -> v1::Redaction {
    v1::Redaction { path: redaction.path, kind: redaction.kind, with: redaction.with }
}

fn read_redaction(redaction: v1::Redaction) -> Redaction {
    Redaction { path: redaction.path, kind: redaction.kind, with: redaction.with }
}

/// The answer to a completion as a gRPC message: `result` as it is to be used.
pub fn write_completed(
    result: Bytes,
    redactions: Vec<Redaction>,
    withheld: Vec<Reason>,
    receipt: Option<decision::Receipt>,
) -> v1::CompleteResponse {
    v1::CompleteResponse {
        result,
        redactions: redactions.into_iter().map(write_redaction).collect(),
        withheld: withheld.into_iter().map(write_reason).collect(),
        receipt: receipt.map(write_receipt),
    }
}

/// Reads the answer to a completion as a client does.
pub fn read_completed(response: v1::CompleteResponse) -> Result<Completed, BadAnswer> {
    let result = match response.result.as_ref() {
        [] => None,
        bytes => Some(serde_json::from_slice(bytes).map_err(|_| BadAnswer::Result)?),
    };
    Ok(Completed {
        result,
        redactions: response.redactions.into_iter().map(read_redaction).collect(),
        withheld: response.withheld.into_iter().map(read_reason).collect::<Result<_, _>>()?,
        receipt: response.receipt.map(read_receipt),
    })
}

fn write_limits(limits: decision::Limits) -> v1::Limits {
    v1::Limits {
        budget_remaining: limits.budget_remaining.map(|left| left.to_string()).unwrap_or_default(),
        retry_after_ms: limits.retry_after_ms.unwrap_or_default(),
    }
}

fn read_limits(limits: v1::Limits) -> Result<decision::Limits, BadAnswer> {
    let budget_remaining = match limits.budget_remaining.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| BadAnswer::Limits)?),
    };
    let retry_after_ms = Some(limits.retry_after_ms).filter(|ms| *ms > 0);
    Ok(decision::Limits { budget_remaining, retry_after_ms })
}

/// Reads what became of a call. Errors: as [`read_call`].
pub fn read_completion(request: &v1::CompleteRequest) -> Result<Completion, BadRequest> {
    let at = || "/status".to_owned();
    let status = match v1::CompletionStatus::try_from(request.status) {
        Ok(v1::CompletionStatus::Succeeded) => Status::Succeeded,
        Ok(v1::CompletionStatus::Failed) => Status::Failed,
        Ok(v1::CompletionStatus::NotRun) => Status::NotRun,
        Ok(v1::CompletionStatus::Unspecified) => {
            return Err(BadRequest::Missing { at: at(), expected: "how the call ended" });
        }
        Err(_) => return Err(BadRequest::UnknownValue { at: at(), known: &Status::NAMES }),
    };
    let result = match request.result.as_ref() {
        [] => None,
        bytes => Some(read_value(bytes, "/result")?),
    };
    let cost = Some(request.cost.as_str()).filter(|text| !text.is_empty());
    completion(request.decision_id.clone(), status, cost, result, request.sign_receipt)
}

/// A completion as it travels to the node that decided.
pub fn write_completion(completion: &Completion) -> v1::CompleteRequest {
    let status = match completion.status {
        Status::Succeeded => v1::CompletionStatus::Succeeded,
        Status::Failed => v1::CompletionStatus::Failed,
        Status::NotRun => v1::CompletionStatus::NotRun,
    };
    v1::CompleteRequest {
        decision_id: completion.decision_id.clone(),
        status: status.into(),
        cost: completion.cost.map(|cost| cost.to_string()).unwrap_or_default(),
        result: completion.result.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        sign_receipt: completion.sign_receipt,
    }
}

/// A completion, once every text is what it has to be.
pub(crate) fn completion(
    decision_id: String,
    status: Status,
    cost: Option<&str>,
    result: Option<serde_json::Value>,
    sign_receipt: bool,
) -> Result<Completion, BadRequest> {
    let at = || "/decision_id".to_owned();
    if decision_id.is_empty() {
        return Err(BadRequest::Missing { at: at(), expected: "the id of the decision" });
    }
    if decision_id.len() > caps::DECISION_ID_BYTES_MAX {
        return Err(BadRequest::TooLong { at: at(), max: caps::DECISION_ID_BYTES_MAX });
    }
    let cost = cost.map(str::parse).transpose();
    let cost = cost.map_err(|source| BadRequest::Quantity { at: "/cost".to_owned(), source })?;
    Ok(Completion { decision_id, status, cost, result, sign_receipt })
}

/// Why an answer is not understood. The call must not go on.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// Neither a decision nor an error.
    #[error("the answer is empty")]
    Empty,
    /// Without an id an answer cannot be honoured once.
    #[error("the answer has no decision id")]
    NoDecisionId,
    /// None of the four answers.
    #[error("the answer has the unknown outcome {0}")]
    UnknownOutcome(i32),
    /// A reason code that this version does not know.
    #[error("the answer has an unknown reason code")]
    UnknownReason,
    /// The call may go on, but the answer does not say with which parameters.
    #[error("the answer permits the call without saying with which parameters")]
    NoParams,
    /// The parameters are not one strict JSON object.
    #[error("the answer's parameters are malformed")]
    Params(#[source] JsonError),
    /// The result is not JSON.
    #[error("the answer's result is not JSON")]
    Result,
    /// What is left of a budget is no amount.
    #[error("the answer's limits are malformed")]
    Limits,
    /// The explanation is not JSON.
    #[error("the answer's explanation is not JSON")]
    Explanation,
}

/// The members of a call as texts, from whichever surface; names of members are the same on each.
pub(crate) struct CallParts {
    pub(crate) request_id: Option<String>,
    pub(crate) tool: String,
    pub(crate) action: Option<String>,
    pub(crate) params: JsonObject,
    pub(crate) context: JsonObject,
    pub(crate) cost: Option<String>,
    pub(crate) override_token: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) explain: bool,
    pub(crate) wait_ms: u32,
    pub(crate) sign_receipt: bool,
}

impl CallParts {
    /// The call, once every text is what it has to be.
    pub(crate) fn into_call(self) -> Result<ToolCall, BadRequest> {
        let override_token = self.override_token.map(Secret::new);
        if override_token.as_ref().is_some_and(|token| token.expose().len() > caps::TOKEN_BYTES_MAX) {
            return Err(BadRequest::TooLong { at: "/override_token".to_owned(), max: caps::TOKEN_BYTES_MAX });
        }
        let cost = self.cost.map(|text| text.parse()).transpose();
        Ok(ToolCall {
            request_id: self.request_id.map(|text| name(&text, "/request_id")).transpose()?,
            tool: name(&self.tool, "/tool")?,
            action: self
                .action
                .map_or_else(|| Ok(ActionName::default_call()), |text| name(&text, "/action"))?,
            params: self.params,
            context: self.context,
            cost: cost.map_err(|source| BadRequest::Quantity { at: "/cost".to_owned(), source })?,
            override_token,
            dry_run: self.dry_run,
            explain: self.explain,
            wait_ms: self.wait_ms,
            sign_receipt: self.sign_receipt,
        })
    }
}

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Allow => Self::Allow,
            Outcome::Deny => Self::Deny,
            Outcome::Sanitize => Self::Sanitize,
            Outcome::ApprovalRequired => Self::ApprovalRequired,
        }
    }
}

fn read_document(bytes: &[u8], at: &str) -> Result<JsonObject, BadRequest> {
    if bytes.is_empty() {
        return Ok(JsonObject::new());
    }
    read_object(bytes, at)
}

fn read_outcome(number: i32) -> Result<Outcome, BadAnswer> {
    match v1::Outcome::try_from(number) {
        Ok(v1::Outcome::Allow) => Ok(Outcome::Allow),
        Ok(v1::Outcome::Deny) => Ok(Outcome::Deny),
        Ok(v1::Outcome::Sanitize) => Ok(Outcome::Sanitize),
        Ok(v1::Outcome::ApprovalRequired) => Ok(Outcome::ApprovalRequired),
        Ok(v1::Outcome::Unspecified) | Err(_) => Err(BadAnswer::UnknownOutcome(number)),
    }
}

fn read_params(bytes: &[u8]) -> Result<JsonObject, BadAnswer> {
    if bytes.is_empty() {
        return Err(BadAnswer::NoParams);
    }
    aegis_model::json::read_object(bytes, Limits::default()).map_err(BadAnswer::Params)
}

fn write_reason(reason: Reason) -> v1::Reason {
    v1::Reason {
        code: reason.code.as_str().to_owned(),
        message: reason.message,
        path: reason.path.unwrap_or_default(),
        rule: reason.rule.unwrap_or_default(),
        position: reason.position.unwrap_or_default(),
    }
}

fn read_reason(reason: v1::Reason) -> Result<Reason, BadAnswer> {
    let present = |text: String| Some(text).filter(|text| !text.is_empty());
    // People may type a code in any case; a node writes it exactly.
    let code = ReasonCode::ALL.iter().copied().find(|code| code.as_str() == reason.code);
    Ok(Reason {
        code: code.ok_or(BadAnswer::UnknownReason)?,
        message: reason.message,
        path: present(reason.path),
        rule: present(reason.rule),
        position: present(reason.position),
    })
}

fn json_bytes<T: serde::Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("a JSON value has text keys only, so it is written").into()
}

#[cfg(test)]
mod tests;
