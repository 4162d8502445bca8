//! Log lines, always to stderr: stdout belongs to results.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, LogFormat};
use crate::ended::WrongUse;

/// Starts logging for the process.
///
/// # Errors
/// [`WrongUse`] when the filter cannot be read.
pub(crate) fn start(cli: &Cli) -> anyhow::Result<()> {
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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match cli.global.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
