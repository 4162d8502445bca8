//! A bundle for a data node: its chunks from the state, each compared with its digest before it leaves.

use aegis_identity::manifest::digest_of;
use aegis_model::digest::Digest;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use aegis_raft_store::tables::{StateRead, StateView, StoreError};
use futures_util::{Stream, stream};
use http::Extensions;
use tonic::Status;

use super::Shared;
use crate::state::{activations, chunks, versions};

/// The pieces of the bundle that is `wanted`, read one by one as they are taken.
pub(super) fn pieces(
    shared: &Shared,
    extensions: &Extensions,
    wanted: &v1::GetBundleRequest,
) -> Result<impl Stream<Item = Result<v1::GetBundleResponse, Status>> + Send + 'static, Status> {
    let tenant: TenantId =
        wanted.tenant.parse().map_err(|_bad| Status::invalid_argument("`tenant` is no name"))?;
    shared.config.admission.admit(extensions, &wanted.node_name, Some(&tenant))?;
    let digest: Digest =
        wanted.digest.parse().map_err(|_bad| Status::invalid_argument("`digest` is none"))?;
    let view = shared.control.view().map_err(|error| unavailable(&error))?;
    let found = find(&view, &tenant, &digest).map_err(|error| unavailable(&error))?;
    let chunks = found.ok_or_else(|| Status::not_found("no version in force has this bundle"))?;
    // One view for all of them: a chunk that is swept meanwhile is still in it. The first error is the last result.
    let read = (chunks.into_iter(), view, tenant);
    Ok(stream::unfold(Some(read), |read| async move {
        let (mut chunks, view, tenant) = read?;
        let piece = piece(&view, &tenant, &chunks.next()?);
        let rest = piece.is_ok().then_some((chunks, view, tenant));
        Some((piece, rest))
    }))
}

/// The chunks of the version with this bundle, if it is in force for the tenant: nothing else is given out.
fn find(
    state: &impl StateRead,
    tenant: &TenantId,
    digest: &Digest,
) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
    let Some(activation) = activations::in_force(state, tenant)? else { return Ok(None) };
    let canary = activation.canary.map(|canary| canary.version);
    for number in std::iter::once(activation.enforced).chain(canary).chain(activation.shadow) {
        if let Some(version) = versions::version(state, tenant, number)?
            && version.bundle_digest == digest.as_bytes()
        {
            return Ok(Some(version.chunks));
        }
    }
    Ok(None)
}

fn piece(state: &StateView, tenant: &TenantId, digest: &[u8]) -> Result<v1::GetBundleResponse, Status> {
    let missing = || Status::data_loss("a piece of the bundle is missing or damaged here");
    let digest: chunks::ChunkDigest = digest.try_into().map_err(|_length| missing())?;
    let data =
        chunks::data(state, tenant, &digest).map_err(|error| unavailable(&error))?.ok_or_else(missing)?;
    match *digest_of(&data).as_bytes() == digest {
        true => Ok(v1::GetBundleResponse { chunk: data.into() }),
        false => Err(missing()),
    }
}

fn unavailable(error: &StoreError) -> Status {
    tracing::error!(%error, "a bundle cannot be read");
    Status::unavailable("this control node cannot read its state")
}
