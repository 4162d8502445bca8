//! The calls that are made: a typical agent with twenty tools, and what each call must be answered with.

use aegis_model::decision::Outcome;
use aegis_model::json::JsonObject;
use aegis_proto::v1::DecideRequest;
use anyhow::Context;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::tally::Failure;

/// The policy that judges [`Calls::typical`].
pub const POLICY: &str = include_str!("../policies/typical.yaml");

/// Who calls.
pub const AGENT: &str = "typical-agent";
/// The agent's organization.
pub const ORG: &str = "loadtest";
/// The agent's tenant.
pub const TENANT: &str = "loadtest";
/// What its token covers: everything, so that the policy decides.
pub const SCOPE: &str = "*:*";

/// Calls that are made in turn.
#[derive(Debug, Clone)]
pub struct Calls(Vec<Call>);

/// One call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    action: String,
    params: JsonObject,
    context: JsonObject,
    expect: Outcome,
}

impl Calls {
    /// The calls of `calls/typical.json`.
    ///
    /// # Errors
    /// The file that was built in is not what it should be.
    pub fn typical() -> anyhow::Result<Self> {
        let calls: Vec<Call> = serde_json::from_str(include_str!("../calls/typical.json"))
            .context("reading `calls/typical.json`")?;
        anyhow::ensure!(!calls.is_empty(), "`calls/typical.json` holds no call");
        Ok(Self(calls))
    }

    /// How many different calls there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which of the different calls is made as call `number`.
    pub fn turn(&self, number: u64) -> usize {
        usize::try_from(number % self.0.len() as u64).unwrap_or_default()
    }

    /// As gRPC messages.
    pub fn messages(&self) -> Vec<DecideRequest> {
        let message = |call: &Call| DecideRequest {
            tool: call.tool.clone(),
            action: call.action.clone(),
            params: bytes_of(&call.params),
            context: bytes_of(&call.context),
            ..DecideRequest::default()
        };
        self.0.iter().map(message).collect()
    }

    /// As bodies of `POST /v1/decide`.
    pub fn bodies(&self) -> Vec<Bytes> {
        let body = |call: &Call| {
            bytes_of(&json!({
                "tool": call.tool, "action": call.action, "params": call.params, "context": call.context,
            }))
        };
        self.0.iter().map(body).collect()
    }

    /// As bodies of `POST /v1/data/aegis/verdict`: the document that a node would judge, `now_ns` aside.
    pub fn inputs(&self) -> Vec<Bytes> {
        let body = |call: &Call| {
            bytes_of(&json!({"input": {
                "agent": AGENT, "org": ORG, "tenant": TENANT, "tool": call.tool, "action": call.action,
                "params": call.params, "context": call.context, "token": {"scope": SCOPE}, "callers": [],
                "now_ns": 1_800_000_000_000_000_000_u64, "local": {},
            }}))
        };
        self.0.iter().map(body).collect()
    }

    /// Whether `outcome` is the right answer to call `number`.
    ///
    /// # Errors
    /// It is not; says which call and what was expected.
    pub fn check(&self, number: u64, outcome: Outcome) -> Result<&'static str, Failure> {
        let call = &self.0[self.turn(number)];
        if outcome == call.expect {
            return Ok(outcome.as_str());
        }
        let Call { tool, action, expect, .. } = call;
        Err(Failure(format!("`{tool}:{action}` was answered `{outcome}` instead of `{expect}`")))
    }

    /// What must be answered, in order.
    pub fn expected(&self) -> impl Iterator<Item = Outcome> {
        self.0.iter().map(|call| call.expect)
    }
}

fn bytes_of(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).expect("plain JSON is always written").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_typical_calls_are_twenty_and_not_all_allowed() {
        let calls = Calls::typical().unwrap();
        assert_eq!((calls.len(), calls.messages().len()), (20, 20));
        let denied = calls.expected().filter(|outcome| *outcome == Outcome::Deny).count();
        assert_eq!(denied, 2, "a server that allows everything must be noticed");
        for tool in calls.messages() {
            assert!(POLICY.contains(&format!("- name: {}\n", tool.tool)), "{}", tool.tool);
        }
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let calls = Calls::typical().unwrap();
        assert_eq!(calls.check(20, Outcome::Allow), Ok("allow"));
        let failure = calls.check(26, Outcome::Allow).unwrap_err();
        assert_eq!(failure.0, "`shipping:book` was answered `allow` instead of `deny`");
    }
}
