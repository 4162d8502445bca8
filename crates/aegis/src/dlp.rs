//! `aegis dlp`: what is sensitive in files, as a node finds it.

mod file;
mod report;
mod sarif;
mod scan;

use clap::Subcommand;

use crate::ended::Ended;
use crate::output::Output;

/// What can be done about sensitive data.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  aegis dlp scan src/ --precision strict --kinds secrets")]
pub(crate) enum Command {
    /// Find sensitive data in files, folders or standard input; exit code 1 if there is some
    Scan(scan::Options),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Scan(options) => scan::run(&options, output),
    }
}
