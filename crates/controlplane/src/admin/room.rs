//! How much the admin API does at once: people never crowd out replication and the feed.

use std::sync::Arc;

use aegis_model::caps;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use super::problem::ApiCode;

/// The places for what is done at once.
#[derive(Debug)]
pub(crate) struct Rooms {
    calls: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

impl Default for Rooms {
    fn default() -> Self {
        let room = |places| Arc::new(Semaphore::new(places));
        Self {
            calls: room(caps::ADMIN_CALLS_MAX),
            watches: room(caps::ACTIVATION_WATCHES_MAX),
            body_bytes: room(caps::ADMIN_BODIES_BYTES_MAX),
        }
    }
}

impl Rooms {
    /// A place for a call.
    pub(crate) fn call(&self) -> Result<Place, Problem> {
        enter(&self.calls, 1, "the control node has as many calls as it can take")
    }

    /// A place for a call that waits for data nodes.
    pub(crate) fn watch(&self) -> Result<Place, Problem> {
        enter(&self.watches, 1, "too many calls wait for data nodes here")
    }

    /// Room for `bytes` of a body.
    pub(crate) fn body(&self, bytes: usize) -> Result<Place, Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        enter(&self.body_bytes, bytes, "the control node reads as many bodies as it can")
    }
}

fn enter(room: &Arc<Semaphore>, places: u32, why: &str) -> Result<Place, Problem> {
    let permit = Arc::clone(room).try_acquire_many_owned(places);
    permit.map(Place).map_err(|_full| Problem::new(ApiCode::Overloaded, why))
}
