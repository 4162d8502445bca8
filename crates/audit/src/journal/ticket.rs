//! What becomes of one record: told once, to whoever waits, in a thread or in a task.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::error::NotKept;
use crate::hash::Hash;
use crate::record::{Link, RecordId};

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its place in the log.
    pub index: u64,
    /// Its hash.
    pub entry: Hash,
    /// The hash of its leaf, which a receipt names.
    pub leaf: Hash,
    /// Its id.
    pub id: RecordId,
    /// Its number in its chain.
    pub seq: u64,
}

impl Placed {
    /// How a later record points at it.
    pub fn link(&self) -> Link {
        Link { entry: self.entry, id: self.id }
    }
}

/// The promise that a record is kept. Resolves when the sync that covers it returned, or, where its chain asked for no
/// more, when it was written. A future of any runtime, or waited for in a thread. Every clone tells the same.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Result<Placed, NotKept>>,
    /// Who waits in a task: nearly always one.
    waker: Option<Waker>,
    /// And whoever else does.
    others: Vec<Waker>,
    /// How many wait in a thread. Telling nobody costs a call of the system.
    threads: usize,
}

/// The writer's end of a [`Ticket`]. Dropped unkept, it tells that the record is not kept.
#[derive(Debug)]
pub(super) struct Promise(Option<Arc<Fate>>);

impl Ticket {
    pub(super) fn new() -> (Self, Promise) {
        let fate = Arc::new(Fate::default());
        (Self(Arc::clone(&fate)), Promise(Some(fate)))
    }

    /// One whose record will never be kept.
    pub fn lost() -> Self {
        Self::new().0
    }

    /// One that is kept already, without a record: for a build that records nothing.
    #[cfg(aegis_unrecorded)]
    pub fn unrecorded() -> Self {
        let (ticket, promise) = Self::new();
        let none = Hash([0; 32]);
        promise.settle(Ok(Placed { index: 0, entry: none, leaf: none, id: RecordId([0; 16]), seq: 1 }));
        ticket
    }

    /// Waits in this thread, at most so long.
    ///
    /// # Errors
    /// [`NotKept`]; [`NotKept::Busy`] when the time is over, and then the record may be kept all the same.
    pub fn wait(&self, at_most: Duration) -> Result<Placed, NotKept> {
        let mut state = self.0.lock();
        state.threads += 1;
        let waiting = self.0.told.wait_timeout_while(state, at_most, |state| state.outcome.is_none());
        let (mut state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        state.threads -= 1;
        state.outcome.clone().unwrap_or(Err(NotKept::Busy))
    }

    /// Where the record stands, once it is known to be kept.
    pub fn placed(&self) -> Option<Placed> {
        self.0.lock().outcome.as_ref().and_then(|outcome| outcome.as_ref().ok().copied())
    }
}

impl Future for Ticket {
    type Output = Result<Placed, NotKept>;
    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                state.wait(ctx.waker());
                Poll::Pending
            }
        }
    }
}

impl State {
    fn wait(&mut self, waker: &Waker) {
        let mut known = self.waker.iter().chain(&self.others);
        if known.any(|known| known.will_wake(waker)) {
            return;
        }
        match &self.waker {
            Some(known) if !known.will_wake(Waker::noop()) => self.others.push(waker.clone()),
            // Who only had a look was not to be woken.
            _ => self.waker = Some(waker.clone()),
        }
    }
}

impl Fate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, outcome: Result<Placed, NotKept>) {
        let mut state = self.lock();
        state.outcome.get_or_insert(outcome);
        let wakers = state.waker.take().into_iter().chain(std::mem::take(&mut state.others));
        if state.threads > 0 {
            self.told.notify_all();
        }
        drop(state);
        wakers.for_each(Waker::wake);
    }
}

impl Promise {
    pub(super) fn settle(mut self, outcome: Result<Placed, NotKept>) {
        self.0.take().into_iter().for_each(|fate| fate.tell(outcome.clone()));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|fate| fate.tell(Err(NotKept::Closed)));
    }
}
