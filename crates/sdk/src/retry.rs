//! When a call is tried again, and after which pause.

use std::error::Error;
use std::time::Duration;

use aegis_proto::status::retry_after_ms;
use tonic::{Code, Status};

/// The pauses between attempts: exponential, with full jitter, so that clients that failed together do not
/// come back together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// The longest first pause.
    pub(crate) first: Duration,
    /// The longest pause at all, unless the node asks for more.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// A random pause after the `attempt`th attempt, counted from 1; at least what the node asked for.
    pub(crate) fn pause(self, attempt: u32, status: &Status) -> Duration {
        let asked = Duration::from_millis(retry_after_ms(status).unwrap_or_default());
        self.ceiling(attempt).mul_f64(rand::random::<f64>()).max(asked)
    }

    fn ceiling(self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

/// Whether the same call may be sent again: the node could not take it, or nobody knows whether it did.
pub(crate) fn may_retry(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => true,
        // What a node said has no source; what happened on the way to it has one.
        Code::Unknown | Code::Cancelled | Code::Internal => status.source().is_some(),
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

/// Whether the call may have been judged although it failed: its connection broke on the way.
pub(crate) fn may_have_judged(status: &Status) -> bool {
    matches!(status.code(), Code::Unknown | Code::Cancelled | Code::Internal)
}

#[cfg(test)]
mod tests {
    use aegis_model::reason::ReasonCode;
    use aegis_proto::status::refusal_for_now;

    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(100) };

    #[test]
    fn the_ceiling_doubles_up_to_the_longest_pause() {
        let ceilings: Vec<_> = [1, 2, 3, 4, 5, 40, u32::MAX]
            .into_iter()
            .map(|attempt| BACKOFF.ceiling(attempt).as_millis())
            .collect();
        assert_eq!(ceilings, [20, 40, 80, 100, 100, 100, 100]);
    }

    #[test]
    fn the_jitter_is_full() {
        let status = Status::unavailable("no");
        let pauses: Vec<_> = (0..1000).map(|_| BACKOFF.pause(3, &status)).collect();
        let ceiling = BACKOFF.ceiling(3);
        assert!(pauses.iter().all(|&pause| pause <= ceiling));
        assert!(pauses.iter().any(|&pause| pause < ceiling / 4));
        assert!(pauses.iter().any(|&pause| pause > ceiling / 4 * 3));
    }

    #[test]
    fn a_pause_is_at_least_what_the_node_asked_for() {
        let status = refusal_for_now(ReasonCode::Overloaded, "later", 700);
        assert_eq!(BACKOFF.pause(1, &status), Duration::from_millis(700));
    }

    #[test]
    fn only_what_says_nothing_about_the_call_is_retried() {
        let codes: Vec<_> =
            (0..17).map(Code::from_i32).filter(|&code| may_retry(&Status::new(code, ""))).collect();
        assert_eq!(codes, [Code::ResourceExhausted, Code::Unavailable]);
    }
}
