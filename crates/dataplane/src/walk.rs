//! How a call flows, on one screen. Each stage takes the value of the one before and gives the next one's, so that
//! none can be skipped or moved:
//!
//! ```text
//! surface ─▶ Received ─▶ identify ─▶ take_seat ─▶ once ─▶ authorize ─▶ admit ─▶ inspect ─▶ consent ─▶ record ─▶ respond ─▶ surface
//!                            └───────────┴──────────┴────────── Refusal ┴──────────┴──────────┴────────▲
//! ```

use crate::answer::Answer;
use crate::case::{Identified, Received};
use crate::decider::Decider;
use crate::stages::admit::admit;
use crate::stages::authorize::authorize;
use crate::stages::consent::consent;
use crate::stages::identify::identify;
use crate::stages::inspect::inspect;
use crate::stages::once::once;
use crate::stages::record::{Recording, record};
use crate::stages::respond::respond;
use crate::stages::seat::take_seat;

/// Walks one call to its answer. There are three waits: for a part of a limit, before which nothing is decided and during
/// which nothing is held; for the control plane where a person has to agree, during which whoever goes away gives back what was
/// taken and redeemed; and for the record to be written. From the consent to the queued record there is no pause, so a client that
/// goes away leaves either no judgement or a whole one (WALK-2).
pub async fn walk(decider: &Decider, received: Received<'_>) -> Answer {
    let (seat, recording) = match identify(received).and_then(take_seat) {
        Ok((seat, identified)) => (Some(seat), once(decider, identified, judge).await),
        Err(refusal) => (None, record(decider, Err(refusal))),
    };
    let recorded = recording.settled(decider).await;
    drop(seat);
    respond(decider, recorded)
}

/// From a proven principal to a record on its way.
async fn judge(decider: &Decider, identified: Identified) -> Recording {
    let admitted = match authorize(identified) {
        Ok(authorized) => admit(decider, authorized).await,
        Err(refusal) => Err(refusal),
    };
    let cleared = match admitted.and_then(|admitted| inspect(decider, admitted)) {
        Ok(inspected) => consent(decider, inspected).await,
        Err(refusal) => Err(refusal),
    };
    record(decider, cleared)
}

#[cfg(test)]
mod tests;
