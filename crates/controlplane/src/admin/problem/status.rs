//! What each code is over HTTP and over gRPC.

use http::StatusCode;
use tonic::Code as Grpc;

use super::code::{ApiCode, ProblemCode};
use crate::command::Code;

/// The HTTP status.
pub(crate) fn http(code: ProblemCode) -> StatusCode {
    of(code).0
}

/// The gRPC status.
pub(crate) fn grpc(code: ProblemCode) -> Grpc {
    of(code).1
}

fn of(code: ProblemCode) -> (StatusCode, Grpc) {
    match code {
        ProblemCode::Refused(code) => of_refused(code),
        ProblemCode::Api(code) => of_api(code),
    }
}

fn of_refused(code: Code) -> (StatusCode, Grpc) {
    match code {
        Code::NotInitialized => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unavailable),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, Grpc::Unauthenticated),
        Code::Forbidden
        | Code::FourEyes
        | Code::SelfApproval
        | Code::ProofRefused
        | Code::ScopeExceeded
        | Code::ChainTooDeep => (StatusCode::FORBIDDEN, Grpc::PermissionDenied),
        Code::TooFast => (StatusCode::TOO_MANY_REQUESTS, Grpc::ResourceExhausted),
        Code::Invalid => (StatusCode::BAD_REQUEST, Grpc::InvalidArgument),
        Code::UnknownTenant
        | Code::UnknownAgent
        | Code::UnknownIssuer
        | Code::UnknownVersion
        | Code::UnknownLabel
        | Code::UnknownChannel
        | Code::UnknownHold
        | Code::UnknownPerson
        | Code::UnknownRole
        | Code::UnknownToken
        | Code::UnknownKey
        | Code::UnknownDataNode
        | Code::UnknownBudget
        | Code::UnknownApproval
        | Code::UnknownMember => (StatusCode::NOT_FOUND, Grpc::NotFound),
        Code::AlreadyExists => (StatusCode::CONFLICT, Grpc::AlreadyExists),
        Code::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, Grpc::Aborted),
        Code::TooMany => (StatusCode::CONFLICT, Grpc::ResourceExhausted),
        Code::IdempotencyConflict => (StatusCode::UNPROCESSABLE_ENTITY, Grpc::InvalidArgument),
        Code::AlreadyInitialized
        | Code::UnknownCommand
        | Code::TenantRetired
        | Code::AgentDisabled
        | Code::VersionRetired
        | Code::VersionInForce
        | Code::ChannelInUse
        | Code::NodeRetired
        | Code::NameDiffers
        | Code::MissingChunks
        | Code::NothingToRollBack
        | Code::LastAdmin
        | Code::ApprovalClosed
        | Code::LastKey
        | Code::KeyRetired
        | Code::MembersBehind => (StatusCode::CONFLICT, Grpc::FailedPrecondition),
        Code::Unrecognized => (StatusCode::INTERNAL_SERVER_ERROR, Grpc::Unknown),
    }
}

fn of_api(code: ApiCode) -> (StatusCode, Grpc) {
    match code {
        ApiCode::Malformed => (StatusCode::BAD_REQUEST, Grpc::InvalidArgument),
        ApiCode::NotFound => (StatusCode::NOT_FOUND, Grpc::Unimplemented),
        ApiCode::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Grpc::Unimplemented),
        ApiCode::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Grpc::InvalidArgument),
        ApiCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Grpc::InvalidArgument),
        ApiCode::TooSlow => (StatusCode::REQUEST_TIMEOUT, Grpc::DeadlineExceeded),
        ApiCode::PolicyRejected | ApiCode::BundleRejected => {
            (StatusCode::UNPROCESSABLE_ENTITY, Grpc::InvalidArgument)
        }
        ApiCode::MembershipRefused => (StatusCode::CONFLICT, Grpc::FailedPrecondition),
        ApiCode::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, Grpc::ResourceExhausted),
        ApiCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unavailable),
        ApiCode::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, Grpc::Unknown),
        ApiCode::TimedOut => (StatusCode::GATEWAY_TIMEOUT, Grpc::DeadlineExceeded),
        ApiCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Grpc::Internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_problem_travels_as_a_success() {
        for code in ProblemCode::all() {
            assert!(http(code).as_u16() >= 400, "{code:?}");
            assert_ne!(grpc(code), Grpc::Ok, "{code:?}");
        }
    }

    #[test]
    fn what_may_be_retried_is_told_apart_by_its_status_or_its_code_only() {
        for code in ProblemCode::all().filter(|code| http(*code).as_u16() == 503) {
            assert!(code.retryable(), "{code:?}");
        }
    }
}
