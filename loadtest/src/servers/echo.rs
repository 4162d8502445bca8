//! Our own echo server, as a process of its own: its CPU time must not be mixed with the generator's.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::Server;

/// What `echo-server` prints before its address.
pub const LISTENING: &str = "listening on ";

/// Starts `program echo-server`, which answers with the decisions recorded in `answers`.
///
/// # Errors
/// It does not start.
pub fn start(program: &Path, answers: &Path) -> anyhow::Result<(Server, SocketAddr)> {
    let mut command = Command::new(program);
    command.args(["echo-server", "--listen", "127.0.0.1:0", "--answers"]).arg(answers);
    let mut server = Server::start("echo", &mut command)?;
    let line = server.ready(LISTENING)?;
    let address = line.trim_start_matches(LISTENING).parse();
    Ok((server, address.with_context(|| format!("the echo server said `{line}`"))?))
}
