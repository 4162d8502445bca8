//! `NoteDelivery`: what came of an attempt to tell a channel of a request for approval.

use aegis_model::caps;
use aegis_proto::control::{ApprovalState, Delivery, DeliveryState, NoteDelivery, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::writer::Writer;
use crate::state::{approvals, channels, deliveries};

/// The delivery as it is, and as it is to be.
pub(crate) struct Checked {
    before: Delivery,
    after: Delivery,
}

impl Kind for NoteDelivery {
    const NAME: &'static str = "NoteDelivery";
    const WHO: Who = Who::control_node();
    /// Happens by itself, all the time.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let tenant = checks::name("tenant", &self.tenant)?;
        let name = checks::channel_name("channel", &self.channel)?;
        let gone = || Refused::unknown(Code::UnknownApproval, "request for approval", self.number);
        let before = deliveries::delivery(state, &tenant, self.number, &name)?.ok_or_else(gone)?;
        let approval = approvals::numbered(state, &tenant, self.number)?.ok_or_else(gone)?;
        let is_there = channels::channel(state, &tenant, &name)?.is_some();
        let now_ms = asked.now_ms();
        let mut after = before.clone();
        if self.error.is_empty() {
            told(&mut after, self, now_ms);
            let state = approvals::standing(&approval, asked.cluster.history, now_ms);
            let ended = !matches!(state, ApprovalState::Pending | ApprovalState::Approved);
            if state != after.told() {
                // It has changed while the channel was told.
                deliveries::is_due(&mut after, now_ms);
            } else if ended {
                after.set_state(DeliveryState::Ended);
            }
        } else {
            failed(&mut after, self, now_ms, is_there);
        }
        Ok(Checked { before, after })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { before, after } = checked;
        deliveries::put(write, Some(&before), &after)?;
        Ok(done::Result::Delivery(after))
    }
}

fn told(delivery: &mut Delivery, noted: &NoteDelivery, now_ms: u64) {
    delivery.set_state(DeliveryState::Told);
    delivery.set_told(noted.told());
    delivery.told_ms = now_ms;
    (delivery.attempts, delivery.next_ms, delivery.waiting_since_ms) = (0, 0, 0);
    delivery.error.clear();
    delivery.behind_told = noted.behind;
    let is_short = |text: &String| !text.is_empty() && text.len() <= caps::FOREIGN_ID_BYTES_MAX;
    if is_short(&noted.message) {
        delivery.message.clone_from(&noted.message);
    }
    if is_short(&noted.place) {
        delivery.place.clone_from(&noted.place);
    }
}

fn failed(delivery: &mut Delivery, noted: &NoteDelivery, now_ms: u64, is_there: bool) {
    let end = noted.error.floor_char_boundary(caps::DELIVERY_ERROR_BYTES_MAX);
    noted.error.get(..end).unwrap_or_default().clone_into(&mut delivery.error);
    delivery.attempts += 1;
    if delivery.attempts >= caps::DELIVERY_ATTEMPTS_MAX || !is_there {
        delivery.set_state(DeliveryState::GivenUp);
        (delivery.next_ms, delivery.waiting_since_ms) = (0, 0);
        return;
    }
    delivery.set_state(DeliveryState::Waiting);
    delivery.next_ms = now_ms + noted.pause_ms.clamp(1, caps::DELIVERY_PAUSE_MS_ASKED_MAX);
}

#[cfg(test)]
mod tests;
