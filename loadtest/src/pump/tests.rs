//! A server behind a gate, a watch whose hand a test moves, and so every moment exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Semaphore, oneshot};

use super::*;

/// A server behind a gate: a call is answered when the gate is open.
#[derive(Clone)]
struct Gated {
    gate: Arc<Semaphore>,
    /// One permit per call that has been made.
    calls: Arc<Semaphore>,
    /// Every so many calls fail; none if 0.
    failing: u64,
}

impl Gated {
    fn closed() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), calls: Arc::new(Semaphore::new(0)), failing: 0 }
    }

    fn open() -> Self {
        let gated = Self::closed();
        gated.gate.close();
        gated
    }

    /// Waits until so many calls have been made.
    async fn called(&self, times: u32) {
        self.calls.acquire_many(times).await.unwrap().forget();
    }
}

impl Link for Gated {
    async fn call(&self, number: u64) -> Result<&'static str, Failure> {
        self.calls.add_permits(1);
        // The gate has no permits: this waits until the gate is opened for good, which is its closing as a semaphore.
        assert!(self.gate.acquire().await.is_err());
        match self.failing != 0 && number.is_multiple_of(self.failing) {
            true => Err(Failure("planted".to_owned())),
            false => Ok("allow"),
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn near(measured: Duration, expected: f64) -> bool {
    (measured.as_secs_f64() / expected - 1.0).abs() < 0.01
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_shows_in_every_call_that_was_due_in_it() {
    let (server, watch) = (Gated::closed(), Watch::manual());
    let schedule = Schedule::new(100, Duration::ZERO, seconds(2.0));
    let run = open_loop(vec![server.clone()], schedule, watch.clone(), || (), std::future::pending());
    let stall = async {
        watch.set(seconds(2.0));
        server.called(200).await;
        server.gate.close();
    };
    let (recording, ()) = tokio::join!(run, stall);

    // The server was stalled for 2 s and 200 calls were due in that time, one every 10 ms: the first waited for
    // 2 s, the last for 10 ms. A generator that waits for answers would have noted one slow call.
    let tally = recording.unwrap().tally;
    assert_eq!((tally.count(), tally.errors().len()), (200, 0));
    assert!(near(tally.latency(100.0), 2.0), "{:?}", tally.latency(100.0));
    assert!(near(tally.latency(50.0), 1.0), "{:?}", tally.latency(50.0));
    assert!(near(tally.latency(10.0), 0.2), "{:?}", tally.latency(10.0));
    assert!(near(tally.latency(0.0), 0.01), "{:?}", tally.latency(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_a_place_are_measured_too() {
    let (server, watch) = (Gated::closed(), Watch::manual());
    let schedule = Schedule::new(1_000, Duration::ZERO, seconds(1.0));
    let run = open_loop(vec![server.clone()], schedule, watch.clone(), || (), std::future::pending());
    let stall = async {
        watch.set(seconds(1.0));
        server.called(bounds::IN_FLIGHT_MAX as u32).await;
        server.gate.close();
    };
    let (recording, ()) = tokio::join!(run, stall);
    let tally = recording.unwrap().tally;
    assert_eq!(tally.count(), 1_000, "far more than may be on their way at once");
    assert!(near(tally.latency(50.0), 0.5) && near(tally.latency(100.0), 1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_never_answered_is_an_error() {
    let (server, watch) = (Gated::closed(), Watch::manual());
    let schedule = Schedule::new(100, seconds(1.0), seconds(1.0));
    let (end, ended) = oneshot::channel::<()>();
    let over = async { drop(ended.await) };
    let run = open_loop(vec![server.clone()], schedule, watch.clone(), || (), over);
    let stall = async {
        watch.set(seconds(2.0));
        server.called(200).await;
        drop(end);
    };
    let (recording, ()) = tokio::join!(run, stall);
    let tally = recording.unwrap().tally;
    assert_eq!(tally.errors(), &[("no answer in time".to_owned(), 200)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warming_up_is_not_measured_but_its_errors_count() {
    let (server, watch) = (Gated { failing: 10, ..Gated::open() }, Watch::manual());
    watch.set(seconds(9.0));
    let marked = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&marked);
    let schedule = Schedule::new(100, seconds(1.0), seconds(2.0));
    let links = vec![server.clone(), server.clone(), server.clone()];
    let mark = move || assert!(!mark.swap(true, Ordering::Relaxed), "marked twice");
    let recording = open_loop(links, schedule, watch, mark, std::future::pending()).await.unwrap();

    assert!(marked.load(Ordering::Relaxed));
    assert_eq!(recording.tally.outcomes(), &[("allow", 180)].into());
    assert_eq!(recording.tally.errors(), &[("planted".to_owned(), 30)].into());
    // The hand stood at 9 s all the time: that is how late the generator was, from the first measured call on.
    assert!(near(Duration::from_nanos(recording.lateness.max()), 8.0));
    assert_eq!(recording.lateness.len(), 200);
}

/// Answers at once and notes how many calls were on their way together.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: Arc<AtomicUsize>,
    calls: Arc<AtomicU64>,
}

impl Link for Crowd {
    async fn call(&self, _: u64) -> Result<&'static str, Failure> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok("allow")
    }
}

#[tokio::test]
async fn a_closed_loop_keeps_so_many_calls_on_their_way() {
    let crowd = Crowd::default();
    let (most, calls) = (Arc::clone(&crowd.most), Arc::clone(&crowd.calls));
    let tally = closed_loop(vec![crowd], 7, Duration::ZERO, seconds(0.02), || ()).await.unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 7);
    assert!(tally.count() > 0 && tally.count() <= calls.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_closed_loop_ends_even_if_nothing_is_answered() {
    let tally = closed_loop(vec![Gated::closed()], 7, Duration::ZERO, seconds(0.01), || ()).await.unwrap();
    assert_eq!(tally.count(), 0);
}
