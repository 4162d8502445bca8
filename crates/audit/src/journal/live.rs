//! What a running journal tells others: its newest checkpoint, and proofs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::disk::Disk;
use super::figures::Counts;
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::tiles::{NoTile, Tile, Tiles};
use crate::tree::{self, Nodes};

/// A checkpoint with the note that carries its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note, as it travels.
    pub note: Vec<u8>,
}

/// A proof, with the checkpoint that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The hashes.
    pub hashes: Vec<Hash>,
    /// The checkpoint.
    pub signed: Arc<Signed>,
}

/// Leaves that are not sealed yet lie in memory; the others in tiles.
pub(super) struct Live {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    state: Mutex<State>,
    /// Read while a proof reads tiles, written while tiles are removed: the journal's thread waits for neither.
    tiles: RwLock<()>,
    /// What has been done.
    pub(super) counts: Counts,
}

#[derive(Default, Clone)]
struct State {
    /// How many leaves are sealed: those whose tiles are on disk.
    sealed: u64,
    leaves: Vec<Hash>,
    newest: Option<Arc<Signed>>,
}

impl Live {
    pub(super) fn new(disk: Arc<dyn Disk>, folder: PathBuf, sealed: u64) -> Self {
        Self {
            disk,
            folder,
            state: Mutex::new(State { sealed, ..State::default() }),
            tiles: RwLock::default(),
            counts: Counts::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn extend(&self, leaves: impl IntoIterator<Item = Hash>) {
        self.lock().leaves.extend(leaves);
    }

    pub(super) fn publish(&self, signed: Arc<Signed>) {
        self.lock().newest = Some(signed);
    }

    pub(super) fn newest(&self) -> Option<Arc<Signed>> {
        self.lock().newest.clone()
    }

    /// The tiles of the first `size` leaves are on disk. `then` removes what only a smaller size needed, once no proof reads it
    /// any more.
    pub(super) fn sealed<T>(&self, size: u64, then: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        let dropped = usize::try_from(size - state.sealed).unwrap_or(usize::MAX).min(state.leaves.len());
        state.leaves.drain(..dropped);
        state.sealed = size;
        drop(state);
        let _alone = self.tiles.write().unwrap_or_else(PoisonError::into_inner);
        then()
    }

    /// A proof from the newest checkpoint's tree, and that checkpoint; nothing before there is one that covers `size`.
    pub(super) fn prove(
        &self,
        size: u64,
        proof: impl FnOnce(&dyn Nodes<Error = NoTile>, u64) -> Result<Vec<Hash>, NoTile>,
    ) -> Result<Option<Proof>, NoTile> {
        let _tiles_stay = self.tiles.read().unwrap_or_else(PoisonError::into_inner);
        // A copy: the disk is read without holding up the journal's thread.
        let state = self.lock().clone();
        let Some(newest) = state.newest.clone().filter(|newest| newest.checkpoint.size >= size) else {
            return Ok(None);
        };
        let read = |tile: &Tile| self.disk.read(&self.folder.join(tile.to_string()));
        let nodes = Mixed { state: &state, tiles: Tiles::new(state.sealed, read) };
        Ok(Some(Proof { hashes: proof(&nodes, newest.checkpoint.size)?, signed: newest }))
    }
}

struct Mixed<'s, F> {
    state: &'s State,
    tiles: Tiles<F>,
}

impl<F: Fn(&Tile) -> std::io::Result<Vec<u8>>> Nodes for Mixed<'_, F> {
    type Error = NoTile;
    fn node(&self, level: u32, index: u64) -> Result<Hash, NoTile> {
        let (from, to) = (index << level, (index + 1) << level);
        if to <= self.state.sealed {
            return self.tiles.node(level, index);
        }
        if from >= self.state.sealed {
            let place = |index: u64| usize::try_from(index - self.state.sealed).unwrap_or(usize::MAX);
            let leaves = self.state.leaves.get(place(from)..place(to));
            let missing = NoTile { tile: Tile { level: Some(0), index: from / 256, width: 0 }, source: None };
            return leaves.map(|leaves| tree::root_of(leaves.iter().copied())).ok_or(missing);
        }
        Ok(tree::node(&self.node(level - 1, index * 2)?, &self.node(level - 1, index * 2 + 1)?))
    }
}
