//! `aegis data`: a data node from static files. There is no control plane yet, so the files say what is enforced.

mod config;
mod serve;

use std::path::PathBuf;

use clap::Args;

use crate::ended::Ended;
use crate::output::Output;

pub(crate) use config::Config;
pub(crate) use serve::digest_key;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis data --config data.toml

A configuration; paths are relative to the file:
  node = \"data-1\"
  data_dir = \"/var/lib/aegis\"

  [listen]
  http = \"0.0.0.0:7080\"
  grpc = \"0.0.0.0:7081\"
  metrics = \"127.0.0.1:7090\"

  [tls]
  certificate = \"tls/node.pem\"
  key = \"tls/node-key.pem\"

  [[trust]]
  issuer = \"https://issuer.example\"
  key = \"issuer.pub.pem\"

  [[tenants]]
  name = \"acme\"
  policies = \"policies/acme\"

There is no control plane yet: policies are read at the start and again on SIGHUP; a broken one keeps the last good
version. SIGTERM and SIGINT end the node in order.")]
pub(crate) struct Options {
    /// The configuration file (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    serve::run(&Config::read(&options.config)?, output)
}
