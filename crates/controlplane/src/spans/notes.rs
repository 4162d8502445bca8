//! What those who work on a call know of it, kept until it is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aegis_model::caps;
use aegis_model::clock::{Clock, Monotonic};
use aegis_model::ids::TenantId;

use super::{Step, nanos};

/// The notes on one call; it travels in the extensions of its request. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    clock: Clock,
    began: Monotonic,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Noted {
    pub(super) operation: Option<&'static str>,
    pub(super) tenant: Option<TenantId>,
    pub(super) person_token: Option<String>,
    pub(super) data_node: Option<String>,
    pub(super) refused: Option<String>,
    pub(super) steps: Vec<Step>,
}

impl Notes {
    pub(super) fn new(clock: Clock) -> Self {
        let began = clock.monotonic();
        Self { clock, began, noted: Arc::default() }
    }

    pub(super) fn began(&self) -> Monotonic {
        self.began
    }

    pub(super) fn take(&self) -> Noted {
        std::mem::take(&mut *self.noted())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // A panic in between leaves notes that are as good as before.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is asked for.
    pub(crate) fn operation(&self, operation: &'static str) {
        self.noted().operation = Some(operation);
    }

    /// Which tenant it is about.
    pub(crate) fn tenant(&self, tenant: &TenantId) {
        self.noted().tenant = Some(tenant.clone());
    }

    /// By which token a person was proven.
    pub(crate) fn person_token(&self, id: &str) {
        self.noted().person_token = Some(id.to_owned());
    }

    /// Which data node asks.
    pub(crate) fn data_node(&self, name: &str) {
        self.noted().data_node = Some(name.to_owned());
    }

    /// It is answered with a refusal that is no status: why, as a stable code.
    pub(crate) fn refused(&self, code: &str) {
        self.noted().refused = Some(code.to_owned());
    }

    /// Waits for `work`, and notes how long it took. It is noted at most [`caps::SPAN_STEPS_MAX`] times.
    pub(crate) async fn step<T>(
        notes: Option<&Self>,
        name: &'static str,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(notes) = notes else { return work.await };
        let began = notes.clock.monotonic();
        let done = work.await;
        let now = notes.clock.monotonic();
        let mut noted = notes.noted();
        if noted.steps.len() < caps::SPAN_STEPS_MAX {
            noted.steps.push(Step { name, at: nanos(now, notes.began), nanos: nanos(now, began) });
        }
        drop(noted);
        done
    }
}
