//! Telling people of requests for approval: what the outbox holds is sent by the leader, until it was taken.
//!
//! ```text
//!  OpenApproval, VoteApproval, … ──▶ state: a delivery per request and channel (`state::deliveries`)
//!                                        │ due
//!                leader: worker ─────────┴──▶ webhook | Slack | Teams ──▶ NoteDelivery ──▶ state
//!                                                │ people press a button, or open the page
//!                any control node: callback, page ──▶ VoteApproval ──▶ state
//! ```
//!
//! At least once: a message is written down as told after its receiver took it, so that a leader that dies in between has its
//! successor send it again. Nothing is kept here but what is on its way. `docs/internals/deliveries.md` tells the states, and what
//! survives what.

mod forms;
mod mask;
mod out;
mod secrets;
mod sender;
mod slack;
mod story;
mod teams;
mod webhook;

pub(crate) mod callback;
pub(crate) mod page;
pub(crate) mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{Delivery, NoteDelivery};
use rand::{Rng, RngExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::state::deliveries;

pub use out::NoWayOut;
pub use sender::{Counters, Sender};
pub(crate) use story::page as page_address;

/// How often it is looked for what is due, when nothing happens.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after something was applied, so that what comes at once is looked at once.
const GATHER: Duration = Duration::from_millis(25);
/// How long it is tried to write down what came of an attempt, before the attempt counts as never made.
const NOTE: Duration = Duration::from_secs(30);

/// Sends what is due, while this node leads.
#[derive(Debug)]
pub(crate) struct Deliveries {
    control: Control,
    me: Actor,
    sender: Sender,
    leads: watch::Receiver<bool>,
}

/// A delivery by tenant, channel and number of the request.
type Key = (String, String, u64);

impl Deliveries {
    /// What sends through `sender` while `leads` says so.
    pub(crate) fn new(control: Control, me: Actor, sender: Sender, leads: watch::Receiver<bool>) -> Self {
        Self { control, me, sender, leads }
    }

    /// Works until `stop`. It never fails: what goes wrong is written down, and tried again.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut under_way = BTreeSet::new();
        let mut applied = self.control.applied();
        loop {
            if *self.leads.borrow_and_update()
                && let Err(error) = self.begin_what_is_due(&mut sending, &mut under_way)
            {
                tracing::debug!(%error, "it could not be looked for what is to be told of approvals");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = sending.join_next() => match ended {
                    Ok(key) => { under_way.remove(&key); }
                    // Which one is not known: none is taken to be under way, and at worst one is sent twice.
                    Err(_panic) => under_way.clear(),
                },
                () = tokio::time::sleep(LOOK) => {}
                Ok(()) = self.leads.changed() => {}
                Ok(()) = applied.changed() => tokio::time::sleep(GATHER).await,
            }
        }
        // What is on its way is sent again by whoever leads next.
        sending.shutdown().await;
    }

    fn begin_what_is_due(
        &self,
        sending: &mut JoinSet<Key>,
        under_way: &mut BTreeSet<Key>,
    ) -> Result<(), ProposeError> {
        let now = *self.control.applied().borrow();
        // Those that are under way are due still, until it is written down what came of them.
        let of_channel = 2 * caps::DELIVERIES_OF_CHANNEL_MAX;
        let due = deliveries::due(&self.control.view()?, now.log_time_ms, of_channel)?;
        let (mut of_tenant, mut of_channel) = (BTreeMap::new(), BTreeMap::new());
        for (tenant, channel, _) in under_way.iter() {
            *of_tenant.entry(tenant.clone()).or_insert(0_usize) += 1;
            *of_channel.entry((tenant.clone(), channel.clone())).or_insert(0_usize) += 1;
        }
        for delivery in due {
            let key = (delivery.tenant.clone(), delivery.channel.clone(), delivery.number);
            let tenant = of_tenant.entry(key.0.clone()).or_default();
            let channel = of_channel.entry((key.0.clone(), key.1.clone())).or_default();
            let has_room = *tenant < caps::DELIVERIES_OF_TENANT_MAX
                && *channel < caps::DELIVERIES_OF_CHANNEL_MAX
                && under_way.len() < caps::DELIVERIES_MAX;
            if !has_room || under_way.contains(&key) {
                continue;
            }
            *tenant += 1;
            *channel += 1;
            under_way.insert(key.clone());
            let (control, me, sender) = (self.control.clone(), self.me.clone(), self.sender.clone());
            sending.spawn(async move {
                attempt(&control, &me, &sender, delivery).await;
                key
            });
        }
        Ok(())
    }
}

