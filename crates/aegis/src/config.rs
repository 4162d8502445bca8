//! `aegis config`: what a node would run with.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::ended::Ended;
use crate::output::Output;
use crate::{config_file, control, data, dev};

/// What can be done with configuration.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  aegis config show --config data.toml")]
pub(crate) enum Command {
    /// Print the effective configuration as TOML
    Show(Box<ShowOptions>),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis config show --config data.toml     what `aegis data` would run with: the file, the environment, the defaults
  aegis config show --config control.toml  the same for `aegis control`
  aegis config show                        what `aegis dev` would run with")]
pub(crate) struct ShowOptions {
    /// The configuration file of a control node or a data node
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    dev: dev::Options,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    let Command::Show(options) = command;
    match &options.config {
        Some(path) if config_file::is_of_control_node(path) => show(&control::Config::read(path)?, output),
        Some(path) => show(&data::Config::read(path)?, output),
        None => show(&options.dev, output),
    }
    Ok(Ended::Done)
}

fn show(config: &impl serde::Serialize, output: Output) {
    let text = || toml::to_string(config).expect("configurations are plain tables").trim_end().to_owned();
    output.result(config, text);
}
