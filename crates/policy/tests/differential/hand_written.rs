//! Policies as people write them: the examples, and those of `policies/` that go through the language field by
//! field. Their own tests, their boundary calls and random calls are judged by all voices.

use std::path::{Path, PathBuf};

use aegis_model::scope::Scope;
use aegis_policy::ast::{PolicySet, SourceFile};
use aegis_policy::cases::{Case, boundary};
use aegis_policy::check::check;
use aegis_policy::input;
use aegis_policy::prepared::Prepared;
use aegis_policy::tests_file;

use crate::generator::calls::{Asked, call};
use crate::generator::pools::Random;
use crate::report::Difference;
use crate::{compare, opa, report, smallest};

/// Random calls per set, besides those that are written down.
const CALLS_PER_SET: usize = 120;
/// Boundary calls that are taken of one set.
const BOUNDARY_MAX: usize = 400;

#[test]
fn hand_written_policies_are_judged_alike() {
    let program = opa::program();
    let (mut sets, mut calls) = (0, 0);
    let mut differences: Vec<Difference> = Vec::new();
    for folder in folders() {
        let files = files(&folder);
        let checked = check(files.clone());
        let problems: Vec<String> =
            checked.diagnostics.iter().map(|problem| problem.render(&checked.files, false)).collect();
        let Some(set) = checked.set else { panic!("{}\n{}", folder.display(), problems.join("\n")) };
        let prepared = Prepared::new(&set).unwrap_or_else(|_| panic!("{} compiles", folder.display()));
        run_policy_tests(files.clone(), &prepared, &folder);
        let asked = asked(files, &set, &prepared);
        (sets, calls) = (sets + 1, calls + asked.len());
        differences.extend(compare(0, &set, &prepared, asked, program.as_deref()));
    }
    let smallest = |difference: &Difference| smallest(difference, program.as_deref());
    assert!(differences.is_empty(), "{}", report::text(&differences, &smallest));
    assert!(sets >= 8 && calls >= 1_000, "{sets} sets and {calls} calls: has a folder moved?");
}

/// The policy's own tests hold.
fn run_policy_tests(files: Vec<SourceFile>, prepared: &Prepared, folder: &Path) {
    let tests = tests_file::read(files);
    assert!(tests.diagnostics.is_empty(), "{}: {:#?}", folder.display(), tests.diagnostics);
    for result in tests_file::run(&tests, |question| prepared.inspect(question)) {
        assert!(result.passed(), "{} {}: {:?}", result.position, result.name, result.failures);
    }
}

/// The calls that are judged: written down, at the boundaries, and random.
fn asked(files: Vec<SourceFile>, set: &PolicySet, prepared: &Prepared) -> Vec<Asked> {
    let tests = tests_file::read(files);
    let mut asked: Vec<Asked> = tests.tests.iter().map(|test| of_case(&test.case, &test.scope)).collect();
    let (mut cases, _) = boundary(set);
    cases.truncate(BOUNDARY_MAX);
    asked.extend(cases.iter().map(|case| of_case(case, "*:*")));
    let mut random = Random::new(1);
    let document = |asked: &Asked| input::document(&asked.question(), prepared.resolved_zones());
    if crate::reference::custom::knows(set) {
        asked.extend((0..CALLS_PER_SET).map(|_| call(set, &mut random, &document)));
    }
    asked
}

fn of_case(case: &Case, scope: &str) -> Asked {
    case.ask(|question| {
        let mut principal = question.principal.clone();
        principal.scope = Scope::parse(scope);
        Asked { principal, call: question.call.clone(), now: question.now }
    })
}

/// Every folder that holds a policy set.
fn folders() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = Vec::new();
    for root in [here.join("../../examples"), here.join("tests/differential/policies")] {
        collect(&root, &mut folders);
    }
    folders.sort();
    folders
}

fn collect(folder: &Path, folders: &mut Vec<PathBuf>) {
    let entries = entries(folder);
    if entries.iter().any(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        folders.push(folder.to_owned());
    }
    entries.iter().filter(|path| path.is_dir()).for_each(|path| collect(path, folders));
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .expect("the examples and the policies of this test lie beside it")
        .map(|entry| entry.expect("a readable folder").path())
        .collect()
}

fn files(folder: &Path) -> Vec<SourceFile> {
    let read = |path: PathBuf| SourceFile {
        path: path.file_name().expect("a file has a name").to_string_lossy().into_owned(),
        text: std::fs::read_to_string(&path).expect("a readable text").into(),
    };
    let mut files: Vec<SourceFile> =
        entries(folder).into_iter().filter(|path| path.is_file()).map(read).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}
