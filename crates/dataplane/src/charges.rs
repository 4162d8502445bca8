//! What allowed calls were charged, kept for a while under their decision ids, so that each can be completed once.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aegis_audit::journal::Ticket;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{ActionName, AgentId, TenantId, ToolName};
use aegis_model::money::Micros;

use crate::admission::Charged;
use crate::sensitive::ResultRules;

/// Locks enough that calls hardly ever meet at one.
const SHARDS: usize = 64;

/// Allowed calls of the last [`caps::CHARGES_KEPT_SECONDS`].
#[derive(Debug)]
pub(crate) struct Charges {
    shards: Vec<Mutex<Shard>>,
    shard_entries_max: usize,
    hasher: RandomState,
}

/// Calls by their decision ids, and the ids in the order in which they came.
#[derive(Debug, Default)]
struct Shard {
    calls: HashMap<Arc<str>, Call>,
    order: VecDeque<(UnixNanos, Arc<str>)>,
}

/// An allowed call.
#[derive(Debug)]
enum Call {
    /// Nobody has completed it.
    Open(Open),
    /// Somebody of this tenant has, or is about to.
    Completed(TenantId),
}

/// A call that can be completed.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) tenant: TenantId,
    pub(crate) agent: AgentId,
    pub(crate) tool: ToolName,
    pub(crate) action: ActionName,
    /// What it was charged; nothing if no limit counts it.
    pub(crate) charged: Option<Box<Charged>>,
    /// Where the record of its decision stands, which that of its end points at.
    pub(crate) record: Ticket,
    /// What becomes of its result; nothing if no rule speaks of it.
    pub(crate) result_rules: Option<Box<ResultRules>>,
}

/// Why a call cannot be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpen {
    /// It was not allowed here, or too long ago.
    Unknown,
    /// It was completed before.
    Completed,
}

impl Charges {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_entries_max: entries_max.div_ceil(SHARDS),
            hasher: RandomState::new(),
        }
    }

    fn shard(&self, decision_id: &str) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(decision_id) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an allowed call. At the bound the oldest is forgotten, whose charge stays as it is.
    pub(crate) fn keep(&self, decision_id: &str, open: Open, now: UnixNanos) {
        let mut shard = self.shard(decision_id);
        shard.forget_until(now);
        if shard.order.len() >= self.shard_entries_max {
            shard.forget_oldest();
        }
        let id: Arc<str> = decision_id.into();
        shard.order.push_back((now, Arc::clone(&id)));
        shard.calls.insert(id, Call::Open(open));
    }

    /// Takes a call out to be completed: from now on nobody else can. `permits` looks at it first, and leaves it there when
    /// it refuses.
    ///
    /// # Errors
    /// [`NotOpen`] for one of another tenant too; or what `permits` says.
    pub(crate) fn take<E: From<NotOpen>>(
        &self,
        decision_id: &str,
        tenant: &TenantId,
        now: UnixNanos,
        permits: impl FnOnce(&Open) -> Result<(), E>,
    ) -> Result<Open, E> {
        let mut shard = self.shard(decision_id);
        shard.forget_until(now);
        let call = shard.calls.get_mut(decision_id).ok_or(NotOpen::Unknown)?;
        match call {
            Call::Open(open) if open.tenant == *tenant => {
                permits(open)?;
                match std::mem::replace(call, Call::Completed(tenant.clone())) {
                    Call::Open(open) => Ok(open),
                    Call::Completed(_) => unreachable!("it was open under this lock"),
                }
            }
            Call::Completed(of) if of == tenant => Err(NotOpen::Completed.into()),
            Call::Open(_) | Call::Completed(_) => Err(NotOpen::Unknown.into()),
        }
    }

    /// Puts a call back that could not be completed after all.
    pub(crate) fn put_back(&self, decision_id: &str, open: Open) {
        if let Some(call) = self.shard(decision_id).calls.get_mut(decision_id) {
            *call = Call::Open(open);
        }
    }

    /// Forgets a call whose decision was never told, and gives back what it was charged.
    pub(crate) fn undo(&self, decision_id: &str) {
        let call = self.shard(decision_id).calls.remove(decision_id);
        if let Some(Call::Open(Open { charged: Some(charged), .. })) = call {
            let nothing = charged.charge.hierarchy().costs(|_| Micros::ZERO);
            // Late: a lease whose rest was reported keeps it as spent.
            let _ = charged.charge.settle(&nothing);
        }
    }

    /// Forgets calls that nobody completed in time. To be called every few seconds.
    pub(crate) fn sweep(&self, now: UnixNanos) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).forget_until(now);
        }
    }

    /// How many calls are remembered.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).calls.len()).sum()
    }
}

impl Shard {
    fn forget_until(&mut self, now: UnixNanos) {
        let kept = UnixNanos::from_seconds(caps::CHARGES_KEPT_SECONDS).0;
        while self.order.front().is_some_and(|(at, _)| now.0 >= at.0.saturating_add(kept)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.calls.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_000_000_000_000);

    fn open(tenant: &str) -> Open {
        Open {
            tenant: tenant.parse().unwrap(),
            agent: "bot".parse().unwrap(),
            tool: "pay".parse().unwrap(),
            action: "call".parse().unwrap(),
            charged: None,
            record: Ticket::lost(),
            result_rules: None,
        }
    }

    fn take(charges: &Charges, id: &str, tenant: &str, now: UnixNanos) -> Result<(), NotOpen> {
        charges.take(id, &tenant.parse().unwrap(), now, |_| Ok(())).map(drop)
    }

    #[test]
    fn a_call_is_completed_once_and_by_its_tenant() {
        let charges = Charges::new(640);
        charges.keep("d-1", open("acme"), NOW);
        assert_eq!(take(&charges, "d-2", "acme", NOW), Err(NotOpen::Unknown));
        assert_eq!(take(&charges, "d-1", "umbrella", NOW), Err(NotOpen::Unknown), "TEN-1");
        let refused: Result<Open, NotOpen> =
            charges.take("d-1", &"acme".parse().unwrap(), NOW, |_| Err(NotOpen::Completed));
        assert!(refused.is_err());
        assert_eq!(take(&charges, "d-1", "acme", NOW), Ok(()), "who was refused took nothing");
        assert_eq!(take(&charges, "d-1", "acme", NOW), Err(NotOpen::Completed));
        assert_eq!(take(&charges, "d-1", "umbrella", NOW), Err(NotOpen::Unknown));
        charges.put_back("d-1", open("acme"));
        assert_eq!(take(&charges, "d-1", "acme", NOW), Ok(()));
    }

    #[test]
    fn calls_are_kept_for_an_hour_and_the_oldest_make_room() {
        let charges = Charges::new(SHARDS);
        let later = UnixNanos(NOW.0 + UnixNanos::from_seconds(caps::CHARGES_KEPT_SECONDS).0);
        charges.keep("d-1", open("acme"), NOW);
        assert_eq!(take(&charges, "d-1", "acme", later), Err(NotOpen::Unknown));
        for id in 0..1_000 {
            charges.keep(&format!("d-{id}"), open("acme"), NOW);
        }
        assert!(charges.len() <= SHARDS, "{} are kept", charges.len());
        assert_eq!(take(&charges, "d-999", "acme", NOW), Ok(()), "the newest is there");
        charges.sweep(later);
        assert_eq!(charges.len(), 0);
    }
}
