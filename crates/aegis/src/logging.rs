//! Log lines, always to stderr: stdout belongs to results.

use std::io::IsTerminal;

use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer};

use crate::cli::{Cli, Command, LogFormat};
use crate::ended::WrongUse;
use crate::telemetry::LogTap;

/// Starts logging for the process. From what is given back, lines can be exported as well.
///
/// # Errors
/// [`WrongUse`] when the filter cannot be read.
pub(crate) fn start(cli: &Cli) -> anyhow::Result<LogTap> {
    let filter = match (&cli.global.log, &cli.command) {
        (Some(filter), _) => filter.as_str(),
        // openraft tells of each message that a peer does not answer as of an error, ten times a second; what matters of
        // it is told by us.
        (None, Command::Control(_)) => "info,openraft=off",
        (None, Command::Data(_)) => "info",
        (None, _) => "warn",
    };
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| WrongUse(format!("`--log {filter}` is not a filter: {error}")))?;
    let tap = LogTap::default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match cli.global.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).with(tap.clone()).init();
    Ok(tap)
}
