//! A session with who says when it has what it was given: a collector of OTLP, a folder, an object store.

mod files;
mod objects;
mod otlp;

use std::time::Duration;

use tokio::time::Instant;

use super::position::{Noted, Position, Way};
use super::worker::{Events, LOOK, NotSent, Wanted, Worker};

pub(super) use files::carrier as files;
pub(super) use objects::carrier as objects;
pub(super) use otlp::carrier as otlp;

/// Who takes events.
///
/// - Records come in the order of one log; a log follows another only after [`Carrier::keep`].
/// - What was put and not kept may be lost at any time, and is then put again, from the position that was noted last.
/// - After [`Carrier::keep`] nothing of it is lost, whatever happens here.
pub(super) trait Carrier {
    /// Whether the bounds of what is kept at once are noted before, so that it is kept once more exactly as it was.
    const PLANNED: bool = false;

    /// Before anything else: what was noted.
    async fn begin(&mut self, noted: Noted) -> Result<(), NotSent>;

    /// Takes events in, all of one log.
    async fn put(&mut self, events: Events) -> Result<Taken, NotSent>;

    /// Whether it is time to keep what was put; its first for so long already. `idle`: there is nothing more to put at present.
    fn is_due(&self, long: Duration, idle: bool) -> bool;

    /// Keeps what was put, up to this position.
    async fn keep(&mut self, upto: Position) -> Result<(Taken, Way), NotSent>;
}

/// What was handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Of the records, those that were refused for good.
    pub(super) refused: u64,
}

/// What was put and not kept yet.
#[derive(Debug, Clone, Copy)]
struct Held {
    from: Position,
    upto: Position,
    since: Instant,
}

/// From what was noted last on. With `to_the_end` it ends once nothing is left, and all of it is kept.
pub(super) async fn session<C: Carrier>(
    worker: &mut Worker,
    mut carrier: C,
    to_the_end: bool,
) -> Result<(), NotSent> {
    let mut noted = worker.noted().await?;
    carrier.begin(noted).await?;
    let mut place = noted.position;
    // What was under way as one, is read as one.
    let mut end = match noted.way {
        Way::Upto(end) if C::PLANNED => Some(end),
        _ => None,
    };
    let (mut reading, mut held) = (None, None::<Held>);
    loop {
        let batch = worker.next(&mut reading, &mut place, end, Wanted::events).await?;
        let idle = batch.is_none();
        if let Some(events) = batch {
            let from = events.source.from;
            if let Some(of) = held.take_if(|held| held.from.life != from.life) {
                noted = keep(worker, &mut carrier, noted, of).await?;
                end = None;
            }
            if from.life != noted.position.life {
                end = None;
            }
            let taken = carrier.put(events).await?;
            count(worker, taken);
            let began = held.map_or((from, Instant::now()), |held| (held.from, held.since));
            held = Some(Held { from: began.0, upto: place, since: began.1 });
        }
        let due = |held: &mut Held| match end {
            Some(end) => idle || held.upto.next >= end,
            None => idle && to_the_end || carrier.is_due(held.since.elapsed(), idle),
        };
        match held.take_if(due) {
            Some(of) => {
                noted = keep(worker, &mut carrier, noted, of).await?;
                end = None;
                if idle {
                    worker.caught_up();
                }
            }
            // Nothing is there any more of what was under way.
            None if idle && held.is_none() => end = None,
            None => {}
        }
        let behind = match noted.position {
            same if same.life == place.life => same,
            _ => Position { life: place.life, next: 0 },
        };
        let lag = worker.lag(reading.as_ref(), behind).await;
        worker.note_lag(Some(lag));
        if idle && to_the_end && held.is_none() {
            return Ok(());
        }
        if idle {
            worker.well();
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Keeps what is held, and notes that it is kept.
async fn keep<C: Carrier>(
    worker: &Worker,
    carrier: &mut C,
    noted: Noted,
    held: Held,
) -> Result<Noted, NotSent> {
    let plan = Noted { position: held.from, way: Way::Upto(held.upto.next) };
    if C::PLANNED && noted != plan {
        worker.note(plan).await?;
    }
    let (taken, way) = carrier.keep(held.upto).await?;
    count(worker, taken);
    let noted = Noted { position: held.upto, way };
    worker.note(noted).await?;
    Ok(noted)
}

fn count(worker: &Worker, taken: Taken) {
    worker.count(taken.records, taken.bytes);
    worker.count_refused(taken.refused);
}
