//! The repository as a set of text files, held in memory, so that every tidy check is a plain function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// What holds nothing of ours: build output, what package managers fetch, the data of `aegis dev`, and git's own (a file
/// in a linked worktree).
const SKIPPED: &[&str] = &[".git", ".aegis", "target", "node_modules", "__pycache__"];

/// Largest file that is read as text, in bytes. Anything larger is data, and no check reads it.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// All files of a checkout, by their path from its root with `/` between the parts.
#[derive(Debug, Default, Clone)]
pub struct Tree {
    texts: BTreeMap<String, String>,
    others: Vec<String>,
}

impl Tree {
    /// Reads every file under `root`. Files that are not UTF-8, or very large, are known by name only.
    ///
    /// # Errors
    /// When a folder or a file cannot be read.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        let mut waiting = vec![root.to_path_buf()];
        while let Some(folder) = waiting.pop() {
            let entries =
                std::fs::read_dir(&folder).with_context(|| format!("reading `{}`", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                let kind = entry.file_type()?;
                if SKIPPED.iter().any(|name| entry.file_name() == *name) {
                    continue;
                }
                if kind.is_dir() {
                    waiting.push(entry.path());
                } else if kind.is_file() {
                    tree.take_file(root, &entry.path())?;
                }
            }
        }
        Ok(tree)
    }

    fn take_file(&mut self, root: &Path, path: &Path) -> anyhow::Result<()> {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let size = std::fs::metadata(path).with_context(|| format!("reading `{name}`"))?.len();
        if size > FILE_BYTES_MAX {
            self.others.push(name);
            return Ok(());
        }
        let bytes = std::fs::read(path).with_context(|| format!("reading `{name}`"))?;
        match String::from_utf8(bytes) {
            Ok(text) => drop(self.texts.insert(name, text)),
            Err(_) => self.others.push(name),
        }
        Ok(())
    }

    /// A tree of the given files, for the checks' own tests.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { texts, others: Vec::new() }
    }

    /// Every text file, in the order of its path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text files whose path ends with `suffix`.
    pub fn ending<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(suffix))
    }

    /// Our own Rust files: everything but generated code, which lies in folders named `gen`.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending(".rs").filter(|(path, _)| !path.split('/').any(|part| part == "gen"))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether a file, or a folder with a file in it, has this path.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = format!("{path}/");
        let names = || self.texts.keys().chain(&self.others);
        path.is_empty() || names().any(|name| name == path || name.starts_with(&inside))
    }
}

/// The root of the checkout that this program was built from.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_files_folders_and_what_is_not_text() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/target")).unwrap();
        std::fs::write(folder.path().join("a/one.rs"), "//! One.").unwrap();
        std::fs::write(folder.path().join("a/two.bin"), [0xff, 0xfe]).unwrap();
        std::fs::write(folder.path().join("a/target/three.rs"), "//! Built.").unwrap();
        std::fs::create_dir_all(folder.path().join(".aegis")).unwrap();
        std::fs::write(folder.path().join(".aegis/last-good.json"), "{}").unwrap();
        std::fs::write(folder.path().join(".git"), "gitdir: elsewhere").unwrap();

        let tree = Tree::read(folder.path()).unwrap();
        assert_eq!(tree.texts().collect::<Vec<_>>(), [("a/one.rs", "//! One.")]);
        assert!(tree.has("a") && tree.has("a/") && tree.has("a/two.bin"));
        assert!(!tree.has("a/target/three.rs") && !tree.has("b"));
        assert!(!tree.has(".aegis/last-good.json") && !tree.has(".git"));
    }

    #[test]
    fn generated_code_is_not_ours() {
        let tree = Tree::of(&[("crates/p/src/gen/x.rs", ""), ("crates/p/src/general.rs", "")]);
        assert_eq!(tree.rust().map(|(path, _)| path).collect::<Vec<_>>(), ["crates/p/src/general.rs"]);
    }
}
