//! The configuration of a witness: a TOML file, read strictly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aegis_audit::keys::{KeyKind, KeyName, VerifyingKey};
use serde::Deserialize;

use crate::config_file;

/// What a witness runs with. Every path is absolute once it is read.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) name: KeyName,
    pub(super) key: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) listen: SocketAddr,
    /// The logs that it watches, by name: the keys that may sign each.
    pub(super) logs: BTreeMap<KeyName, Vec<VerifyingKey>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    key: PathBuf,
    data_dir: PathBuf,
    #[serde(default = "listen_default")]
    listen: SocketAddr,
    logs: Vec<String>,
}

fn listen_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7095))
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`crate::ended::WrongUse`] for what is wrong in it.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        config_file::read(path, Self::parse)
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let name = written.name.parse().map_err(|error| format!("`name`: {error}"))?;
        let mut logs: BTreeMap<KeyName, Vec<VerifyingKey>> = BTreeMap::new();
        for text in &written.logs {
            let key: VerifyingKey = text.parse().map_err(|error| format!("`logs`: {error}"))?;
            if key.kind() != KeyKind::Note {
                return Err(format!("`logs`: the key of `{}` is a witness's, not a log's", key.name()));
            }
            logs.entry(key.name().clone()).or_default().push(key);
        }
        if logs.is_empty() {
            return Err("`logs` names no log to watch".to_owned());
        }
        Ok(Self {
            name,
            key: folder.join(written.key),
            data_dir: folder.join(written.data_dir),
            listen: written.listen,
            logs,
        })
    }
}

#[cfg(test)]
mod tests {
    use aegis_audit::keys::SigningKey;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn verifier(kind: KeyKind) -> String {
        let name = "c-1/control".parse().unwrap();
        SigningKey::generate(name, kind, &mut StdRng::seed_from_u64(1)).verifying_key().to_string()
    }

    fn text(logs: &str) -> String {
        format!("name = 'w.example'\nkey = 'w.key'\ndata_dir = 'state'\nlogs = [{logs}]\n")
    }

    #[test]
    fn paths_begin_at_the_file_and_what_cannot_work_is_refused() {
        let good = text(&format!("'{}'", verifier(KeyKind::Note)));
        let config = Config::parse(&good, Path::new("/etc/w")).unwrap();
        assert_eq!((config.key.as_path(), config.listen.port()), (Path::new("/etc/w/w.key"), 7095));
        assert_eq!(config.logs.keys().map(KeyName::as_str).collect::<Vec<_>>(), ["c-1/control"]);
        let problem = |text: &str| Config::parse(text, Path::new("/")).unwrap_err();
        assert!(problem(&text("")).contains("no log"));
        assert!(problem(&text("'x'")).contains("`logs`"));
        assert!(problem(&text(&format!("'{}'", verifier(KeyKind::Cosignature)))).contains("not a log's"));
        assert!(problem(&good.replace("w.example", "a b")).contains("`name`"));
        assert!(problem(&format!("more = 1\n{good}")).contains("unknown field"));
    }
}
