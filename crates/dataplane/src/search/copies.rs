//! The object store as the place of copies, for one question.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use aegis_audit::search::{Copies, Known};
use aegis_model::caps;
use aegis_model::clock::{Clock, Monotonic};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use crate::archive::{Archive, ArchiveError};

/// Where copies lie, and what waits for it: searches have a thread of their own.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) archive: Archive,
    pub(super) runtime: Handle,
}

/// The copies of one node's logs, for as long as a question may take.
pub(super) struct OfStore<'s> {
    store: &'s Store,
    clock: &'s Clock,
    began: Monotonic,
    /// The names of the logs.
    origins: BTreeMap<u64, String>,
}

impl<'s> OfStore<'s> {
    pub(super) fn new(store: &'s Store, clock: &'s Clock, known: &BTreeMap<u64, Known>) -> Self {
        let origins = known.iter().map(|(life, known)| (*life, known.key.name().to_string())).collect();
        Self { store, clock, began: clock.monotonic(), origins }
    }

    fn origin(&self, life: u64) -> io::Result<&str> {
        self.origins.get(&life).map(String::as_str).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Waits for the store, in the thread of the search, until the time of the question is over.
    fn wait<T>(&self, operation: impl Future<Output = Result<T, ArchiveError>>) -> io::Result<T> {
        let all = Duration::from_millis(caps::SEARCH_STORE_MS);
        let left = all.saturating_sub(self.clock.monotonic().since(self.began));
        let within = async { tokio::time::timeout(left, operation).await };
        match self.store.runtime.block_on(within) {
            Ok(done) => done.map_err(io::Error::other),
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Copies for OfStore<'_> {
    fn list(&self, life: u64, folder: &str) -> io::Result<Vec<String>> {
        self.wait(self.store.archive.names(self.origin(life)?, folder))
    }

    fn read(&self, life: u64, files: &[String]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let origin = self.origin(life)?;
        let most = caps::SEARCH_COPY_BYTES_MAX;
        let one = |file: &String| {
            let (archive, file) = (self.store.archive.clone(), file.clone());
            async move { archive.file(origin, &file, most).await.map(|bytes| bytes.map(Vec::from)) }
        };
        let reads: Vec<_> = files.iter().map(one).collect();
        self.wait(stream::iter(reads).buffered(caps::SEARCH_STORE_READS_MAX).try_collect())
    }

    fn tail(&self, life: u64, file: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let tail = self.wait(self.store.archive.tail(self.origin(life)?, file, bytes_max))?;
        Ok(tail.map(Vec::from))
    }
}
