//! The processes of a local cluster: started apart from this one, found again by their files, ended only if they are ours.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::layout::Layout;

/// How long a process may take until it has ended.
const PATIENCE: Duration = Duration::from_secs(40);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The binary.
pub(super) struct Program(PathBuf);

impl Program {
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        path.canonicalize().map(Self).with_context(|| format!("the program `{}`", path.display()))
    }

    /// Runs a command to its end: what it printed.
    pub(super) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ran = Command::new(&self.0).args(arguments).stdin(Stdio::null()).output();
        let ran = ran.with_context(|| format!("starting `{}`", self.0.display()))?;
        if !ran.status.success() {
            let told = String::from_utf8_lossy(&ran.stderr);
            bail!(
                "`aegis {}` failed: {}",
                arguments.iter().take(2).copied().collect::<Vec<_>>().join(" "),
                told.trim()
            );
        }
        String::from_utf8(ran.stdout).context("the output is not UTF-8")
    }
}

/// Starts the node `name`, unless it runs.
pub(super) fn start(program: &Program, layout: &Layout, kind: &str, name: &str) -> anyhow::Result<()> {
    if Running::find(layout.dir(), name)?.is_some() {
        return Ok(());
    }
    let log = layout.log(name);
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("`{}`", log.display()))?;
    let child = Command::new(&program.0)
        .arg(kind)
        .arg("--config")
        .arg(layout.config(name))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Not in this terminal's group: it goes on when this command has ended.
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting `{name}`"))?;
    let path = layout.pid_file(name);
    fs::write(&path, child.id().to_string()).with_context(|| format!("writing `{}`", path.display()))
}

/// A process of a local cluster.
pub(super) struct Running {
    name: String,
    id: u32,
    config: PathBuf,
    pid_file: PathBuf,
}

impl Running {
    /// The process of the node `name` in `dir`, if it runs. A process that only has the same id is somebody else's.
    pub(super) fn find(dir: &Path, name: &str) -> anyhow::Result<Option<Self>> {
        let Ok(dir) = dir.canonicalize() else { return Ok(None) };
        let pid_file = dir.join(format!("{name}.pid"));
        let Ok(text) = fs::read_to_string(&pid_file) else { return Ok(None) };
        let id =
            text.trim().parse().with_context(|| format!("`{}` holds no process id", pid_file.display()))?;
        let running = Self { name: name.to_owned(), id, config: dir.join(format!("{name}.toml")), pid_file };
        Ok(running.lives().then_some(running))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Whether the process is there and was started with our configuration.
    fn lives(&self) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", self.id)).unwrap_or_default();
        let config = self.config.to_string_lossy();
        command.split(|byte| *byte == 0).any(|argument| argument == config.as_bytes())
    }

    /// Asks it to stop.
    pub(super) fn terminate(&self) -> anyhow::Result<()> {
        // The shell's own `kill`: a slim system has no program of that name, and we no unsafe code.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.id)).status();
        sent.with_context(|| format!("asking `{}` to stop", self.name)).map(drop)
    }

    /// Waits until it has ended.
    pub(super) fn wait_end(&self) -> anyhow::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "a deadline of processes is real time")]
        let began = Instant::now();
        while self.lives() {
            if began.elapsed() > PATIENCE {
                bail!("`{}` (process {}) does not end: look at its log", self.name, self.id);
            }
            std::thread::sleep(PAUSE);
        }
        // It may be gone already.
        let _ = fs::remove_file(&self.pid_file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_only_has_the_same_id_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data-1.pid"), std::process::id().to_string()).unwrap();
        assert!(Running::find(folder.path(), "data-1").unwrap().is_none());
        assert!(Running::find(folder.path(), "data-2").unwrap().is_none());
        fs::write(folder.path().join("data-1.pid"), "x").unwrap();
        assert!(Running::find(folder.path(), "data-1").is_err());
    }
}
