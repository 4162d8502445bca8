//! A tool call: what an agent wants to do, already read strictly and bounded.

use crate::ids::{ActionName, RequestId, ToolName};
use crate::json::JsonObject;
use crate::money::Micros;
use crate::secret::Secret;

/// One call of one tool, as a policy judges it. Shape of the wire form: `POST /v1/decide`.
#[derive(Clone)]
pub struct ToolCall {
    /// Chosen by the client; makes a retry at the same node safe for 60 s.
    pub request_id: Option<RequestId>,
    /// The tool, e.g. `stripe-payments`.
    pub tool: ToolName,
    /// The action of the tool; `call` when the client names none.
    pub action: ActionName,
    /// The tool's parameters. Read strictly, so that what is judged is what is forwarded.
    pub params: JsonObject,
    /// What the caller says about the circumstances. Nothing in it is proven.
    pub context: JsonObject,
    /// What the caller expects the call to cost.
    pub cost: Option<Micros>,
    /// A token that redeems an approval.
    pub override_token: Option<Secret<String>>,
    /// Judge, but spend nothing and open nothing. Needs scope `aegis:explain`.
    pub dry_run: bool,
    /// Answer with the steps of the judgement. Needs scope `aegis:explain`.
    pub explain: bool,
    /// Where a person has to agree: for how long to wait for that, in milliseconds. Zero: not at all.
    pub wait_ms: u32,
    /// Whether the receipt is to be signed by the log that holds the record.
    pub sign_receipt: bool,
}

/// Names and flags only: parameters and context may hold what no log may show (AUD-2).
impl std::fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolCall")
            .field("request_id", &self.request_id)
            .field("tool", &self.tool)
            .field("action", &self.action)
            .field("dry_run", &self.dry_run)
            .field("explain", &self.explain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value_of_the_call() {
        let serde_json::Value::Object(params) = serde_json::json!({"ssn": "078-05-1120"}) else {
            unreachable!()
        };
        let call = ToolCall {
            request_id: None,
            tool: "t".parse().expect("a name"),
            action: ActionName::default_call(),
            params: params.clone(),
            context: params,
            cost: None,
            override_token: Some(Secret::new("hidden".to_owned())),
            dry_run: false,
            explain: false,
            wait_ms: 0,
            sign_receipt: false,
        };
        let shown = format!("{call:?}");
        assert!(!shown.contains("078-05") && !shown.contains("hidden") && !shown.contains("ssn"), "{shown}");
    }
}
