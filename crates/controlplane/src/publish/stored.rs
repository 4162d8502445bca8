//! Versions that were published: their bundles, verified before anybody sees them.

use aegis_identity::manifest::{Signed, digest_of};
use aegis_model::ids::TenantId;
use aegis_proto::control::Version;
use aegis_raft_store::tables::StateRead;
use bytes::Bytes;

use super::error::PublishError;
use crate::keys::manifest_trust;
use crate::state::versions;

/// The tenant's version of this number.
///
/// # Errors
/// [`PublishError::UnknownVersion`], or the storage failed.
pub fn version(state: &impl StateRead, tenant: &TenantId, number: u64) -> Result<Version, PublishError> {
    versions::version(state, tenant, number)?.ok_or(PublishError::UnknownVersion(number))
}

/// The bundle of a version, as it was published.
///
/// # Errors
/// [`PublishError::VersionRetired`], [`PublishError::Damaged`], or the storage failed.
pub fn bundle(state: &impl StateRead, version: &Version) -> Result<Bytes, PublishError> {
    if version.retired_ms != 0 {
        return Err(PublishError::VersionRetired(version.number));
    }
    let bundle = versions::bundle(state, version)?.ok_or(PublishError::Damaged(version.number))?;
    if digest_of(&bundle).as_bytes().as_slice() != version.bundle_digest {
        return Err(PublishError::Damaged(version.number));
    }
    Ok(bundle.into())
}

/// The manifest of a version, as it was signed.
///
/// # Errors
/// [`PublishError::Damaged`]: the row has no whole signature.
pub fn signed(version: &Version) -> Result<Signed, PublishError> {
    let signature = version.signature.as_slice().try_into();
    let signature = signature.map_err(|_length| PublishError::Damaged(version.number))?;
    Ok(Signed { bytes: version.manifest.clone(), signature })
}

/// Whether the row, its manifest and its bundle say the same, and a key of the cluster signed it: what a data node will
/// ask for.
///
/// # Errors
/// [`PublishError::Manifest`] and [`PublishError::Damaged`], or the storage failed.
pub fn verify(state: &impl StateRead, tenant: &TenantId, version: &Version) -> Result<(), PublishError> {
    let verified = manifest_trust(state)?.verify(&signed(version)?, tenant)?;
    verified.is_version(version.number)?;
    verified.check_bundle(&bundle(state, version)?)?;
    Ok(())
}
