//! `SweepChunks`: removes pieces of bundles that no version came to name.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{ChunkInfo, SweepChunks, Swept, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::writer::Writer;
use crate::state::{chunks, tenants};

/// What is to be removed.
pub(crate) struct Checked {
    tenant: TenantId,
    loose: Vec<ChunkInfo>,
}

impl Kind for SweepChunks {
    const NAME: &'static str = "SweepChunks";
    const WHO: Who = Who::control_node();
    /// Happens by itself, all the time.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        // Also of a retired tenant.
        let tenant: TenantId = checks::name("tenant", &self.tenant)?;
        if tenants::tenant(state, &tenant)?.is_none() {
            return Err(Refused::unknown(Code::UnknownTenant, "tenant", tenant).into());
        }
        let waits = caps::CHUNK_LOOSE_SECONDS * 1_000;
        let mut loose = chunks::loose(state, &tenant)?;
        loose.retain(|info| asked.now_ms().saturating_sub(info.put_ms) >= waits);
        Ok(Checked { tenant, loose })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, loose } = checked;
        let removed = loose.len() as u64;
        if removed > 0 {
            let mut counters = tenants::counters(write, &tenant)?;
            for info in loose {
                chunks::delete(write, &tenant, &info.digest)?;
                counters.chunks_loose = counters.chunks_loose.saturating_sub(1);
                counters.chunk_bytes = counters.chunk_bytes.saturating_sub(info.size.into());
            }
            tenants::put_counters(write, &tenant, &counters)?;
        }
        Ok(done::Result::Swept(Swept { removed, more: false }))
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::PutChunk;

    use super::*;
    use crate::testing::World;

    #[test]
    fn only_what_nobody_named_for_an_hour_goes() {
        let world = World::new();
        let acme = world.tenant("acme");
        world.publish(&acme, &World::root(), b"named");
        let put = |data: &[u8]| {
            world.done(PutChunk { tenant: "acme".to_owned(), data: data.to_vec() }, &World::root());
        };
        put(b"old");
        put(b"put again");
        world.pass_seconds(1);
        put(b"put again");
        world.pass_seconds(caps::CHUNK_LOOSE_SECONDS - 1);
        let removed =
            || match world.done(SweepChunks { tenant: "acme".to_owned() }, &World::node()).done.result {
                Some(done::Result::Swept(swept)) => swept.removed,
                other => unreachable!("{other:?}"),
            };
        assert_eq!(removed(), 1);
        let left = chunks::loose(&world.view(), &acme).expect("memory");
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].size, b"put again".len() as u32);
        world.pass_seconds(1);
        assert_eq!([removed(), removed()], [1, 0]);
        let counters = tenants::counters(&world.view(), &acme).expect("memory");
        assert_eq!((counters.chunks_loose, counters.chunk_bytes), (0, b"named".len() as u64));
        let unknown = SweepChunks { tenant: "globex".to_owned() };
        assert_eq!(world.refused(unknown, &World::node()).code, Code::UnknownTenant);
    }
}
