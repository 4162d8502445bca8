//! What a node makes of the parameters once the policy has judged: for tools of authors, which have no tenant.

use aegis_dlp::redact::{Key, Outcome as Looked, With};
use aegis_model::decision::{Outcome, Reason};
use aegis_model::json::JsonObject;
use aegis_model::reason::ReasonCode;
use serde::Serialize;
use serde_json::Value;

use super::Prepared;
use crate::judge::{Question, Verdict};

/// A verdict, and what its redactions make of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspected {
    /// The verdict, with `sanitize` where parameters were cleaned, and `deny` where they hold what may not be passed on.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The parameters to use, where they were cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<JsonObject>,
}

impl From<Verdict> for Inspected {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, params: None }
    }
}

impl Prepared {
    /// Judges, and cleans the parameters as a node does. Tokens and hashes are made with a key of zeros, version 0: their form is
    /// that of a node's, they say nothing, and they are the same every time.
    pub fn inspect(&self, question: &Question<'_>) -> Inspected {
        let verdict = self.judge(question);
        if verdict.outcome == Outcome::Deny {
            return verdict.into();
        }
        let redactor = match self.redactors().of(&verdict.obligations) {
            Ok(cleaning) => cleaning.params,
            Err(bad) => {
                return denied(
                    verdict,
                    vec![sensitive(format!("the rules cannot be applied together: {bad}"))],
                );
            }
        };
        let Some(redactor) = redactor else { return verdict.into() };
        match redactor.json(Value::Object(question.call.params.clone()), &Key::new(0, [0; 32])) {
            Looked::Clean(_) => verdict.into(),
            Looked::Cleaned(Value::Object(params), _) => {
                let outcome = match verdict.outcome {
                    Outcome::Allow => Outcome::Sanitize,
                    asks => asks,
                };
                Inspected { verdict: Verdict { outcome, ..verdict }, params: Some(params) }
            }
            Looked::Cleaned(_, found) | Looked::Refused(found) => {
                let blocked = found.iter().filter(|found| found.with == With::Block);
                let reasons = blocked.map(|found| Reason {
                    path: Some(format!("/params{}", found.pointer)),
                    ..sensitive(format!("the parameters hold what may not be passed on: `{}`", found.kind))
                });
                denied(verdict, reasons.collect())
            }
        }
    }
}

fn sensitive(message: String) -> Reason {
    Reason::plain(ReasonCode::SensitiveData, message)
}

fn denied(verdict: Verdict, reasons: Vec<Reason>) -> Inspected {
    Verdict { outcome: Outcome::Deny, reasons, obligations: Vec::new(), ..verdict }.into()
}
