//! Numbers that only grow, across restarts: incarnation, snapshot, and per tenant version and activation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aegis_model::ids::TenantId;
use aegis_policy::ast::SourceFile;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Readers, read_bounded, write_whole};

/// Far more than the numbers of any node take.
const BYTES_MAX: usize = 16 << 20;

/// The numbers of one node, with the file that keeps them.
#[derive(Debug)]
pub(crate) struct Numbers {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    incarnation: u64,
    snapshot: u64,
    tenants: BTreeMap<TenantId, OfTenant>,
}

/// What was last put into force for a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfTenant {
    /// Counts the contents that were loaded.
    pub(crate) version: u64,
    /// Counts how often one was put into force. Never goes back (POL-2).
    pub(crate) activation: u64,
    /// Of the sources of `version`.
    fingerprint: String,
}

impl Numbers {
    /// Reads the numbers; a node that has none begins at zero.
    ///
    /// # Errors
    /// The file is there and cannot be read: to begin anew would repeat numbers.
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let kept = match read_bounded(&path, BYTES_MAX) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("`{}` is damaged", path.display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error).with_context(|| format!("reading `{}`", path.display())),
        };
        Ok(Self { path, kept })
    }

    /// A number that no start of this node has had before.
    ///
    /// # Errors
    /// It cannot be kept; it is not used then.
    pub(crate) fn next_incarnation(&mut self) -> anyhow::Result<u64> {
        self.change(|kept| {
            kept.incarnation += 1;
            kept.incarnation
        })
    }

    /// The number of everything in force together; grows with each [`Self::accept`].
    pub(crate) fn snapshot(&self) -> u64 {
        self.kept.snapshot
    }

    /// What sources with this fingerprint would be for `tenant`, were they put into force now: the same sources
    /// keep their version.
    pub(crate) fn candidate(&self, tenant: &TenantId, fingerprint: &str) -> OfTenant {
        let last = self.kept.tenants.get(tenant).cloned().unwrap_or_default();
        let version = if last.fingerprint == fingerprint { last.version } else { last.version + 1 };
        OfTenant { version, activation: last.activation + 1, fingerprint: fingerprint.to_owned() }
    }

    /// Keeps a candidate that is about to be put into force.
    ///
    /// # Errors
    /// As [`Self::next_incarnation`].
    pub(crate) fn accept(&mut self, tenant: &TenantId, candidate: OfTenant) -> anyhow::Result<()> {
        self.change(|kept| {
            kept.snapshot += 1;
            kept.tenants.insert(tenant.clone(), candidate);
        })
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Kept) -> T) -> anyhow::Result<T> {
        let mut next = self.kept.clone();
        let given = change(&mut next);
        self.write(&next)?;
        self.kept = next;
        Ok(given)
    }

    fn write(&self, kept: &Kept) -> anyhow::Result<()> {
        let path: &Path = &self.path;
        let bytes = serde_json::to_vec_pretty(kept).expect("numbers are plain JSON");
        write_whole(path, &bytes, Readers::Owner).with_context(|| format!("writing `{}`", path.display()))
    }
}

/// SHA-256 over path and text of every source, each with its length before it, in hexadecimal.
pub(crate) fn fingerprint(files: &[SourceFile]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        for part in [file.path.as_bytes(), file.text.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_never_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        let tenant: TenantId = "acme".parse().unwrap();
        let mut numbers = Numbers::open(path.clone()).unwrap();
        assert_eq!((numbers.next_incarnation().unwrap(), numbers.snapshot()), (1, 0));
        let step = |numbers: &mut Numbers, fingerprint: &str| {
            let candidate = numbers.candidate(&tenant, fingerprint);
            numbers.accept(&tenant, candidate.clone()).unwrap();
            (candidate.version, candidate.activation)
        };
        assert_eq!(step(&mut numbers, "a"), (1, 1));
        assert_eq!(step(&mut numbers, "b"), (2, 2));
        let mut again = Numbers::open(path.clone()).unwrap();
        assert_eq!(step(&mut again, "b"), (2, 3), "the same sources keep their version");
        assert_eq!(step(&mut again, "a"), (3, 4));
        assert_eq!((again.next_incarnation().unwrap(), again.snapshot()), (2, 4));
        // A candidate that was not accepted uses up nothing.
        assert_eq!(again.candidate(&tenant, "c"), again.candidate(&tenant, "c"));

        std::fs::write(&path, "{").unwrap();
        assert!(Numbers::open(path).is_err(), "damaged numbers are not begun anew");
    }

    #[test]
    fn a_fingerprint_depends_on_names_texts_and_their_limits() {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
        let base = fingerprint(&[file("a", "bc")]);
        assert_eq!(base, fingerprint(&[file("a", "bc")]));
        for other in
            [vec![file("ab", "c")], vec![file("a", "bd")], vec![file("a", "b"), file("c", "")], vec![]]
        {
            assert_ne!(base, fingerprint(&other));
        }
    }
}
