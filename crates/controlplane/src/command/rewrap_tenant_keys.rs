//! `RewrapTenantKeys`: replaces the wrappings of a tenant's secret keys, while one cluster key takes the place of another.

use aegis_proto::control::{RewrapTenantKeys, Role, TenantKey, TenantKeys, done};
use aegis_raft_store::tables::{StateRead, StoreError};
use sha2::{Digest, Sha256};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use super::{add_key, checks, rotate_tenant_key};
use crate::state::key::EVERYWHERE;
use crate::state::tenant_keys;
use crate::state::writer::Writer;

impl Kind for RewrapTenantKeys {
    const NAME: &'static str = "RewrapTenantKeys";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    /// A key that was rotated meanwhile is read again, and all are wrapped anew with it.
    const REFUSALS_REMEMBERED: bool = false;
    type Checked = TenantKeys;

    /// Of the cluster, whose key wraps them: an administrator of the tenant alone has no part in it.
    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("{} secret keys of tenant `{}`", self.keys.len(), self.tenant)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<TenantKeys, Failure> {
        let tenant = checks::name("tenant", &self.tenant)?;
        let keys = tenant_keys::tenant_keys(state, &tenant)?;
        if checks::digest("replaces", &self.replaces)? != digest(&keys) {
            return Err(Refused::stale("wrapping", "another one").into());
        }
        if self.keys.len() != keys.keys.len() {
            return Err(Refused::invalid("keys", "a wrapping for each version").into());
        }
        let rewrapped = keys.keys.into_iter().zip(&self.keys).map(|(row, key)| {
            add_key::check_wrapped(&key.wrapped)?;
            Ok(TenantKey { key: Some(key.clone()), ..row })
        });
        Ok(TenantKeys { tenant: keys.tenant, keys: rewrapped.collect::<Result<_, Refused>>()? })
    }

    fn apply(keys: TenantKeys, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        if !keys.keys.is_empty() {
            tenant_keys::put(write, &keys)?;
        }
        Ok(done::Result::TenantKeys(rotate_tenant_key::public(keys)))
    }
}

/// What a command that replaces the wrappings of `keys` has to name.
pub(crate) fn digest(keys: &TenantKeys) -> [u8; 32] {
    let mut hash = Sha256::new();
    for key in keys.keys.iter().filter_map(|row| row.key.as_ref()) {
        hash.update(&key.wrapped);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{RotateTenantKey, WrappedKey};

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn wrapped(byte: u8) -> WrappedKey {
        WrappedKey { wrapped: vec![byte] }
    }

    #[test]
    fn wrappings_are_replaced_all_or_none_and_only_those_that_are_known() {
        let world = World::new();
        let tenant = world.tenant("acme");
        let rotate = RotateTenantKey { tenant: "acme".to_owned(), version: 2, key: Some(wrapped(2)) };
        world.done(rotate, &World::root());
        let keys = || tenant_keys::tenant_keys(&world.view(), &tenant).expect("memory");
        let sound = RewrapTenantKeys {
            tenant: "acme".to_owned(),
            replaces: digest(&keys()).to_vec(),
            keys: vec![wrapped(8), wrapped(9)],
        };
        for (bad, code) in [
            (RewrapTenantKeys { replaces: vec![0; 32], ..sound.clone() }, Code::PreconditionFailed),
            (RewrapTenantKeys { keys: vec![wrapped(8)], ..sound.clone() }, Code::Invalid),
            (
                RewrapTenantKeys { keys: vec![wrapped(8), WrappedKey::default()], ..sound.clone() },
                Code::Invalid,
            ),
        ] {
            assert_eq!(world.refused(bad, &World::root()).code, code);
        }
        world.done(sound.clone(), &World::root());
        let now: Vec<_> = keys().keys.into_iter().map(|row| (row.version, row.key)).collect();
        assert_eq!(now, [(1, Some(wrapped(8))), (2, Some(wrapped(9)))]);
        assert_eq!(world.refused(sound, &World::root()).code, Code::PreconditionFailed, "once");
    }
}
