//! What became of a call that was allowed.

use serde::Serialize;
use serde_json::Value;

use crate::decision::{Reason, Receipt, Redaction};
use crate::money::Micros;

/// How an allowed call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The tool did what was asked.
    Succeeded,
    /// The tool failed; it may have cost something all the same.
    Failed,
    /// The tool was never called.
    NotRun,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::NotRun];

    /// Its name in JSON, in order of [`Self::ALL`].
    pub const NAMES: [&str; 3] = ["succeeded", "failed", "not_run"];

    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotRun => "not_run",
        }
    }
}

/// What is said of a call after it.
#[derive(Clone, PartialEq)]
pub struct Completion {
    /// The decision that allowed it.
    pub decision_id: String,
    /// How it ended.
    pub status: Status,
    /// What it really cost, in the unit of the budget; nothing if nobody knows.
    pub cost: Option<Micros>,
    /// What the tool gave back.
    pub result: Option<Value>,
    /// Whether the receipt is to be signed by the log that holds the record.
    pub sign_receipt: bool,
}

/// Without the result, which may hold what no log may show (AUD-2).
impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completion")
            .field("decision_id", &self.decision_id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What is answered to a completion: it is recorded, and counts.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct Completed {
    /// The result to use; nothing if none was sent, or if it may not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// What was cleaned, in the order of the result: each kind once per place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<Redaction>,
    /// Why the result may not be used; empty if it may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Reason>,
    /// Where its record stands in the audit log of the node that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Without the result, which may hold what no log may show (AUD-2).
impl std::fmt::Debug for Completed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completed")
            .field("redactions", &self.redactions)
            .field("withheld", &self.withheld)
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_name() {
        assert_eq!(Status::ALL.map(Status::as_str), Status::NAMES);
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
