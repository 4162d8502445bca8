//! `aegis audit`: evidence, downloaded and verified.

mod control;
mod events;
mod report;

use clap::Subcommand;

use crate::ended::Ended;
use crate::output::Output;

/// What can be done with evidence.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis audit control download --to evidence/
  aegis audit events data-1/audit/7 --format ocsf")]
pub(crate) enum Command {
    /// Download and verify the control log, and logs of data nodes against it
    #[command(subcommand)]
    Control(control::Command),
    /// Say which controls of compliance frameworks verified evidence speaks for
    Report(report::Options),
    /// Write the records of a log as events: OCSF, CEF, ECS or JSON lines
    Events(events::Options),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Control(command) => control::run(command, output),
        Command::Report(options) => report::run(&options, output),
        Command::Events(options) => events::run(&options, output),
    }
}
