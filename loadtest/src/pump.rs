//! Makes load: calls at the moments of a schedule, whatever the server does, and their latency from those moments.
//!
//! ```text
//! pacing thread ──(call, due)──▶ queue ──▶ driver of connection 1 ──▶ calls on their way ──▶ Tally
//!               ──(call, due)──▶ queue ──▶ driver of connection 2 …
//! ```
//!
//! No coordinated omission: a call that cannot be sent in time is neither dropped nor put off in the books; it waits
//! in a queue and its latency counts from the moment it was due.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::bounds;
use crate::schedule::Schedule;
use crate::tally::{Failure, Tally, histogram, nanos};
use crate::watch::Watch;

/// One connection to a server under load.
pub trait Link: Send + Sync + 'static {
    /// Makes call `number` and gives the answer's outcome.
    ///
    /// # Errors
    /// No answer came, or not the right one.
    fn call(&self, number: u64) -> impl Future<Output = Result<&'static str, Failure>> + Send;
}

/// The notes of one run.
#[derive(Debug)]
pub struct Recording {
    /// All answers.
    pub tally: Tally,
    /// How late the calls were handed over, in nanoseconds: the generator's own fault, part of the latency.
    pub lateness: Histogram<u64>,
}

/// A call that is due.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    number: u64,
    due: Duration,
}

/// Makes the calls of `schedule` over `links`, in turn. Calls `mark` on the pacing thread just before the first
/// measured call. When `over` is ready, whatever is still unanswered counts as an error.
///
/// # Errors
/// A task of the generator itself failed.
pub async fn open_loop<L: Link>(
    links: Vec<L>,
    schedule: Schedule,
    watch: Watch,
    mark: impl FnOnce() + Send + 'static,
    over: impl Future<Output = ()>,
) -> anyhow::Result<Recording> {
    let (stop, stopped) = watch::channel(false);
    let mut drivers = JoinSet::new();
    let mut queues = Vec::new();
    for link in links {
        let (queue, arrivals) = mpsc::channel(bounds::WAITING_MAX);
        queues.push(queue);
        let first_measured = schedule.first_measured();
        drivers.spawn(drive(link, arrivals, first_measured, watch.clone(), stopped.clone()));
    }
    let mut pacer = JoinSet::new();
    pacer.spawn_blocking(move || pace(schedule, &watch, &queues, mark));

    let tallies = gather(&mut drivers, stop, over).await?;
    let lateness =
        pacer.join_next().await.context("the pacing thread is gone")?.context("the pacing thread")?;
    let mut tally = Tally::default();
    tallies.iter().for_each(|one| tally.add(one));
    Ok(Recording { tally, lateness })
}

/// Waits for all drivers; tells them to stop when `over` is ready.
async fn gather(
    drivers: &mut JoinSet<Tally>,
    stop: watch::Sender<bool>,
    over: impl Future<Output = ()>,
) -> anyhow::Result<Vec<Tally>> {
    let mut tallies = Vec::new();
    let mut over = std::pin::pin!(over);
    let mut stopping = false;
    loop {
        tokio::select! {
            () = &mut over, if !stopping => {
                stopping = true;
                stop.send_replace(true);
            }
            driver = drivers.join_next() => match driver {
                Some(tally) => tallies.push(tally.context("a driver failed")?),
                None => return Ok(tallies),
            }
        }
    }
}

/// Hands each call over when it is due. Ends early when the drivers have ended.
fn pace(
    schedule: Schedule,
    watch: &Watch,
    queues: &[mpsc::Sender<Arrival>],
    mark: impl FnOnce(),
) -> Histogram<u64> {
    let mut lateness = histogram();
    let mut mark = Some(mark);
    for (number, queue) in (0..schedule.calls()).zip(queues.iter().cycle()) {
        let due = schedule.due(number);
        watch.wait_until(due);
        if number >= schedule.first_measured() {
            if let Some(mark) = mark.take() {
                mark();
            }
            lateness.saturating_record(nanos(watch.elapsed().saturating_sub(due)));
        }
        if queue.blocking_send(Arrival { number, due }).is_err() {
            break;
        }
    }
    lateness
}

