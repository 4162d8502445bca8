//! `aegis control`: a control node, from a configuration file.

mod config;
mod files;
mod serve;

use std::path::PathBuf;

use clap::Args;

use crate::ended::Ended;
use crate::output::Output;
use crate::telemetry::LogTap;

pub(crate) use config::Config;
pub(crate) use files::Files;
pub(crate) use serve::{Watched, start};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis control --config control.toml

A configuration; paths are relative to the file:
  node = \"control-1\"
  cluster = \"payments-eu\"
  data_dir = \"/var/lib/aegis\"
  advertise = \"https://control-1:7071\"
  cluster_keys = [\"cluster.key\"]

  [listen]
  http = \"0.0.0.0:7070\"
  grpc = \"0.0.0.0:7071\"
  metrics = \"127.0.0.1:7090\"

  [tls]
  certificate = \"certs/control-1.pem\"
  key = \"certs/control-1-key.pem\"
  authorities = \"certs/ca.pem\"

  [telemetry]
  endpoint = \"https://otel.example.com:4317\"
  authorities = \"certs/otel-ca.pem\"

The first node makes the cluster: `aegis cluster init --config control.toml`, or a table `[bootstrap]` with
`token_file`. The others start with an empty data_dir and wait until `aegis cluster add` lets them join. Certificates
are read again when the files change and on SIGHUP. SIGTERM and SIGINT end the node in order.")]
pub(crate) struct Options {
    /// The configuration file (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(options: &Options, output: Output, tap: &LogTap) -> anyhow::Result<Ended> {
    serve::run(&Config::read(&options.config)?, output, tap)
}
