//! Everything that the commands print: results to stdout, problems to stderr, as text or as JSON.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON document, or one per line where there are several
    Json,
    /// For code hosts: SARIF 2.1.0, of `aegis dlp scan` only
    Sarif,
}

/// Where a command prints. Colors are used on a terminal only, and never when `NO_COLOR` is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    color: bool,
    color_problems: bool,
}

/// What a piece of text means, so that a terminal may show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It may go on.
    Good,
    /// It must not.
    Bad,
    /// Somebody has to decide.
    Open,
    /// It stands out.
    Strong,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            color: wanted && std::io::stdout().is_terminal(),
            color_problems: wanted && std::io::stderr().is_terminal(),
        }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn is_text(self) -> bool {
        self.format == Format::Text
    }

    pub(crate) fn is_sarif(self) -> bool {
        self.format == Format::Sarif
    }

    /// Whether problems are colored.
    pub(crate) fn colors_problems(self) -> bool {
        self.color_problems
    }

    /// A result, in the format of choice.
    pub(crate) fn result(self, json: &impl Serialize, text: impl FnOnce() -> String) {
        if self.is_json() {
            self.line(to_json(json));
        } else {
            self.line(text());
        }
    }

    /// Lines on stdout.
    pub(crate) fn line(self, text: impl Display) {
        self.raw(format!("{text}\n").as_bytes());
    }

    /// Bytes on stdout, as they are.
    pub(crate) fn raw(self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        // Whoever closed the pipe does not want to read on; there is nobody left to tell.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    /// Lines on stderr, for people.
    pub(crate) fn problem(self, text: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// What long work is at, for people who look on; nothing where nobody does.
    pub(crate) fn progress(self, text: impl Display) {
        if std::io::stderr().is_terminal() {
            self.problem(text);
        }
    }

    /// The error that ended a command, with its causes.
    pub(crate) fn error(self, error: &anyhow::Error) {
        if self.is_json() {
            self.problem(json!({ "error": format!("{error:#}") }));
        } else {
            self.problem(format!("{} {error:#}", paint("error:", Tone::Bad, self.color_problems)));
        }
    }

    /// `text` in its tone, if stdout is a terminal.
    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.color)
    }
}

fn paint(text: &str, tone: Tone, color: bool) -> String {
    if !color {
        return text.to_owned();
    }
    let style = match tone {
        Tone::Good => AnsiColor::Green.on_default().bold(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
        Tone::Open => AnsiColor::Yellow.on_default().bold(),
        Tone::Strong => Style::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("results are plain data with text keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colors() {
        assert_eq!(paint("allow", Tone::Good, false), "allow");
        assert_eq!(paint("deny", Tone::Bad, true), "\u{1b}[1m\u{1b}[31mdeny\u{1b}[0m");
    }
}
