//! From a place on disk to a checked set, or to its problems.

use std::path::Path;

use aegis_policy::ast::{PolicySet, SourceFile};
use aegis_policy::check;
use aegis_policy::prepared::Prepared;
use aegis_policy::tests_file::{self, PolicyTests};

use crate::problems::Problems;
use crate::sources::{self, Sources};

/// A set without errors, and what else its folder holds.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) set: PolicySet,
    /// The test files, not read yet.
    pub(crate) tests: Vec<SourceFile>,
    /// Nothing but warnings.
    pub(crate) warnings: Problems,
}

/// The result of reading a set: it, or its problems with at least one error.
pub(crate) type Reading<T> = Result<T, Problems>;

/// Reads and checks the set at `place`.
pub(crate) fn load(place: &Path) -> Reading<Loaded> {
    let sources = sources::read(place).map_err(|unreadable| Problems::unreadable(place, unreadable))?;
    of_sources(sources)
}

/// Checks what was read.
pub(crate) fn of_sources(sources: Sources) -> Reading<Loaded> {
    let Sources { place, policy, tests } = sources;
    let checked = check::check(policy);
    let problems = Problems::found(&place, &checked.files, checked.diagnostics, checked.more);
    match checked.set {
        Some(set) if !problems.has_errors() => Ok(Loaded { set, tests, warnings: problems }),
        Some(_) | None => Err(problems),
    }
}

/// Compiles a checked set: some problems show only then.
pub(crate) fn compile(place: &Path, set: &PolicySet) -> Reading<Prepared> {
    Prepared::new(set).map_err(|diagnostics| Problems::found(place, &set.files, diagnostics, 0))
}

/// Reads the tests of the set at `place`.
pub(crate) fn read_tests(place: &Path, files: Vec<SourceFile>) -> Reading<PolicyTests> {
    let mut tests = tests_file::read(files);
    let diagnostics = std::mem::take(&mut tests.diagnostics);
    let problems = Problems::found(place, &tests.files, diagnostics, tests.more);
    if problems.has_errors() { Err(problems) } else { Ok(tests) }
}
