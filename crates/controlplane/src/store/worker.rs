//! The worker that keeps the object store: what the state has and the store lacks is put there, until nothing is lacking.
//!
//! It holds nothing that a crash could lose: after a start, and when another node becomes the leader, it looks at the
//! store and goes on. Two workers at once, while leadership moves, do no harm to versions, which are put only where
//! nothing is. To the enforced bundle they may: one that was put late by the old leader is noticed by its mark when the
//! store is compared again ([`caps::STORE_RECHECK_SECONDS`]), and replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aegis_identity::manifest::digest_of;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::TenantId;
use aegis_proto::control::Version;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shelf::{Mark, Shelf, ShelfError, Shelved};
use super::status::{StoreStatus, TenantStatus};
use crate::control::Control;
use crate::publish::{PublishError, stored};
use crate::state::page::PageQuery;
use crate::state::{activations, meta, tenants, versions};

/// So many tenants may fail in one look before the store itself is taken to be down.
const FAILED_TENANTS_MAX: u32 = 3;

/// Keeps the object store. Made by [`Worker::new`], owned by the node that runs it.
#[derive(Debug)]
pub struct Worker {
    control: Control,
    shelf: Shelf,
    clock: Clock,
    leads: watch::Receiver<bool>,
    status: watch::Sender<StoreStatus>,
    known: BTreeMap<TenantId, Known>,
    /// The tenant whose failure ended the last look: the next one begins after it, so that tenants whose place is
    /// spoilt do not keep those behind them waiting for ever.
    ended_at: Option<TenantId>,
}

/// What the store is known to hold of a tenant.
#[derive(Debug, Default)]
struct Known {
    /// Whether the store was asked for the versions since it was last compared as a whole.
    versions_compared: bool,
    /// Whether it was asked for the enforced bundle since then.
    enforced_compared: bool,
    status: TenantStatus,
    /// How the enforced bundle is recognized.
    mark: Option<Mark>,
}

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    State(#[from] PublishError),
    #[error("another node leads")]
    NotLeading,
}

impl From<aegis_raft_store::tables::StoreError> for Cut {
    fn from(error: aegis_raft_store::tables::StoreError) -> Self {
        Self::State(error.into())
    }
}

impl Worker {
    /// A worker that keeps `shelf` while `leads` says so, and what it will show.
    pub fn new(
        control: Control,
        shelf: Shelf,
        clock: Clock,
        leads: watch::Receiver<bool>,
    ) -> (Self, watch::Receiver<StoreStatus>) {
        let status = StoreStatus { place: shelf.place().to_owned(), ..StoreStatus::default() };
        let (status, shown) = watch::channel(status);
        (Self { control, shelf, clock, leads, status, known: BTreeMap::new(), ended_at: None }, shown)
    }

    /// Works until `stop`. It never fails: what goes wrong is shown, and tried again.
    pub async fn run(mut self, stop: CancellationToken) {
        while self.until_leading(&stop).await {
            self.keep(&stop).await;
        }
    }

