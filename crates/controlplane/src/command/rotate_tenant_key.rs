//! `RotateTenantKey`: the next version of a tenant's secret key. What was made with older ones is known again.

use aegis_model::caps;
use aegis_proto::control::{Role, RotateTenantKey, TenantKey, TenantKeys, WrappedKey, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use super::{add_key, checks};
use crate::state::tenant_keys;
use crate::state::writer::Writer;

impl Kind for RotateTenantKey {
    const NAME: &'static str = "RotateTenantKey";
    /// The leader gives a first key to a tenant of older software.
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    /// One that was overtaken is wrapped anew for the version after it.
    const REFUSALS_REMEMBERED: bool = false;
    type Checked = TenantKeys;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("secret key of tenant `{}`, version {}", self.tenant, self.version)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<TenantKeys, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let mut keys = tenant_keys::tenant_keys(state, &tenant)?;
        let newest = tenant_keys::newest(&keys);
        if newest.checked_add(1) != Some(self.version) {
            return Err(Refused::stale("key version", newest).into());
        }
        keys.keys.push(row(self.version, self.key.as_ref(), asked)?);
        let surplus = keys.keys.len().saturating_sub(caps::TENANT_KEY_VERSIONS_MAX);
        keys.keys.drain(..surplus);
        Ok(keys)
    }

    fn apply(keys: TenantKeys, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        tenant_keys::put(write, &keys)?;
        Ok(done::Result::TenantKeys(public(keys)))
    }
}

/// A version of a key.
pub(super) fn row(version: u32, key: Option<&WrappedKey>, asked: &Asked<'_>) -> Result<TenantKey, Refused> {
    let key = key.ok_or_else(|| Refused::invalid("key", "a wrapped key"))?;
    add_key::check_wrapped(&key.wrapped)?;
    Ok(TenantKey { version, key: Some(key.clone()), created_ms: asked.now_ms(), created_by: asked.by() })
}

/// What an answer may show of a tenant's keys.
pub(super) fn public(keys: TenantKeys) -> TenantKeys {
    let shown = keys.keys.into_iter().map(|key| TenantKey { key: None, ..key });
    TenantKeys { keys: shown.collect(), ..keys }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{CreateTenant, RetireTenant};

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn rotate(version: u32) -> RotateTenantKey {
        let key = Some(WrappedKey { wrapped: vec![version as u8 + 1] });
        RotateTenantKey { tenant: "acme".to_owned(), version, key }
    }

    fn versions(world: &World) -> Vec<u32> {
        let keys = tenant_keys::tenant_keys(&world.view(), &"acme".parse().expect("a name"));
        keys.expect("memory").keys.iter().map(|key| key.version).collect()
    }

    #[test]
    fn versions_follow_each_other_and_older_ones_stay() {
        let world = World::new();
        let key = Some(WrappedKey { wrapped: vec![1] });
        world.done(CreateTenant { name: "acme".to_owned(), key, ..Default::default() }, &World::root());
        assert_eq!(versions(&world), [1]);
        let refused = world.refused(rotate(1), &World::root());
        assert_eq!((refused.code, refused.detail("current")), (Code::PreconditionFailed, Some("1")));
        assert_eq!(world.refused(rotate(3), &World::root()).code, Code::PreconditionFailed);
        assert_eq!(
            world.refused(RotateTenantKey { key: None, ..rotate(2) }, &World::root()).code,
            Code::Invalid
        );
        let answer = world.done(rotate(2), &World::root());
        let Some(done::Result::TenantKeys(shown)) = answer.result() else { panic!("{answer:?}") };
        assert!(shown.keys.iter().all(|key| key.key.is_none()), "no answer holds a wrapping");
        assert_eq!(versions(&world), [1, 2]);
        world.done(RetireTenant { tenant: "acme".to_owned() }, &World::root());
        assert_eq!(world.refused(rotate(3), &World::root()).code, Code::TenantRetired);
    }

    #[test]
    fn a_tenant_without_a_key_gets_its_first_from_a_control_node() {
        let world = World::new();
        world.done(CreateTenant { name: "acme".to_owned(), ..Default::default() }, &World::root());
        assert_eq!(versions(&world), [0; 0]);
        world.done(rotate(1), &World::node());
        assert_eq!(versions(&world), [1]);
        let bad = CreateTenant {
            name: "globex".to_owned(),
            key: Some(WrappedKey::default()),
            ..Default::default()
        };
        assert_eq!(world.refused(bad, &World::root()).code, Code::Invalid);
    }

    #[test]
    fn the_oldest_is_forgotten_beyond_the_bound() {
        let world = World::new();
        world.done(CreateTenant { name: "acme".to_owned(), ..Default::default() }, &World::root());
        let most = caps::TENANT_KEY_VERSIONS_MAX as u32;
        for version in 1..=most + 1 {
            let key = Some(WrappedKey { wrapped: vec![1] });
            world.done(RotateTenantKey { version, key, tenant: "acme".to_owned() }, &World::root());
        }
        let kept = versions(&world);
        assert_eq!((kept.len() as u32, kept.first(), kept.last()), (most, Some(&2), Some(&(most + 1))));
    }
}
