//! A child process under test: its output as lines that can be waited for, and an end that is certain.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::eventually::eventually;

/// Most lines kept of each output; a program that prints more fails the test that waits for it.
const LINES_MAX: usize = 100_000;

/// How long the outputs of a program that has ended are read on.
const OUTPUTS_CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// A running program. Dropping it kills it, by its id and without asking.
#[derive(Debug)]
pub struct TestProcess {
    child: Child,
    name: String,
    output: Arc<Output>,
    errors: Arc<Output>,
    /// How many lines of standard output [`Self::wait_for`] has passed.
    seen: usize,
}

/// The lines that a thread has read so far.
#[derive(Debug, Default)]
struct Output {
    state: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    closed: bool,
}

impl TestProcess {
    /// Starts the program without standard input and reads both of its outputs, line by line.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().with_context(|| format!("starting `{name}`"))?;
        let output = read(child.stdout.take().context("no standard output")?);
        let errors = read(child.stderr.take().context("no standard error")?);
        Ok(Self { child, name, output, errors, seen: 0 })
    }

    /// The first line of standard output, after those already passed, that contains `pattern`.
    ///
    /// # Errors
    /// When the output ends or `within` is over first; the message shows both outputs.
    pub fn wait_for(&mut self, pattern: &str, within: Duration) -> anyhow::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "a deadline of a test is real time")]
        let started = Instant::now();
        let mut state = self.output.lock();
        loop {
            let fresh = state.lines.iter().enumerate().skip(self.seen);
            if let Some((at, line)) = fresh.into_iter().find(|(_, line)| line.contains(pattern)) {
                self.seen = at + 1;
                return Ok(line.clone());
            }
            let left = within.saturating_sub(started.elapsed());
            let why = if state.closed { "ended" } else { "was silent" };
            if state.closed || left.is_zero() {
                drop(state);
                anyhow::bail!("`{}` {why} without a line with `{pattern}`\n{}", self.name, self.transcript());
            }
            let waited = self.output.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything it has printed to standard output until now.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().lines.clone()
    }

    /// Everything it has printed to standard error until now.
    pub fn error_lines(&self) -> Vec<String> {
        self.errors.lock().lines.clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as a service manager does (SIGTERM).
    ///
    /// # Errors
    /// When it has ended already.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")
    }

    /// Sends it a signal, named without `SIG`: `STOP`, `CONT`, `HUP`, …
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&mut self, signal: &str) -> anyhow::Result<()> {
        // Unless it was waited for, an ended child keeps its id; so this id is never somebody else's.
        anyhow::ensure!(self.child.try_wait()?.is_none(), "`{}` has ended before SIG{signal}", self.name);
        // The shell's own `kill`: a slim system has no program of that name, and we no unsafe code.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.id())).status()?;
        anyhow::ensure!(status.success(), "`{}` got no SIG{signal}", self.name);
        Ok(())
    }

    /// Waits until it has ended by itself. What it printed to the end is among [`Self::lines`] and [`Self::error_lines`] then.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn wait_end(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("the end of `{}`", self.name);
        let child = &mut self.child;
        let ended = eventually(&what, within, || child.try_wait().transpose());
        let status =
            ended.map_err(|error| error.context(self.transcript()))?.context("waiting for the child")?;
        // A program that it started may have inherited the outputs, and keep them open for as long as it likes.
        self.output.wait_closed(OUTPUTS_CLOSED_WITHIN);
        self.errors.wait_closed(OUTPUTS_CLOSED_WITHIN);
        Ok(status)
    }

    /// Both outputs, for messages.
    fn transcript(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.lines().join("\n"), self.error_lines().join("\n"))
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        // Both fail only when it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything is read, at most for so long.
    fn wait_closed(&self, within: Duration) {
        drop(self.changed.wait_timeout_while(self.lock(), within, |lines| !lines.closed));
    }
}

/// Reads lines on a thread of its own until the output ends.
fn read(pipe: impl Read + Send + 'static) -> Arc<Output> {
    let output = Arc::new(Output::default());
    let kept = Arc::clone(&output);
    // The thread ends with the pipe, which ends with the child, which ends with its `TestProcess`.
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let mut state = kept.lock();
            if state.lines.len() == LINES_MAX {
                break;
            }
            state.lines.push(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
            kept.changed.notify_all();
        }
        kept.lock().closed = true;
        kept.changed.notify_all();
    });
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> TestProcess {
        TestProcess::start(Command::new("sh").arg("-c").arg(script)).unwrap()
    }

    #[test]
    fn lines_are_found_in_order_and_once() {
        let mut process = shell("echo one ready; echo two ready; echo bad >&2; exec cat /dev/null");
        assert_eq!(process.wait_for("ready", LONG).unwrap(), "one ready");
        assert_eq!(process.wait_for("ready", LONG).unwrap(), "two ready");
        let error = process.wait_for("ready", LONG).unwrap_err().to_string();
        assert!(
            error.contains("ended without a line with `ready`") && error.contains("two ready"),
            "{error}"
        );
        assert!(process.wait_end(LONG).unwrap().success());
    }

    #[test]
    fn a_silent_program_is_not_waited_for_forever() {
        let mut process = shell("exec tail -f /dev/null");
        let error = process.wait_for("ready", Duration::from_millis(20)).unwrap_err().to_string();
        assert!(error.contains("was silent"), "{error}");
        assert!(process.wait_end(Duration::ZERO).is_err());
    }

    #[test]
    fn a_program_can_be_asked_to_stop() {
        let mut process =
            shell("trap 'kill $!; echo bye; exit 7' TERM; tail -f /dev/null >&2 & echo ready; wait");
        process.wait_for("ready", LONG).unwrap();
        process.terminate().unwrap();
        assert_eq!(process.wait_end(LONG).unwrap().code(), Some(7));
        assert_eq!(process.wait_for("bye", LONG).unwrap(), "bye");
        assert!(process.terminate().is_err(), "it has ended");
    }

    #[test]
    fn what_a_program_printed_last_is_read_when_it_has_ended() {
        for _ in 0..20 {
            let mut process = shell("seq 20000; seq 20000 >&2; echo last; echo last >&2");
            assert!(process.wait_end(LONG).unwrap().success());
            for lines in [process.lines(), process.error_lines()] {
                assert_eq!((lines.len(), lines.last().map(String::as_str)), (20_001, Some("last")));
            }
        }
    }

    #[test]
    fn dropping_kills() {
        let process = shell("exec tail -f /dev/null");
        let id = process.id();
        drop(process);
        let alive = Command::new("sh").arg("-c").arg(format!("kill -0 {id} 2>/dev/null")).status().unwrap();
        assert!(!alive.success());
    }
}
