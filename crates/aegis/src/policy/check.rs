//! `aegis policy check`: every problem of a set at once.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Loaded, compile, load, read_tests};
use crate::ended::Ended;
use crate::output::Output;
use crate::problems::Problems;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis policy check policies/

Each PATH is a policy set of its own. The set's tests are read, but not run. Warnings do not fail the check.")]
pub(crate) struct Options {
    /// Policy folders, or single files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(options: &Options, output: Output) -> Ended {
    let found: Vec<Problems> = options.paths.iter().map(|path| problems(path)).collect();
    if output.is_json() {
        let sets: Vec<_> = found.iter().map(Problems::to_json).collect();
        output.result(&serde_json::json!({ "sets": sets }), String::new);
    } else {
        found.iter().for_each(|problems| problems.print(output));
    }
    if found.iter().any(Problems::has_errors) { Ended::Refused } else { Ended::Done }
}

fn problems(path: &Path) -> Problems {
    let whole = |Loaded { set, tests, warnings }| {
        compile(path, &set)?;
        read_tests(path, tests)?;
        Ok(warnings)
    };
    load(path).and_then(whole).unwrap_or_else(|problems| problems)
}
