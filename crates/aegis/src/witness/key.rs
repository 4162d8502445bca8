//! The key of a witness: a file that only its owner may read.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aegis_audit::keys::{KeyKind, KeyName, SigningKey};
use aegis_model::secret::Secret;
use anyhow::{Context, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::ended::Ended;
use crate::output::Output;
use crate::state::read_bounded;

/// The digits of a seed, and an end of line.
const FILE_BYTES_MAX: usize = 66;

/// Makes a key.
pub(super) fn make(name: &KeyName, path: &Path, output: Output) -> anyhow::Result<Ended> {
    let mut randomness = StdRng::from_rng(&mut rand::rng());
    let key = SigningKey::generate(name.clone(), KeyKind::Cosignature, &mut randomness);
    let digits: String = key.to_seed().expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = Secret::new(format!("{digits}\n"));
    let made = || -> std::io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.expose().as_bytes())?;
        file.sync_all()
    };
    made().with_context(|| format!("making `{}`", path.display()))?;
    let verifier = key.verifying_key().to_string();
    output.result(&json!({ "name": name.as_str(), "verifier": verifier }), || verifier.clone());
    Ok(Ended::Done)
}

/// Reads the key of the witness `name`.
pub(super) fn read(name: &KeyName, path: &Path) -> anyhow::Result<SigningKey> {
    let shown = path.display();
    let reading = || format!("reading the witness's key `{shown}`");
    let mode = fs::metadata(path).with_context(reading)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("`{shown}` has mode {mode:04o}: nobody but its owner may have any right to it (`chmod 600`)");
    }
    let bytes = Secret::new(read_bounded(path, FILE_BYTES_MAX).with_context(reading)?);
    let seed = seed(bytes.expose()).with_context(|| format!("`{shown}` holds no key of a witness"))?;
    Ok(SigningKey::from_seed(name.clone(), KeyKind::Cosignature, &seed))
}

fn seed(bytes: &[u8]) -> Option<Secret<[u8; 32]>> {
    let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    let mut seed = [0; 32];
    for (byte, at) in seed.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(Secret::new(seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn a_key_is_made_once_read_back_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness.key");
        let name: KeyName = "witness.example/w1".parse().unwrap();
        make(&name, &path, Output::new(Format::Json)).unwrap();
        let key = read(&name, &path).unwrap();
        assert_eq!(key.verifying_key().kind(), KeyKind::Cosignature);
        assert!(make(&name, &path, Output::new(Format::Json)).is_err(), "never overwritten");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(format!("{:#}", read(&name, &path).unwrap_err()).contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key\n").unwrap();
        assert!(format!("{:#}", read(&name, &path).unwrap_err()).contains("holds no key"));
    }
}
