//! Events as objects of a store: what was recorded of a tenant on a day, gathered for a while and compressed. The bounds of what is put
//! are noted before, so that after a crash the same objects are put once more, under the same names.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use aegis_audit::siem::{Event, Format};
use aegis_model::caps;
use bytes::Bytes;
use flate2::{Compression, GzBuilder};

use super::{Carrier, Taken};
use crate::export::position::{Noted, Position, Way};
use crate::export::worker::{Events, NotSent, Source, blocking};
use crate::export::{Store, extension};

pub(in crate::export) struct ToStore {
    store: Store,
    extension: &'static str,
    source: Option<Source>,
    /// By chain and day.
    objects: BTreeMap<(String, String), Object>,
    bytes: usize,
}

struct Object {
    tenant: Option<String>,
    first: u64,
    records: u64,
    lines: Vec<u8>,
}

/// The carrier to this store.
pub(in crate::export) fn carrier(store: Store, format: Format) -> ToStore {
    ToStore { store, extension: extension(format), source: None, objects: BTreeMap::new(), bytes: 0 }
}

impl Carrier for ToStore {
    const PLANNED: bool = true;

    async fn begin(&mut self, _noted: Noted) -> Result<(), NotSent> {
        Ok(())
    }

    async fn put(&mut self, events: Events) -> Result<Taken, NotSent> {
        self.source.get_or_insert(events.source);
        for event in events.events {
            self.bytes += event.text.len() + 1;
            self.gather(event);
        }
        Ok(Taken::default())
    }

    fn is_due(&self, long: Duration, idle: bool) -> bool {
        self.bytes >= caps::EXPORT_OBJECT_BYTES || idle && long >= self.store.every
    }

    async fn keep(&mut self, _upto: Position) -> Result<(Taken, Way), NotSent> {
        let (objects, source) = (std::mem::take(&mut self.objects), self.source.take());
        self.bytes = 0;
        let mut taken = Taken::default();
        let Some(source) = source else { return Ok((taken, Way::None)) };
        for ((chain, day), object) in objects {
            let name = object.name(&chain, &day, &source, self.extension);
            let lines = object.lines;
            let content = blocking(move || compressed(&lines)).await?;
            let bytes = content.len() as u64;
            let archive = &self.store.archive;
            archive.replace(&archive.below(name.into_iter()), content).await?;
            taken.records += object.records;
            taken.bytes += bytes;
        }
        Ok((taken, Way::None))
    }
}

impl ToStore {
    fn gather(&mut self, event: Event) {
        let fresh = Object { tenant: event.tenant, first: event.index, records: 0, lines: Vec::new() };
        let object = self.objects.entry((event.chain, event.day)).or_insert(fresh);
        object.records += 1;
        object.lines.extend_from_slice(event.text.as_bytes());
        object.lines.push(b'\n');
    }
}

impl Object {
    /// The parts of its name. The id of the log's key is in it: a log of the same name, after its node lost its disk, is another.
    fn name(&self, chain: &str, day: &str, source: &Source, extension: &str) -> Vec<String> {
        let whose =
            self.tenant.as_ref().map_or_else(|| chain.to_owned(), |tenant| format!("tenant={tenant}"));
        let log = source.origin.split('/').map(str::to_owned);
        let own = [source.key.clone(), format!("{:020}.{extension}.gz", self.first)];
        [whose, format!("day={day}")].into_iter().chain(log).chain(own).collect()
    }
}

/// The same lines give the same bytes.
fn compressed(lines: &[u8]) -> std::io::Result<Bytes> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    gzip.write_all(lines)?;
    gzip.finish().map(Bytes::from)
}
