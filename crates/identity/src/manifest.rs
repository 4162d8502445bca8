//! The manifest of a policy version: what it consists of, signed so that a data node trusts nobody in between.
//!
//! A manifest travels [`Signed`] → [`ManifestTrust::verify`] → [`Verified`]; only a verified one vouches for a
//! bundle. Its bytes are the protobuf message `aegis.v1.Manifest`, but with exactly one spelling: this crate does not
//! use the crate of generated messages (they are of equal rank), so [`encoding`] writes and reads the few fields itself,
//! and a test where both are visible holds the two against each other.

mod encoding;

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_model::caps;
use aegis_model::digest::Digest;
use aegis_model::ids::{ClusterId, TenantId};
use sha2::Digest as _;

use crate::keys::{KeyId, SigningKey, VerifyingKey};

/// What is put before the bytes when they are signed and verified, so that no signature over anything else (a token,
/// a checkpoint) ever counts for a manifest. A manifest with further fields gets another number here.
pub const DOMAIN: &[u8] = b"aegis/manifest/v1\0";

/// What a policy version consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The cluster that published it.
    pub cluster: ClusterId,
    /// The tenant whose policy it is.
    pub tenant: TenantId,
    /// The number of the version: from 1, without gaps, per tenant.
    pub version: u64,
    /// The digest of the whole bundle.
    pub bundle: Digest,
    /// The size of the bundle: 1 to [`caps::BUNDLE_BYTES_MAX`].
    pub bundle_bytes: u64,
    /// The digests of its chunks, in order: each of [`caps::BUNDLE_CHUNK_BYTES`], only the last may be shorter.
    pub chunks: Vec<Digest>,
    /// The log time at which it was published, in milliseconds since 1970.
    pub created_ms: u64,
    /// The key that signs it.
    pub key_id: KeyId,
}

/// A manifest as it travels: exactly the bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The message `aegis.v1.Manifest`.
    pub bytes: Vec<u8>,
    /// The Ed25519 signature over [`DOMAIN`] and `bytes`.
    pub signature: [u8; 64],
}

impl Manifest {
    /// Describes `bundle`, to be signed by `key`.
    ///
    /// # Errors
    /// [`ManifestRefusal::Size`]: the bundle is empty or larger than [`caps::BUNDLE_BYTES_MAX`].
    /// [`ManifestRefusal::Malformed`]: versions count from 1.
    pub fn describe(
        cluster: ClusterId,
        tenant: TenantId,
        version: u64,
        bundle: &[u8],
        created_ms: u64,
        key: &SigningKey,
    ) -> Result<Self, ManifestRefusal> {
        let manifest = Self {
            cluster,
            tenant,
            version,
            bundle: digest_of(bundle),
            bundle_bytes: bundle.len() as u64,
            chunks: chunks_of(bundle).map(digest_of).collect(),
            created_ms,
            key_id: key.id(),
        };
        manifest.check_shape()?;
        Ok(manifest)
    }

    /// Signs it with `key`, which becomes its `key_id`.
    pub fn sign(mut self, key: &SigningKey) -> Signed {
        self.key_id = key.id();
        let bytes = encoding::write(&self);
        let signature = key.sign(&message(&bytes));
        Signed { bytes, signature }
    }

    /// Reads the bytes of a manifest without trusting them: for showing it, and to find its key.
    ///
    /// # Errors
    /// [`ManifestRefusal::TooLong`], [`ManifestRefusal::Malformed`] and [`ManifestRefusal::Size`].
    pub fn read_unverified(bytes: &[u8]) -> Result<Self, ManifestRefusal> {
        if bytes.len() > caps::MANIFEST_BYTES_MAX {
            return Err(ManifestRefusal::TooLong);
        }
        let manifest = encoding::read(bytes).ok_or(ManifestRefusal::Malformed)?;
        manifest.check_shape()?;
        Ok(manifest)
    }

    fn check_shape(&self) -> Result<(), ManifestRefusal> {
        if self.version == 0 {
            return Err(ManifestRefusal::Malformed);
        }
        let fits = (1..=caps::BUNDLE_BYTES_MAX as u64).contains(&self.bundle_bytes);
        let whole = self.chunks.len() as u64 == self.bundle_bytes.div_ceil(caps::BUNDLE_CHUNK_BYTES as u64);
        if fits && whole { Ok(()) } else { Err(ManifestRefusal::Size) }
    }
}

/// Cuts a bundle into its chunks: always at the same places.
pub fn chunks_of(bundle: &[u8]) -> impl Iterator<Item = &[u8]> {
    bundle.chunks(caps::BUNDLE_CHUNK_BYTES)
}

/// The digest that names `content`.
pub fn digest_of(content: &[u8]) -> Digest {
    Digest::from_bytes(sha2::Sha256::digest(content).into())
}

fn message(bytes: &[u8]) -> Vec<u8> {
    [DOMAIN, bytes].concat()
}

/// Whose manifests count: one cluster, and its keys past and present. Cheap to clone; a rotation makes a new one.
#[derive(Debug, Clone)]
pub struct ManifestTrust {
    cluster: ClusterId,
    keys: Arc<BTreeMap<KeyId, VerifyingKey>>,
}

