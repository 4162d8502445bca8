//! The shipped examples: silent, and their own tests pass.

use std::path::{Path, PathBuf};

use aegis_policy::ast::SourceFile;
use aegis_policy::check::check;
use aegis_policy::prepared::Prepared;
use aegis_policy::sources::FileKind;
use aegis_policy::tests_file;

use super::rendered;

/// Every folder below `examples` that holds a policy, with the files in it and below it.
fn sets(folder: &Path, found: &mut Vec<(PathBuf, Vec<SourceFile>)>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    let is_policy = |path: &PathBuf| FileKind::of(&path.to_string_lossy()) == FileKind::Yaml;
    if entries.iter().any(is_policy) {
        let mut files = Vec::new();
        files_below(folder, folder, &mut files);
        found.push((folder.to_owned(), files));
        return;
    }
    entries
        .iter()
        .filter(|path| path.is_dir() && !path.ends_with("requests"))
        .for_each(|path| sets(path, found));
}

fn files_below(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(root, &path, files);
        } else if FileKind::of(&path.to_string_lossy()) != FileKind::Other {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
            files.push(SourceFile {
                path: name,
                text: std::fs::read_to_string(&path).expect("a text").into(),
            });
        }
    }
}

#[test]
fn every_example_is_silent_and_passes_its_tests() {
    let mut found = Vec::new();
    sets(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples"), &mut found);
    assert!(found.len() >= 5, "{} examples", found.len());
    for (folder, files) in found {
        let folder = folder.display();
        let checked = check(files.clone());
        assert_eq!(rendered(&checked), "", "{folder}");
        let set = checked.set.expect("a set");
        let prepared = Prepared::new(&set).unwrap_or_else(|problems| panic!("{folder}: {problems:?}"));
        let tests = tests_file::read(files);
        let problems: Vec<String> =
            tests.diagnostics.iter().map(|problem| problem.render(&tests.files, false)).collect();
        assert!(problems.is_empty(), "{folder}: {}", problems.join("\n"));
        assert!(!tests.tests.is_empty(), "{folder} has no tests");
        for result in tests_file::run(&tests, |question| prepared.inspect(question)) {
            assert!(
                result.passed(),
                "{folder}, {} `{}`: {:?}",
                result.position,
                result.name,
                result.failures
            );
        }
    }
}
