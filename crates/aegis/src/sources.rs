//! Reads a policy folder from disk: bounded, without leaving the folder, every problem at once.
//!
//! - What is read: `.yaml`, `.yml`, `.json` and `.rego`, in all folders below. `*_test.yaml` are kept apart.
//! - What is not: names that begin with a dot (editors and version control keep theirs there).
//! - A link to a file inside the folder is followed; one that leads outside, or to a folder, is a problem, since
//!   a rule that is silently not read may be a denial.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use aegis_model::caps;
use aegis_policy::ast::SourceFile;
use aegis_policy::sources::FileKind;

/// The sources of one policy set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sources {
    /// As it was named on the command line; for messages.
    pub(crate) place: PathBuf,
    /// What the set is made from, sorted by path.
    pub(crate) policy: Vec<SourceFile>,
    /// Its tests, sorted by path.
    pub(crate) tests: Vec<SourceFile>,
}

/// Reads the folder, or the single file, at `place`.
///
/// # Errors
/// Everything that cannot be read, one sentence each; at most [`caps::DIAGNOSTICS_MAX`].
pub(crate) fn read(place: &Path) -> Result<Sources, Vec<String>> {
    let refused = |error: std::io::Error| vec![format!("`{}` cannot be read: {error}", place.display())];
    let given = place.canonicalize().map_err(refused)?;
    let single = given.is_file();
    let root = if single { given.parent().unwrap_or(&given).to_path_buf() } else { given.clone() };
    let mut reader = Reader {
        root,
        sources: Sources { place: place.to_path_buf(), policy: Vec::new(), tests: Vec::new() },
        problems: Vec::new(),
        entries: 0,
        bytes: 0,
        full: false,
    };
    match given.file_name().and_then(|name| name.to_str()) {
        Some(name) if single => reader.file(&given, name),
        _ => reader.folder(&given, "", 1),
    }
    reader.finish()
}

#[derive(Debug)]
struct Reader {
    /// Without links.
    root: PathBuf,
    sources: Sources,
    problems: Vec<String>,
    entries: usize,
    bytes: usize,
    /// The set is too large: what follows is not read any more.
    full: bool,
}

impl Reader {
    /// Reads what lies in `folder`, in order of names.
    fn folder(&mut self, folder: &Path, relative: &str, depth: usize) {
        if depth > caps::POLICY_FOLDER_DEPTH_MAX {
            self.problem(relative, format!("lies more than {} folders deep", caps::POLICY_FOLDER_DEPTH_MAX));
            return;
        }
        let entries = fs::read_dir(folder).and_then(|entries| {
            let room = caps::POLICY_FOLDER_ENTRIES_MAX.saturating_sub(self.entries);
            entries
                .take(room + 1)
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<Result<Vec<_>, _>>()
        });
        let mut names = match entries {
            Ok(names) => names,
            Err(error) => return self.problem(relative, format!("cannot be read: {error}")),
        };
        self.entries += names.len();
        if self.entries > caps::POLICY_FOLDER_ENTRIES_MAX {
            let most = caps::POLICY_FOLDER_ENTRIES_MAX;
            return self
                .problem(relative, format!("holds too much: a policy folder has at most {most} entries"));
        }
        names.sort_unstable();
        for name in names {
            let path = folder.join(&name);
            match name.to_str() {
                Some(name) if name.starts_with('.') => {}
                Some(name) if relative.is_empty() => self.entry(&path, name, depth),
                Some(name) => self.entry(&path, &format!("{relative}/{name}"), depth),
                None => self.problem(&path.to_string_lossy(), "has a name that is not UTF-8".to_owned()),
            }
        }
    }

    fn entry(&mut self, path: &Path, relative: &str, depth: usize) {
        if self.full {
            return;
        }
        let Ok(itself) = fs::symlink_metadata(path) else {
            // Gone since the folder was listed: an editor at work. The next event brings the next look.
            return;
        };
        if itself.is_dir() {
            return self.folder(path, relative, depth + 1);
        }
        let wanted = FileKind::of(relative) != FileKind::Other;
        if itself.is_symlink() {
            return self.link(path, relative, wanted);
        }
        if wanted {
            self.file(path, relative);
        }
    }

