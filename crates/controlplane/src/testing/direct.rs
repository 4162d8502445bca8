//! The state machine without Raft: commands are applied at once, to a database in memory.

use std::sync::{Arc, Mutex, PoisonError};

use aegis_model::clock::Clock;
use aegis_raft_store::machine::{Machine, Place};
use aegis_raft_store::tables::{StateDigest, StateView, StateWrite, StoreError};
use futures_util::future::{BoxFuture, FutureExt, ready};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase};
use tokio::sync::watch;

use crate::control::{Applied, Control, ProposeError, ReadError, Replicate};
use crate::machine::ControlMachine;
use crate::state::meta;

/// A state without Raft. Cheap to clone: clones are the same state.
#[derive(Clone)]
pub struct Direct {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    clock: Clock,
    /// Held while an entry is applied: they come one after the other.
    applying: Mutex<()>,
    applied: watch::Sender<Applied>,
}

impl Direct {
    /// An empty state, whose log time follows `clock`, but never goes back.
    ///
    /// # Errors
    /// The database cannot be made.
    pub fn new(clock: Clock) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        let applied = watch::Sender::new(Applied::default());
        let shared = Shared { database, clock, applying: Mutex::new(()), applied };
        // The tables are there before anybody reads.
        let direct = Self { shared: Arc::new(shared) };
        direct.apply_entry(&[])?;
        Ok(direct)
    }

    /// The handle over this state.
    pub fn control(&self) -> Control {
        Control::new(self.clone())
    }

    /// Applies one entry with these commands, as they would stand in the log: their answers.
    ///
    /// # Errors
    /// The storage failed, or the state is of newer software; nothing of the entry is applied then.
    pub fn apply_entry(&self, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, StoreError> {
        // A panic of another test's thread says nothing about the database.
        let _one_by_one = self.shared.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *self.shared.applied.borrow();
        let now_ms = self.shared.clock.now().0 / 1_000_000;
        let (index, log_time_ms) = (before.index + 1, before.log_time_ms.max(now_ms));
        let transaction = self.shared.database.begin_write()?;
        let mut state = StateWrite::new(&transaction, ControlMachine.tables(), before.digest)?;
        let mut answers = Vec::with_capacity(commands.len());
        for (position, command) in (0_u32..).zip(commands) {
            let place = Place { index, position, log_time_ms };
            answers.push(ControlMachine.apply(&mut state, place, command)?);
        }
        let (history, digest) = (meta::history(&state)?, state.digest());
        drop(state);
        transaction.commit()?;
        self.shared.applied.send_replace(Applied { history, index, log_time_ms, digest });
        Ok(answers)
    }

    /// The digest of the state.
    pub fn digest(&self) -> StateDigest {
        self.shared.applied.borrow().digest
    }
}

impl Replicate for Direct {
    fn propose(&self, command: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, ProposeError>> {
        let answer = self.apply_entry(&[command]).map_err(ProposeError::from).and_then(|mut answers| {
            answers.pop().ok_or_else(|| ProposeError::Unknown("one command has one answer".to_owned()))
        });
        ready(answer).boxed()
    }

    fn linearize(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        ready(Ok(())).boxed()
    }

    fn view(&self) -> Result<StateView, StoreError> {
        Ok(StateView::new(self.shared.database.begin_read()?))
    }

    fn applied(&self) -> watch::Receiver<Applied> {
        self.shared.applied.subscribe()
    }
}
