//! What is done at the object store: putting a version for ever, replacing the enforced bundle, and looking what is there.
//! Every operation has a deadline, and says what failed without any secret.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::manifest::digest_of;
use aegis_model::caps;
use aegis_model::digest::Digest;
use aegis_model::ids::TenantId;
use aegis_model::secret::Secret;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::layout::{self, BUNDLE, MANIFEST, SIGNATURE};

/// The part of an object store that belongs to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Shelf {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// As it was configured, for people.
    place: String,
    /// Never shown, whatever a provider writes into its messages.
    hidden: Arc<[Secret<String>]>,
}

/// A version as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// The bundle.
    pub bundle: Bytes,
    /// The manifest's bytes.
    pub manifest: Bytes,
    /// Their signature.
    pub signature: [u8; 64],
}

/// Which content an object had when it was last looked at, as far as the store tells without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    e_tag: Option<String>,
    version: Option<String>,
    bytes: u64,
    modified_ms: i64,
}

/// Why something could not be done at the object store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// It cannot be reached, refuses, or fails.
    #[error("the object store failed at `{path}`: {message}")]
    Failed {
        /// Where.
        path: String,
        /// In the provider's words, without secrets.
        message: String,
    },
    /// No answer within [`caps::STORE_CALL_SECONDS`].
    #[error("the object store did not answer within {} s at `{path}`", caps::STORE_CALL_SECONDS)]
    TimedOut {
        /// Where.
        path: String,
    },
    /// An object of a version is there with other content: somebody else writes into this place.
    #[error("`{path}` in the object store is not what was published: versions never change")]
    Differs {
        /// Where.
        path: String,
    },
}

impl ShelfError {
    /// A stable word for metrics and status.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "store_failed",
            Self::TimedOut { .. } => "store_timed_out",
            Self::Differs { .. } => "store_differs",
        }
    }

    /// Whether trying again may help.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::TimedOut { .. } => true,
            Self::Differs { .. } => false,
        }
    }
}

impl Shelf {
    /// The part of `store` below `prefix`. `place` names it for people; `hidden` is kept out of every message.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        place: String,
        hidden: Vec<Secret<String>>,
    ) -> Self {
        Self { store, prefix, place, hidden: hidden.into() }
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Puts a version, for ever. What is there already with the same content is left alone.
    ///
    /// # Errors
    /// [`ShelfError::Differs`]: other content is there; it is left alone as well. Otherwise the store failed.
    pub async fn put_version(
        &self,
        tenant: &TenantId,
        number: u64,
        version: &Shelved,
    ) -> Result<(), ShelfError> {
        let place = |object| layout::of_version(&self.prefix, tenant, number, object);
        self.put_once(&place(BUNDLE), version.bundle.clone()).await?;
        self.put_once(&place(SIGNATURE), Bytes::copy_from_slice(&version.signature)).await?;
        // Last: where a manifest is, everything is.
        self.put_once(&place(MANIFEST), version.manifest.clone()).await
    }

    /// The tenant's versions that are there as a whole.
    ///
    /// # Errors
    /// The store failed.
    pub async fn versions(&self, tenant: &TenantId) -> Result<BTreeSet<u64>, ShelfError> {
        let folder = layout::versions(&self.prefix, tenant);
        let listed = self.store.list(Some(&folder)).try_filter_map(|object| {
            let number = layout::number_of_manifest(&folder, &object.location);
            async move { Ok(number) }
        });
        self.within(&folder, listed.try_collect()).await
    }

    /// Replaces the tenant's enforced bundle, and tells how to recognize it.
    ///
    /// # Errors
    /// The store failed; the old bundle or the new one is there, never half of one.
    pub async fn put_enforced(&self, tenant: &TenantId, bundle: Bytes) -> Result<Option<Mark>, ShelfError> {
        let path = layout::enforced(&self.prefix, tenant);
        self.within(&path, self.store.put(&path, PutPayload::from(bundle))).await?;
        self.enforced_mark(tenant).await
    }

    /// How the tenant's enforced bundle is recognized; `None` if there is none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn enforced_mark(&self, tenant: &TenantId) -> Result<Option<Mark>, ShelfError> {
        let path = layout::enforced(&self.prefix, tenant);
        let found = self.within(&path, found(self.store.head(&path))).await?;
        Ok(found.as_ref().map(Mark::of))
    }

    /// The digest of the tenant's enforced bundle, by reading it; `None` if there is none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn enforced_digest(&self, tenant: &TenantId) -> Result<Option<Digest>, ShelfError> {
        let path = layout::enforced(&self.prefix, tenant);
        let content = self.read(&path).await?;
        Ok(content.map(|content| digest_of(&content)))
    }

    /// Puts an object that never changes.
    async fn put_once(&self, path: &Path, content: Bytes) -> Result<(), ShelfError> {
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
            return Ok(());
        }
        match self.read(path).await? {
            Some(there) if there == content => Ok(()),
            Some(_) => Err(ShelfError::Differs { path: path.to_string() }),
            // Removed by somebody in between.
            None => Err(self.failed(path, "it was there, and is gone")),
        }
    }

    /// The content of an object, if it is there. One that is larger than anything we put is not read.
    async fn read(&self, path: &Path) -> Result<Option<Bytes>, ShelfError> {
        let read = async {
            let Some(object) = found(self.store.get(path)).await? else { return Ok(None) };
            if object.meta.size > caps::BUNDLE_BYTES_MAX as u64 {
                return Ok(Some(Bytes::new()));
            }
            object.bytes().await.map(Some)
        };
        self.within(path, read).await
    }

    async fn within<T>(
        &self,
        path: &Path,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ShelfError> {
        match tokio::time::timeout(Duration::from_secs(caps::STORE_CALL_SECONDS), operation).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.failed(path, &error.to_string())),
            Err(_elapsed) => Err(ShelfError::TimedOut { path: path.to_string() }),
        }
    }

    fn failed(&self, path: &Path, message: &str) -> ShelfError {
        let mut message = message.to_owned();
        for hidden in self.hidden.iter() {
            message = message.replace(hidden.expose(), "[secret]");
        }
        let mut end = message.len().min(caps::STORE_MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        ShelfError::Failed { path: path.to_string(), message }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({})", self.place)
    }
}

impl Mark {
    fn of(object: &ObjectMeta) -> Self {
        Self {
            e_tag: object.e_tag.clone(),
            version: object.version.clone(),
            bytes: object.size,
            modified_ms: object.last_modified.timestamp_millis(),
        }
    }
}

async fn found<T>(look: impl Future<Output = object_store::Result<T>>) -> object_store::Result<Option<T>> {
    match look.await {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
