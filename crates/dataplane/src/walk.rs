//! How a call flows, on one screen. Each stage takes the value of the one before and gives the next one's, so that
//! none can be skipped or moved:
//!
//! ```text
//! surface ─▶ Received ─▶ identify ─▶ take_seat ─▶ once ─▶ authorize ─▶ consent ─▶ record ─▶ respond ─▶ surface
//!                            └───────────┴──────────┴──── Refusal ─────────┴────────▲
//! ```
//!
//! `admit` (limits) and `inspect` (sensitive data) will stand between `authorize` and `consent`; until they do, a
//! node refuses to load a policy that needs them ([`crate::snapshot::Tenant::load`]).

use crate::answer::Answer;
use crate::case::{Identified, Received};
use crate::decider::Decider;
use crate::stages::authorize::authorize;
use crate::stages::consent::consent;
use crate::stages::identify::identify;
use crate::stages::once::once;
use crate::stages::record::{Recording, record};
use crate::stages::respond::respond;
use crate::stages::seat::take_seat;

/// Walks one call to its answer. Everything up to the queued record happens without a pause, so a client that
/// goes away can no longer undo a judgement; the only wait is for the record to be written (WALK-2).
pub async fn walk(decider: &Decider, received: Received<'_>) -> Answer {
    let (seat, recording) = match identify(received).and_then(take_seat) {
        Ok((seat, identified)) => (Some(seat), once(decider, identified, judge)),
        Err(refusal) => (None, record(decider, Err(refusal))),
    };
    let recorded = recording.settled(decider).await;
    drop(seat);
    respond(decider, recorded)
}

/// From a proven principal to a record on its way.
fn judge(decider: &Decider, identified: Identified) -> Recording {
    let cleared = authorize(identified).and_then(consent);
    record(decider, cleared)
}

#[cfg(test)]
mod tests;
