//! Events to a collector of OTLP, as log records. A message is kept once the collector has answered that it took it.

use std::time::Duration;

use aegis_audit::siem::Event;
use aegis_model::caps;

use super::{Carrier, Taken};
use crate::export::position::{Noted, Position, Way};
use crate::export::worker::{Events, NotSent};
use crate::export::{Otlp, Told};

/// How often it is noted how far it is.
const NOTE: Duration = Duration::from_secs(1);

pub(in crate::export) struct ToOtlp(Otlp);

/// The carrier to this collector.
pub(in crate::export) fn carrier(collector: Otlp) -> ToOtlp {
    ToOtlp(collector)
}

impl Carrier for ToOtlp {
    async fn begin(&mut self, _noted: Noted) -> Result<(), NotSent> {
        Ok(())
    }

    async fn put(&mut self, events: Events) -> Result<Taken, NotSent> {
        let mut taken = Taken::default();
        for part in parts(events.events) {
            let (first, last) = (part.first().map(|it| it.index), part.last().map(|it| it.index));
            let bytes: usize = part.iter().map(|event| event.text.len()).sum();
            let records = part.len() as u64;
            let told = Told { origin: events.source.origin.clone(), events: part };
            let refused = self.0.tell(told).await.map_err(NotSent::Collector)?;
            if refused > 0 {
                // Sent again it would be refused again, and the others would come twice.
                tracing::error!(
                    collector = self.0.place(),
                    log = events.source.origin,
                    first,
                    last,
                    refused,
                    "the collector refused events for good; they stay in the audit log"
                );
            }
            taken.records += records;
            taken.bytes += bytes as u64;
            taken.refused += refused.min(records);
        }
        Ok(taken)
    }

    fn is_due(&self, long: Duration, _idle: bool) -> bool {
        long >= NOTE
    }

    async fn keep(&mut self, _upto: Position) -> Result<(Taken, Way), NotSent> {
        Ok((Taken::default(), Way::None))
    }
}

/// The events in their order, so many at once as a message holds; one that is longer alone.
fn parts(events: Vec<Event>) -> Vec<Vec<Event>> {
    let (mut parts, mut bytes) = (Vec::<Vec<Event>>::new(), 0);
    for event in events {
        bytes += event.text.len();
        match parts.last_mut() {
            Some(part) if bytes <= caps::EXPORT_OTLP_BYTES => part.push(event),
            _ => {
                bytes = event.text.len();
                parts.push(vec![event]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use aegis_audit::hash::Hash;
    use aegis_audit::siem::Severity;
    use aegis_model::clock::UnixNanos;

    use super::*;

    #[test]
    fn messages_are_as_long_as_collectors_take_them_and_lose_nothing() {
        let event = |(index, length): (u64, usize)| Event {
            index,
            leaf: Hash::of(b""),
            chain: "node".to_owned(),
            tenant: None,
            kind: "gap".to_owned(),
            at: UnixNanos(1),
            day: String::new(),
            severity: Severity::Error,
            trace: None,
            text: "x".repeat(length),
        };
        let most = caps::EXPORT_OTLP_BYTES;
        let lengths = [1, most + 1, 1, most - 1, 1, most / 2, most / 2, 1];
        let parts = parts((0..).zip(lengths).map(event).collect());
        let indexes: Vec<Vec<u64>> =
            parts.iter().map(|part| part.iter().map(|event| event.index).collect()).collect();
        assert_eq!(indexes, [vec![0], vec![1], vec![2, 3], vec![4, 5], vec![6, 7]]);
    }
}
