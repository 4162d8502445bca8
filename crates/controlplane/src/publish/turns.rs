//! Whose turn it is: one publication per tenant, few that compile, and not too many that wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::error::PublishError;

/// The turns at one control node.
#[derive(Debug)]
pub(super) struct Turns {
    in_progress: Arc<Semaphore>,
    compiling: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Weak<tokio::sync::Mutex<()>>>>,
    /// The longest wait.
    wait: Duration,
}

/// A place among the publications in progress, and the tenant's turn. Held until the publication ends.
#[derive(Debug)]
pub(super) struct Turn {
    _tenant: OwnedMutexGuard<()>,
    _place: OwnedSemaphorePermit,
}

impl Turns {
    /// Turns that are waited for up to `wait`.
    pub(super) fn new(wait: Duration) -> Self {
        Self {
            wait,
            in_progress: Arc::new(Semaphore::new(caps::PUBLICATIONS_MAX)),
            compiling: Arc::new(Semaphore::new(caps::PUBLICATIONS_COMPILED_MAX)),
            tenants: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for the tenant's turn; refused at once when too many are in progress.
    pub(super) async fn take(&self, tenant: &TenantId) -> Result<Turn, PublishError> {
        let place = Arc::clone(&self.in_progress).try_acquire_owned().map_err(|_full| PublishError::Busy)?;
        let waited = self.within(self.of(tenant).lock_owned()).await?;
        Ok(Turn { _tenant: waited, _place: place })
    }

    /// Waits until there is room to compile. What is compiled keeps the permit, also if nobody waits for it any more.
    pub(super) async fn compile(&self) -> Result<OwnedSemaphorePermit, PublishError> {
        self.within(Arc::clone(&self.compiling).acquire_owned()).await?.map_err(|_closed| PublishError::Busy)
    }

    /// The tenant's own lock. Locks that nobody holds or waits for are forgotten, so that there are never more than
    /// publications in progress.
    fn of(&self, tenant: &TenantId) -> Arc<tokio::sync::Mutex<()>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = tenants.get(tenant).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        tenants.insert(tenant.clone(), Arc::downgrade(&lock));
        lock
    }

    async fn within<T>(&self, waited: impl Future<Output = T>) -> Result<T, PublishError> {
        tokio::time::timeout(self.wait, waited).await.map_err(|_elapsed| PublishError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_tenant_publishes_one_thing_at_a_time() {
        let turns = Turns::new(Duration::from_secs(60));
        let (a, b) = (tenant("a"), tenant("b"));
        let first = turns.take(&a).await.unwrap();
        let second = turns.take(&a);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none(), "the second waits");
        let _other_tenant = turns.take(&b).now_or_never().unwrap().unwrap();
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_too_long_or_comes_too_late_is_told_so() {
        let turns = Turns::new(Duration::from_millis(50));
        let held: Vec<Turn> = futures_util::future::join_all((0..caps::PUBLICATIONS_MAX - 1).map(|number| {
            let name = tenant(&format!("t{number}"));
            let turns = &turns;
            async move { turns.take(&name).await.unwrap() }
        }))
        .await;
        assert!(matches!(turns.take(&tenant("t0")).await, Err(PublishError::Busy)), "its turn never came");
        let _last = turns.take(&tenant("last")).await.unwrap();
        let refused = turns.take(&tenant("too-late")).now_or_never().unwrap();
        assert!(matches!(refused, Err(PublishError::Busy)), "at once");
        assert!(turns.tenants.lock().unwrap().len() <= caps::PUBLICATIONS_MAX);
        drop(held);
        turns.take(&tenant("t0")).await.unwrap();
    }
}
