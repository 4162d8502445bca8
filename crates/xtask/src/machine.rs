//! Which machine and which state of the sources a measurement was taken on.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// What a reader needs to know before comparing two figures. Holds no host name, user or path.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Hardware threads available to this process.
    pub cores: usize,
    /// Installed memory, in MiB.
    pub memory_mib: u64,
    /// Operating system and kernel release.
    pub kernel: String,
    /// The compiler's version line.
    pub rustc: String,
    /// Day and time of the run, UTC, RFC 3339.
    pub date: String,
    /// The commit, with `-dirty` when the checkout had changes.
    pub revision: String,
    /// Load average of the last minute when the run began: above the number of cores, distrust the figures.
    pub load: String,
}

impl Machine {
    /// Looks at this machine. What cannot be found out reads `unknown`.
    pub fn here(root: &Path) -> Self {
        let dirty = line(Command::new("git").arg("-C").arg(root).args(["status", "--porcelain", "-uno"]));
        let head = line(Command::new("git").arg("-C").arg(root).args(["rev-parse", "--short=12", "HEAD"]));
        let suffix = if dirty.is_none() { "" } else { "-dirty" };
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_mib: memory_mib(&field("/proc/meminfo", "MemTotal")),
            kernel: line(Command::new("uname").args(["-s", "-r", "-m"])).unwrap_or_else(unknown),
            rustc: line(Command::new("rustc").arg("--version")).unwrap_or_else(unknown),
            date: line(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])).unwrap_or_else(unknown),
            revision: head.map_or_else(unknown, |head| head + suffix),
            load: first_word("/proc/loadavg"),
        }
    }
}

/// The first line that a command prints; nothing when it fails or prints nothing.
fn line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or_else(unknown, |(_, value)| value.trim().to_owned())
}

fn first_word(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().map_or_else(unknown, str::to_owned)
}

/// Reads `24689024 kB`; 0 when it is anything else.
fn memory_mib(text: &str) -> u64 {
    let kib = text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_form() {
        assert_eq!(memory_mib("2097152 kB"), 2048);
        assert_eq!(memory_mib("unknown"), 0);
    }

    #[test]
    fn a_failing_command_gives_nothing() {
        assert_eq!(line(&mut Command::new("false")), None);
        assert_eq!(line(Command::new("echo").arg("one\ntwo")).as_deref(), Some("one"));
    }
}
