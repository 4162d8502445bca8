//! Problems as gRPC statuses: the reason and the whole document in trailing metadata.

use aegis_model::caps;
use aegis_proto::admin as wire;
use aegis_proto::status::{REASON_METADATA, RETRY_METADATA};
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::admin::Problem;
use crate::admin::problem::status;

/// Trailing metadata with the encoded [`wire::Problem`].
pub const PROBLEM_METADATA: &str = "aegis-problem-bin";

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let mut status = Self::new(status::grpc(problem.code), problem.detail.clone());
        let metadata = status.metadata_mut();
        metadata.insert(REASON_METADATA, MetadataValue::from_static(problem.code.as_str()));
        if let Some(ms) = problem.retry_after_ms() {
            metadata.insert(RETRY_METADATA, MetadataValue::from(ms));
        }
        let document = fitting(problem.document()).encode_to_vec();
        metadata.insert_bin(PROBLEM_METADATA, MetadataValue::from_bytes(&document));
        status
    }
}

/// The document with as many findings as metadata may hold; the rest is counted.
fn fitting(mut document: wire::Problem) -> wire::Problem {
    while document.encoded_len() > caps::PROBLEM_METADATA_BYTES_MAX && document.findings.pop().is_some() {
        document.more_findings += 1;
    }
    document
}

/// The problem that a status carries, if it is one of the admin API's.
pub fn problem_of(status: &Status) -> Option<wire::Problem> {
    let bytes = status.metadata().get_bin(PROBLEM_METADATA)?.to_bytes().ok()?;
    wire::Problem::decode(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::problem::ApiCode;

    #[test]
    fn a_problem_travels_whole_as_far_as_it_fits() {
        let finding = wire::PolicyFinding { excerpt: "x".repeat(1_000), ..Default::default() };
        let problem = Problem { findings: vec![finding; 50], ..Problem::new(ApiCode::PolicyRejected, "no") };
        let status = Status::from(problem);
        assert_eq!(aegis_proto::status::reason_of(&status), Some("policy_rejected"));
        let document = problem_of(&status).unwrap();
        assert!(document.encoded_len() <= caps::PROBLEM_METADATA_BYTES_MAX);
        assert!(!document.findings.is_empty());
        assert_eq!(document.findings.len() + document.more_findings as usize, 50);
    }
}
