//! A tool call: what an agent wants to do, already read strictly and bounded.

use crate::ids::{ActionName, RequestId, ToolName};
use crate::json::JsonObject;
use crate::money::Micros;
use crate::secret::Secret;

/// One call of one tool, as a policy judges it. Shape of the wire form: `POST /v1/decide`.
#[derive(Debug, Clone)]
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
}