    /// Keeps the store until this node leads no more, or stops.
    async fn keep(&mut self, stop: &CancellationToken) {
        let mut leads = self.leads.clone();
        let (mut failures, mut compare_at) = (0_u32, next_compare());
        loop {
            let seen = self.acts();
            // A look may wait for the store; whoever stops or takes over does not. What was known of the tenant in hand is
            // then forgotten, and asked for again.
            failures = tokio::select! {
                () = stop.cancelled() => return,
                _lost = leads.wait_for(|leads| !leads) => return,
                failures = self.look(failures) => failures,
            };
            let control = self.control.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                // Also when nobody is left who could say: the node stops.
                _lost = leads.wait_for(|leads| !leads) => return,
                () = tokio::time::sleep(pause(failures)), if failures > 0 => {}
                () = until_acted(control, seen), if failures == 0 => {}
                () = tokio::time::sleep_until(compare_at), if failures == 0 => {
                    compare_at = next_compare();
                    self.known.values_mut().for_each(Known::compare_again);
                }
            }
        }
    }

    /// How many administrative acts there were: what the store lacks changes with one of them only.
    fn acts(&self) -> u64 {
        acts(&self.control)
    }

    /// Waits until this node leads; `false` when it stops. A new leader knows nothing of the store.
    async fn until_leading(&mut self, stop: &CancellationToken) -> bool {
        self.known.clear();
        let place = self.shelf.place().to_owned();
        self.status.send_replace(StoreStatus { place: place.clone(), ..StoreStatus::default() });
        tokio::select! {
            () = stop.cancelled() => return false,
            leading = self.leads.wait_for(|leads| *leads) => {
                if leading.is_err() {
                    return false;
                }
            }
        }
        self.status.send_replace(StoreStatus { place, active: true, ..StoreStatus::default() });
        true
    }

    /// Looks at every tenant once, after so many failed looks: after how many it is now.
    async fn look(&mut self, failures: u32) -> u32 {
        if let Ok(pending) = self.pending() {
            self.status.send_modify(|status| status.pending = pending);
        }
        let mut next = StoreStatus::clone(&self.status.borrow());
        (next.problems, next.more_problems, next.pending) = (Vec::new(), 0, 0);
        let mut failed = 0;
        let looked = self.look_at_all(&mut next, &mut failed).await;
        if let Err(cut) = &looked {
            tracing::warn!(place = self.shelf.place(), "the object store is not kept: {cut}");
        }
        let well = looked.is_ok() && failed == 0;
        if well && next.pending == 0 {
            next.complete_ms = self.clock.now().0 / 1_000_000;
        }
        next.compared = next.compared || well;
        next.failures = if well { 0 } else { failures.saturating_add(1) };
        let failures = next.failures;
        next.tenants =
            self.known.iter().map(|(tenant, known)| (tenant.clone(), known.status.clone())).collect();
        self.status.send_replace(next);
        failures
    }

    async fn look_at_all(&mut self, next: &mut StoreStatus, failed: &mut u32) -> Result<(), Cut> {
        let living = self.living()?;
        self.known.retain(|tenant, _| living.contains(tenant));
        let ended_at = self.ended_at.take();
        let (first, rest): (Vec<_>, Vec<_>) =
            living.into_iter().partition(|tenant| Some(tenant) > ended_at.as_ref());
        for tenant in first.into_iter().chain(rest) {
            if *failed < FAILED_TENANTS_MAX
                && let Err(cut) = self.look_at(&tenant, next).await
            {
                match cut {
                    Cut::Shelf(error) => next.add(&tenant, None, &error),
                    other @ (Cut::State(_) | Cut::NotLeading) => return Err(other),
                }
                *failed += 1;
                self.ended_at = Some(tenant.clone());
            }
            next.pending += self.behind(&tenant)?;
        }
        Ok(())
    }

    /// Tenants that were not retired, at most [`caps::TENANTS_MAX`].
    fn living(&self) -> Result<BTreeSet<TenantId>, Cut> {
        let view = self.control.view()?;
        let (mut living, mut query) = (BTreeSet::new(), PageQuery::first());
        loop {
            let page = tenants::tenants(&view, &query)?;
            let rows = page.rows.iter().filter(|tenant| tenant.retired_ms == 0);
            living.extend(rows.filter_map(|tenant| tenant.name.parse::<TenantId>().ok()));
            match page.next {
                Some(cursor) => query = query.after(cursor),
                None => return Ok(living),
            }
        }
    }

    fn pending(&self) -> Result<u64, Cut> {
        self.living()?.iter().map(|tenant| self.behind(tenant)).sum()
    }

    /// How many objects of the tenant are not known to be at the store.
    fn behind(&self, tenant: &TenantId) -> Result<u64, Cut> {
        let view = self.control.view()?;
        let newest = versions::newest(&view, tenant)?;
        let enforced = activations::in_force(&view, tenant)?.map_or(0, |activation| activation.enforced);
        let known = self.known.get(tenant).map(|known| &known.status);
        let (shelved_to, differ, at_store) =
            known.map_or((0, 0, 0), |known| (known.shelved_to, known.differs.len() as u64, known.enforced));
        Ok(newest.saturating_sub(shelved_to) + differ + u64::from(enforced != at_store))
    }

    async fn look_at(&mut self, tenant: &TenantId, next: &mut StoreStatus) -> Result<(), Cut> {
        let mut known = self.known.remove(tenant).unwrap_or_default();
        let done = match self.versions(tenant, &mut known, next).await {
            Ok(()) => self.enforced(tenant, &mut known).await,
            Err(cut) => Err(cut),
        };
        // What was reached counts, also if the rest failed.
        self.known.insert(tenant.clone(), known);
        done
    }

    async fn versions(
        &mut self,
        tenant: &TenantId,
        known: &mut Known,
        next: &mut StoreStatus,
    ) -> Result<(), Cut> {
        let newest = versions::newest(&self.control.view()?, tenant)?;
        let there = if known.versions_compared || newest == 0 {
            BTreeSet::new()
        } else {
            known.status.shelved_to = 0;
            self.shelf.versions(tenant).await?
        };
        let begin = known.status.shelved_to + 1;
        let again = std::mem::take(&mut known.status.differs);
        for number in again.into_iter().filter(|number| *number < begin).chain(begin..=newest) {
            // What was different is looked at again, in case somebody took it away.
            if !there.contains(&number) {
                match self.put(tenant, number).await {
                    Ok(()) => {}
                    Err(Cut::Shelf(error)) if !error.retryable() => {
                        self.differs(tenant, number, &error, known, next)
                    }
                    Err(cut) => return Err(cut),
                }
            }
            known.status.shelved_to = known.status.shelved_to.max(number);
        }
        known.versions_compared = true;
        Ok(())
    }

    fn differs(
        &self,
        tenant: &TenantId,
        number: u64,
        error: &ShelfError,
        known: &mut Known,
        next: &mut StoreStatus,
    ) {
        let told = self
            .status
            .borrow()
            .problems
            .iter()
            .any(|one| one.tenant == *tenant && one.version == Some(number));
        if !told {
            tracing::error!(%tenant, version = number, "{error}");
        }
        known.status.differs.insert(number);
        next.add(tenant, Some(number), error);
    }

    async fn put(&self, tenant: &TenantId, number: u64) -> Result<(), Cut> {
        self.still_leading()?;
        let Some((_, version)) = self.load(tenant, number)? else { return Ok(()) };
        Ok(self.shelf.put_version(tenant, number, &version).await?)
    }

    async fn enforced(&self, tenant: &TenantId, known: &mut Known) -> Result<(), Cut> {
        let in_force = activations::in_force(&self.control.view()?, tenant)?;
        let Some(number) = in_force.map(|activation| activation.enforced) else { return Ok(()) };
        let at_store = known.status.enforced == number && known.mark.is_some();
        if at_store && known.enforced_compared {
            return Ok(());
        }
        known.enforced_compared = true;
        if at_store && self.shelf.enforced_mark(tenant).await? == known.mark {
            return Ok(());
        }
        // Somebody replaced it, or another one is in force: until the new one is there, nothing is.
        known.status.enforced = 0;
        self.still_leading()?;
        let Some((row, version)) = self.load(tenant, number)? else { return Ok(()) };
        let there = self.shelf.enforced_digest(tenant).await?;
        let same = there.is_some_and(|there| there.as_bytes().as_slice() == row.bundle_digest);
        known.mark = if same {
            self.shelf.enforced_mark(tenant).await?
        } else {
            debug_assert_eq!(digest_of(&version.bundle).as_bytes().as_slice(), row.bundle_digest);
            self.shelf.put_enforced(tenant, version.bundle).await?
        };
        known.status.enforced = number;
        Ok(())
    }

    /// A version as the store gets it; `None` if its bundle was given up.
    fn load(&self, tenant: &TenantId, number: u64) -> Result<Option<(Version, Shelved)>, Cut> {
        let view = self.control.view()?;
        let row = stored::version(&view, tenant, number)?;
        if row.retired_ms != 0 {
            return Ok(None);
        }
        let signed = stored::signed(&row)?;
        let bundle = stored::bundle(&view, &row)?;
        let version = Shelved { bundle, manifest: signed.bytes.into(), signature: signed.signature };
        Ok(Some((row, version)))
    }

    /// Asked before each object is put, so that little is put by a node that leads no more.
    fn still_leading(&self) -> Result<(), Cut> {
        if *self.leads.borrow() { Ok(()) } else { Err(Cut::NotLeading) }
    }
}

