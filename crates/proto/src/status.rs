//! How a call that was not judged is answered over gRPC: status, reason code, and when to come back.

use aegis_model::reason::ReasonCode;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::bad_request::BadRequest;
use crate::v1::DecideError;

/// Trailing metadata with the reason code, e.g. `TokenExpired`.
pub const REASON_METADATA: &str = "aegis-reason";

/// Trailing metadata with the pause before a retry, in milliseconds; the name is that of gRFC A6.
pub const RETRY_METADATA: &str = "grpc-retry-pushback-ms";

/// The status of a call that is refused with `reason` before it is judged.
///
/// `message` goes to the client: it holds no value of the call.
pub fn refusal(reason: ReasonCode, message: &str) -> Status {
    let mut status = Status::new(status_code(reason), message);
    status.metadata_mut().insert(REASON_METADATA, MetadataValue::from_static(reason.as_str()));
    status
}

/// The same, with a pause before a retry.
pub fn refusal_for_now(reason: ReasonCode, message: &str, retry_after_ms: u64) -> Status {
    let mut status = refusal(reason, message);
    status.metadata_mut().insert(RETRY_METADATA, MetadataValue::from(retry_after_ms));
    status
}

/// The gRPC status code under which `reason` travels when a call is not judged.
pub fn status_code(reason: ReasonCode) -> Code {
    match reason {
        ReasonCode::InvalidRequest => Code::InvalidArgument,
        ReasonCode::Unauthenticated | ReasonCode::TokenExpired | ReasonCode::TokenRevoked => {
            Code::Unauthenticated
        }
        ReasonCode::Overloaded => Code::ResourceExhausted,
        ReasonCode::PolicyUnavailable
        | ReasonCode::PolicyStale
        | ReasonCode::LimitsUnavailable
        | ReasonCode::AuditUnavailable => Code::Unavailable,
        ReasonCode::ToolNotAllowed
        | ReasonCode::ActionNotAllowed
        | ReasonCode::ToolDenied
        | ReasonCode::ParameterMissing
        | ReasonCode::ParameterType
        | ReasonCode::ParameterOutOfRange
        | ReasonCode::ParameterMismatch
        | ReasonCode::SchemaViolation
        | ReasonCode::ContextMismatch
        | ReasonCode::CallerNotAllowed
        | ReasonCode::ChainTooDeep
        | ReasonCode::OutsideTimeWindow
        | ReasonCode::CustomRule
        | ReasonCode::ScopeExceeded
        | ReasonCode::ApprovalRequired
        | ReasonCode::ApprovalPending
        | ReasonCode::ApprovalRejected
        | ReasonCode::ApprovalExpired
        | ReasonCode::OverrideInvalid
        | ReasonCode::OverrideUsed
        | ReasonCode::RateLimitExceeded
        | ReasonCode::BudgetExceeded
        | ReasonCode::EgressDenied
        | ReasonCode::SensitiveData
        | ReasonCode::WrongTenant
        | ReasonCode::UnknownAgent => Code::PermissionDenied,
    }
}

/// The reason code that a status carries, as text: a newer node may name one that is unknown here.
pub fn reason_of(status: &Status) -> Option<&str> {
    status.metadata().get(REASON_METADATA)?.to_str().ok()
}

/// The pause before a retry that a status carries, in milliseconds.
pub fn retry_after_ms(status: &Status) -> Option<u64> {
    status.metadata().get(RETRY_METADATA)?.to_str().ok()?.parse().ok()
}

/// The status in the form in which a stream carries it, so that the stream itself goes on.
pub fn stream_error(status: &Status) -> DecideError {
    DecideError {
        status: u32::try_from(i32::from(status.code())).unwrap_or_default(),
        code: reason_of(status).unwrap_or_default().to_owned(),
        message: status.message().to_owned(),
        retry_after_ms: retry_after_ms(status).unwrap_or_default(),
    }
}

/// The status that a stream carried. A code that is unknown here, or `OK`, becomes `Unknown`.
pub fn stream_status(error: &DecideError) -> Status {
    let code = i32::try_from(error.status).map_or(Code::Unknown, Code::from_i32);
    let code = if code == Code::Ok { Code::Unknown } else { code };
    let mut status = Status::new(code, error.message.clone());
    if let Ok(reason) = MetadataValue::try_from(error.code.as_str()) {
        status.metadata_mut().insert(REASON_METADATA, reason);
    }
    if error.retry_after_ms > 0 {
        status.metadata_mut().insert(RETRY_METADATA, MetadataValue::from(error.retry_after_ms));
    }
    status
}

impl From<BadRequest> for Status {
    fn from(bad: BadRequest) -> Self {
        refusal(bad.code(), &bad.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_when_to_come_back() {
        let status = refusal_for_now(ReasonCode::Overloaded, "too many calls", 250);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(reason_of(&status), Some("Overloaded"));
        assert_eq!(retry_after_ms(&status), Some(250));
    }

    #[test]
    fn every_reason_travels_as_an_error() {
        for &reason in ReasonCode::ALL {
            assert_ne!(refusal(reason, "no").code(), Code::Ok, "{reason}");
        }
    }

    #[test]
    fn a_stream_carries_a_status_both_ways() {
        let sent = refusal_for_now(ReasonCode::TokenExpired, "its time is over", 7);
        let received = stream_status(&stream_error(&sent));
        assert_eq!(received.code(), sent.code());
        assert_eq!(received.message(), sent.message());
        assert_eq!(reason_of(&received), Some("TokenExpired"));
        assert_eq!(retry_after_ms(&received), Some(7));
    }

    #[test]
    fn an_error_never_becomes_ok() {
        for status in [0, 17, 4096, u32::MAX] {
            let error = DecideError { status, ..Default::default() };
            assert_eq!(stream_status(&error).code(), Code::Unknown, "{status}");
        }
    }
}
