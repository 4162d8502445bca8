//! `Authorized` → `Admitted`: the call fits the limits of its organization, tenant, agent and entries, and is charged.

use std::time::Duration;

use aegis_limits::hierarchy::{Unfit, Why};
use aegis_model::caps;
use aegis_model::decision::{Limits as Left, Outcome, Reason};
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use tokio::time::Instant;

use crate::admission::{Admission, Counted, Kind, Limit, Limits, Uncounted};
use crate::case::{Admitted, Authorized, Case, Refusal};
use crate::decider::Decider;
use crate::laps::Stage;
use crate::limits::{Dry, NoShare};

/// Takes a token and the cost from every limit of the call. Does not wait where leases and tokens are there; otherwise at
/// most [`caps::LEND_WAIT_MS`] for the node to be lent more. Nothing is held while it waits, so that a client who goes
/// away leaves nothing behind.
///
/// Refuses for: a cost that is unknown or not to be believed, a rate or a budget that is used up, and limits that
/// nobody can vouch for now.
pub(crate) async fn admit(decider: &Decider, authorized: Authorized) -> Result<Admitted, Refusal> {
    let Authorized { mut case, tenant, principal, verdict } = authorized;
    let limits = Limits::of(&decider.book, &tenant, &principal.agent, &verdict.obligations, &case.call);
    let limits = match limits {
        Ok(limits) if limits.is_empty() => {
            return Ok(Admitted { case, verdict, admission: Admission::free() });
        }
        Ok(limits) => limits,
        Err(uncounted) => return Err(not_counted(case, uncounted)),
    };
    limits.note_demand();
    let counted = limits.gather(case.call.dry_run);
    let taken = match counted.reserve(decider.clock.monotonic()) {
        Ok(taken) => Ok(taken),
        // On its own: a call that need not wait does not carry the room for it.
        Err(unfit) => Box::pin(lent(decider, &counted, unfit)).await,
    };
    case.laps.lap(Stage::Admit);
    match taken {
        Ok(taken) => {
            let admission = counted.with(taken);
            case.limits_seen = admission.seen(decider.clock.monotonic());
            case.limits =
                admission.tightest().map(|left| Left { budget_remaining: Some(left), ..Left::default() });
            Ok(Admitted { case, verdict, admission })
        }
        Err(over) => {
            decider.metrics.over_limit(&tenant, over.code(), over.limit.level);
            case.limits_seen = counted.seen(decider.clock.monotonic());
            Err(over.refusal(case))
        }
    }
}

/// What a call that does not fit is refused for.
struct Over<'c> {
    limit: &'c Limit,
    why: Excess,
}

enum Excess {
    /// The rate; after this pause it may fit.
    TooFast(Duration),
    /// The budget, of which so much is left.
    Spent(Micros),
    /// Nobody can say.
    Unknown(&'static str),
}

type Taken = aegis_limits::reservation::Reservation<crate::limits::LeaseCell>;

/// Waits for the node to be lent what the call lacks, and takes it. Other calls may be faster, so it may wait again.
async fn lent<'c>(decider: &Decider, counted: &'c Counted, mut unfit: Unfit) -> Result<Taken, Over<'c>> {
    let deadline = Instant::now() + Duration::from_millis(caps::LEND_WAIT_MS);
    loop {
        let limit = counted.limit(&unfit);
        more(limit, unfit.why, deadline).await.map_err(|why| Over { limit, why })?;
        match counted.reserve(decider.clock.monotonic()) {
            Ok(taken) => return Ok(taken),
            // Others were faster every time.
            Err(still) if Instant::now() >= deadline => {
                let limit = counted.limit(&still);
                let why = match still.why {
                    Why::Rate(pause) => Excess::TooFast(pause),
                    Why::NoShare => Excess::TooFast(NO_SHARE_PAUSE),
                    Why::Budget(_) => Excess::Unknown("no part of the budget was lent in time"),
                };
                return Err(Over { limit, why });
            }
            Err(still) => unfit = still,
        }
    }
}

/// A pause after which the node may have a share of the rate.
const NO_SHARE_PAUSE: Duration = Duration::from_millis(caps::RETRY_AFTER_MS);

/// Waits until `limit` may have what lacked.
async fn more(limit: &Limit, why: Why, deadline: Instant) -> Result<(), Excess> {
    match (&limit.kind, why) {
        (_, Why::Rate(pause)) => Err(Excess::TooFast(pause)),
        (Kind::Rate(rate), Why::NoShare) => {
            rate.share(deadline).await.map_err(|NoShare| Excess::TooFast(NO_SHARE_PAUSE))
        }
        (Kind::Budget { budget, .. }, Why::Budget(cost)) => {
            budget.more(cost, deadline).await.map_err(|dry| match dry {
                Dry::Exhausted => Excess::Spent(budget.remaining()),
                Dry::CutOff => {
                    Excess::Unknown("the control plane cannot be reached, and no part of the budget is here")
                }
                Dry::Late => Excess::Unknown("no part of the budget was lent in time"),
            })
        }
        (Kind::Budget { .. }, Why::NoShare) | (Kind::Rate(_), Why::Budget(_)) => {
            unreachable!("a rate has no budget, and a budget no rate")
        }
    }
}

impl Over<'_> {
    fn code(&self) -> ReasonCode {
        match self.why {
            Excess::TooFast(_) => ReasonCode::RateLimitExceeded,
            Excess::Spent(_) => ReasonCode::BudgetExceeded,
            Excess::Unknown(_) => ReasonCode::LimitsUnavailable,
        }
    }

    fn refusal(self, mut case: Box<Case>) -> Refusal {
        let (code, level) = (self.code(), self.limit.level);
        let message = match self.why {
            Excess::TooFast(pause) => {
                let ms = u64::try_from(pause.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1);
                case.limits = Some(Left { retry_after_ms: Some(ms), ..Left::default() });
                format!("too many calls per second for the rate of the {level}")
            }
            Excess::Spent(left) => {
                case.limits = Some(Left { budget_remaining: Some(left), ..Left::default() });
                format!("the budget of the {level} has less left than the call costs")
            }
            Excess::Unknown(why) => why.to_owned(),
        };
        Refusal { case, outcome: Outcome::Deny, reasons: vec![self.limit.reason(code, message)] }
    }
}

fn not_counted(mut case: Box<Case>, uncounted: Uncounted) -> Refusal {
    case.laps.lap(Stage::Admit);
    let reason = match uncounted {
        Uncounted::Cost(reason) => reason,
        Uncounted::NoRoom => Reason::plain(
            ReasonCode::LimitsUnavailable,
            "the node has to do with as many limits as it can hold",
        ),
        Uncounted::TooMany => {
            let message = format!("more than {} limits apply to the call", caps::LIMITS_PER_CALL_MAX);
            Reason::plain(ReasonCode::CustomRule, message)
        }
    };
    Refusal { case, outcome: Outcome::Deny, reasons: vec![reason] }
}

#[cfg(test)]
mod tests;