/// Makes the calls of one connection, as many at a time as need be.
async fn drive<L: Link>(
    link: L,
    mut arrivals: mpsc::Receiver<Arrival>,
    first_measured: u64,
    watch: Watch,
    mut stopped: watch::Receiver<bool>,
) -> Tally {
    let mut tally = Tally::default();
    let mut on_their_way = FuturesUnordered::new();
    let mut more = true;
    while more || !on_their_way.is_empty() {
        tokio::select! {
            arrival = arrivals.recv(), if more && on_their_way.len() < bounds::IN_FLIGHT_MAX => match arrival {
                Some(arrival) => on_their_way.push(made(&link, arrival)),
                None => more = false,
            },
            Some((arrival, result)) = on_their_way.next() => {
                note(&mut tally, arrival, first_measured, result, watch.elapsed());
            }
            () = is_over(&mut stopped) => {
                let unanswered = on_their_way.len() + arrivals.len();
                tally.failed(Failure("no answer in time".to_owned()), unanswered as u64);
                break;
            }
        }
    }
    tally
}

async fn is_over(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same: nobody waits for the answers any more.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

async fn made<L: Link>(link: &L, arrival: Arrival) -> (Arrival, Result<&'static str, Failure>) {
    let result = link.call(arrival.number).await;
    (arrival, result)
}

fn note(
    tally: &mut Tally,
    arrival: Arrival,
    first_measured: u64,
    result: Result<&'static str, Failure>,
    now: Duration,
) {
    match result {
        Ok(outcome) if arrival.number >= first_measured => {
            tally.answered(outcome, now.saturating_sub(arrival.due), now);
        }
        Ok(_warm_up) => {}
        Err(failure) => tally.failed(failure, 1),
    }
}

/// Keeps `in_flight` calls on their way over each link, each answer followed by the next call, for `warm_up` and then
/// for `measured`. This finds how much a server can do; its latencies say little, since a slow server is asked less.
///
/// Calls `mark` when the warm-up is over.
///
/// # Errors
/// A task of the generator itself failed.
pub async fn closed_loop<L: Link>(
    links: Vec<L>,
    in_flight: usize,
    warm_up: Duration,
    measured: Duration,
    mark: impl FnOnce(),
) -> anyhow::Result<Tally> {
    let watch = Watch::start();
    let (phase, phases) = watch::channel(Phase::WarmUp);
    let (stop, stopped) = watch::channel(false);
    let mut drivers = JoinSet::new();
    let count = links.len();
    for (first, link) in links.into_iter().enumerate() {
        let numbers = (first as u64..).step_by(count);
        drivers.spawn(circulate(link, numbers, in_flight, watch.clone(), phases.clone(), stopped.clone()));
    }
    tokio::time::sleep(warm_up).await;
    mark();
    phase.send_replace(Phase::Measured);
    tokio::time::sleep(measured).await;
    stop.send_replace(true);

    let mut tally = Tally::default();
    while let Some(one) = drivers.join_next().await {
        tally.add(&one.context("a driver failed")?);
    }
    Ok(tally)
}

/// What a closed loop does with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
}

async fn circulate<L: Link>(
    link: L,
    mut numbers: impl Iterator<Item = u64> + Send,
    in_flight: usize,
    watch: Watch,
    phases: watch::Receiver<Phase>,
    mut stopped: watch::Receiver<bool>,
) -> Tally {
    let mut tally = Tally::default();
    let mut on_their_way = FuturesUnordered::new();
    loop {
        while on_their_way.len() < in_flight.clamp(1, bounds::IN_FLIGHT_MAX) {
            let number = numbers.next().unwrap_or_default();
            on_their_way.push(made(&link, Arrival { number, due: watch.elapsed() }));
        }
        let (arrival, result) = tokio::select! {
            Some(answer) = on_their_way.next() => answer,
            () = is_over(&mut stopped) => return tally,
        };
        let (phase, now) = (*phases.borrow(), watch.elapsed());
        match (phase, result) {
            (Phase::Measured, Ok(outcome)) => tally.answered(outcome, now.saturating_sub(arrival.due), now),
            (Phase::WarmUp, Ok(_)) => {}
            (_, Err(failure)) => {
                tally.failed(failure, 1);
                // A server that refuses everything at once must not keep the other tasks from running.
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
