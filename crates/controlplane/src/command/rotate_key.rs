//! `RotateKey`: a new key of the cluster takes the place of those of its kind that sign so far. In one step, so that there is
//! never more than one after it, whatever crashes; what the older ones signed stays good. A key of agent tokens waits first, until
//! data nodes know it.

use aegis_model::caps;
use aegis_proto::control::{AddKey, Key, KeyKind, Keys, Role, RotateKey, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::add_key;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::keys;
use crate::state::page::PageQuery;
use crate::state::writer::Writer;

/// The new key, and those that it takes the place of, as they will be.
pub(crate) struct Rotation {
    new: Key,
    retired: Vec<Key>,
}

impl Kind for RotateKey {
    const NAME: &'static str = "RotateKey";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Rotation;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        self.key.as_ref().map(AddKey::summary).unwrap_or_default()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Rotation, Failure> {
        let key = self.key.as_ref().ok_or_else(|| Refused::invalid("key", "a key"))?;
        let new = key.check(state, asked)?;
        let all = keys::keys(state, &PageQuery::first())?.rows.into_iter();
        if new.kind() == KeyKind::AgentToken {
            // Data nodes have to know it before they are shown what it signs: `SettleKeys` ends this.
            let signs_from_ms = asked.now_ms().saturating_add(caps::KEY_SPREAD_SECONDS_MAX * 1_000);
            return Ok(Rotation { new: Key { signs_from_ms, ..new }, retired: Vec::new() });
        }
        let signing = all.filter(|key| key.kind == new.kind && keys::may_sign(key));
        // Nothing signs with them any more, so nobody needs their private parts.
        let retired =
            signing.map(|key| Key { wrapped_private_key: Vec::new(), retired_ms: asked.now_ms(), ..key });
        Ok(Rotation { retired: retired.collect(), new })
    }

    fn apply(rotation: Rotation, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Rotation { new, retired } = rotation;
        for key in &retired {
            keys::put(write, key)?;
        }
        AddKey::apply(new.clone(), write)?;
        let rows = std::iter::once(new).chain(retired).map(add_key::public).collect();
        Ok(done::Result::Keys(Keys { rows }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn rotate(kind: KeyKind, seed: &str) -> RotateKey {
        RotateKey { key: Some(World::add_key(kind, seed)) }
    }

    /// Which keys of this kind may sign, by id.
    fn signing(world: &World, kind: KeyKind) -> Vec<String> {
        let all = keys::keys(&world.view(), &PageQuery::first()).expect("memory").rows;
        all.into_iter().filter(|key| key.kind() == kind && keys::may_sign(key)).map(|key| key.id).collect()
    }

    #[test]
    fn after_one_command_there_is_one_key_that_signs() {
        let world = World::new();
        // Left by an older software's rotation that was cut off in the middle.
        world.done(World::add_key(KeyKind::Manifest, "second"), &World::root());
        assert_eq!(signing(&world, KeyKind::Manifest).len(), 2);
        let answer = world.done(rotate(KeyKind::Manifest, "third"), &World::root());
        let third = World::signing_key("third").id().to_string();
        assert_eq!(signing(&world, KeyKind::Manifest), [third.as_str()]);
        let Some(done::Result::Keys(Keys { rows })) = answer.result() else { unreachable!("{answer:?}") };
        assert_eq!((rows.len(), rows[0].id.as_str()), (3, third.as_str()));
        for old in &rows[1..] {
            assert_eq!((old.retired_ms, old.revoked_ms), (world.now_ms(), 0), "what it signed stays good");
            let row = keys::key(&world.view(), &old.id).expect("memory").expect("a key");
            assert!(row.wrapped_private_key.is_empty());
        }
        for kind in [KeyKind::AgentToken, KeyKind::PersonToken] {
            assert_eq!(signing(&world, kind).len(), 1, "those of other kinds are left alone");
        }
    }

    #[test]
    fn it_is_refused_whole() {
        let world = World::new();
        let before = signing(&world, KeyKind::Manifest);
        let again = RotateKey { key: Some(World::add_key(KeyKind::Manifest, "manifest")) };
        assert_eq!(world.refused(again, &World::root()).code, Code::AlreadyExists);
        assert_eq!(world.refused(RotateKey { key: None }, &World::root()).code, Code::Invalid);
        for number in 1..caps::MANIFEST_KEYS_MAX {
            world.done(rotate(KeyKind::Manifest, &number.to_string()), &World::root());
        }
        // What the older keys signed has to be verified with them.
        let more = world.refused(rotate(KeyKind::Manifest, "more"), &World::root());
        assert_eq!(more.code, Code::TooMany);
        assert_eq!(signing(&world, KeyKind::Manifest).len(), before.len());
    }
}
