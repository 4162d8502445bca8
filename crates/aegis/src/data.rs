//! `aegis data`: a data node. A control plane says what is enforced, or static files do.

mod config;
mod exports;
mod feed;
mod serve;

use std::path::PathBuf;

use clap::Args;

use crate::ended::Ended;
use crate::output::Output;
use crate::telemetry::LogTap;

pub(crate) use config::Config;
pub(crate) use serve::{archive, secret};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis data --config data.toml

A configuration; paths are relative to the file:
  node = \"data-1\"
  data_dir = \"/var/lib/aegis\"
  audit_dir = \"/var/lib/aegis/audit\"

  [listen]
  http = \"0.0.0.0:7080\"
  grpc = \"0.0.0.0:7081\"
  metrics = \"127.0.0.1:7090\"

  [tls]
  certificate = \"tls/node.pem\"
  key = \"tls/node-key.pem\"

  [control]
  addresses = [\"https://control-1:7071\", \"https://control-2:7071\", \"https://control-3:7071\"]
  authorities = \"certs/ca.pem\"
  certificate = \"certs/data-1.pem\"
  key = \"certs/data-1-key.pem\"
  region = \"eu\"

  [audit.store]
  url = \"s3://evidence/prod\"
  options = { aws_region = \"eu-central-1\" }

  [telemetry]
  endpoint = \"https://otel.example.com:4317\"
  authorities = \"certs/otel-ca.pem\"

Instead of `[control]`, a node may enforce what files say:
  [[trust]]
  issuer = \"https://issuer.example\"
  key = \"issuer.pub.pem\"

  [[tenants]]
  name = \"acme\"
  policies = \"policies/acme\"

Such policies are read at the start and again on SIGHUP; a broken one keeps the last good version. A node with
`[control]` is ready once it enforces what the control plane says, and no longer when its news are too old; its
certificates are read again when the files change and on SIGHUP. SIGTERM and SIGINT end the node in order.")]
pub(crate) struct Options {
    /// The configuration file (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(options: &Options, output: Output, tap: &LogTap) -> anyhow::Result<Ended> {
    serve::run(&Config::read(&options.config)?, output, tap)
}
