//! What is asked: one call of one tool.

use std::fmt;

use aegis_model::secret::Secret;
use aegis_proto::bad_request::BadRequest;
use aegis_proto::{convert, v1};
use serde_json::{Value, json};

/// One call of one tool. It is checked when it is sent; a malformed one never leaves the process.
#[derive(Clone)]
pub struct Call {
    request_id: Option<String>,
    tool: String,
    action: Option<String>,
    params: Value,
    context: Value,
    cost: Option<String>,
    override_token: Option<Secret<String>>,
    dry_run: bool,
    explain: bool,
    wait_ms: u32,
    sign_receipt: bool,
}

impl Call {
    /// A call of `tool`, with action `call`, without parameters and context.
    pub fn new(tool: impl Into<String>) -> Self {
        Self {
            request_id: None,
            tool: tool.into(),
            action: None,
            params: json!({}),
            context: json!({}),
            cost: None,
            override_token: None,
            dry_run: false,
            explain: false,
            wait_ms: 0,
            sign_receipt: false,
        }
    }

    /// The action of the tool.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// The tool's parameters: a JSON object.
    pub fn params(mut self, params: impl Into<Value>) -> Self {
        self.params = params.into();
        self
    }

    /// The circumstances, e.g. `purpose`, `destination`, `session`: a JSON object. Nothing in it is proven.
    pub fn context(mut self, context: impl Into<Value>) -> Self {
        self.context = context.into();
        self
    }

    /// What the call is expected to cost: a decimal number such as `0.25`.
    pub fn cost(mut self, cost: impl Into<String>) -> Self {
        self.cost = Some(cost.into());
        self
    }

    /// The id that makes a retry safe; random unless it is given. Give one to repeat a call safely after an
    /// error, at the same node and within 60 s.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    /// The token that redeems an approval.
    pub fn override_token(mut self, token: impl Into<String>) -> Self {
        self.override_token = Some(Secret::new(token.into()));
        self
    }

    /// Where a person has to agree: waits for that before the answer, at most a minute. If they agree in time, the call is judged
    /// anew and the approval redeemed.
    pub fn wait(mut self, longest: std::time::Duration) -> Self {
        self.wait_ms = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Ask for a signed receipt, which [`verify_receipt`](crate::verify_receipt) checks. Costs the node a signature.
    pub fn sign_receipt(mut self) -> Self {
        self.sign_receipt = true;
        self
    }

    /// Judge only: nothing is spent, opened or redeemed. Needs scope `aegis:explain`.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Ask for the steps of the judgement. Needs scope `aegis:explain`.
    pub fn explain(mut self) -> Self {
        self.explain = true;
        self
    }

    /// The message to send, with a `request_id`.
    ///
    /// Errors: what the node would refuse as malformed.
    pub(crate) fn into_request(self) -> Result<v1::DecideRequest, BadRequest> {
        let request = v1::DecideRequest {
            request_id: self.request_id.unwrap_or_else(random_id),
            tool: self.tool,
            action: self.action.unwrap_or_default(),
            params: self.params.to_string().into(),
            context: self.context.to_string().into(),
            cost: self.cost.unwrap_or_default(),
            override_token: self.override_token.map(|token| token.expose().clone()).unwrap_or_default(),
            dry_run: self.dry_run,
            explain: self.explain,
            wait_ms: self.wait_ms,
            sign_receipt: self.sign_receipt,
        };
        convert::read_call(request.clone())?;
        Ok(request)
    }
}

impl fmt::Debug for Call {
    /// Names only: parameters, context and tokens are nobody's business but the node's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.request_id)
            .field("tool", &self.tool)
            .field("action", &self.action)
            .field("dry_run", &self.dry_run)
            .field("explain", &self.explain)
            .finish_non_exhaustive()
    }
}

/// 128 random bits, as 32 hexadecimal digits.
fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_id_gets_a_random_one() {
        let ids: Vec<_> =
            (0..2).map(|_| Call::new("t").into_request().expect("a request").request_id).collect();
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{ids:?}");
        assert_ne!(ids[0], ids[1]);
        let given = Call::new("t").request_id("mine").into_request().expect("a request");
        assert_eq!(given.request_id, "mine");
    }

    #[test]
    fn a_malformed_call_is_refused_before_it_is_sent() {
        for (path, call) in [
            ("/tool", Call::new("not a name")),
            ("/tool", Call::new("")),
            ("/action", Call::new("t").action("not a name")),
            ("/params", Call::new("t").params(json!([1]))),
            ("/params", Call::new("t").params(Value::Null)),
            ("/params/n", Call::new("t").params(json!({"n": u64::MAX}))),
            ("/context", Call::new("t").context("x")),
            ("/cost", Call::new("t").cost("-1")),
            ("/request_id", Call::new("t").request_id("a b")),
        ] {
            let bad = call.into_request().expect_err("malformed");
            assert_eq!(bad.path(), path);
        }
    }

    #[test]
    fn a_call_does_not_show_its_values() {
        let call = Call::new("t").params(json!({"ssn": "KEEP OUT"})).override_token("KEEP OUT");
        assert!(!format!("{call:?}").contains("KEEP OUT"));
    }
}
