//! Fetching a bundle: every piece is compared with the manifest when it arrives, so that a wrong one costs little.

use aegis_identity::manifest::{Verified, digest_of};
use aegis_proto::v1;
use aegis_proto::v1::feed_client::FeedClient;
use futures_util::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

/// The bundle for which `manifest` vouches, from the control node behind `client`; digests compared.
pub(super) async fn fetch(
    mut client: FeedClient<Channel>,
    node: &str,
    manifest: &Verified,
) -> Result<Vec<u8>, FetchError> {
    let wanted = manifest.manifest();
    let request = v1::GetBundleRequest {
        tenant: wanted.tenant.to_string(),
        digest: wanted.bundle.to_string(),
        node_name: node.to_owned(),
    };
    let mut pieces = client.get_bundle(request).await.map_err(|status| refused(&status))?.into_inner();
    let mut bundle = Vec::new();
    for digest in &wanted.chunks {
        let piece = pieces.next().await.ok_or(FetchError::CutOff)?.map_err(|status| refused(&status))?;
        // Of a size that a chunk has, since its digest is that of a chunk.
        if digest_of(&piece.chunk) != *digest {
            return Err(FetchError::Damaged);
        }
        bundle.extend_from_slice(&piece.chunk);
    }
    if pieces.next().await.is_some() {
        return Err(FetchError::TooLong);
    }
    manifest.check_bundle(&bundle).map_err(|_mismatch| FetchError::Damaged)?;
    Ok(bundle)
}

fn refused(status: &tonic::Status) -> FetchError {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => FetchError::TooLong,
        code => FetchError::Refused(code),
    }
}

/// Why a bundle could not be had. Another control node may have it, so each is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    /// No control node is connected.
    #[error("no control node is connected")]
    NotConnected,
    /// The control node did not give it.
    #[error("the control node answered: {0}")]
    Refused(Code),
    /// It ended early.
    #[error("the bundle was cut off")]
    CutOff,
    /// A piece is not the one that the manifest names.
    #[error("the bundle is not the one that the manifest names")]
    Damaged,
    /// There is more of it than the manifest says.
    #[error("the bundle is longer than the manifest says")]
    TooLong,
    /// It took longer than it may.
    #[error("fetching the bundle took too long")]
    Slow,
}
