//! Every interleaving of a few threads over one lease and one bucket, tried by a model checker.
//!
//! The code under test is the product's own; only its words of memory are the checker's.

use std::time::Duration;

use aegis_limits::bucket::Bucket;
use aegis_limits::cell::Cell;
use aegis_limits::lease::{Lease, Unpaid};
use aegis_limits::ledger::LeaseId;
use aegis_limits::pace::Pace;
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// A word whose every access may be interrupted.
#[derive(Debug)]
struct Checked(AtomicU64);

impl Cell for Checked {
    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.0.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }
}

fn lease(amount: u64) -> Arc<Lease<Checked>> {
    Arc::new(Lease::in_cell(LeaseId(1), Micros(amount), Checked(AtomicU64::new(0))))
}

/// Runs `action` in a thread of its own over the same lease.
fn beside<T: 'static>(
    lease: &Arc<Lease<Checked>>,
    action: impl FnOnce(&Lease<Checked>) -> T + 'static,
) -> thread::JoinHandle<T> {
    let lease = Arc::clone(lease);
    thread::spawn(move || action(&lease))
}

fn paid(lease: &Lease<Checked>, cost: u64) -> u64 {
    if lease.spend(Micros(cost)).is_ok() { cost } else { 0 }
}

#[test]
fn two_calls_never_share_the_same_money() {
    loom::model(|| {
        let lease = lease(3);
        let other = beside(&lease, |lease| paid(lease, 2));
        let spent = paid(&lease, 2) + other.join().unwrap();
        assert_eq!((spent, lease.rest()), (2, Micros(1)));
    });
}

/// LIM-1: what was spent and what is reported as left are the lease, whoever comes first.
#[test]
fn no_payment_slips_between_reading_the_rest_and_closing() {
    loom::model(|| {
        let lease = lease(10);
        let call = beside(&lease, |lease| paid(lease, 3));
        let closing = beside(&lease, Lease::take_rest);
        let own = paid(&lease, 4);
        let rest = closing.join().unwrap().unwrap();
        assert_eq!(own + call.join().unwrap() + rest.0, 10);
        assert_eq!(lease.spend(Micros(1)), Err(Unpaid::Stopped));
    });
}

#[test]
fn the_rest_is_handed_out_once() {
    loom::model(|| {
        let lease = lease(10);
        let one = beside(&lease, Lease::take_rest);
        let two = beside(&lease, |lease| {
            lease.stop();
            lease.take_rest()
        });
        let rests = [one.join().unwrap(), two.join().unwrap(), lease.take_rest()];
        assert_eq!(rests.iter().flatten().collect::<Vec<_>>(), [&Micros(10)]);
    });
}

#[test]
fn a_refund_counts_in_the_rest_or_is_late() {
    loom::model(|| {
        let lease = lease(10);
        lease.spend(Micros(6)).unwrap();
        let refund = beside(&lease, |lease| if lease.refund(Micros(6)).is_ok() { 6 } else { 0 });
        let call = beside(&lease, |lease| paid(lease, 5));
        lease.stop();
        let rest = lease.take_rest().unwrap();
        assert_eq!(rest.0, 4 + refund.join().unwrap() - call.join().unwrap());
        assert_eq!(lease.rest(), rest, "the word keeps what was reported");
    });
}

#[test]
fn a_late_cost_and_a_call_share_what_there_is() {
    loom::model(|| {
        let lease = lease(5);
        let late = beside(&lease, |lease| lease.spend_up_to(Micros(4)).0);
        let spent = paid(&lease, 3) + late.join().unwrap();
        assert_eq!(lease.rest().0 + spent, 5);
    });
}

const NOW: Monotonic = Monotonic(Duration::from_secs(1));

fn bucket(burst: u32) -> Arc<Bucket<Checked>> {
    let pace = Pace::new(Micros(1_000_000), burst).expect("within the bounds");
    Arc::new(Bucket::in_cells(pace, |word| Checked(AtomicU64::new(word))))
}

#[test]
fn tokens_are_taken_and_given_back_one_by_one() {
    loom::model(|| {
        let bucket = bucket(2);
        let other = Arc::clone(&bucket);
        let beside = thread::spawn(move || {
            let token = other.take(NOW).ok();
            token.into_iter().for_each(|token| other.refund(token, NOW));
        });
        let one = bucket.take(NOW).is_ok();
        beside.join().unwrap();
        let left = std::iter::from_fn(|| bucket.take(NOW).ok()).take(9).count();
        assert!(one, "there are two tokens for two threads");
        assert_eq!(left, 1);
    });
}

#[test]
fn a_change_of_pace_makes_no_tokens() {
    loom::model(|| {
        let bucket = bucket(2);
        let other = Arc::clone(&bucket);
        let taking = thread::spawn(move || u32::from(other.take(NOW).is_ok()));
        let wide = Pace::new(Micros(4_000_000), 8).unwrap();
        bucket.change(wide, NOW);
        let left = std::iter::from_fn(|| bucket.take(NOW).ok()).take(9).count();
        assert_eq!(left as u32 + taking.join().unwrap(), 2);
    });
}
