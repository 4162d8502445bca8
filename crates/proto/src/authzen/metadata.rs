//! `/.well-known/authzen-configuration`: where the endpoints are.

use serde::Serialize;

/// Where the metadata document is served.
pub const METADATA_PATH: &str = "/.well-known/authzen-configuration";
/// Where one evaluation is asked.
pub const EVALUATION_PATH: &str = "/access/v1/evaluation";
/// Where a list of evaluations is asked.
pub const EVALUATIONS_PATH: &str = "/access/v1/evaluations";

/// The metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// The base address of the decision point, without a slash at its end.
    pub policy_decision_point: String,
    /// Where one evaluation is asked.
    pub access_evaluation_endpoint: String,
    /// Where a list of evaluations is asked.
    pub access_evaluations_endpoint: String,
}

impl Metadata {
    /// The document of a node that clients reach at `base`, e.g. `https://aegis.example.com`.
    pub fn new(base: &str) -> Self {
        let base = base.trim_end_matches('/');
        Self {
            policy_decision_point: base.to_owned(),
            access_evaluation_endpoint: format!("{base}{EVALUATION_PATH}"),
            access_evaluations_endpoint: format!("{base}{EVALUATIONS_PATH}"),
        }
    }
}
