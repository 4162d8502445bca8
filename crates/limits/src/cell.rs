//! A word of memory that several threads change at once: where the counters of leases and buckets live.
//!
//! A counter does not know whether its word is on the heap or in a file that is mapped into memory, and tests put it
//! under a checker of interleavings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A 64-bit word.
///
/// Implementations promise:
///
/// - changes of one word have one order that all threads see;
/// - who reads a value has whatever its writer did before writing it.
pub trait Cell {
    /// Its present value.
    fn load(&self) -> u64;

    /// Replaces the value, whatever it was.
    fn store(&self, value: u64);

    /// Replaces `seen` by `new`, or gives the value that was there instead. May fail although `seen` is there; the caller
    /// tries again.
    ///
    /// # Errors
    /// The value that was there.
    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64>;
}

impl Cell for AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }
}

impl<C: Cell + ?Sized> Cell for &C {
    fn load(&self) -> u64 {
        (**self).load()
    }

    fn store(&self, value: u64) {
        (**self).store(value);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        (**self).exchange(seen, new)
    }
}

impl<C: Cell + ?Sized> Cell for Arc<C> {
    fn load(&self) -> u64 {
        (**self).load()
    }

    fn store(&self, value: u64) {
        (**self).store(value);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        (**self).exchange(seen, new)
    }
}

/// Changes a word in one step, as often as others come between. Gives the values before and after, or the value for which
/// `change` gave nothing.
pub(crate) fn update<C: Cell>(cell: &C, change: impl Fn(u64) -> Option<u64>) -> Result<(u64, u64), u64> {
    let mut seen = cell.load();
    loop {
        let new = change(seen).ok_or(seen)?;
        match cell.exchange(seen, new) {
            Ok(()) => return Ok((seen, new)),
            Err(now) => seen = now,
        }
    }
}
