//! `aegis audit`: evidence, read, downloaded and verified. What reads a node's logs needs nothing but their files.

mod budgets;
mod control;
mod events;
mod export;
mod fetch;
mod logs;
mod prove;
mod receipt;
mod report;
mod search;
mod show;
mod tail;
mod verify;

use clap::Subcommand;

use crate::ended::Ended;
use crate::output::Output;

/// What can be done with audit logs.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis audit tail --follow                      what `aegis dev` decides, as it decides
  aegis audit verify /var/lib/aegis/audit --key log-keys.txt --checkpoint newest.txt
  aegis audit prove --index 41
  aegis audit receipt answer.json --key log-keys.txt
  aegis audit export --tenant acme --to acme-2026
  aegis audit fetch s3://evidence/prod --to downloaded
  aegis audit search --tenant acme --outcome deny --since 1h
  aegis audit control download --to evidence/
  aegis audit budgets evidence/ --key \"$LOG_KEY\" --journal data-1/audit/7
  aegis audit events data-1/audit/7 --format ocsf

What reads the logs of a node works offline, on a copy as well. FOLDER is the journal of a node (`audit_dir`, or `audit` in its data directory), the folder
of one of its logs, or an export.")]
pub(crate) enum Command {
    /// Verify logs: is every record the one that was logged, and is any missing?
    Verify(verify::Options),
    /// Prove that a record is in a log
    Prove(prove::Options),
    /// Check the receipt of an answer: did the log sign it, and does it hold the record?
    Receipt(receipt::Options),
    /// Copy what one tenant may see, so that it can be verified elsewhere
    Export(export::Options),
    /// Download logs from the object store that nodes copy them to
    Fetch(fetch::Options),
    /// Show the newest records, and those that follow
    Tail(tail::Options),
    /// Download and verify the control log, and logs of data nodes against it
    #[command(subcommand)]
    Control(control::Command),
    /// Hold what records say that calls were charged against the ledgers of the budgets
    Budgets(Box<budgets::Options>),
    /// Search decisions in the logs of all data nodes, asked of the control plane
    Search(search::Options),
    /// Say which controls of compliance frameworks verified evidence speaks for
    Report(report::Options),
    /// Write the records of a log as events: OCSF, CEF, ECS or JSON lines
    Events(events::Options),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Control(command) => control::run(command, output),
        Command::Budgets(options) => budgets::run(&options, output),
        Command::Report(options) => report::run(&options, output),
        Command::Events(options) => events::run(&options, output),
        Command::Verify(options) => verify::run(&options, output),
        Command::Prove(options) => prove::run(&options, output),
        Command::Fetch(options) => fetch::run(&options, output),
        Command::Receipt(options) => receipt::run(&options, output),
        Command::Export(options) => export::run(&options, output),
        Command::Tail(options) => tail::run(&options, output),
        Command::Search(options) => search::run(&options, output),
    }
}