impl ManifestTrust {
    /// Trusts exactly `keys`, for manifests of `cluster`.
    ///
    /// # Errors
    /// [`ManifestRefusal::TooManyKeys`]: more than [`caps::MANIFEST_KEYS_MAX`].
    pub fn new(
        cluster: ClusterId,
        keys: impl IntoIterator<Item = VerifyingKey>,
    ) -> Result<Self, ManifestRefusal> {
        let mut known = BTreeMap::new();
        for key in keys {
            known.insert(key.id(), key);
            if known.len() > caps::MANIFEST_KEYS_MAX {
                return Err(ManifestRefusal::TooManyKeys);
            }
        }
        Ok(Self { cluster, keys: Arc::new(known) })
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Every key, by id.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.values()
    }

    /// The manifest in `signed`, if a key of the cluster signed it for `tenant`.
    ///
    /// Whether it is of the version that was asked for is for the caller to compare: [`Verified::is_version`].
    ///
    /// # Errors
    /// [`ManifestRefusal`]. Nothing of the manifest is trusted then.
    pub fn verify(&self, signed: &Signed, tenant: &TenantId) -> Result<Verified, ManifestRefusal> {
        let manifest = Manifest::read_unverified(&signed.bytes)?;
        let key = self.keys.get(&manifest.key_id).ok_or(ManifestRefusal::UnknownKey(manifest.key_id))?;
        if !key.verifies(&message(&signed.bytes), &signed.signature) {
            return Err(ManifestRefusal::Signature);
        }
        if manifest.cluster != self.cluster {
            return Err(ManifestRefusal::WrongCluster);
        }
        if manifest.tenant != *tenant {
            return Err(ManifestRefusal::WrongTenant);
        }
        Ok(Verified { manifest })
    }
}

/// A manifest whose signature is right. Only one of these vouches for a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    manifest: Manifest,
}

impl Verified {
    /// What it says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether it is of this version.
    ///
    /// # Errors
    /// [`ManifestRefusal::WrongVersion`]
    pub fn is_version(&self, version: u64) -> Result<(), ManifestRefusal> {
        if self.manifest.version == version { Ok(()) } else { Err(ManifestRefusal::WrongVersion) }
    }

    /// Whether `bundle` is the bundle it vouches for.
    ///
    /// # Errors
    /// [`ManifestRefusal::WrongBundle`]
    pub fn check_bundle(&self, bundle: &[u8]) -> Result<(), ManifestRefusal> {
        let same =
            bundle.len() as u64 == self.manifest.bundle_bytes && digest_of(bundle) == self.manifest.bundle;
        if same { Ok(()) } else { Err(ManifestRefusal::WrongBundle) }
    }
}

/// Why a manifest does not count, or cannot be made. No message holds any of its content but a key's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestRefusal {
    /// Longer than [`caps::MANIFEST_BYTES_MAX`]; nothing of it was read.
    #[error("the manifest is longer than {} bytes", caps::MANIFEST_BYTES_MAX)]
    TooLong,
    /// Not the message, or not in its one spelling.
    #[error("the manifest is not a canonical message of version 1")]
    Malformed,
    /// The bundle is empty, too large, or has another number of chunks than its size asks for.
    #[error("the manifest's bundle has not between 1 and {} bytes in whole chunks", caps::BUNDLE_BYTES_MAX)]
    Size,
    /// The key named is not one of the cluster's; it may be newer than what is known here.
    #[error("the manifest's key `{0}` is not a manifest key of this cluster")]
    UnknownKey(KeyId),
    /// The signature does not verify.
    #[error("the manifest's signature is wrong")]
    Signature,
    /// Rightly signed, but for another cluster.
    #[error("the manifest is of another cluster")]
    WrongCluster,
    /// Rightly signed, but for another tenant.
    #[error("the manifest is of another tenant")]
    WrongTenant,
    /// Rightly signed, but of another version than was asked for.
    #[error("the manifest is of another version")]
    WrongVersion,
    /// The bundle is not the one that was signed.
    #[error("the bundle is not the one that the manifest names")]
    WrongBundle,
    /// More keys than [`caps::MANIFEST_KEYS_MAX`].
    #[error("there are more than {} manifest keys", caps::MANIFEST_KEYS_MAX)]
    TooManyKeys,
}

impl ManifestRefusal {
    /// A stable word for metrics and messages between nodes.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "manifest_too_long",
            Self::Malformed => "manifest_malformed",
            Self::Size => "manifest_size",
            Self::UnknownKey(_) => "manifest_unknown_key",
            Self::Signature => "manifest_signature",
            Self::WrongCluster => "manifest_wrong_cluster",
            Self::WrongTenant => "manifest_wrong_tenant",
            Self::WrongVersion => "manifest_wrong_version",
            Self::WrongBundle => "bundle_mismatch",
            Self::TooManyKeys => "manifest_too_many_keys",
        }
    }

    /// Whether the same manifest may count later: only if its key becomes known.
    pub fn retryable(self) -> bool {
        match self {
            Self::UnknownKey(_) => true,
            Self::TooLong
            | Self::Malformed
            | Self::Size
            | Self::Signature
            | Self::WrongCluster
            | Self::WrongTenant
            | Self::WrongVersion
            | Self::WrongBundle
            | Self::TooManyKeys => false,
        }
    }
}
