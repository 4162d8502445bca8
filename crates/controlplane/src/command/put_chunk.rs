//! `PutChunk`: keeps a piece of a bundle under its digest, until a version names it or an hour has passed.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{ChunkInfo, PutChunk, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};
use sha2::{Digest, Sha256};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::chunks::{self, ChunkDigest};
use crate::state::tenants;
use crate::state::writer::Writer;

/// What is to be written: the bytes only if they are new.
pub(crate) struct Checked {
    tenant: TenantId,
    digest: ChunkDigest,
    info: ChunkInfo,
    new_data: Option<Vec<u8>>,
}

impl Kind for PutChunk {
    const NAME: &'static str = "PutChunk";
    const WHO: Who = Who::roles(&[Role::Author, Role::Admin]);
    /// A part of a publication, which is recorded as a whole.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("{} bytes", self.data.len())
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let size = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        if size == 0 || self.data.len() > caps::BUNDLE_CHUNK_BYTES {
            return Err(Refused::invalid("data", format!("1 to {} bytes", caps::BUNDLE_CHUNK_BYTES)).into());
        }
        let digest: ChunkDigest = Sha256::digest(&self.data).into();
        if let Some(known) = chunks::chunk(state, &tenant, &digest)? {
            let info = ChunkInfo { put_ms: asked.now_ms(), ..known };
            return Ok(Checked { tenant, digest, info, new_data: None });
        }
        let counters = tenants::counters(state, &tenant)?;
        checks::room("chunks that no version names", counters.chunks_loose, caps::CHUNKS_LOOSE_MAX)?;
        let bytes = counters.chunk_bytes.saturating_add(size.into());
        if bytes > caps::TENANT_CHUNK_BYTES_MAX {
            return Err(Refused::too_many("bytes of bundles", caps::TENANT_CHUNK_BYTES_MAX).into());
        }
        let info = ChunkInfo { digest: digest.to_vec(), size, references: 0, put_ms: asked.now_ms() };
        Ok(Checked { tenant, digest, info, new_data: Some(self.data.clone()) })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, digest, info, new_data } = checked;
        if let Some(data) = new_data {
            let mut counters = tenants::counters(write, &tenant)?;
            counters.chunks_loose += 1;
            counters.chunk_bytes += u64::from(info.size);
            tenants::put_counters(write, &tenant, &counters)?;
            chunks::put_data(write, &tenant, &digest, &data)?;
        }
        chunks::put(write, &tenant, &info)?;
        Ok(done::Result::Chunk(info))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn put(tenant: &TenantId, data: &[u8]) -> PutChunk {
        PutChunk { tenant: tenant.to_string(), data: data.to_vec() }
    }

    #[test]
    fn putting_again_changes_only_how_long_it_waits() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.done(put(&acme, b"piece"), &World::root());
        let counters = tenants::counters(&world.view(), &acme).expect("memory");
        assert_eq!((counters.chunks_loose, counters.chunk_bytes), (1, 5));
        world.pass_seconds(10);
        world.done(put(&acme, b"piece"), &World::root());
        let view = world.view();
        assert_eq!(tenants::counters(&view, &acme).expect("memory"), counters);
        let digest = Sha256::digest(b"piece").into();
        let info = chunks::chunk(&view, &acme, &digest).expect("memory").expect("a chunk");
        assert_eq!((info.put_ms, info.size, info.references), (world.now_ms(), 5, 0));
        assert_eq!(
            chunks::data(&view, &acme, &digest).expect("memory").as_deref(),
            Some(b"piece".as_slice())
        );
    }

    #[test]
    fn size_and_number_have_bounds() {
        let world = World::new();
        let acme = world.tenant("acme");
        assert_eq!(world.refused(put(&acme, b""), &World::root()).code, Code::Invalid);
        let large = vec![0; caps::BUNDLE_CHUNK_BYTES + 1];
        assert_eq!(world.refused(put(&acme, &large), &World::root()).code, Code::Invalid);
        world.done(put(&acme, &large[1..]), &World::root());
        for number in 1..caps::CHUNKS_LOOSE_MAX {
            world.done(put(&acme, &number.to_be_bytes()), &World::root());
        }
        let refused = world.refused(put(&acme, b"one more"), &World::root());
        assert_eq!((refused.code, refused.detail("max")), (Code::TooMany, Some("128")));
        world.done(put(&acme, &1_u64.to_be_bytes()), &World::root());
    }

    #[test]
    fn a_piece_of_another_tenant_is_not_there() {
        let world = World::new();
        let (acme, globex) = (world.tenant("acme"), world.tenant("globex"));
        world.publish(&acme, &World::root(), b"secret policy");
        let mut stolen = world.publication(&globex, &World::root(), b"own");
        stolen.chunks = vec![Sha256::digest(b"secret policy").to_vec()];
        stolen.bundle_bytes = b"secret policy".len() as u64;
        // TEN-1: knowing a digest gives no access, and does not tell whether the other has it.
        let refused = world.refused(stolen, &World::root());
        assert_eq!(refused.code, Code::MissingChunks);
    }
}
