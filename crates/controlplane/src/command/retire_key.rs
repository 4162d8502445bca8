//! `RetireKey`: a key of the cluster signs nothing more; with `revoke`, what it signed does not count either.

use aegis_proto::control::{Key, RetireKey, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::add_key;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::keys;
use crate::state::page::PageQuery;
use crate::state::writer::Writer;

impl Kind for RetireKey {
    const NAME: &'static str = "RetireKey";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Key;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("key `{}`{}", self.id, if self.revoke { ", revoked" } else { "" })
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Key, Failure> {
        let Some(key) = keys::key(state, &self.id)? else {
            return Err(Refused::unknown(Code::UnknownKey, "key", &self.id).into());
        };
        let all = keys::keys(state, &PageQuery::first())?.rows;
        let others = all.iter().any(|it| it.id != key.id && it.kind == key.kind && keys::may_sign(it));
        if keys::may_sign(&key) && !others {
            let message =
                format!("the key `{}` is the last of its kind that may sign: add another first", key.id);
            return Err(Refused::new(Code::LastKey, message).with("key", &key.id).into());
        }
        let at = |earlier: u64| if earlier > 0 { earlier } else { asked.now_ms() };
        let revoked_ms = if self.revoke { at(key.revoked_ms) } else { key.revoked_ms };
        // Nothing signs with it any more, so nobody needs its private part.
        Ok(Key { wrapped_private_key: Vec::new(), retired_ms: at(key.retired_ms), revoked_ms, ..key })
    }

    fn apply(key: Key, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        keys::put(write, &key)?;
        Ok(done::Result::Key(add_key::public(key)))
    }
}

#[cfg(test)]
mod tests {
    use aegis_model::caps;
    use aegis_proto::control::{AddKey, KeyKind};

    use super::*;
    use crate::testing::World;

    fn id(seed: &str) -> String {
        World::signing_key(seed).id().to_string()
    }

    fn retire(seed: &str, revoke: bool) -> RetireKey {
        RetireKey { id: id(seed), revoke }
    }

    fn key(world: &World, seed: &str) -> Key {
        keys::key(&world.view(), &id(seed)).expect("memory").expect("a key")
    }

    #[test]
    fn keys_rotate_and_old_signatures_stay_good_until_revoked() {
        let world = World::new();
        let refused = world.refused(retire("manifest", false), &World::root());
        assert_eq!(refused.code, Code::LastKey);
        world.pass_seconds(1);
        world.done(World::add_key(KeyKind::Manifest, "next"), &World::root());
        let signing = keys::signing(&world.view(), KeyKind::Manifest).expect("memory").expect("a key");
        assert_eq!(signing.id, id("next"), "the newest signs");
        world.done(retire("manifest", false), &World::root());
        let old = key(&world, "manifest");
        assert!(!keys::may_sign(&old) && keys::may_verify(&old) && old.wrapped_private_key.is_empty());
        world.pass_seconds(1);
        world.done(retire("manifest", true), &World::root());
        let revoked = key(&world, "manifest");
        assert!(!keys::may_verify(&revoked));
        assert_eq!(revoked.retired_ms, old.retired_ms, "the first time counts");
        assert_eq!(world.refused(retire("next", true), &World::root()).code, Code::LastKey);
        assert_eq!(world.refused(retire("unknown", false), &World::root()).code, Code::UnknownKey);
    }

    #[test]
    fn a_key_is_added_once_and_in_form() {
        let world = World::new();
        let good = World::add_key(KeyKind::AgentToken, "next");
        let bad = [
            AddKey { kind: 0, ..good.clone() },
            AddKey { kind: 99, ..good.clone() },
            AddKey { public_key: vec![0; 32], ..good.clone() },
            AddKey { wrapped_private_key: Vec::new(), ..good.clone() },
            AddKey { wrapped_private_key: vec![1; caps::WRAPPED_KEY_BYTES_MAX + 1], ..good.clone() },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::root()).code, Code::Invalid);
        }
        world.done(good.clone(), &World::root());
        assert_eq!(world.refused(good, &World::root()).code, Code::AlreadyExists);
    }

    #[test]
    fn manifest_keys_have_a_bound_of_those_that_count() {
        let world = World::new();
        for number in 1..caps::MANIFEST_KEYS_MAX {
            world.done(World::add_key(KeyKind::Manifest, &number.to_string()), &World::root());
        }
        let one_more = World::add_key(KeyKind::Manifest, "one more");
        assert_eq!(world.refused(one_more.clone(), &World::root()).code, Code::TooMany);
        world.done(retire("manifest", false), &World::root());
        assert_eq!(world.refused(one_more.clone(), &World::root()).code, Code::TooMany, "it still verifies");
        world.done(retire("manifest", true), &World::root());
        world.done(one_more, &World::root());
    }
}
