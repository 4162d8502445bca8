//! `AddKey`: adds a key of the cluster, which signs from now on.

use aegis_model::caps;
use aegis_proto::control::{AddKey, Key, KeyKind, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::keys;
use crate::state::page::PageQuery;
use crate::state::writer::Writer;

impl Kind for AddKey {
    const NAME: &'static str = "AddKey";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Key;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        let id = checks::public_key("public_key", &self.public_key).map(|key| key.id().to_string());
        format!("key `{}` for {}", id.unwrap_or_default(), self.kind().as_str_name())
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Key, Failure> {
        let key = row(self, asked)?;
        if keys::key(state, &key.id)?.is_some() {
            return Err(Refused::exists("key", key.id).into());
        }
        checks::room("keys", asked.counters.keys, caps::CLUSTER_KEYS_MAX)?;
        if key.kind() == KeyKind::Manifest {
            // Data nodes hold every manifest key that still counts.
            let all = keys::keys(state, &PageQuery::first())?.rows;
            let counting = all.iter().filter(|key| key.kind() == KeyKind::Manifest && keys::may_verify(key));
            checks::room("manifest keys", counting.count() as u64, caps::MANIFEST_KEYS_MAX as u64)?;
        }
        Ok(key)
    }

    fn apply(key: Key, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        write.counters_mut().keys += 1;
        keys::put(write, &key)?;
        Ok(done::Result::Key(public(key)))
    }
}

/// The row of a new key.
pub(super) fn row(command: &AddKey, asked: &Asked<'_>) -> Result<Key, Refused> {
    let kind = match command.kind() {
        KeyKind::Unspecified => return Err(Refused::invalid("kind", "a known kind")),
        kind @ (KeyKind::Manifest | KeyKind::AgentToken | KeyKind::PersonToken | KeyKind::ControlLog) => kind,
    };
    let public_key = checks::public_key("public_key", &command.public_key)?;
    check_wrapped(&command.wrapped_private_key)?;
    Ok(Key {
        id: public_key.id().to_string(),
        kind: kind.into(),
        public_key: command.public_key.clone(),
        wrapped_private_key: command.wrapped_private_key.clone(),
        created_ms: asked.now_ms(),
        retired_ms: 0,
        revoked_ms: 0,
        signs_from_ms: 0,
        added_index: asked.place.index,
    })
}

/// A wrapped private key, as far as the state can tell.
pub(super) fn check_wrapped(wrapped: &[u8]) -> Result<(), Refused> {
    if wrapped.is_empty() || wrapped.len() > caps::WRAPPED_KEY_BYTES_MAX {
        let form = format!("1 to {} bytes", caps::WRAPPED_KEY_BYTES_MAX);
        return Err(Refused::invalid("wrapped_private_key", form));
    }
    Ok(())
}

/// What an answer may show of a key.
pub(super) fn public(key: Key) -> Key {
    Key { wrapped_private_key: Vec::new(), ..key }
}

const _: () = assert!(caps::CLUSTER_KEYS_MAX <= caps::PAGE_ROWS_MAX as u64, "all keys fit in one page");
