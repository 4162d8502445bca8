//! Where tests find files outside their own crate.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// The public test vectors beside the checkout, where they exist.
///
/// They are not part of the repository. Where they are missing this says so on standard error and gives
/// nothing, and the caller's test passes: `let Some(vectors) = vectors_dir() else { return };`.
pub fn vectors_dir() -> Option<PathBuf> {
    let found = existing(&root().join("../shared/vectors"));
    if found.is_none() {
        say_skipped();
    }
    found
}

fn existing(folder: &Path) -> Option<PathBuf> {
    folder.canonicalize().ok().filter(|folder| folder.is_dir())
}

#[expect(clippy::print_stderr, reason = "a test that could not look must say so")]
fn say_skipped() {
    eprintln!("skipped: ../shared/vectors is not here");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.starts_with("[workspace]"));
    }

    #[test]
    fn a_missing_folder_is_nothing_and_so_is_a_file() {
        assert_eq!(existing(&root().join("no-such-folder")), None);
        assert_eq!(existing(&root().join("Cargo.toml")), None);
        assert!(existing(&root().join("crates/../crates")).is_some());
    }
}
