//! A stock OPA as a server, with the bundle that `aegis policy build` wrote.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aegis_testkit::eventually;

use super::{Server, listening};
use crate::bounds;

/// Starts `opa run --server` with `bundle`. It speaks HTTP/2 in the clear like the other targets, and logs no requests.
///
/// # Errors
/// It does not start.
pub fn start(program: &Path, bundle: &Path) -> anyhow::Result<(Server, SocketAddr)> {
    let mut command = Command::new(program);
    command.args(["run", "--server", "--h2c", "--addr", "127.0.0.1:0"]);
    command.args(["--log-level", "error", "--skip-version-check", "--bundle"]).arg(bundle);
    let mut server = Server::start("opa", &mut command)?;
    let patience = Duration::from_secs(bounds::START_SECONDS);
    let id = server.id();
    // It does not say which port it got, so the kernel is asked.
    let found = eventually("opa to listen", patience, || {
        let address = listening::loopback_of(id);
        (address.is_some() || server.has_ended()).then_some(address)
    })?;
    let Some(address) = found else { anyhow::bail!("opa has ended:\n{}", server.last_words()) };
    Ok((server, address))
}
