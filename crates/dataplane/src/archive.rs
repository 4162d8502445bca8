//! Copies of a node's audit logs in an object store: what is sealed goes there, in the layout of the node's own folder, so that
//! a download is verified like the original.
//!
//! Decisions wait for nothing here, and a store that is down delays nothing but itself: the files stay on the node, metrics
//! tell, and it is tried again. Each file is put only where nothing is; the checkpoint alone replaces an older one, and comes
//! last (AUD-1: it never speaks of what is not there). What the node asks of its own disk is in [`aegis_audit::upload`].

mod fetch;
mod keeper;
mod look;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::hash::Hash;
use aegis_model::caps;
use aegis_model::secret::Secret;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

pub use fetch::{Fetched, NotFetched};
pub(crate) use keeper::{Counts, Keeper};

/// Where the copies lie. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// As it was configured, for people.
    place: String,
    id: Hash,
    /// Never shown, whatever a provider writes into its messages.
    hidden: Arc<[Secret<String>]>,
}

/// Why something could not be done at the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be reached, refuses, or fails.
    #[error("the object store failed at `{path}`: {message}")]
    Failed {
        /// Where.
        path: String,
        /// In the provider's words, without secrets.
        message: String,
    },
    /// No answer in time.
    #[error("the object store did not answer within {} s at `{path}`", caps::ARCHIVE_CALL_SECONDS)]
    TimedOut {
        /// Where.
        path: String,
    },
    /// There is other content: somebody else writes there, or it was changed.
    #[error("`{path}` in the store of audit logs is not what this node has: nothing there is replaced")]
    Differs {
        /// Where.
        path: String,
    },
}

impl ArchiveError {
    /// A stable word for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "archive_failed",
            Self::TimedOut { .. } => "archive_timed_out",
            Self::Differs { .. } => "archive_differs",
        }
    }

    /// Whether trying again may help by itself.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::TimedOut { .. } => true,
            Self::Differs { .. } => false,
        }
    }
}

impl Archive {
    /// The part of `store` below `prefix`. `place` names it for people, `identity` tells it from every other place, and `hidden`
    /// is kept out of every message.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        place: String,
        identity: &str,
        hidden: Vec<Secret<String>>,
    ) -> Self {
        Self { store, prefix, place, id: Hash::of(identity.as_bytes()), hidden: hidden.into() }
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What tells it from every other place.
    pub(crate) fn id(&self) -> Hash {
        self.id
    }

    /// The place of `file` of the log `origin`, both with their parts joined by `/`.
    fn at(&self, origin: &str, file: &str) -> Path {
        self.below(origin.split('/').chain(file.split('/')).map(str::to_owned))
    }

    /// The place of this name below the prefix.
    pub(crate) fn below(&self, own: impl Iterator<Item = String>) -> Path {
        Path::from_iter(self.prefix.parts().map(|part| part.as_ref().to_owned()).chain(own))
    }

    /// Puts a file that never changes. Whether it was new there.
    async fn put_new(&self, path: &Path, content: Bytes) -> Result<bool, ArchiveError> {
        let options = PutOptions::from(PutMode::Create);
        let put = async {
            match self.store.put_opts(path, PutPayload::from(content.clone()), options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        };
        if self.within(path, put).await? {
            return Ok(true);
        }
        match self.get(path, content.len() as u64).await? {
            Some(there) if there == content => Ok(false),
            Some(_) => Err(ArchiveError::Differs { path: path.to_string() }),
            // Removed by somebody in between.
            None => Err(self.failed(path, "it was there, and is gone")),
        }
    }

    /// Puts a file, whatever was there.
    pub(crate) async fn replace(&self, path: &Path, content: Bytes) -> Result<(), ArchiveError> {
        self.within(path, self.store.put(path, PutPayload::from(content))).await.map(drop)
    }

    /// The content of a file, if it is there; nothing of it is read if it is larger than `bytes_max`.
    async fn get(&self, path: &Path, bytes_max: u64) -> Result<Option<Bytes>, ArchiveError> {
        let read = async {
            let object = match self.store.get(path).await {
                Ok(object) => object,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            if object.meta.size > bytes_max {
                return Ok(Some(Bytes::new()));
            }
            object.bytes().await.map(Some)
        };
        self.within(path, read).await
    }

    /// Deletes a file, if it is there.
    async fn delete(&self, path: &Path) -> Result<(), ArchiveError> {
        let delete = async {
            match self.store.delete(path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done,
            }
        };
        self.within(path, delete).await
    }

    /// The paths and sizes of all files below `folder`, most bytes of which stay at the store.
    async fn list(&self, folder: &Path) -> Result<Vec<(Path, u64)>, ArchiveError> {
        let listed = self.store.list(Some(folder)).map_ok(|object| (object.location, object.size));
        self.within(folder, listed.try_collect()).await
    }

    async fn within<T>(
        &self,
        path: &Path,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ArchiveError> {
        match tokio::time::timeout(Duration::from_secs(caps::ARCHIVE_CALL_SECONDS), operation).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.failed(path, &error.to_string())),
            Err(_elapsed) => Err(ArchiveError::TimedOut { path: path.to_string() }),
        }
    }

    fn failed(&self, path: &Path, message: &str) -> ArchiveError {
        let mut message = message.to_owned();
        for hidden in self.hidden.iter() {
            message = message.replace(hidden.expose(), "[secret]");
        }
        let end = message.floor_char_boundary(caps::STORE_MESSAGE_BYTES_MAX);
        message.truncate(end);
        ArchiveError::Failed { path: path.to_string(), message }
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({})", self.place)
    }
}

#[cfg(test)]
mod tests;
