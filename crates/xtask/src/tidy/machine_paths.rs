//! Nothing in the tree knows the machine it was written on: no home folders, no private package mirrors.

use super::Finding;
use crate::tree::Tree;

/// Top-level folders of build machines. Written in parts, so that this file does not find itself.
const FOLDERS: &[&str] = &[concat!("/", "work", "/"), concat!("/", "root", "/"), concat!("/", "farm")];

/// Words that only a private package mirror brings into a tree, in any case.
const MIRROR_WORDS: &[&str] =
    &[concat!("arti", "factory"), concat!("[source", ".crates-io]"), "replace-with ="];

/// The only registry that `Cargo.lock` may name; a mirror replaces it in the machine's own cargo configuration.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Finds paths of a machine, words of a mirror, and foreign registries in `Cargo.lock`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (line, content) in text.lines().enumerate() {
            if let Some(folder) = FOLDERS.iter().find(|folder| holds_path(content, folder)) {
                let problem = format!(
                    "holds a path of this machine (`{folder}`); say `/srv` or `/tmp`, or use a variable"
                );
                findings.push(Finding::at(path, line, problem));
            }
            let lower = content.to_ascii_lowercase();
            if path != own_file() && MIRROR_WORDS.iter().any(|word| lower.contains(word)) {
                findings.push(Finding::at(path, line, "names a private package mirror"));
            }
            let source = content.strip_prefix("source = \"").map(|rest| rest.trim_end_matches('"'));
            if path.ends_with("Cargo.lock") && source.is_some_and(|source| source != REGISTRY) {
                findings.push(Finding::at(path, line, "names another source than crates.io"));
            }
        }
    }
    findings
}

/// Whether `folder` stands in the line as the beginning of an absolute path, not inside a longer word or URL.
fn holds_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let begins = before.is_none_or(|it| !it.is_ascii_alphanumeric() && !"_.-/}".contains(it));
        let ends = folder.ends_with('/') || after.is_none_or(|it| !it.is_ascii_alphanumeric());
        begins && ends
    })
}

fn own_file() -> &'static str {
    "crates/xtask/src/tidy/machine_paths.rs"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for folder in ["work/main", "root/.cargo", "farm/x", "farm"] {
            assert_eq!(found("a.md", &format!("see `/{folder}`")), 1, "{folder}");
        }
        assert_eq!(
            found("a.md", "https://example.com/work/x and `docs/work/` and /framework/ and /farmers"),
            0
        );
    }

    #[test]
    fn mirrors_are_found() {
        assert_eq!(found(".cargo/config.toml", &format!("replace-with = \"{}\"", "mirror")), 1);
        let lock = format!("source = \"{REGISTRY}\"\nsource = \"registry+https://example.com/index\"\n");
        assert_eq!(found("Cargo.lock", &lock), 1);
    }
}