impl Known {
    /// What was known of the store counts no more: somebody else may have written there.
    fn compare_again(&mut self) {
        (self.versions_compared, self.enforced_compared) = (false, false);
    }
}

/// A storage that cannot be read stops the node; until then nothing has happened here.
fn acts(control: &Control) -> u64 {
    let counted = control.view().and_then(|view| meta::counters(&view));
    counted.map_or(0, |counters| counters.control_records)
}

/// Waits until there was another act, and a moment longer for those that follow it.
async fn until_acted(control: Control, seen: u64) {
    let mut applied = control.applied();
    while acts(&control) == seen {
        // Closed only when the node stops.
        if applied.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    tokio::time::sleep(Duration::from_millis(caps::STORE_LOOK_MS)).await;
}

/// Twice as long after each failure, up to a bound.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    let pause_ms = caps::STORE_PAUSE_MS_FIRST.saturating_mul(doubled).min(caps::STORE_PAUSE_MS_MAX);
    Duration::from_millis(pause_ms)
}

fn next_compare() -> Instant {
    Instant::now() + Duration::from_secs(caps::STORE_RECHECK_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let pauses = [1, 2, 3, 7, 8, 64, 65, u32::MAX].map(|failures| pause(failures).as_millis());
        assert_eq!(pauses, [500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
    }
}
