//! What this node may never go below, kept across restarts (POL-2).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use aegis_model::ids::{ClusterId, TenantId};
use serde::{Deserialize, Serialize};

use super::OpenError;
use super::files::{read_bounded, write_whole};
use super::rounds::Position;

/// Larger than the file ever is.
const BYTES_MAX: u64 = 64 << 20;

/// The newest state and activations that this node has taken over, and who it is.
///
/// Written before anything newer is enforced: after a crash it may say more than was enforced, never less.
#[derive(Debug)]
pub(super) struct Floor {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Drawn once.
    node_id: u64,
    /// The cluster of the first control node that was met.
    cluster: Option<ClusterId>,
    history: u64,
    index: u64,
    /// The number of the newest snapshot.
    snapshot: u64,
    tenants: BTreeMap<TenantId, Stamp>,
}

/// An activation, within the history in which it was told. Later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    pub(super) history: u64,
    pub(super) activation: u64,
}

impl Floor {
    /// What is kept in `folder`; a new folder gets `id` as its node's.
    pub(super) fn open(folder: &Path, id: u64) -> Result<Self, OpenError> {
        let path = folder.join("feed.json");
        let read = read_bounded(&path, BYTES_MAX);
        match read.map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })? {
            Some(bytes) => match serde_json::from_slice(&bytes) {
                Ok(kept) => Ok(Self { path, kept }),
                Err(_withheld) => Err(OpenError::Damaged { path }),
            },
            None => {
                let kept = Kept {
                    node_id: id.max(1),
                    cluster: None,
                    history: 0,
                    index: 0,
                    snapshot: 0,
                    tenants: BTreeMap::new(),
                };
                let floor = Self { path, kept };
                let written = floor.write();
                written.map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
                Ok(floor)
            }
        }
    }

    /// The node's id.
    pub(super) fn node_id(&self) -> u64 {
        self.kept.node_id
    }

    /// The newest state that was taken over.
    pub(super) fn position(&self) -> Position {
        Position { history: self.kept.history, index: self.kept.index }
    }

    /// The newest activation of `tenant`.
    pub(super) fn stamp(&self, tenant: &TenantId) -> Stamp {
        self.kept.tenants.get(tenant).copied().unwrap_or_default()
    }

    /// Stays with `cluster` from now on, once [`Floor::raised`] was written; or tells to which other one it belongs.
    pub(super) fn belong_to(&mut self, cluster: &ClusterId) -> Result<(), ClusterId> {
        match &self.kept.cluster {
            Some(kept) if kept != cluster => Err(kept.clone()),
            Some(_) => Ok(()),
            None => {
                self.kept.cluster = Some(cluster.clone());
                Ok(())
            }
        }
    }

    /// The floor with everything raised that is above it, and a new number for a snapshot. Nothing changes before
    /// [`Raised::write`] has succeeded.
    pub(super) fn raised<'t>(
        &self,
        position: Position,
        tenants: impl Iterator<Item = (&'t TenantId, Stamp)>,
    ) -> Raised {
        let mut kept = self.kept.clone();
        if position > self.position() {
            (kept.history, kept.index) = (position.history, position.index);
        }
        for (tenant, stamp) in tenants {
            match kept.tenants.get_mut(tenant) {
                Some(below) => *below = stamp.max(*below),
                None => drop(kept.tenants.insert(tenant.clone(), stamp)),
            }
        }
        kept.snapshot += 1;
        Raised(Self { path: self.path.clone(), kept })
    }

    fn write(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.kept).expect("names and numbers are plain JSON");
        write_whole(&self.path, &bytes)
    }
}

/// A floor that is not on disk yet.
#[derive(Debug)]
pub(super) struct Raised(Floor);

impl Raised {
    /// Writes it. Blocks until it is durable.
    pub(super) fn write(self) -> io::Result<Floor> {
        self.0.write()?;
        Ok(self.0)
    }

    /// The number for the snapshot that it allows.
    pub(super) fn snapshot(&self) -> u64 {
        self.0.kept.snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn at(history: u64, index: u64) -> Position {
        Position { history, index }
    }

    #[test]
    fn it_survives_and_never_goes_down() {
        let folder = tempfile::tempdir().unwrap();
        let mut floor = Floor::open(folder.path(), 7).unwrap();
        let (acme, stamp) = (tenant("acme"), |history, activation| Stamp { history, activation });
        for (position, activation, expected) in [
            (at(1, 10), stamp(1, 5), (at(1, 10), stamp(1, 5))),
            (at(1, 9), stamp(1, 4), (at(1, 10), stamp(1, 5))),
            (at(2, 1), stamp(2, 1), (at(2, 1), stamp(2, 1))),
        ] {
            let raised = floor.raised(position, [(&acme, activation)].into_iter());
            let number = raised.snapshot();
            floor = raised.write().unwrap();
            let again = Floor::open(folder.path(), 8).unwrap();
            assert_eq!((again.position(), again.stamp(&acme)), expected);
            assert_eq!((again.node_id(), again.kept.snapshot), (7, number));
        }
        assert_eq!(floor.stamp(&tenant("other")), Stamp::default());
    }

    #[test]
    fn what_was_not_written_did_not_happen() {
        let folder = tempfile::tempdir().unwrap();
        let floor = Floor::open(folder.path(), 7).unwrap();
        let raised = floor.raised(at(1, 10), std::iter::empty());
        std::fs::remove_file(folder.path().join("feed.json")).unwrap();
        std::fs::create_dir(folder.path().join("feed.json")).unwrap();
        assert!(raised.write().is_err());
        assert_eq!(floor.position(), at(0, 0));
    }

    #[test]
    fn a_damaged_file_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        drop(Floor::open(folder.path(), 7).unwrap());
        for damage in ["", "{", "{}", "[]"] {
            std::fs::write(folder.path().join("feed.json"), damage).unwrap();
            let opened = Floor::open(folder.path(), 7);
            assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{damage:?}: {opened:?}");
        }
    }

    #[test]
    fn it_belongs_to_one_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let mut floor = Floor::open(folder.path(), 7).unwrap();
        let (ours, theirs) = ("ours".parse().unwrap(), "theirs".parse().unwrap());
        assert_eq!(floor.belong_to(&ours), Ok(()));
        assert_eq!(floor.belong_to(&theirs), Err(ours.clone()));
        floor.raised(at(1, 1), std::iter::empty()).write().unwrap();
        let mut again = Floor::open(folder.path(), 7).unwrap();
        assert_eq!(again.belong_to(&theirs), Err(ours.clone()));
        assert_eq!(again.belong_to(&ours), Ok(()));
    }
}
