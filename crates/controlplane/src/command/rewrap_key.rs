//! `RewrapKey`: replaces the wrapping of a private key, while one cluster key takes the place of another.

use aegis_proto::control::{Key, RewrapKey, done};
use aegis_raft_store::tables::{StateRead, StoreError};
use sha2::{Digest, Sha256};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{add_key, checks};
use crate::state::key::EVERYWHERE;
use crate::state::keys;
use crate::state::writer::Writer;

impl Kind for RewrapKey {
    const NAME: &'static str = "RewrapKey";
    /// Only control nodes can unwrap.
    const WHO: Who = Who::control_node();
    type Checked = Key;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("key `{}`", self.id)
    }

    fn check(&self, state: &impl StateRead, _asked: &Asked<'_>) -> Result<Key, Failure> {
        add_key::check_wrapped(&self.wrapped_private_key)?;
        let replaces = checks::digest("replaces", &self.replaces)?;
        let Some(key) = keys::key(state, &self.id)? else {
            return Err(Refused::unknown(Code::UnknownKey, "key", &self.id).into());
        };
        if key.wrapped_private_key.is_empty() {
            let message = format!("the key `{}` was retired, and its private part is gone", key.id);
            return Err(Refused::new(Code::KeyRetired, message).with("key", &key.id).into());
        }
        if <[u8; 32]>::from(Sha256::digest(&key.wrapped_private_key)) != replaces {
            return Err(Refused::stale("wrapping", "another one").into());
        }
        Ok(Key { wrapped_private_key: self.wrapped_private_key.clone(), ..key })
    }

    fn apply(key: Key, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        keys::put(write, &key)?;
        Ok(done::Result::Key(add_key::public(key)))
    }
}
