//! Which logs there are at a place, and which key and checkpoint speak for them.

use std::path::{Path, PathBuf};

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::journal::SystemDisk;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::read::own_key;
use anyhow::{Context, bail};
use clap::Args;

use crate::ended::WrongUse;
use crate::state::read_bounded;

/// Larger than any list of keys, and than any signed note.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Where the logs are.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// A node's journal, one of its logs, or an export
    #[arg(env = "AEGIS_AUDIT_DIR", default_value = ".aegis/audit", value_name = "FOLDER")]
    pub(super) folder: PathBuf,
}

/// One log.
pub(super) struct Log {
    pub(super) folder: PathBuf,
    /// The key that its folder says is its own.
    pub(super) own_key: VerifyingKey,
}

impl Log {
    pub(super) fn name(&self) -> &str {
        self.own_key.name().as_str()
    }

    /// Whether it runs, or was cut off: only then its folder may change.
    pub(super) fn is_open(&self) -> bool {
        self.folder.join("key").exists()
    }
}

impl Place {
    /// The logs, oldest first; at least one.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn logs(&self) -> anyhow::Result<Vec<Log>> {
        let folders = folders(&self.folder)?;
        let log = |folder: PathBuf| {
            let own_key = own_key(&SystemDisk, &folder);
            let own_key =
                own_key.with_context(|| format!("reading `{}`", folder.join("verifier").display()))?;
            Ok(Log { folder, own_key })
        };
        let logs: Vec<Log> = folders.into_iter().map(log).collect::<anyhow::Result<_>>()?;
        if logs.is_empty() {
            bail!("`{}` holds no audit log", self.folder.display());
        }
        Ok(logs)
    }

    /// The newest log.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn newest(&self) -> anyhow::Result<Log> {
        Ok(self.logs()?.pop().expect("there is at least one"))
    }
}

/// The folders of the logs at `place`: itself, or one per life of a node, the oldest first.
fn folders(place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if place.join("verifier").exists() {
        return Ok(vec![place.to_owned()]);
    }
    let entries = std::fs::read_dir(place).with_context(|| format!("reading `{}`", place.display()))?;
    let mut lives = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading `{}`", place.display()))?.path();
        let life = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
        lives.extend(life.map(|life| (life, path)));
    }
    lives.sort_unstable();
    Ok(lives.into_iter().map(|(_, path)| path).collect())
}

/// What the caller trusts.
#[derive(Debug, Default)]
pub(super) struct Trusted {
    keys: Vec<VerifyingKey>,
    checkpoints: Vec<Vec<u8>>,
}

impl Trusted {
    /// Reads files of verifier keys, one a line, and of checkpoints.
    ///
    /// # Errors
    /// [`WrongUse`] for a file that holds none.
    pub(super) fn read(keys: &[PathBuf], checkpoints: &[PathBuf]) -> anyhow::Result<Self> {
        let mut trusted = Self::default();
        for file in keys {
            let text = String::from_utf8(read(file)?).unwrap_or_default();
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                let key = line.parse().map_err(|bad| WrongUse(format!("`{}`: {bad}", file.display())))?;
                trusted.keys.push(key);
            }
        }
        trusted.checkpoints = checkpoints.iter().map(|file| read(file)).collect::<anyhow::Result<_>>()?;
        Ok(trusted)
    }

    /// Whether any key is trusted.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Every key.
    pub(super) fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The key of the log of this name.
    pub(super) fn key(&self, log: &str) -> Option<&VerifyingKey> {
        self.keys.iter().find(|key| key.name().as_str() == log)
    }

    /// The newest of the checkpoints that `key` signed.
    pub(super) fn checkpoint(&self, key: &VerifyingKey) -> Option<Checkpoint> {
        let signed = self.checkpoints.iter().filter_map(|note| Checkpoint::open(note, key).ok());
        signed.max_by_key(|checkpoint| checkpoint.size)
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    read_bounded(file, FILE_BYTES_MAX).with_context(|| format!("reading `{}`", file.display()))
}
