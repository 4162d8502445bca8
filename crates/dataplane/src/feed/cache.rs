//! Bundles on disk, named by their digests: what was fetched once need not be fetched again after a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aegis_identity::manifest::Verified;
use aegis_model::clock::Clock;
use aegis_model::digest::Digest;

use super::files::{DRAFT, read_bounded, write_whole};

/// A folder of bundles, bounded in bytes. Nothing in it is trusted: each read compares the digest.
#[derive(Debug)]
pub(super) struct BundleCache {
    folder: PathBuf,
    bytes_max: u64,
    clock: Clock,
    writing: Mutex<()>,
}

impl BundleCache {
    /// The cache in `folder`, which is made if it is not there.
    pub(super) fn open(folder: &Path, bytes_max: u64, clock: Clock) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.as_os_str().as_encoded_bytes().ends_with(DRAFT.as_bytes()) {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), bytes_max, clock, writing: Mutex::new(()) })
    }

    /// The bundle for which `manifest` vouches, if it is here and undamaged. A damaged one is removed. Blocks.
    pub(super) fn get(&self, manifest: &Verified) -> Option<Vec<u8>> {
        let path = self.path(&manifest.manifest().bundle);
        let damaged = match read_bounded(&path, manifest.manifest().bundle_bytes) {
            Ok(None) => return None,
            Ok(Some(bytes)) if manifest.check_bundle(&bytes).is_ok() => {
                self.mark_used(&path);
                return Some(bytes);
            }
            Ok(Some(_)) => "it is not what its name says".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(path = %path.display(), damaged, "a kept bundle is damaged; it is fetched again");
        // If it cannot be removed, it is found damaged again and fetched again.
        let _ = fs::remove_file(&path);
        None
    }

    /// Keeps `bundle`, which was checked, under `digest`; those not used for longest make room. Blocks.
    pub(super) fn put(&self, digest: &Digest, bundle: &[u8]) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(bundle.len() as u64)?;
        let path = self.path(digest);
        write_whole(&path, bundle)?;
        self.mark_used(&path);
        Ok(())
    }

    fn make_room(&self, wanted: u64) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            kept.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        let mut bytes = kept.iter().map(|(_, length, _)| length).sum::<u64>().saturating_add(wanted);
        kept.sort_unstable();
        for (_, length, path) in kept {
            if bytes <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            bytes = bytes.saturating_sub(length);
        }
        Ok(())
    }

    /// Where the time cannot be set, the bundle goes a little too early.
    fn mark_used(&self, path: &Path) {
        let now = UNIX_EPOCH + Duration::from_nanos(self.clock.now().0);
        let _ = fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_modified(now));
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use aegis_identity::keys::SigningKey;
    use aegis_identity::manifest::{Manifest, ManifestTrust};
    use aegis_model::clock::UnixNanos;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn vouched(bundle: &[u8]) -> Verified {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
        let (cluster, tenant) = ("c".parse().unwrap(), "acme".parse().unwrap());
        let trust = ManifestTrust::new("c".parse().unwrap(), [key.verifying_key().clone()]).unwrap();
        let manifest = Manifest::describe(cluster, tenant, 1, bundle, 0, &key).unwrap();
        trust.verify(&manifest.sign(&key), &"acme".parse().unwrap()).unwrap()
    }

    fn cache(folder: &Path, bytes_max: u64) -> (BundleCache, Clock) {
        let clock = Clock::manual(UnixNanos::from_seconds(1_800_000_000));
        (BundleCache::open(folder, bytes_max, clock.clone()).unwrap(), clock)
    }

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_was_kept_is_found_and_what_is_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = cache(folder.path(), 1_000);
        let bundle = vouched(b"bundle");
        assert_eq!(cache.get(&bundle), None);
        cache.put(&bundle.manifest().bundle, b"bundle").unwrap();
        assert_eq!(cache.get(&bundle).unwrap(), b"bundle");
        for damage in [b"bundlE".as_slice(), b"bundl", b"bundle and more", b""] {
            fs::write(folder.path().join(bundle.manifest().bundle.to_hex()), damage).unwrap();
            assert_eq!(cache.get(&bundle), None, "{damage:?}");
            assert_eq!(names(folder.path()), 0, "a damaged bundle is removed");
        }
    }

    #[test]
    fn those_not_used_for_longest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, clock) = cache(folder.path(), 25);
        let bundles: Vec<Vec<u8>> = (0..4_u8).map(|number| vec![number; 10]).collect();
        let vouched: Vec<Verified> = bundles.iter().map(|bundle| vouched(bundle)).collect();
        let put = |number: usize| {
            clock.advance(Duration::from_secs(1));
            cache.put(&vouched[number].manifest().bundle, &bundles[number]).unwrap();
        };
        put(0);
        put(1);
        clock.advance(Duration::from_secs(1));
        assert!(cache.get(&vouched[0]).is_some(), "used after the other one");
        put(2);
        let kept: Vec<bool> = vouched.iter().map(|bundle| cache.get(bundle).is_some()).collect();
        assert_eq!(kept, [true, false, true, false]);
    }

    #[test]
    fn drafts_of_a_process_that_died_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("abc{DRAFT}")), b"half").unwrap();
        fs::write(folder.path().join("abc"), b"whole").unwrap();
        drop(cache(folder.path(), 1_000));
        assert_eq!(names(folder.path()), 1);
    }
}
