//! Cluster keys: read from files that nobody else may read, never shown, wiped when dropped.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aegis_model::caps;
use aegis_model::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The length of a cluster key: that of a key of AES-256.
pub const CLUSTER_KEY_BYTES: usize = 32;

/// So few different bytes occur in 32 random ones less often than once in 2^60 times: it was typed, not drawn.
const DIFFERENT_BYTES_MIN: usize = 16;

/// The key under which the cluster's private keys are wrapped. `Debug` shows its id only.
pub struct ClusterKey {
    bytes: Secret<[u8; CLUSTER_KEY_BYTES]>,
    id: ClusterKeyId,
}

impl ClusterKey {
    /// A new key.
    pub fn generate(randomness: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = Zeroizing::new([0; CLUSTER_KEY_BYTES]);
        randomness.fill_bytes(bytes.as_mut_slice());
        Self::of(&bytes)
    }

    /// Reads the file at `path`: 32 bytes as they are, or in base64 with or without an end of line.
    ///
    /// # Errors
    /// [`ClusterKeyError`], which names the file and never shows what is in it.
    pub fn read(path: &Path) -> Result<Self, ClusterKeyError> {
        let refused = |problem| ClusterKeyError { path: path.to_owned(), problem };
        let content = read_private(path).map_err(refused)?;
        Self::parse(&content).map_err(refused)
    }

    /// Makes a new key in a new file at `path`, which only its owner may read.
    ///
    /// # Errors
    /// [`ClusterKeyError`]: there is a file already, or it cannot be written.
    pub fn create(path: &Path, randomness: &mut (impl CryptoRng + ?Sized)) -> Result<Self, ClusterKeyError> {
        let key = Self::generate(randomness);
        let written = || -> io::Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(key.to_text().expose().as_bytes())?;
            file.sync_all()
        };
        let refused =
            |error| ClusterKeyError { path: path.to_owned(), problem: ClusterKeyProblem::Unwritable(error) };
        written().map_err(refused)?;
        Ok(key)
    }

    /// Writes it as the text that [`Self::read`] reads, for a file that only its owner may read.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!("{}\n", STANDARD.encode(self.bytes.expose())))
    }

    /// The name by which wrapped keys say which cluster key unwraps them.
    pub fn id(&self) -> ClusterKeyId {
        self.id
    }

    pub(super) fn expose(&self) -> &[u8; CLUSTER_KEY_BYTES] {
        self.bytes.expose()
    }

    fn parse(content: &[u8]) -> Result<Self, ClusterKeyProblem> {
        let mut bytes = Zeroizing::new([0; CLUSTER_KEY_BYTES]);
        if content.len() == CLUSTER_KEY_BYTES {
            bytes.copy_from_slice(content);
        } else {
            let text = content.strip_suffix(b"\n").unwrap_or(content);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            // Decoded in place: one more byte than fits would be noticed as an error.
            let mut decoded = Zeroizing::new([0; CLUSTER_KEY_BYTES + 4]);
            let length = STANDARD.decode_slice(text, decoded.as_mut_slice());
            if !length.is_ok_and(|length| length == CLUSTER_KEY_BYTES) {
                return Err(ClusterKeyProblem::Form);
            }
            bytes.copy_from_slice(&decoded[..CLUSTER_KEY_BYTES]);
        }
        let mut seen = [false; 256];
        bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
        if seen.iter().filter(|&&seen| seen).count() < DIFFERENT_BYTES_MIN {
            return Err(ClusterKeyProblem::NotRandom);
        }
        Ok(Self::of(&bytes))
    }

    fn of(bytes: &[u8; CLUSTER_KEY_BYTES]) -> Self {
        Self { id: ClusterKeyId::of(bytes), bytes: Secret::new(*bytes) }
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.id)
    }
}

/// The name of a cluster key: the beginning of a digest of it. It says nothing of the key, which is random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKeyId([u8; 8]);

