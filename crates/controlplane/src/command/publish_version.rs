//! `PublishVersion`: makes a version of pieces that were put before, under the number that its manifest was signed for.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{ChunkInfo, KeyKind, PublishVersion, Role, Version, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::chunks::{self, ChunkDigest};
use crate::state::writer::Writer;
use crate::state::{keys, tenants, versions};

/// The version, and its pieces in order, a piece as often as it occurs.
pub(crate) struct Checked {
    tenant: TenantId,
    version: Version,
    chunks: Vec<ChunkDigest>,
}

impl Kind for PublishVersion {
    const NAME: &'static str = "PublishVersion";
    const WHO: Who = Who::roles(&[Role::Author, Role::Admin]);
    /// A publication that lost the race for its number is signed anew, for the next one, under the same key. A late copy
    /// of the refused command does no harm: its number stays taken, and what was done under the key comes first.
    const REFUSALS_REMEMBERED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        let digest: String = self.bundle_digest.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
        format!("version {}, {} bytes, sha256:{digest}", self.number, self.bundle_bytes)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let newest = versions::newest(state, &tenant)?;
        checks::room("versions", newest, caps::VERSIONS_MAX)?;
        if newest.checked_add(1) != Some(self.number) {
            return Err(Refused::stale("newest version", newest).into());
        }
        check_form(self)?;
        check_key(self, state)?;
        let chunks = check_chunks(self, state, &tenant)?;
        let version = Version {
            tenant: tenant.to_string(),
            number: self.number,
            bundle_digest: self.bundle_digest.clone(),
            bundle_bytes: self.bundle_bytes,
            chunks: self.chunks.clone(),
            manifest: self.manifest.clone(),
            signature: self.signature.clone(),
            key_id: self.key_id.clone(),
            author: asked.by(),
            message: self.message.clone(),
            created_ms: asked.now_ms(),
            enforced_ms: 0,
            enforced_by_other: false,
            retired_ms: 0,
            notify: self.notify.clone(),
        };
        Ok(Checked { tenant, version, chunks })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, version, chunks } = checked;
        let mut counters = tenants::counters(write, &tenant)?;
        for digest in &chunks {
            let Some(info) = chunks::chunk(write, &tenant, digest)? else { continue };
            counters.chunks_loose = counters.chunks_loose.saturating_sub(u64::from(info.references == 0));
            chunks::put(write, &tenant, &ChunkInfo { references: info.references + 1, ..info })?;
        }
        counters.versions = version.number;
        tenants::put_counters(write, &tenant, &counters)?;
        versions::put(write, &version)?;
        Ok(done::Result::Version(version))
    }
}

fn check_form(command: &PublishVersion) -> Result<(), Refused> {
    checks::digest("bundle_digest", &command.bundle_digest)?;
    checks::words("message", &command.message)?;
    if command.bundle_bytes == 0 || command.bundle_bytes > caps::BUNDLE_BYTES_MAX as u64 {
        return Err(Refused::invalid("bundle_bytes", format!("1 to {}", caps::BUNDLE_BYTES_MAX)));
    }
    if command.chunks.is_empty() || command.chunks.len() > caps::BUNDLE_CHUNKS_MAX {
        return Err(Refused::invalid("chunks", format!("1 to {}", caps::BUNDLE_CHUNKS_MAX)));
    }
    if command.manifest.is_empty() || command.manifest.len() > caps::MANIFEST_BYTES_MAX {
        return Err(Refused::invalid("manifest", format!("1 to {} bytes", caps::MANIFEST_BYTES_MAX)));
    }
    if command.notify.len() as u64 > caps::CHANNELS_MAX
        || !command.notify.is_sorted_by(|before, after| before < after)
    {
        return Err(Refused::invalid("notify", format!("at most {} names, rising", caps::CHANNELS_MAX)));
    }
    for name in &command.notify {
        checks::channel_name("notify", name)?;
    }
    if command.signature.len() != 64 {
        return Err(Refused::invalid("signature", "64 bytes"));
    }
    Ok(())
}

fn check_key(command: &PublishVersion, state: &impl StateRead) -> Result<(), Failure> {
    let id = &command.key_id;
    match keys::key(state, id)? {
        Some(key) if key.kind() == KeyKind::Manifest && keys::may_sign(&key) => Ok(()),
        Some(key) if key.kind() == KeyKind::Manifest => {
            let message = format!("the key `{id}` signs nothing more");
            Err(Refused::new(Code::KeyRetired, message).with("key", id).into())
        }
        Some(_) | None => Err(Refused::unknown(Code::UnknownKey, "manifest key", id).into()),
    }
}

