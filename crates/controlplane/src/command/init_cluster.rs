//! `InitCluster`: makes the cluster, its first keys, and the first person with the first token.

use aegis_model::ids::ClusterId;
use aegis_proto::control::{
    ChangeKind, Cluster, InitCluster, Key, KeyKind, Person, PersonToken, Role, RoleBinding, done,
};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{LEVEL, add_key, checks, issue_person_token, put_person};
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{changes, keys, people, person_tokens, roles};

pub(crate) const NAME: &str = "InitCluster";

/// Everything that a cluster begins with.
pub(crate) struct Beginning {
    cluster: Cluster,
    keys: Vec<Key>,
    person: Person,
    token: PersonToken,
}

impl Kind for InitCluster {
    const NAME: &'static str = NAME;
    const WHO: Who = Who::control_node();
    type Checked = Beginning;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("cluster `{}` at level {}, first person `{}`", self.cluster_id, self.level, self.admin)
    }

    fn check(&self, _state: &impl StateRead, asked: &Asked<'_>) -> Result<Beginning, Failure> {
        if !asked.cluster.id.is_empty() {
            let message = format!("the cluster was made before, as `{}`", asked.cluster.id);
            return Err(Refused::new(Code::AlreadyInitialized, message).with("id", &asked.cluster.id).into());
        }
        if self.level == 0 || self.level > LEVEL {
            return Err(Refused::invalid("level", format!("1 to {LEVEL}")).into());
        }
        let id: ClusterId = checks::name("cluster_id", &self.cluster_id)?;
        let now_ms = asked.now_ms();
        let (history, level) = (1, self.level);
        let cluster = Cluster { id: id.into(), history, level, created_ms: now_ms, history_began_ms: now_ms };
        let person = put_person::row(&self.admin, "", false, asked)?;
        let expires_ms = issue_person_token::end("token_expires_ms", self.token_expires_ms, asked.now_ms())?;
        let token = PersonToken {
            person: person.name.clone(),
            id: checks::token_id("token_id", &self.token_id)?,
            issued_ms: asked.now_ms(),
            expires_ms,
            revoked_ms: 0,
            history: cluster.history,
            issued_by: asked.by(),
        };
        Ok(Beginning { cluster, keys: first_keys(self, asked)?, person, token })
    }

    fn apply(beginning: Beginning, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Beginning { cluster, keys, person, token } = beginning;
        write.put_cluster(cluster.clone())?;
        changes::note(write, ChangeKind::Cluster, "", "")?;
        for key in keys {
            write.counters_mut().keys += 1;
            keys::put(write, &key)?;
        }
        write.counters_mut().people += 1;
        people::put(write, &person)?;
        let roles = vec![Role::Admin.into()];
        roles::put(
            write,
            &RoleBinding { person: person.name, scope: EVERYWHERE.to_owned(), roles, own: Vec::new() },
        )?;
        person_tokens::put(write, &token)?;
        Ok(done::Result::Cluster(cluster))
    }
}

fn first_keys(command: &InitCluster, asked: &Asked<'_>) -> Result<Vec<Key>, Refused> {
    let mut keys: Vec<Key> = Vec::new();
    for spec in command.keys.iter().take(aegis_model::caps::TRUST_KEYS_MAX) {
        let key = add_key::row(spec, asked)?;
        if keys.iter().any(|other| other.id == key.id) {
            return Err(Refused::exists("key", key.id));
        }
        keys.push(key);
    }
    let kinds = [KeyKind::Manifest, KeyKind::AgentToken, KeyKind::PersonToken, KeyKind::ControlLog];
    let of_each = kinds.map(|kind| keys.iter().any(|key| key.kind() == kind));
    if of_each != [true; 4] {
        return Err(Refused::invalid("keys", "at least one of each kind"));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::CreateTenant;

    use super::*;
    use crate::command::actor::Actor;
    use crate::control::Replicate;
    use crate::state::meta;
    use crate::testing::World;

    fn command(world: &World) -> InitCluster {
        InitCluster {
            cluster_id: "other".to_owned(),
            level: 1,
            keys: World::first_keys(),
            admin: "root".to_owned(),
            token_id: "first".to_owned(),
            token_expires_ms: world.now_ms() + 60_000,
        }
    }

    #[test]
    fn nothing_is_possible_before_and_much_after() {
        let world = World::empty();
        let tenant = CreateTenant { name: "acme".to_owned(), ..Default::default() };
        let before = world.direct.digest();
        let refused = world.apply(tenant.clone(), &World::root()).expect_err("no cluster");
        assert_eq!(refused.code, Code::NotInitialized);
        assert_eq!(world.direct.digest(), before, "no trace of it");
        let answer = world.apply(command(&world), &World::node()).expect("the first command");
        assert!(matches!(answer.result(), Some(done::Result::Cluster(cluster)) if cluster.history == 1));
        let by_token = Actor::by_token("root".parse().expect("a name"), "first");
        world.apply(tenant, &by_token).expect("the first person may make tenants, by the first token");
    }

    #[test]
    fn a_cluster_is_made_once() {
        let world = World::new();
        let refused = world.apply(command(&world), &World::node()).expect_err("made before");
        assert_eq!(refused.code, Code::AlreadyInitialized);
        assert_eq!(refused.detail("id"), Some("test-cluster"));
        let view = world.direct.view().expect("a view");
        assert_eq!(meta::cluster(&view).expect("memory").expect("a cluster").id, "test-cluster");
    }

    #[test]
    fn each_field_is_checked() {
        let world = World::empty();
        let good = command(&world);
        let two_keys = World::first_keys().into_iter().skip(1).collect();
        let mut same_twice = World::first_keys();
        same_twice.push(World::add_key(KeyKind::PersonToken, "manifest"));
        let called = |id: &str| InitCluster { cluster_id: id.to_owned(), ..good.clone() };
        let bad = [
            ("cluster_id", Code::Invalid, called("")),
            // Names of tenants, but none that could stand in a node's certificate.
            ("cluster_id", Code::Invalid, called("Prod")),
            ("cluster_id", Code::Invalid, called("prod/eu:1")),
            ("cluster_id", Code::Invalid, called("prod-")),
            ("cluster_id", Code::Invalid, called("1")),
            ("level", Code::Invalid, InitCluster { level: 0, ..good.clone() }),
            ("level", Code::Invalid, InitCluster { level: LEVEL + 1, ..good.clone() }),
            ("keys", Code::Invalid, InitCluster { keys: two_keys, ..good.clone() }),
            ("name", Code::AlreadyExists, InitCluster { keys: same_twice, ..good.clone() }),
            ("name", Code::Invalid, InitCluster { admin: "control-node:1".to_owned(), ..good.clone() }),
            ("token_id", Code::Invalid, InitCluster { token_id: String::new(), ..good.clone() }),
            ("token_expires_ms", Code::Invalid, InitCluster { token_expires_ms: 1, ..good.clone() }),
        ];
        for (detail, code, command) in bad {
            let refused = world.apply(command, &World::node()).expect_err(detail);
            assert_eq!(refused.code, code, "{refused}");
            assert!(
                refused.detail("field") == Some(detail) || refused.detail(detail).is_some(),
                "{refused:?}"
            );
        }
        world.apply(good, &World::node()).expect("nothing of the refused ones is left");
    }

    #[test]
    fn a_person_cannot_make_a_cluster() {
        let world = World::empty();
        let refused = world.apply(command(&world), &World::root()).expect_err("no such person");
        assert_eq!(refused.code, Code::Unauthenticated);
    }
}