impl ClusterKeyId {
    fn of(key: &[u8; CLUSTER_KEY_BYTES]) -> Self {
        let hash = Sha256::new().chain_update(b"aegis/cluster-key/v1\0").chain_update(key).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        Self(id)
    }

    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for ClusterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ClusterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The cluster keys of a node: the first wraps, all unwrap.
#[derive(Debug)]
pub struct ClusterKeys {
    active: ClusterKey,
    older: Vec<ClusterKey>,
}

impl ClusterKeys {
    /// `active` wraps; it and the `older` ones unwrap. Duplicates do no harm.
    pub fn new(active: ClusterKey, older: Vec<ClusterKey>) -> Self {
        Self { active, older }
    }

    /// Reads the files at `paths`; the first holds the active key.
    ///
    /// # Errors
    /// [`ClusterKeyError`]: of the first file that cannot be used, or no or too many files.
    pub fn read(paths: &[PathBuf]) -> Result<Self, ClusterKeyError> {
        let [active, older @ ..] = paths else {
            return Err(ClusterKeyError { path: PathBuf::new(), problem: ClusterKeyProblem::NoFile });
        };
        if paths.len() > caps::CLUSTER_KEYS_READ_MAX {
            return Err(ClusterKeyError { path: active.clone(), problem: ClusterKeyProblem::TooMany });
        }
        let older = older.iter().map(|path| ClusterKey::read(path)).collect::<Result<_, _>>()?;
        Ok(Self { active: ClusterKey::read(active)?, older })
    }

    /// The key that wraps.
    pub fn active(&self) -> &ClusterKey {
        &self.active
    }

    /// The key with this id.
    pub fn get(&self, id: ClusterKeyId) -> Option<&ClusterKey> {
        std::iter::once(&self.active).chain(&self.older).find(|key| key.id == id)
    }

    /// The names of all of them, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = ClusterKeyId> {
        std::iter::once(&self.active).chain(&self.older).map(ClusterKey::id)
    }
}

/// Why a cluster key cannot be read. It never shows what the file holds.
#[derive(Debug, thiserror::Error)]
#[error("the cluster key file `{}` {problem}", path.display())]
pub struct ClusterKeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: ClusterKeyProblem,
}

/// What is wrong with the file of a cluster key.
#[derive(Debug, thiserror::Error)]
pub enum ClusterKeyProblem {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It cannot be made.
    #[error("cannot be made: {0}")]
    Unwritable(io::Error),
    /// It is a folder, a device, ….
    #[error("is not a plain file")]
    NotAFile,
    /// Others than its owner may read or write it.
    #[error("has mode {0:04o}: nobody but its owner may have any right to it (`chmod 600`)")]
    Mode(u32),
    /// It does not hold 32 bytes.
    #[error(
        "holds neither {CLUSTER_KEY_BYTES} bytes nor their base64: make it with `head -c 32 /dev/urandom | base64`"
    )]
    Form,
    /// Its bytes repeat too much.
    #[error("holds bytes that were not drawn at random: make it with `head -c 32 /dev/urandom | base64`")]
    NotRandom,
    /// No file was named.
    #[error("is not named: a control node needs at least one")]
    NoFile,
    /// Too many files were named.
    #[error("is one of more than {}", caps::CLUSTER_KEYS_READ_MAX)]
    TooMany,
}

