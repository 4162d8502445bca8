//! The files of a node that may change while it runs: certificate, key, authorities.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aegis_controlplane::node::OwnedPem;
use aegis_model::secret::Secret;
use anyhow::{Context, bail};

use crate::state::read_bounded;

/// Larger than any PEM file of a node.
const PEM_BYTES_MAX: usize = 4 << 20;

/// The PEM files of a node, as they were last read.
#[derive(Debug)]
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authorities: PathBuf,
    seen: Seen,
}

/// When each file was last changed; nothing for one that is not there.
type Seen = [Option<(SystemTime, u64)>; 3];

impl Files {
    /// Those at these places; not read yet.
    pub(crate) fn new(certificate: &Path, key: &Path, authorities: &Path) -> Self {
        let [certificate, key, authorities] = [certificate, key, authorities].map(Path::to_path_buf);
        Self { certificate, key, authorities, seen: [None; 3] }
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// One cannot be read, or others than its owner may read the key.
    pub(crate) fn read(&mut self) -> anyhow::Result<OwnedPem> {
        self.seen = self.look();
        Ok(OwnedPem {
            chain: read(&self.certificate)?,
            key: Secret::new(read_private(&self.key)?),
            authorities: read(&self.authorities)?,
        })
    }

    /// Whether one of them has changed since they were read.
    pub(crate) fn have_changed(&self) -> bool {
        self.look() != self.seen
    }

    fn look(&self) -> Seen {
        let changed = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [&self.certificate, &self.key, &self.authorities].map(changed)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_bounded(path, PEM_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))
}

fn read_private(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("reading `{shown}`"))?;
    if metadata.permissions().mode() & 0o007 != 0 {
        bail!("everybody may read the private key `{shown}`: `chmod 600` it, and replace it if somebody has");
    }
    read(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_change_is_noticed_and_an_open_key_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["c", "k", "a"] {
            std::fs::write(at(name), name).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut files = Files::new(&at("c"), &at("k"), &at("a"));
        assert!(files.have_changed(), "not read yet");
        files.read().unwrap();
        assert!(!files.have_changed());
        std::fs::write(at("c"), "longer").unwrap();
        assert!(files.have_changed());
        assert_eq!(files.read().unwrap().chain, b"longer");
        std::fs::set_permissions(at("k"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = files.read().map(drop).unwrap_err().to_string();
        assert!(refused.contains("everybody may read the private key"), "{refused}");
    }
}
