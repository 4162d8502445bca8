//! Reading a request's body: bounded in size while it streams, in time, and in the node's memory.

use std::time::Duration;

use aegis_model::reason::ReasonCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use super::problem::Problem;
use crate::answer::Refused;
use crate::budget::{BodyError, ByteBudget, Charge, Metered};

/// How bodies are read.
#[derive(Debug, Clone)]
pub(super) struct BodyReader {
    /// Largest body, in bytes.
    pub(super) bytes_max: usize,
    /// Longest time for a whole body.
    pub(super) deadline: Duration,
    pub(super) budget: ByteBudget,
}

/// A body in memory; dropping it gives its bytes back to the budget.
#[derive(Debug)]
pub(super) struct ReadBody {
    bytes: Bytes,
    _charge: Charge,
}

impl std::ops::Deref for ReadBody {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyReader {
    /// Reads `body` to its end.
    ///
    /// Refuses for: too large (413), too slow (408), cut off (400), no room in the node (503).
    pub(super) async fn read(&self, body: Incoming) -> Result<ReadBody, Problem> {
        if body.size_hint().lower() > self.bytes_max as u64 {
            return Err(self.too_large());
        }
        match tokio::time::timeout(self.deadline, self.read_frames(body)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                Err(Problem::malformed(StatusCode::REQUEST_TIMEOUT, "the body took too long").closing())
            }
        }
    }

    async fn read_frames(&self, body: Incoming) -> Result<ReadBody, Problem> {
        let mut body = Metered::new(body, self.budget.clone());
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(Problem::from)?.into_data() else { continue };
            if first.len() + rest.len() + data.len() > self.bytes_max {
                return Err(self.too_large());
            }
            match (first.is_empty(), rest.is_empty()) {
                // Nearly every body comes in one piece, which is then not copied.
                (true, true) => first = data,
                (false, _) => {
                    rest.extend_from_slice(&first);
                    rest.extend_from_slice(&data);
                    first = Bytes::new();
                }
                (true, false) => rest.extend_from_slice(&data),
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(ReadBody { bytes, _charge: body.into_charge() })
    }

    fn too_large(&self) -> Problem {
        let detail = format!("the body is larger than {} bytes", self.bytes_max);
        Problem::malformed(StatusCode::PAYLOAD_TOO_LARGE, detail).closing()
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken(_) => Self::malformed(StatusCode::BAD_REQUEST, error.to_string()),
            BodyError::NoRoom => {
                Self::from(Refused::new(ReasonCode::Overloaded, error.to_string())).closing()
            }
        }
    }
}
