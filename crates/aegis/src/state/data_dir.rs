//! The data directory of a node: numbers and audit journal, and for `aegis dev` its signing key and what it says of itself.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aegis_identity::keys::SigningKey;
use aegis_model::ids::{AgentId, OrgId, TenantId};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{Numbers, Readers, read_bounded, write_whole};

/// Larger than any PKCS#8 form of an Ed25519 key.
const KEY_BYTES_MAX: usize = 4 << 10;

/// Larger than any description of a node.
const DEV_NODE_BYTES_MAX: usize = 64 << 10;

/// The folder of the audit journal in a data directory.
pub(crate) const AUDIT_DIR: &str = "audit";

/// A data directory. All of it belongs to its owner alone.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Proof that no other process uses the directory; ends with the process at the latest.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// What `aegis dev` tells the commands that come after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevNode {
    pub(crate) org: OrgId,
    pub(crate) tenant: TenantId,
    /// The agent that a token is for, unless another is named.
    pub(crate) agent: AgentId,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
    /// Where the control plane answers HTTP.
    #[serde(default)]
    pub(crate) control: Option<SocketAddr>,
}

/// Where the policy that is in force came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LastGood {
    /// The folder, without links.
    pub(crate) folder: PathBuf,
}

impl DataDir {
    /// The directory at `root`, made if it is not there, with a mark that keeps it out of version control.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn create(root: &Path) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.with_context(|| format!("making the data directory `{}`", root.display()))?;
        let data_dir = Self::open(root)?;
        let ignore = data_dir.root.join(".gitignore");
        if !ignore.exists() {
            write_whole(&ignore, b"*\n", Readers::All)
                .with_context(|| format!("writing `{}`", ignore.display()))?;
        }
        Ok(data_dir)
    }

    /// The directory at `root`, which has to be there.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        let root = root
            .canonicalize()
            .with_context(|| format!("opening the data directory `{}`", root.display()))?;
        Ok(Self { root })
    }

    /// Where it is, without links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Takes it for this process.
    ///
    /// # Errors
    /// Another process has it.
    pub(crate) fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.root.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("opening `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another process uses the data directory `{}`: stop it, or choose another one with `--data-dir`",
                self.root.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("locking `{}`", path.display()))
            }
        }
    }

    /// The folder of the audit journal.
    pub(crate) fn audit(&self) -> PathBuf {
        self.root.join(AUDIT_DIR)
    }

    /// Where `aegis dev` keeps the token of its administrator.
    pub(crate) fn admin_token(&self) -> PathBuf {
        self.root.join("admin.token")
    }

    /// The numbers of the node.
    ///
    /// # Errors
    /// As [`Numbers::open`].
    pub(crate) fn numbers(&self) -> anyhow::Result<Numbers> {
        Numbers::open(self.root.join("numbers.json"))
    }

    /// The signing key; made if there is none, if `may_make`.
    ///
    /// # Errors
    /// It cannot be read, belongs not to its owner alone, or is none.
    pub(crate) fn signing_key(&self, may_make: bool) -> anyhow::Result<SigningKey> {
        let path = self.root.join("signing-key.pem");
        match read_signing_key(&path) {
            Err(error) if may_make && is_not_found(&error) => {
                let key = SigningKey::generate(&mut rand::rng());
                let pem = key.to_pkcs8_pem();
                let written = write_whole(&path, pem.expose().as_bytes(), Readers::Owner);
                written.with_context(|| format!("writing `{}`", path.display()))?;
                Ok(key)
            }
            Err(error) if is_not_found(&error) => Err(error.context(format!(
                "`{}` has no signing key: has `aegis dev` run with it?",
                self.root.display()
            ))),
            read => read,
        }
    }

    /// What the last `aegis dev` said about itself.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub(crate) fn dev_node(&self) -> anyhow::Result<DevNode> {
        let path = self.root.join("dev.json");
        let bytes = read_bounded(&path, DEV_NODE_BYTES_MAX)
            .with_context(|| format!("reading `{}`: has `aegis dev` run with it?", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("`{}` is damaged", path.display()))
    }

    /// Leaves word for the commands that come after.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write_dev_node(&self, node: &DevNode) -> anyhow::Result<()> {
        self.write_json("dev.json", node)
    }

    /// Where the last good policy came from, if that is known.
    pub(crate) fn last_good(&self) -> Option<LastGood> {
        let bytes = read_bounded(&self.root.join("last-good.json"), DEV_NODE_BYTES_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps where the last good policy came from.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write_last_good(&self, last_good: &LastGood) -> anyhow::Result<()> {
        self.write_json("last-good.json", last_good)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let path = self.root.join(name);
        let bytes = serde_json::to_vec(value).context("writing JSON")?;
        write_whole(&path, &bytes, Readers::Owner).with_context(|| format!("writing `{}`", path.display()))
    }
}

/// Reads a private key that nobody but its owner may read.
///
/// # Errors
/// It cannot be read, others may read it, or it is no Ed25519 key in PKCS#8 PEM. No message holds any of it.
pub(crate) fn read_signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let shown = path.display();
    let metadata = fs::metadata(path).with_context(|| format!("reading `{shown}`"))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        bail!("others may read the private key `{shown}`: `chmod 600` it, and replace it if somebody has");
    }
    let bytes = read_bounded(path, KEY_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
    let pem = aegis_model::secret::Secret::new(bytes);
    let text = std::str::from_utf8(pem.expose()).ok().with_context(|| format!("`{shown}` is not PEM"))?;
    SigningKey::from_pkcs8_pem(text).with_context(|| format!("`{shown}`"))
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(&folder.path().join("d")).unwrap();
        assert!(format!("{:#}", data_dir.signing_key(false).unwrap_err()).contains("has no signing key"));
        let made = data_dir.signing_key(true).unwrap();
        assert_eq!(data_dir.signing_key(true).unwrap().id(), made.id());
        assert_eq!(data_dir.signing_key(false).unwrap().id(), made.id());
        let path = data_dir.root().join("signing-key.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(data_dir.root()).unwrap().permissions().mode() & 0o777, 0o700);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(data_dir.signing_key(true).unwrap_err().to_string().contains("others may read"));
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(folder.path()).unwrap();
        let path = data_dir.root().join("signing-key.pem");
        write_whole(&path, b"MY SECRET", Readers::Owner).unwrap();
        let error = format!("{:#}", data_dir.signing_key(true).unwrap_err());
        assert!(error.contains("not an Ed25519 key") && !error.contains("MY SECRET"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"MY SECRET");
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(folder.path()).unwrap();
        let lock = data_dir.lock().unwrap();
        assert!(data_dir.lock().unwrap_err().to_string().contains("another process"));
        drop(lock);
        data_dir.lock().unwrap();
    }
}
