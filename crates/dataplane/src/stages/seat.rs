//! `Identified` → `Identified` with a seat: no tenant takes the whole node.

use aegis_model::reason::ReasonCode;

use crate::case::{Identified, Refusal};
use crate::room::Seat;

/// Takes one of the tenant's seats. The walk holds it until the call is answered.
///
/// Refuses for: the tenant's share of the calls in progress is used up.
pub(crate) fn take_seat(identified: Identified) -> Result<(Seat, Identified), Refusal> {
    match identified.tenant.room().enter() {
        Some(seat) => Ok((seat, identified)),
        None => {
            let message = "the tenant has more calls in progress than its share of the node";
            Err(identified.case.deny(ReasonCode::Overloaded, message))
        }
    }
}