/// One attempt, and what came of it written down.
async fn attempt(control: &Control, me: &Actor, sender: &Sender, delivery: Delivery) {
    let noted = NoteDelivery {
        tenant: delivery.tenant.clone(),
        number: delivery.number,
        channel: delivery.channel.clone(),
        ..NoteDelivery::default()
    };
    let came = sender.deliver(control, &delivery).await;
    let counters = sender.counters();
    let counter = if came.is_ok() { &counters.sent } else { &counters.failed };
    counter.fetch_add(1, Ordering::Relaxed);
    let noted = match came {
        Ok(sent) => NoteDelivery {
            told: sent.told.into(),
            message: sent.message,
            place: sent.place,
            behind: sent.behind,
            ..noted
        },
        Err(error) => {
            let (tenant, channel) = (&delivery.tenant, &delivery.channel);
            tracing::debug!(tenant, channel, %error, "a channel could not be told of a request for approval");
            let pause_ms = error.pause_ms().unwrap_or_else(|| pause_ms(delivery.attempts, &mut rand::rng()));
            NoteDelivery { error: error.to_string(), pause_ms, ..noted }
        }
    };
    let noting = async {
        while let Err(error) = control.propose(noted.clone(), me).await {
            // Refused: the request was forgotten meanwhile, and nothing is left to be done.
            if !error.retryable() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(NOTE, noting).await.is_err() {
        tracing::warn!("it could not be written down what came of telling a channel: it will be told again");
    }
}

/// The pause after so many failed attempts before: twice as long each time, up to a bound, of which half is left to chance, so that
/// what failed together does not come back together.
fn pause_ms(failed_before: u64, randomness: &mut impl Rng) -> u64 {
    let doubled = 1_u64.checked_shl(u32::try_from(failed_before).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    let whole = caps::DELIVERY_PAUSE_MS_FIRST.saturating_mul(doubled).min(caps::DELIVERY_PAUSE_MS_MAX);
    whole / 2 + randomness.random_range(0..=whole / 2)
}

#[cfg(test)]
mod answers;
#[cfg(test)]
mod goldens;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use aegis_model::ids::TenantId;
    use aegis_proto::admin::SetChannelRequest;
    use aegis_proto::control::SetChannel;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::testing::World;

    /// The command that makes the channel `hook` of a tenant, which leads to `url`.
    pub(crate) fn webhook(world: &World, tenant: &TenantId, url: &str) -> SetChannel {
        let keys = Arc::new(World::cluster_keys());
        let sender =
            Sender::new(keys, world.clock.clone(), "https://aegis.example.com", true).expect("a client");
        let request = SetChannelRequest {
            tenant: tenant.to_string(),
            channel: "hook".to_owned(),
            kind: "webhook".to_owned(),
            url: url.to_owned(),
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            ..SetChannelRequest::default()
        };
        let mut random = StdRng::seed_from_u64(5);
        setting::command(&sender, &world.view(), tenant, &request, &mut random).expect("a sound channel")
    }

    #[test]
    fn pauses_double_up_to_their_bound_and_are_scattered() {
        let mut random = StdRng::seed_from_u64(1);
        for (failed, whole) in
            [(0, 1_000), (1, 2_000), (5, 32_000), (10, 900_000), (63, 900_000), (700, 900_000)]
        {
            let pauses: BTreeSet<u64> = (0..50).map(|_| pause_ms(failed, &mut random)).collect();
            assert!(pauses.iter().all(|pause| (whole / 2..=whole).contains(pause)), "{failed}: {pauses:?}");
            assert!(pauses.len() > 10);
        }
    }
}
