//! `RetireVersion`: gives up the bundle of a version that is not in force. Its row, and its number, stay.

use aegis_model::ids::TenantId;
use aegis_proto::control::{Activation, ChunkInfo, RetireVersion, Role, Version, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::chunks::{self, ChunkDigest};
use crate::state::writer::Writer;
use crate::state::{activations, tenants, versions};

impl Kind for RetireVersion {
    const NAME: &'static str = "RetireVersion";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = (TenantId, Version);

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("version {}", self.version)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<(TenantId, Version), Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let version = checks::usable_version(state, &tenant, self.version)?;
        if activations::in_force(state, &tenant)?.is_some_and(|it| uses(&it, self.version)) {
            let message = format!("version {} is in force", self.version);
            return Err(Refused::new(Code::VersionInForce, message).with("version", self.version).into());
        }
        Ok((tenant, Version { retired_ms: asked.now_ms(), ..version }))
    }

    fn apply(
        (tenant, version): (TenantId, Version),
        write: &mut Writer<'_, '_>,
    ) -> Result<done::Result, StoreError> {
        let mut counters = tenants::counters(write, &tenant)?;
        for digest in &version.chunks {
            let Ok(digest) = ChunkDigest::try_from(digest.as_slice()) else { continue };
            let Some(info) = chunks::chunk(write, &tenant, &digest)? else { continue };
            if info.references > 1 {
                chunks::put(write, &tenant, &ChunkInfo { references: info.references - 1, ..info })?;
            } else {
                chunks::delete(write, &tenant, &digest)?;
                counters.chunk_bytes = counters.chunk_bytes.saturating_sub(info.size.into());
            }
        }
        tenants::put_counters(write, &tenant, &counters)?;
        versions::put(write, &version)?;
        Ok(done::Result::Version(version))
    }
}

/// Whether `activation` needs the bundle of `version`: also the one that a rollback would go back to.
fn uses(activation: &Activation, version: u64) -> bool {
    activation.enforced == version
        || activation.enforced_before == version
        || activation.canary.as_ref().is_some_and(|canary| canary.version == version)
        || activation.shadow.contains(&version)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{Activate, Canary};

    use super::*;
    use crate::testing::World;

    fn retire(version: u64) -> RetireVersion {
        RetireVersion { tenant: "acme".to_owned(), version }
    }

    #[test]
    fn pieces_go_with_their_last_version() {
        let world = World::new();
        let acme = world.tenant("acme");
        for _ in 0..2 {
            world.publish(&acme, &World::root(), b"the same");
        }
        world.done(retire(1), &World::root());
        let second = checks::known_version(&world.view(), &acme, 2).expect("a version");
        assert!(
            versions::bundle(&world.view(), &second).expect("memory").is_some(),
            "another version names it"
        );
        world.done(retire(2), &World::root());
        assert!(versions::bundle(&world.view(), &second).expect("memory").is_none());
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").chunk_bytes, 0);
        assert_eq!(world.refused(retire(1), &World::root()).code, Code::VersionRetired);
        assert_eq!(world.refused(retire(3), &World::root()).code, Code::UnknownVersion);
        let next = world.publish(&acme, &World::root(), b"the same");
        assert_eq!(next.number, 3, "numbers are never used again");
        let gone = Activate { tenant: "acme".to_owned(), enforced: 1, ..Default::default() };
        assert_eq!(world.refused(gone, &World::root()).code, Code::VersionRetired);
    }

    #[test]
    fn what_is_in_force_or_before_it_stays() {
        let world = World::new();
        let acme = world.tenant("acme");
        for bundle in 1..=5_u8 {
            world.publish(&acme, &World::root(), &[bundle]);
        }
        world.activate(&acme, 1);
        let canary = Some(Canary { version: 3, percent: 5 });
        let command =
            Activate { tenant: "acme".into(), enforced: 2, canary, shadow: vec![4], ..Default::default() };
        world.done(command, &World::root());
        for version in 1..=4 {
            assert_eq!(
                world.refused(retire(version), &World::root()).code,
                Code::VersionInForce,
                "{version}"
            );
        }
        world.done(retire(5), &World::root());
    }
}
