//! The CPU time of a process, as the kernel counts it in `/proc/PID/stat`.
//!
//! These are the counters behind `getrusage`: `utime` and `stime` of a process, `cutime` and `cstime` of the children
//! it has waited for (`RUSAGE_CHILDREN`). See proc_pid_stat(5).

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// CPU time, to a hundredth of a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// In the process's own code, in ticks.
    user: u64,
    /// In the kernel on its behalf, in ticks.
    system: u64,
}

/// Length of a tick: `sysconf(_SC_CLK_TCK)`, which Linux fixes at 100 per second for what user space sees.
const TICK: Duration = Duration::from_millis(10);

impl Cpu {
    /// Of a running process: all its threads.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        Ok(read(&process.to_string())?.own)
    }

    /// Of this process's children that have ended and were waited for.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn of_ended_children() -> anyhow::Result<Self> {
        Ok(read("self")?.children)
    }

    #[cfg(test)]
    pub(crate) fn of_ticks(user: u64, system: u64) -> Self {
        Self { user, system }
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Microseconds in the process's own code, for each of `count` calls.
    pub fn user_us_per(self, count: u64) -> f64 {
        per(self.user, count)
    }

    /// Microseconds in the kernel, for each of `count` calls.
    pub fn system_us_per(self, count: u64) -> f64 {
        per(self.system, count)
    }

    /// Both.
    pub fn total(self) -> Duration {
        TICK * u32::try_from(self.user + self.system).unwrap_or(u32::MAX)
    }
}

#[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
fn per(ticks: u64, count: u64) -> f64 {
    ticks as f64 * TICK.as_micros() as f64 / count.max(1) as f64
}

/// What one line of `stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    own: Cpu,
    children: Cpu,
}

fn read(process: &str) -> anyhow::Result<Stat> {
    let path = format!("/proc/{process}/stat");
    let line = std::fs::read_to_string(&path).with_context(|| format!("reading `{path}`"))?;
    parse(&line).with_context(|| format!("`{path}` has another form than expected"))
}

/// The second field is the program's name in parentheses, and may hold spaces and parentheses itself; what follows the
/// last closing one is separated by spaces, beginning with field 3.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let own = Cpu { user: field(14)?, system: field(15)? };
    let children = Cpu { user: field(16)?, system: field(17)? };
    Some(Stat { own, children })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> String {
        format!("4711 ({name}) S 1 4711 4711 0 -1 4194304 100 200 3 4 250 50 70 30 20 0 12 0 99 1 2")
    }

    #[test]
    fn names_with_spaces_and_parentheses_do_not_shift_the_fields() {
        let own = Cpu { user: 250, system: 50 };
        let expected = Stat { own, children: Cpu { user: 70, system: 30 } };
        for name in ["aegis", "a b", "a) S 1 2 (b", ":-) R 1 1 1 1 1 1 1 1 1 1 9 9 9 9", "(", ")", ""] {
            assert_eq!(parse(&line(name)), Some(expected), "{name}");
        }
        assert_eq!(own.total(), Duration::from_secs(3));
    }

    #[test]
    fn another_form_is_no_zero() {
        for bad in ["", "4711 (x", "4711 (x) S 1 2 3", &line("x").replace(" 250 ", " many ")] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn time_is_divided_among_the_calls() {
        let used = Cpu { user: 300, system: 150 }.since(Cpu { user: 100, system: 50 });
        assert_eq!((used.user_us_per(100_000), used.system_us_per(100_000)), (20.0, 10.0));
    }

    #[test]
    fn the_kernel_counts_us_too() {
        assert!(Cpu::of(std::process::id()).is_ok());
        assert!(Cpu::of_ended_children().is_ok());
        assert!(Cpu::of(u32::MAX).is_err());
    }
}
