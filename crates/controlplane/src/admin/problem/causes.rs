//! From what can go wrong below the API to problems. Whoever makes a problem of a surprise logs it, once.

use aegis_identity::mint::MintRefusal;
use aegis_raft_store::tables::StoreError;

use super::Problem;
use super::code::ApiCode;
use crate::command::{Code, Refused};
use crate::control::{ProposeError, ReadError};
use crate::keys::KeysError;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let Refused { code, message, details } = refused;
        Self { facts: details, ..Self::new(code, message) }
    }
}

impl From<ProposeError> for Problem {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Refused(refused) => refused.into(),
            ProposeError::TooLarge { .. } => Self::new(ApiCode::TooLarge, error.to_string()),
            ProposeError::Overloaded => Self::new(ApiCode::Overloaded, error.to_string()),
            ProposeError::Unavailable(_) => Self::new(ApiCode::Unavailable, error.to_string()),
            ProposeError::Unknown(_) => Self::new(ApiCode::OutcomeUnknown, error.to_string()),
            ProposeError::Store(error) => error.into(),
            ProposeError::Response(error) => {
                tracing::error!(%error, "the admin API got an answer that it cannot read");
                Self::new(ApiCode::OutcomeUnknown, "the answer to the command has no known form")
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) | ReadError::Timeout => {
                Self::new(ApiCode::Unavailable, error.to_string())
            }
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the admin API cannot read the state");
        Self::new(ApiCode::Internal, "the control node cannot read its state; its log says more")
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::NoCluster => Self::new(Code::NotInitialized, error.to_string()),
            KeysError::NoKey(_)
            | KeysError::Unwrap { .. }
            | KeysError::UnwrapTenant { .. }
            | KeysError::Row(_)
            | KeysError::Manifest(_)
            | KeysError::Trust(_) => {
                tracing::error!(%error, "the admin API cannot use the cluster's keys");
                Self::new(
                    ApiCode::Internal,
                    "the control node cannot use the cluster's keys; its log says more",
                )
            }
            KeysError::Store(error) => error.into(),
        }
    }
}

impl From<MintRefusal> for Problem {
    fn from(refusal: MintRefusal) -> Self {
        Self::new(Code::Invalid, refusal.to_string())
    }
}
