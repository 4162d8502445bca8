//! `aegis dlp`: what is sensitive in files, as a node finds it, and tokens taken back to their values.

mod file;
mod report;
mod reveal;
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
    /// Take a token back to the value that it stands for; who asked, and why, is recorded
    Reveal(reveal::Options),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Scan(options) => scan::run(&options, output),
        Command::Reveal(options) => reveal::run(&options, output),
    }
}
