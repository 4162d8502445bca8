//! `KeepCosignatures`: outside witnesses have cosigned a checkpoint of the control log. It is kept, so that every control node can
//! show it, and so that the next one is proved from there.
//!
//! Whether the cosignatures are right was found out by who asked the witnesses, since only the configuration of control nodes
//! says whose count; here the checkpoint is held against the log.

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::note::Note;
use aegis_audit::tree;
use aegis_proto::control::{CosignaturesKept, KeepCosignatures, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::keys::{KeysError, keyring};
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{control_tree, meta};

/// What is to be kept.
pub(crate) struct Checked {
    history: u64,
    size: u64,
    note: Vec<u8>,
}

impl Kind for KeepCosignatures {
    const NAME: &'static str = "KeepCosignatures";
    const WHO: Who = Who::control_node();
    /// Happens all the time by itself.
    const LOGGED: bool = false;
    type Checked = Checked;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        if self.history != asked.cluster.history {
            return Err(Refused::stale("history", asked.cluster.history).into());
        }
        let bad = || Refused::invalid("note", "a checkpoint of this control log with cosignatures");
        let note = Note::read(&self.note).map_err(|_withheld| bad())?;
        let new = Checkpoint::read_text(note.text()).map_err(|_withheld| bad())?;
        let keys = match keyring::control_log_verifiers(state, self.history) {
            Ok(keys) => keys,
            Err(KeysError::Store(error)) => return Err(error.into()),
            Err(_other) => return Err(bad().into()),
        };
        let signed = keys.iter().any(|key| new.origin == *key.name() && note.verify(key).is_ok());
        if !signed || note.signatures().len() < 2 {
            return Err(bad().into());
        }
        let size = control_tree::tree(state, self.history)?.map_or(0, |tree| tree.size);
        let nodes = control_tree::Subtrees::new(state, self.history);
        if new.size == 0 || new.size > size || tree::root_at(&nodes, new.size)? != new.root {
            return Err(bad().into());
        }
        let kept = kept_size(state, self.history)?;
        if kept > new.size {
            return Err(Refused::stale("cosigned size", kept).into());
        }
        Ok(Checked { history: self.history, size: new.size, note: self.note.clone() })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        control_tree::put_cosigned(write, checked.history, &checked.note)?;
        Ok(done::Result::CosignaturesKept(CosignaturesKept { size: checked.size }))
    }
}

/// How many entries the newest cosigned checkpoint is over; zero: there is none.
fn kept_size(state: &impl StateRead, history: u64) -> Result<u64, StoreError> {
    let Some(bytes) = control_tree::cosigned(state, history)? else { return Ok(0) };
    let read = Note::read(&bytes).ok().and_then(|note| Checkpoint::read_text(note.text()).ok());
    let damaged = || StoreError::Damaged { table: meta::CLUSTER.name().to_owned() };
    read.map(|checkpoint| checkpoint.size).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use aegis_audit::hash::Hash;
    use aegis_audit::keys::{KeyKind, SigningKey};
    use aegis_audit::witness::{Request, judge};
    use aegis_proto::control::PutPerson;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn cosigned(world: &World, change: impl Fn(&mut Checkpoint)) -> KeepCosignatures {
        let view = world.view();
        let key = keyring::control_log_key(&view, &World::cluster_keys(), 1).expect("a key");
        let mut checkpoint = control_tree::checkpoint(&view, &World::cluster_id(), 1).expect("memory");
        change(&mut checkpoint);
        let mut note = checkpoint.sign(&key);
        let request = Request { old_size: 0, proof: Vec::new(), note: note.clone() };
        let witness = SigningKey::generate(
            "witness.example".parse().expect("a name"),
            KeyKind::Cosignature,
            &mut StdRng::seed_from_u64(1),
        );
        note.add(judge(None, &request, key.verifying_key()).expect("good").cosign(&witness, 1));
        KeepCosignatures { history: 1, note: note.to_bytes() }
    }

    #[test]
    fn what_is_kept_is_of_this_log_and_never_older() {
        let world = World::new();
        let old = cosigned(&world, |_| ());
        world.done(old.clone(), &World::node());
        world.done(PutPerson { name: "bob".to_owned(), ..Default::default() }, &World::root());
        world.done(cosigned(&world, |_| ()), &World::node());
        assert_eq!(world.refused(old, &World::node()).code, Code::PreconditionFailed);
        let bad = [
            cosigned(&world, |it| it.size += 1),
            cosigned(&world, |it| it.root = Hash::of(b"other")),
            KeepCosignatures { note: b"no note".to_vec(), ..cosigned(&world, |_| ()) },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::node()).code, Code::Invalid);
        }
        let other = KeepCosignatures { history: 2, ..cosigned(&world, |_| ()) };
        assert_eq!(world.refused(other, &World::node()).code, Code::PreconditionFailed);
    }
}
