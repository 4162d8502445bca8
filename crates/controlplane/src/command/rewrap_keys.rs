//! `RewrapKeys`: replaces the wrappings of private keys, while one cluster key takes the place of another. In one step, so
//! that no crash leaves some under the old one.

use std::collections::BTreeSet;

use aegis_model::caps;
use aegis_proto::control::{Key, Keys, RewrapKey, RewrapKeys, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};
use sha2::{Digest, Sha256};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{add_key, checks};
use crate::state::key::EVERYWHERE;
use crate::state::keys;
use crate::state::writer::Writer;

impl Kind for RewrapKeys {
    const NAME: &'static str = "RewrapKeys";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    /// A key that was rotated meanwhile is read again, and the rest is wrapped anew with it.
    const REFUSALS_REMEMBERED: bool = false;
    type Checked = Vec<Key>;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("{} keys", self.keys.len())
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Vec<Key>, Failure> {
        let ids: BTreeSet<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        if ids.len() != self.keys.len() || ids.len() as u64 > caps::CLUSTER_KEYS_MAX {
            let form = format!("at most {} keys, each once", caps::CLUSTER_KEYS_MAX);
            return Err(Refused::invalid("keys", form).into());
        }
        self.keys.iter().map(|key| rewrapped(state, key)).collect()
    }

    fn apply(rewrapped: Vec<Key>, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        for key in &rewrapped {
            keys::put(write, key)?;
        }
        let rows = rewrapped.into_iter().map(add_key::public).collect();
        Ok(done::Result::Keys(Keys { rows }))
    }
}

fn rewrapped(state: &impl StateRead, command: &RewrapKey) -> Result<Key, Failure> {
    add_key::check_wrapped(&command.wrapped_private_key)?;
    let replaces = checks::digest("replaces", &command.replaces)?;
    let Some(key) = keys::key(state, &command.id)? else {
        return Err(Refused::unknown(Code::UnknownKey, "key", &command.id).into());
    };
    if key.wrapped_private_key.is_empty() {
        let message = format!("the key `{}` was retired, and its private part is gone", key.id);
        return Err(Refused::new(Code::KeyRetired, message).with("key", &key.id).into());
    }
    if <[u8; 32]>::from(Sha256::digest(&key.wrapped_private_key)) != replaces {
        return Err(Refused::stale("wrapping", "another one").into());
    }
    Ok(Key { wrapped_private_key: command.wrapped_private_key.clone(), ..key })
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{KeyKind, RotateKey};

    use super::*;
    use crate::testing::World;

    fn id(seed: &str) -> String {
        World::signing_key(seed).id().to_string()
    }

    fn wrapped(world: &World, seed: &str) -> Vec<u8> {
        keys::key(&world.view(), &id(seed)).expect("memory").expect("a key").wrapped_private_key
    }

    /// The key gets the wrapping `[7]` instead of its present one.
    fn rewrap(world: &World, seed: &str) -> RewrapKey {
        let replaces = Sha256::digest(wrapped(world, seed)).to_vec();
        RewrapKey { id: id(seed), wrapped_private_key: vec![7], replaces }
    }

    fn all(keys: &[&RewrapKey]) -> RewrapKeys {
        RewrapKeys { keys: keys.iter().copied().cloned().collect() }
    }

    #[test]
    fn wrappings_are_replaced_all_or_none_and_only_those_that_are_known() {
        let world = World::new();
        let manifest = rewrap(&world, "manifest");
        let other = rewrap(&world, "agent token");
        let bad = [
            (RewrapKey { replaces: vec![1], ..other.clone() }, Code::Invalid),
            (RewrapKey { wrapped_private_key: Vec::new(), ..other.clone() }, Code::Invalid),
            (RewrapKey { id: "unknown".to_owned(), ..other.clone() }, Code::UnknownKey),
            (RewrapKey { replaces: vec![0; 32], ..other.clone() }, Code::PreconditionFailed),
            (manifest.clone(), Code::Invalid),
        ];
        for (second, code) in bad {
            assert_eq!(world.refused(all(&[&manifest, &second]), &World::root()).code, code, "{second:?}");
            assert_ne!(wrapped(&world, "manifest"), [7], "nothing of a refused one is done");
        }
        world.done(all(&[&manifest, &other]), &World::root());
        assert_eq!((wrapped(&world, "manifest"), wrapped(&world, "agent token")), (vec![7], vec![7]));
        assert_eq!(world.refused(all(&[&manifest]), &World::node()).code, Code::PreconditionFailed);
        let before = rewrap(&world, "manifest");
        world.done(RotateKey { key: Some(World::add_key(KeyKind::Manifest, "next")) }, &World::root());
        assert_eq!(world.refused(all(&[&before]), &World::node()).code, Code::KeyRetired);
        world.done(all(&[]), &World::node());
    }
}
