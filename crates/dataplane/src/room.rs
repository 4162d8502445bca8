//! How many calls are in progress: seats for the node as a whole, and a share of them for each tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aegis_model::caps;

/// A number of seats. A call takes one before its body is read, and gives it back when it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One seat; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Seat {
    taken: Arc<AtomicUsize>,
}

impl Room {
    /// A room with `max` seats.
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    /// A room of another size in which the same calls sit.
    pub(crate) fn resized(&self, max: usize) -> Self {
        Self { taken: Arc::clone(&self.taken), max }
    }

    /// A seat, if one is free.
    pub(crate) fn enter(&self) -> Option<Seat> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { taken: Arc::clone(&self.taken) };
        // When it was full, dropping the seat takes the count back.
        (before < self.max).then_some(seat)
    }

    /// How many seats are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many seats there are.
    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many of a node's `seats` one of `tenants` may take: all when it is alone, otherwise 2/(n+1) of them, at
/// least [`caps::TENANT_CALLS_MIN`].
///
/// So no tenant alone can fill a node, and the shares together are less than twice the seats: a busy tenant gets
/// more than its part while others are quiet.
pub(crate) fn tenant_seats(seats: usize, tenants: usize) -> usize {
    let share = seats.saturating_mul(2) / (tenants + 1);
    share.max(caps::TENANT_CALLS_MIN).min(seats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_room_refuses_and_recovers() {
        let room = Room::new(2);
        let (one, two) = (room.enter(), room.enter());
        assert!(one.is_some() && two.is_some());
        assert!(room.enter().is_none());
        assert_eq!(room.taken(), 2, "the refused call left no trace");
        drop(one);
        assert!(room.enter().is_some());
    }

    #[test]
    fn a_resized_room_keeps_its_guests() {
        let room = Room::new(2);
        let _seat = room.enter();
        let smaller = room.resized(1);
        assert!(smaller.enter().is_none());
        assert!(room.enter().is_some());
    }

    #[test]
    fn no_tenant_fills_a_node_that_it_shares() {
        assert_eq!(tenant_seats(4_096, 1), 4_096);
        assert_eq!(tenant_seats(4_096, 3), 2_048);
        assert_eq!(tenant_seats(4_096, 1_000_000), caps::TENANT_CALLS_MIN);
        assert_eq!(tenant_seats(10, 3), 10, "a small node is not cut below the least share");
        for tenants in 2..200 {
            assert!(tenant_seats(4_096, tenants) * tenants < 2 * 4_096 + tenants * caps::TENANT_CALLS_MIN);
        }
    }
}