    fn link(&mut self, path: &Path, relative: &str, wanted: bool) {
        match path.canonicalize() {
            Ok(target) if target.is_dir() => {
                self.problem(
                    relative,
                    "is a link to a folder: links are followed to single files only".to_owned(),
                );
            }
            Ok(target) if wanted && !target.starts_with(&self.root) => {
                self.problem(relative, "is a link that leads out of the policy folder".to_owned());
            }
            Ok(target) if wanted => self.file(&target, relative),
            Err(error) if wanted => {
                self.problem(relative, format!("is a link that cannot be followed: {error}"))
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn file(&mut self, path: &Path, relative: &str) {
        let text = match read_text(path) {
            Ok(text) => text,
            Err(problem) => return self.problem(relative, problem),
        };
        self.bytes += text.len();
        let file = SourceFile { path: relative.to_owned(), text: text.into() };
        match FileKind::of(relative) {
            FileKind::Test => self.sources.tests.push(file),
            _ => self.sources.policy.push(file),
        }
        let files = self.sources.policy.len() + self.sources.tests.len();
        if self.bytes > caps::POLICY_SET_BYTES_MAX || files > caps::POLICY_FILES_MAX {
            self.full = true;
            let (files, mebibytes) = (caps::POLICY_FILES_MAX, caps::POLICY_SET_BYTES_MAX >> 20);
            self.problem(
                "",
                format!("is too large: a policy set has at most {files} files and {mebibytes} MiB"),
            );
        }
    }

    fn problem(&mut self, relative: &str, what: String) {
        if self.problems.len() < caps::DIAGNOSTICS_MAX {
            let name = if relative.is_empty() { self.sources.place.clone() } else { self.shown(relative) };
            self.problems.push(format!("`{}` {what}", name.display()));
        }
    }

    fn shown(&self, relative: &str) -> PathBuf {
        if self.sources.place.is_file() {
            self.sources.place.clone()
        } else {
            self.sources.place.join(relative)
        }
    }

    fn finish(mut self) -> Result<Sources, Vec<String>> {
        if self.problems.is_empty() && self.sources.policy.is_empty() {
            self.problem("", "holds no policy: no file that ends in .yaml, .yml or .json".to_owned());
        }
        if self.problems.is_empty() { Ok(self.sources) } else { Err(self.problems) }
    }
}

/// The text of a regular file of bounded size.
fn read_text(path: &Path) -> Result<String, String> {
    let refused = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(refused)?;
    // Opening a pipe would wait for its writer.
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let most = caps::POLICY_FILE_BYTES_MAX as u64;
    let too_large = |bytes: u64| format!("has {bytes} bytes; a policy file has at most {most}: split it");
    if metadata.len() > most {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(refused)?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + sound.iter().filter(|&&byte| byte == b'\n').count();
        format!("is not UTF-8: line {line} has a byte that no UTF-8 text has")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(files: &[SourceFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    fn problems(place: &Path) -> String {
        read(place).expect_err("a problem").join("\n")
    }

    #[test]
    fn policies_and_tests_are_read_in_order_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/.git")).unwrap();
        for name in [
            "z.yaml",
            "b/a.yml",
            "b/a_test.yaml",
            "b/c.json",
            "x.rego",
            "README.md",
            ".hidden.yaml",
            "b/.git/x.yaml",
        ] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        let sources = read(folder.path()).unwrap();
        assert_eq!(paths(&sources.policy), ["b/a.yml", "b/c.json", "x.rego", "z.yaml"]);
        assert_eq!(paths(&sources.tests), ["b/a_test.yaml"]);
        let single = read(&folder.path().join("b/a.yml")).unwrap();
        assert_eq!(paths(&single.policy), ["a.yml"]);
    }

    #[test]
    fn links_are_followed_to_files_inside_only() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("o.yaml"), "o").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As a ConfigMap is mounted: the files are links into a hidden folder.
        fs::create_dir(at(".data")).unwrap();
        fs::write(at(".data/p.yaml"), "p").unwrap();
        symlink(".data/p.yaml", at("p.yaml")).unwrap();
        assert_eq!(paths(&read(folder.path()).unwrap().policy), ["p.yaml"]);

        symlink(outside.path().join("o.yaml"), at("out.yaml")).unwrap();
        symlink(".data", at("again")).unwrap();
        symlink("nowhere", at("broken.yaml")).unwrap();
        let told = problems(folder.path());
        assert!(told.contains("out.yaml` is a link that leads out of the policy folder"), "{told}");
        assert!(told.contains("again` is a link to a folder"), "{told}");
        assert!(told.contains("broken.yaml` is a link that cannot be followed"), "{told}");
    }

    #[test]
    fn what_is_too_large_or_no_text_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("large.yaml")).unwrap().set_len(100 << 20).unwrap();
        fs::write(folder.path().join("latin.yaml"), b"a: 1\nb: \xE4\n").unwrap();
        let told = problems(folder.path());
        assert!(
            told.contains("large.yaml` has 104857600 bytes; a policy file has at most 4194304"),
            "{told}"
        );
        assert!(told.contains("latin.yaml` is not UTF-8: line 2"), "{told}");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.yaml");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(problems(folder.path()).contains("pipe.yaml` is not a regular file"));
    }

    #[test]
    fn a_folder_without_policies_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a_test.yaml"), "tests: []").unwrap();
        assert!(problems(folder.path()).contains("holds no policy"));
        assert!(problems(&folder.path().join("none")).contains("cannot be read"));
    }

    #[test]
    fn folders_are_not_followed_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join(vec!["d"; caps::POLICY_FOLDER_DEPTH_MAX].join("/"));
        fs::create_dir_all(&deep).unwrap();
        assert!(problems(folder.path()).contains("folders deep"));
    }
}
