//! `aegis witness`: watches other people's logs. Whoever runs one outside of a cluster's hands makes its evidence hold without
//! trusting the cluster.

mod config;
mod key;
mod serve;

use std::path::PathBuf;

use aegis_audit::keys::KeyName;
use clap::{Args, Subcommand};

use crate::ended::Ended;
use crate::output::Output;

/// What can be done with a witness.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis witness key --name witness.example.org/w1 --file witness.key
  aegis witness run --config witness.toml

A witness cosigns checkpoints of logs (C2SP tlog-witness): it vouches that it has never seen two versions of one. It should be
run by somebody else than the cluster, on another machine.")]
pub(crate) enum Command {
    /// Make the key that a witness signs with, and show its public half
    Key(KeyOptions),
    /// Run a witness from a configuration file
    Run(RunOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis witness key --name witness.example.org/w1 --file witness.key

What is printed is for the clusters that are to be watched (`[[witnesses]]`), and for whoever checks their evidence.")]
pub(crate) struct KeyOptions {
    /// The name of the witness: up to 256 characters without spaces and `+`, best with a domain of yours
    #[arg(long, env = "AEGIS_WITNESS_NAME", value_name = "NAME")]
    name: KeyName,
    /// The file that is made, for its owner only
    #[arg(long, env = "AEGIS_WITNESS_KEY_FILE", value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis witness run --config witness.toml

A configuration; paths are relative to the file:
  name = \"witness.example.org/w1\"
  key = \"witness.key\"
  data_dir = \"/var/lib/aegis-witness\"
  listen = \"127.0.0.1:7095\"
  logs = [\"payments-eu/control+8a1b2c3d+AQ…\"]

`logs` are the verifier keys of the logs that it watches, as `GET /admin/v1/audit/checkpoint` shows them. It speaks HTTP in the
clear: put a proxy with TLS in front of it. Keep data_dir: a witness that lost it would cosign a log that was rolled back.")]
pub(crate) struct RunOptions {
    /// The configuration file (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Key(options) => key::make(&options.name, &options.file, output),
        Command::Run(options) => serve::run(&config::Config::read(&options.config)?, output),
    }
}
