//! The processes under load. Each is started here, listens on a loopback port from the kernel, and ends with us.

mod aegis;
mod echo;
mod fed;
mod listening;
mod opa;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aegis_testkit::{TestProcess, eventually};
use anyhow::Context;
use serde::Serialize;

use crate::bounds;
use crate::cpu::Cpu;

pub use aegis::Aegis;
pub use echo::{LISTENING, start as start_echo};
pub use fed::{Fed, LIMITED, PLAIN};
pub use opa::start as start_opa;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    process: TestProcess,
}

/// A server's CPU time from its first to its last moment, counted in two ways.
#[derive(Debug, Clone, Serialize)]
pub struct Lifetime {
    /// Which server.
    pub name: &'static str,
    /// What `/proc/PID/stat` showed just before the end, in seconds.
    pub shown_seconds: f64,
    /// What the kernel added to ours when the server had ended (`RUSAGE_CHILDREN`), in seconds.
    pub charged_seconds: f64,
}

impl Server {
    fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        Ok(Self { name, process: TestProcess::start(command)? })
    }

    /// Waits for the line that says it is ready.
    fn ready(&mut self, pattern: &str) -> anyhow::Result<String> {
        let patience = Duration::from_secs(bounds::START_SECONDS);
        let error = match self.process.wait_for(pattern, patience) {
            Ok(line) => return Ok(line),
            Err(error) => error,
        };
        // Why it ended stands on its standard error, which is read by another thread: give that a moment.
        drop(eventually("its last words", LAST_WORDS_PATIENCE, || self.process.error_lines().pop()));
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        anyhow::bail!("{first}:\n{}", self.last_words())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it, and compares the two ways of counting.
    ///
    /// # Errors
    /// It had ended before, which a server under load must not.
    pub fn end(mut self) -> anyhow::Result<Lifetime> {
        let ended_early = self.has_ended();
        anyhow::ensure!(!ended_early, "the {} server has ended:\n{}", self.name, self.last_words());
        let shown = Cpu::of(self.id())?;
        let before = Cpu::of_ended_children()?;
        drop(self.process);
        let charged = Cpu::of_ended_children()?.since(before);
        Ok(Lifetime {
            name: self.name,
            shown_seconds: shown.total().as_secs_f64(),
            charged_seconds: charged.total().as_secs_f64(),
        })
    }

    fn has_ended(&mut self) -> bool {
        self.process.wait_end(Duration::ZERO).is_ok()
    }

    /// The end of what it printed.
    fn last_words(&self) -> String {
        let lines = [self.process.lines(), self.process.error_lines()].concat();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

/// Lines of a server's output that an error message shows.
const LAST_WORDS: usize = 20;

/// How long a server that did not start may take to say why.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

impl Lifetime {
    /// Whether both ways of counting agree, as far as their resolution goes.
    pub fn agrees(&self) -> bool {
        (self.shown_seconds - self.charged_seconds).abs() <= 0.1 + 0.02 * self.charged_seconds
    }
}

/// The program, not told anything by the environment that we were started with.
fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AEGIS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a short command to its end and gives what it printed.
fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting `{name}`"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`{name}` failed: {}", errors.trim());
    String::from_utf8(output.stdout).with_context(|| format!("`{name}` printed no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Server {
        Server::start("busy", Command::new("sh").arg("-c").arg(script)).unwrap()
    }

    #[test]
    fn both_ways_of_counting_agree_on_a_busy_process() {
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; exec tail -f /dev/null";
        let mut server = shell(busy);
        server.process.wait_for("done", LONG).unwrap();
        let lifetime = server.end().unwrap();
        assert!(lifetime.agrees() && lifetime.charged_seconds > 0.0, "{lifetime:?}");

        // One that ended by itself cannot be asked any more.
        let mut server = shell("echo sorry");
        server.process.wait_end(LONG).unwrap();
        let error = server.end().unwrap_err().to_string();
        assert!(error.contains("busy server has ended"), "{error}");
    }

    #[test]
    fn a_difference_is_noticed() {
        let lifetime =
            |shown_seconds, charged_seconds| Lifetime { name: "x", shown_seconds, charged_seconds };
        assert!(lifetime(10.0, 10.1).agrees() && lifetime(0.0, 0.02).agrees());
        assert!(!lifetime(0.0, 1.0).agrees() && !lifetime(10.0, 9.0).agrees());
    }
}
