//! `aegis completions`: scripts that complete commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::ended::Ended;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis completions bash >~/.local/share/bash-completion/completions/aegis")]
pub(crate) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(options: &Options, output: Output) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "aegis", &mut script);
    output.raw(&script);
    Ended::Done
}
