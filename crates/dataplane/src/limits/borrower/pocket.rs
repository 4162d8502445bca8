//! The leases of one budget, as the borrower looks after them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aegis_limits::lease::Lease;
use aegis_limits::ledger::LeaseId;
use aegis_model::caps;
use aegis_model::money::Micros;
use tokio::time::Instant;

use super::super::budget::Budget;
use super::super::cell::LeaseCell;
use super::super::journal::Slot;

/// What is held of one budget.
#[derive(Debug)]
pub(super) struct Pocket {
    pub(super) budget: Arc<Budget>,
    /// Oldest first. Stopped ones stay until their rest is taken.
    pub(super) leases: Vec<Held>,
    /// Leases that were stopped and whose return was not answered.
    pub(super) returning: usize,
    /// What was spent since.
    spent: u64,
    since: Instant,
}

/// A lease that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) ledger: u64,
    pub(super) lease: Arc<Lease<LeaseCell>>,
    pub(super) slot: Slot,
    epoch_end_ms: u64,
    /// What was left when it was looked at last.
    seen: Micros,
    /// When it was last seen to have paid.
    used: Instant,
}

/// A lease and its ledger.
type Named = (LeaseId, u64);

/// After so long what was spent counts half: long enough that a quiet second does not look like the end.
const MEMORY: Duration = Duration::from_secs(10);

/// A spent lease is kept for so long, since what turns out cheaper comes back to the lease that paid.
const SPENT_KEPT: Duration = Duration::from_secs(caps::LEASE_SECONDS);

impl Held {
    pub(super) fn new(
        ledger: u64,
        lease: Arc<Lease<LeaseCell>>,
        slot: Slot,
        epoch_end_ms: u64,
        now: Instant,
    ) -> Self {
        let seen = lease.amount();
        Self { ledger, lease, slot, epoch_end_ms, seen, used: now }
    }

    fn named(&self) -> Named {
        (self.lease.id(), self.ledger)
    }

    /// What was spent since the last look.
    fn look(&mut self, now: Instant) -> u64 {
        let rest = self.lease.rest();
        let spent = self.seen.saturating_sub(rest);
        if rest != self.seen {
            (self.seen, self.used) = (rest, now);
        }
        spent.0
    }
}

impl Pocket {
    pub(super) fn new(budget: Arc<Budget>, now: Instant) -> Self {
        Self { budget, leases: Vec::new(), returning: 0, spent: 0, since: now }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.returning == 0
    }

    fn look(&mut self, now: Instant) {
        self.spent =
            self.leases.iter_mut().fold(self.spent, |spent, held| spent.saturating_add(held.look(now)));
    }

    /// What was lately spent per second.
    pub(super) fn per_second(&mut self, now: Instant) -> Micros {
        self.look(now);
        let elapsed = now.saturating_duration_since(self.since).max(Duration::from_secs(1));
        let per_second = u128::from(self.spent) * 1_000 / elapsed.as_millis();
        if elapsed > MEMORY {
            (self.spent, self.since) = (self.spent / 2, now - elapsed / 2);
        }
        Micros(u64::try_from(per_second).unwrap_or(u64::MAX)).min(Micros::MAX)
    }

    /// What has to stop: leases of an epoch that is over, idle ones, and spent ones that only take room.
    pub(super) fn look_after(&mut self, now: Instant, log_time_ms: u64) -> Vec<Named> {
        self.look(now);
        let idle = Duration::from_secs(caps::LEASE_IDLE_SECONDS);
        let mut crowd = self.leases.len().saturating_sub(caps::LEASES_PER_PURSE_MAX / 2);
        let mut stops = Vec::new();
        for held in self.leases.iter().filter(|held| held.lease.is_open()) {
            let unused = now.saturating_duration_since(held.used);
            let spent = held.seen.is_zero();
            let in_the_way = spent && (unused > SPENT_KEPT || crowd > 0);
            if log_time_ms >= held.epoch_end_ms || unused > idle || in_the_way {
                crowd = crowd.saturating_sub(1);
                stops.push(held.named());
            }
        }
        stops
    }

    /// What a newer lease makes useless: those of another epoch, and those with something, but less than a call costs.
    pub(super) fn outdone(&self, newer: Named, least: Micros) -> impl Iterator<Item = Named> {
        let older = self.leases.iter().filter(move |held| held.named() != newer);
        let useless = older.filter(move |held| {
            let rest = held.lease.rest();
            held.ledger != newer.1 || (!rest.is_zero() && rest < least)
        });
        useless.map(Held::named)
    }

    /// What pays nothing any more.
    pub(super) fn useless(&self) -> impl Iterator<Item = Named> {
        let useless = |held: &&Held| held.lease.rest().is_zero() || !held.lease.is_open();
        self.leases.iter().filter(useless).map(Held::named)
    }

    /// What has less than this left.
    pub(super) fn shorter_than(&self, least: Micros) -> impl Iterator<Item = Named> {
        self.leases.iter().filter(move |held| held.lease.rest() < least).map(Held::named)
    }

    pub(super) fn in_ledgers(&self, ledgers: &BTreeSet<u64>) -> impl Iterator<Item = Named> {
        self.leases.iter().filter(|held| ledgers.contains(&held.ledger)).map(Held::named)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Named> {
        self.leases.iter().map(Held::named)
    }

    pub(super) fn find_mut(&mut self, lease: LeaseId, ledger: u64) -> Option<&mut Held> {
        self.leases.iter_mut().find(|held| held.named() == (lease, ledger))
    }

    /// Takes it out; its return is still to be answered.
    pub(super) fn remove(&mut self, lease: LeaseId, ledger: u64) -> Option<Held> {
        let at = self.leases.iter().position(|held| held.named() == (lease, ledger))?;
        Some(self.leases.remove(at))
    }
}