/// The content of a file that only its owner may read. Looked at through the open file, so that nobody can put another
/// file in its place in between.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, ClusterKeyProblem> {
    // Opening a named pipe would wait for a writer.
    if !path.metadata()?.is_file() {
        return Err(ClusterKeyProblem::NotAFile);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ClusterKeyProblem::NotAFile);
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ClusterKeyProblem::Mode(mode));
    }
    let most = caps::CLUSTER_KEY_FILE_BYTES_MAX;
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(most).unwrap_or_default() + 1));
    file.take(most + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn key(seed: u64) -> ClusterKey {
        ClusterKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    #[track_caller]
    fn refused(content: &[u8], mode: u32, expected: &str) {
        let (_folder, path) = file(content, mode);
        let error = ClusterKey::read(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("the cluster key file `{}` {expected}", path.display())),
            "{error}"
        );
    }

    #[test]
    fn raw_bytes_and_base64_are_the_same_key() {
        let text = key(1).to_text().expose().clone();
        for content in [key(1).expose().as_slice(), text.as_bytes(), text.trim_end().as_bytes()] {
            for mode in [0o600, 0o400] {
                let (_folder, path) = file(content, mode);
                assert_eq!(ClusterKey::read(&path).unwrap().id(), key(1).id());
            }
        }
        let (_folder, path) = file(text.replace('\n', "\r\n").as_bytes(), 0o600);
        assert_eq!(ClusterKey::read(&path).unwrap().id(), key(1).id());
    }

    #[test]
    fn a_new_key_is_in_a_file_of_its_owner_alone_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.key");
        let made = ClusterKey::create(&path, &mut StdRng::seed_from_u64(1)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(ClusterKey::read(&path).unwrap().id(), made.id());
        let error = ClusterKey::create(&path, &mut StdRng::seed_from_u64(2)).unwrap_err();
        assert!(matches!(error.problem, ClusterKeyProblem::Unwritable(_)), "{error}");
        assert_eq!(ClusterKey::read(&path).unwrap().id(), made.id());
    }

    #[test]
    fn a_file_that_others_may_touch_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601, 0o777] {
            refused(key(1).expose(), mode, &format!("has mode {mode:04o}: nobody but its owner"));
        }
    }

    #[test]
    fn other_content_is_refused_without_being_shown() {
        let text = key(1).to_text().expose().clone();
        for content in [
            &b""[..],
            &key(1).expose()[..31],
            &[key(1).expose().as_slice(), b"x"].concat(),
            text.trim_end().trim_end_matches('=').as_bytes(),
            &text.as_bytes()[1..],
            &[b" ", text.as_bytes()].concat(),
            &[text.as_bytes(), b"\n"].concat(),
            &[b'A'; 65],
            &[b'A'; 1 << 20],
        ] {
            refused(content, 0o600, "holds neither 32 bytes nor their base64");
        }
        refused(&[0; 32], 0o600, "holds bytes that were not drawn at random");
        refused(b"passwordpasswordpasswordpassword", 0o600, "holds bytes that were not drawn at random");
        let (_folder, path) = file(b"hunter2-hunter2", 0o600);
        let error = ClusterKey::read(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path| ClusterKey::read(path).unwrap_err().problem;
        assert!(matches!(read(folder.path()), ClusterKeyProblem::NotAFile));
        assert!(matches!(read(Path::new("/dev/zero")), ClusterKeyProblem::NotAFile));
        assert!(matches!(read(&folder.path().join("none")), ClusterKeyProblem::Unreadable(_)));
        assert!(matches!(ClusterKeys::read(&[]).unwrap_err().problem, ClusterKeyProblem::NoFile));
    }

    #[test]
    fn several_keys_are_found_by_their_id() {
        let files = [file(key(1).expose(), 0o600), file(key(2).expose(), 0o600)];
        let paths: Vec<PathBuf> = files.iter().map(|(_, path)| path.clone()).collect();
        let keys = ClusterKeys::read(&paths).unwrap();
        assert_eq!(keys.active().id(), key(1).id());
        assert_eq!(keys.get(key(2).id()).unwrap().id(), key(2).id());
        assert!(keys.get(key(3).id()).is_none());
        assert_eq!(keys.ids().collect::<Vec<_>>(), [key(1).id(), key(2).id()]);
        let many = vec![paths[0].clone(); caps::CLUSTER_KEYS_READ_MAX + 1];
        assert!(matches!(ClusterKeys::read(&many).unwrap_err().problem, ClusterKeyProblem::TooMany));
    }

    #[test]
    fn debug_shows_the_id_only() {
        let shown = format!("{:?}", ClusterKeys::new(key(1), vec![key(2)]));
        let (one, two) = (key(1).id(), key(2).id());
        assert_eq!(shown, format!("ClusterKeys {{ active: ClusterKey({one}), older: [ClusterKey({two})] }}"));
        let hex: String = key(1).expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!hex.starts_with(&one.to_string()), "the id is no part of the key");
        assert_eq!(format!("{:?}", key(1).to_text()), "[secret]");
    }
}
