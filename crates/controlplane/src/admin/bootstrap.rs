//! The beginning of a cluster: its first keys, wrapped, and the first person with a token that is told exactly once.

use std::fmt;

use aegis_identity::mint::{MintRefusal, new_token_id};
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::{ClusterId, PersonId};
use aegis_model::secret::Secret;
use aegis_proto::control::{AddKey, InitCluster};
use aegis_raft_store::tables::StoreError;
use rand::CryptoRng;

use super::form;
use super::service::person_tokens;
use crate::command::LEVEL;
use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::keys::{ClusterKeys, KeyKind, KeysError, SigningKey, keyring};
use crate::state::person_tokens as rows;

/// What a new cluster is to be.
#[derive(Debug, Clone)]
pub struct NewCluster {
    /// Its id: chosen once, in every manifest and token of it.
    pub cluster: ClusterId,
    /// The first person, who gets role `admin` on `*`.
    pub admin: PersonId,
}

/// What a cluster begins with. Whoever holds the token is the first person until it ends; it is in no file, no log and no
/// record, so this is the only time that it can be shown.
pub struct Beginning {
    /// The cluster.
    pub cluster: ClusterId,
    /// The first person.
    pub admin: PersonId,
    /// Their token.
    pub token: Secret<String>,
    /// When it ends, RFC 3339.
    pub expires_at: String,
}

impl fmt::Debug for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beginning")
            .field("cluster", &self.cluster)
            .field("admin", &self.admin)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why a cluster was not made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// It was refused, as when the cluster was made before, or nobody knows what became of it.
    #[error("the cluster was not made: {0}")]
    Propose(#[from] ProposeError),
    /// The first keys cannot be used.
    #[error("the cluster's first keys cannot be used: {0}")]
    Keys(#[from] KeysError),
    /// The token cannot be made.
    #[error("the first token cannot be made: {0}")]
    Mint(#[from] MintRefusal),
    /// The record of the token is not there.
    #[error("the first token is not recorded")]
    NoToken,
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a cluster of a state that has none, as the control node `node`: new keys of each kind, wrapped under
/// `cluster_keys`, and the first person's token.
///
/// # Errors
/// [`BootstrapError`]; where the cluster was made before, [`ProposeError::Refused`] with `already_initialized`, and
/// nothing is told.
pub async fn bootstrap(
    control: &Control,
    cluster_keys: &ClusterKeys,
    node: u64,
    new: NewCluster,
    clock: &Clock,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Result<Beginning, BootstrapError> {
    let NewCluster { cluster, admin } = new;
    let token_id = new_token_id(randomness);
    // Log time follows the leader's clock, and may be a little behind this one: a life shorter by as much always fits.
    let life_seconds = caps::BOOTSTRAP_TOKEN_SECONDS - 2 * caps::CLOCK_SKEW_SECONDS_MAX;
    let command = InitCluster {
        cluster_id: cluster.to_string(),
        level: LEVEL,
        keys: first_keys(cluster_keys, &cluster, randomness),
        admin: admin.to_string(),
        token_id: token_id.clone(),
        token_expires_ms: (clock.now().seconds() + life_seconds) * 1_000,
    };
    control.propose(command, &Actor::ControlNode(node)).await?;
    let state = control.view()?;
    let row = rows::person_token(&state, &admin, &token_id)?.ok_or(BootstrapError::NoToken)?;
    let minter = keyring::minter(&state, cluster_keys, KeyKind::PersonToken)?;
    let minted = minter.person_token(&admin, &person_tokens::stamp(&row))?;
    let expires_at = form::time_of_seconds(minted.expires_at.seconds());
    Ok(Beginning { cluster, admin, token: minted.token, expires_at })
}

fn first_keys(
    cluster_keys: &ClusterKeys,
    cluster: &ClusterId,
    randomness: &mut (impl CryptoRng + ?Sized),
) -> Vec<AddKey> {
    let mut keys = Vec::with_capacity(KeyKind::ALL.len());
    for kind in KeyKind::ALL {
        let key = SigningKey::generate(randomness);
        keys.push(keyring::add_key(cluster_keys, cluster, kind, &key, randomness));
    }
    keys
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::admin::caller::Caller;
    use crate::admin::tests::setting::admin_over;
    use crate::command::Code;
    use crate::testing::World;

    fn new() -> NewCluster {
        NewCluster { cluster: "fresh".parse().unwrap(), admin: "alice@example.com".parse().unwrap() }
    }

    #[tokio::test]
    async fn a_fresh_cluster_gives_its_first_token_once() {
        let world = World::empty();
        let (control, keys) = (world.direct.control(), World::cluster_keys());
        let mut random = StdRng::seed_from_u64(1);
        let begun = bootstrap(&control, &keys, 1, new(), &world.clock, &mut random).await.unwrap();
        let admin = admin_over(&world);
        let caller = Caller::identify(&admin, begun.token.expose(), None, None).await.unwrap();
        assert_eq!(caller.person().as_str(), "alice@example.com");
        assert!(!format!("{begun:?}").contains(begun.token.expose()));
        let again = bootstrap(&control, &keys, 1, new(), &world.clock, &mut random).await.unwrap_err();
        let BootstrapError::Propose(error) = again else { panic!("{again}") };
        assert_eq!(error.refused().unwrap().code, Code::AlreadyInitialized);
    }
}