/// All pieces are there, and as long together as the bundle.
fn check_chunks(
    command: &PublishVersion,
    state: &impl StateRead,
    tenant: &TenantId,
) -> Result<Vec<ChunkDigest>, Failure> {
    let (mut digests, mut missing, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
    for digest in &command.chunks {
        let digest = checks::digest("chunks", digest)?;
        match chunks::chunk(state, tenant, &digest)? {
            Some(info) => bytes += u64::from(info.size),
            None => missing.push(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        }
        digests.push(digest);
    }
    if !missing.is_empty() {
        let message = format!("{} pieces of the bundle are not there", missing.len());
        return Err(Refused::new(Code::MissingChunks, message).with("missing", missing.join(",")).into());
    }
    if bytes != command.bundle_bytes {
        return Err(
            Refused::invalid("bundle_bytes", format!("{bytes}, which is what its pieces have")).into()
        );
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{AddKey, RetireKey};

    use super::*;
    use crate::testing::World;

    #[test]
    fn versions_count_from_one_and_bundles_come_back() {
        let world = World::new();
        let (acme, globex) = (world.tenant("acme"), world.tenant("globex"));
        let large: Vec<u8> = (0..3 * caps::BUNDLE_CHUNK_BYTES / 2).map(|at| (at / 1_000) as u8).collect();
        for (number, bundle) in [(1, b"one".as_slice()), (2, &large), (3, b"one")] {
            let version = world.publish(&acme, &World::root(), bundle);
            assert_eq!((version.number, version.author.as_str()), (number, "root"));
            assert_eq!(versions::bundle(&world.view(), &version).expect("memory").as_deref(), Some(bundle));
        }
        assert_eq!(world.publish(&globex, &World::root(), b"one").number, 1);
        let counters = tenants::counters(&world.view(), &acme).expect("memory");
        assert_eq!((counters.chunks_loose, counters.versions), (0, 3));
        assert_eq!(counters.chunk_bytes, 3 + large.len() as u64, "equal pieces are kept once");
    }

    #[test]
    fn the_number_that_was_signed_has_to_be_next() {
        let world = World::new();
        let acme = world.tenant("acme");
        let first = world.publication(&acme, &World::root(), b"one");
        let second = world.publication(&acme, &World::root(), b"two");
        world.done(first.clone(), &World::root());
        let refused = world.refused(second, &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("1")));
        let hole = PublishVersion { number: 3, ..first };
        assert_eq!(world.refused(hole, &World::root()).code, Code::PreconditionFailed);
    }

    #[test]
    fn each_field_is_checked() {
        let world = World::new();
        let acme = world.tenant("acme");
        let good = world.publication(&acme, &World::root(), b"one");
        let invalid = |command| world.refused(command, &World::root()).detail("field").map(str::to_owned);
        let bad = [
            ("bundle_digest", PublishVersion { bundle_digest: vec![1; 31], ..good.clone() }),
            ("bundle_bytes", PublishVersion { bundle_bytes: 0, ..good.clone() }),
            (
                "bundle_bytes",
                PublishVersion { bundle_bytes: caps::BUNDLE_BYTES_MAX as u64 + 1, ..good.clone() },
            ),
            ("bundle_bytes", PublishVersion { bundle_bytes: 4, ..good.clone() }),
            ("chunks", PublishVersion { chunks: Vec::new(), ..good.clone() }),
            ("chunks", PublishVersion { chunks: vec![vec![1]], ..good.clone() }),
            (
                "chunks",
                PublishVersion { chunks: vec![vec![1; 32]; caps::BUNDLE_CHUNKS_MAX + 1], ..good.clone() },
            ),
            ("manifest", PublishVersion { manifest: Vec::new(), ..good.clone() }),
            ("manifest", PublishVersion { manifest: vec![1; caps::MANIFEST_BYTES_MAX + 1], ..good.clone() }),
            ("signature", PublishVersion { signature: vec![1; 63], ..good.clone() }),
            ("message", PublishVersion { message: "m".repeat(caps::WORDS_BYTES_MAX + 1), ..good.clone() }),
        ];
        for (field, command) in bad {
            assert_eq!(invalid(command).as_deref(), Some(field));
        }
        let missing = PublishVersion { chunks: vec![vec![0xab; 32]], ..good.clone() };
        let refused = world.refused(missing, &World::root());
        assert_eq!(
            (refused.code, refused.detail("missing")),
            (Code::MissingChunks, Some("ab".repeat(32).as_str()))
        );
        world.done(good, &World::root());
    }

    #[test]
    fn only_a_manifest_key_that_may_sign_counts() {
        let world = World::new();
        let acme = world.tenant("acme");
        let good = world.publication(&acme, &World::root(), b"one");
        let of_tokens = World::signing_key("agent token").id().to_string();
        for key_id in [of_tokens, "unknown".to_owned()] {
            let command = PublishVersion { key_id, ..good.clone() };
            assert_eq!(world.refused(command, &World::root()).code, Code::UnknownKey);
        }
        let next: AddKey = World::add_key(KeyKind::Manifest, "next");
        world.done(next, &World::root());
        world.done(RetireKey { id: good.key_id.clone(), revoke: false }, &World::root());
        assert_eq!(world.refused(good, &World::root()).code, Code::KeyRetired);
    }
}
