//! One source of randomness for all calls.

use std::sync::{Mutex, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Gives each call a generator of its own, so that no lock is held while one is used.
pub(crate) struct Randomness(Mutex<StdRng>);

impl Randomness {
    pub(crate) fn new(source: StdRng) -> Self {
        Self(Mutex::new(source))
    }

    /// A generator of its own.
    pub(crate) fn fork(&self) -> StdRng {
        // A panic in between leaves a generator that is as good as before.
        StdRng::from_rng(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
