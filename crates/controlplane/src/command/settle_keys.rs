//! `SettleKeys`: ends rotations of the keys of agent tokens. A new key waits until data nodes know it; then it signs, the older ones
//! sign nothing more, and once the last token of an older one has ended it is removed.

use aegis_model::caps;
use aegis_proto::control::{Key, KeyKind, Keys, Role, SettleKeys, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::add_key;
use super::kind::{Asked, Failure, Kind};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::keys;
use crate::state::page::PageQuery;
use crate::state::writer::Writer;

/// What is to change.
#[derive(Debug, Default, Clone)]
pub(crate) struct Settlement {
    /// The key that signs from now on.
    signs: Option<Key>,
    /// Those that sign nothing more.
    retired: Vec<Key>,
    /// Those whose last token has ended.
    over: Vec<Key>,
}

impl Kind for SettleKeys {
    const NAME: &'static str = "SettleKeys";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Settlement;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        match self.known.as_str() {
            "" => "keys whose time has come or is over".to_owned(),
            known => format!("key `{known}` is known to every data node"),
        }
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Settlement, Failure> {
        Ok(due(&keys::keys(state, &PageQuery::first())?.rows, asked.now_ms(), &self.known))
    }

    fn apply(settlement: Settlement, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Settlement { signs, retired, over } = settlement;
        for key in signs.iter().chain(&retired) {
            keys::put(write, key)?;
        }
        for key in &over {
            keys::delete(write, key)?;
            let counters = write.counters_mut();
            counters.keys = counters.keys.saturating_sub(1);
        }
        let rows = signs.into_iter().chain(retired).chain(over).map(add_key::public).collect();
        Ok(done::Result::Keys(Keys { rows }))
    }
}

/// Whether the command would change anything at `now_ms`.
pub(crate) fn is_due(keys: &[Key], now_ms: u64, known: &str) -> bool {
    let Settlement { signs, retired, over } = due(keys, now_ms, known);
    signs.is_some() || !retired.is_empty() || !over.is_empty()
}

fn due(all: &[Key], now_ms: u64, known: &str) -> Settlement {
    let of_tokens = || all.iter().filter(|key| key.kind() == KeyKind::AgentToken);
    let ready = |key: &&Key| {
        let waits = keys::waits(key);
        keys::may_sign(key) && waits && (key.signs_from_ms <= now_ms || key.id == known)
    };
    let newest = of_tokens().filter(ready).max_by_key(|key| (key.created_ms, key.id.clone()));
    let older = |key: &&Key| {
        newest.is_some_and(|newest| {
            (key.created_ms, &key.id) < (newest.created_ms, &newest.id) && keys::may_sign(key)
        })
    };
    let retire = |key: &Key| Key { wrapped_private_key: Vec::new(), retired_ms: now_ms, ..key.clone() };
    Settlement {
        signs: newest.map(|key| Key { signs_from_ms: 0, ..key.clone() }),
        retired: of_tokens().filter(older).map(retire).collect(),
        over: of_tokens().filter(|key| is_over(key, now_ms)).cloned().collect(),
    }
}

/// Whether every token that the key has signed has ended, by any clock.
fn is_over(key: &Key, now_ms: u64) -> bool {
    let longest_ms = (caps::TOKEN_LIFE_SECONDS_MAX + 4 * caps::CLOCK_SKEW_SECONDS_MAX) * 1_000;
    key.retired_ms > 0 && now_ms >= key.retired_ms.saturating_add(longest_ms)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::RotateKey;

    use super::*;
    use crate::testing::World;

    fn rows(world: &World) -> Vec<Key> {
        let all = keys::keys(&world.view(), &PageQuery::first()).expect("memory").rows;
        all.into_iter().filter(|key| key.kind() == KeyKind::AgentToken).collect()
    }

    fn signing(world: &World) -> String {
        keys::signing(&world.view(), KeyKind::AgentToken).expect("memory").expect("a key").id
    }

    fn id(seed: &str) -> String {
        World::signing_key(seed).id().to_string()
    }

    fn rotate(world: &World, seed: &str) {
        world.pass_seconds(1);
        let key = Some(World::add_key(KeyKind::AgentToken, seed));
        world.done(RotateKey { key }, &World::root());
    }

    fn settle(world: &World, known: &str) {
        world.done(SettleKeys { known: known.to_owned() }, &World::node());
    }

    #[test]
    fn a_new_key_signs_once_it_is_known_and_the_old_one_goes_when_its_tokens_have_ended() {
        let world = World::new();
        rotate(&world, "next");
        assert_eq!(signing(&world), id("agent token"), "the new one waits");
        settle(&world, "");
        assert_eq!(signing(&world), id("agent token"));
        assert!(rows(&world).iter().all(keys::may_verify), "what either signs counts");
        settle(&world, &id("next"));
        assert_eq!(signing(&world), id("next"));
        let old = rows(&world).into_iter().find(|key| key.id == id("agent token")).expect("a key");
        assert!(old.wrapped_private_key.is_empty() && keys::may_verify(&old) && !keys::may_sign(&old));
        world.pass_seconds(caps::TOKEN_LIFE_SECONDS_MAX);
        settle(&world, "");
        assert_eq!(rows(&world).len(), 2, "a clock may be behind");
        world.pass_seconds(4 * caps::CLOCK_SKEW_SECONDS_MAX);
        assert!(is_due(&rows(&world), world.now_ms(), ""));
        settle(&world, "");
        assert_eq!(rows(&world).len(), 1);
        assert!(!is_due(&rows(&world), world.now_ms(), ""));
    }

    #[test]
    fn a_key_does_not_wait_for_ever() {
        let world = World::new();
        rotate(&world, "next");
        rotate(&world, "the one after");
        world.pass_seconds(caps::KEY_SPREAD_SECONDS_MAX);
        settle(&world, "");
        assert_eq!(signing(&world), id("the one after"));
        assert_eq!(rows(&world).iter().filter(|key| keys::may_sign(key)).count(), 1);
    }
}
