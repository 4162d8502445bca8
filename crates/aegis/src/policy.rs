//! `aegis policy`: the tools of policy authors, which work on files; and versions, which are kept by a control plane.

mod activate;
mod build;
mod check;
mod diff;
mod eval;
mod load;
mod publish;
mod test;
mod versions;
mod waiting;

use clap::Subcommand;

use crate::ended::Ended;
use crate::output::Output;

pub(crate) use load::{Loaded, Reading, compile, load, of_sources, read_tests};

/// What can be done with policies.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  aegis policy check policies/ && aegis policy test policies/")]
pub(crate) enum Command {
    /// Report every problem of policy sets, with file, line, column and help; silent when there is none
    Check(check::Options),
    /// Run the tests (`*_test.yaml`) of a policy set
    Test(test::Options),
    /// Compile a policy set into an OPA bundle; the same sources give the same bytes
    Build(build::Options),
    /// Judge one call
    Eval(Box<eval::Options>),
    /// Show the calls that a newer policy set answers otherwise
    Diff(diff::Options),
    /// Publish a policy set as a version of a tenant
    Publish(Box<publish::Options>),
    /// List the versions of a tenant, and what is in force
    Versions(versions::Options),
    /// Say which versions are in force for a tenant
    Activate(Box<activate::ActivateOptions>),
    /// Go back to an earlier version
    Rollback(Box<activate::RollbackOptions>),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Check(options) => Ok(check::run(&options, output)),
        Command::Test(options) => Ok(test::run(&options, output)),
        Command::Build(options) => build::run(&options, output),
        Command::Eval(options) => Ok(eval::run(&options, output)),
        Command::Diff(options) => Ok(diff::run(&options, output)),
        Command::Publish(options) => publish::run(&options, output),
        Command::Versions(options) => versions::run(&options, output),
        Command::Activate(options) => activate::activate(&options, output),
        Command::Rollback(options) => activate::rollback(&options, output),
    }
}
