//! `Admitted` → `Cleared`: a person agreed, or none had to.

use aegis_model::decision::{Outcome, Reason};
use aegis_model::reason::ReasonCode;

use crate::case::{Admitted, Cleared, Refusal};
use crate::decider::Decider;
use crate::laps::Stage;

/// What an answer `approval_required` adds for as long as approvals cannot be given.
const NOBODY_CAN_GRANT: &str =
    "a person has to agree before the call may go on; this version of Aegis has no way to ask one yet";

/// Holds the call back if a person has to agree. Then it costs nothing: what was taken for it goes back.
///
/// Refuses for: approval needed, and any override token: nobody can grant one yet, so none is valid.
pub(crate) fn consent(decider: &Decider, admitted: Admitted) -> Result<Cleared, Refusal> {
    let Admitted { mut case, verdict, admission } = admitted;
    case.laps.lap(Stage::Consent);
    if case.call.override_token.is_some() {
        admission.refund(decider.clock.monotonic());
        case.limits = None;
        return Err(case.deny_plainly(ReasonCode::OverrideInvalid));
    }
    let mut reasons = verdict.reasons;
    if verdict.outcome == Outcome::Allow {
        return Ok(Cleared { case, reasons, admission });
    }
    admission.refund(decider.clock.monotonic());
    case.limits = None;
    reasons.push(Reason::plain(ReasonCode::ApprovalRequired, NOBODY_CAN_GRANT));
    Err(Refusal { case, outcome: Outcome::ApprovalRequired, reasons })
}
