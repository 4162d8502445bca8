//! The command line: what `aegis` understands.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::Format;
use crate::{
    agent, approvals, audit, budget, channels, cluster, completions, config, control, data, decide, dev, dlp,
    explain, issuer, organization, person, policy, ready, role, tenant, token, witness,
};

/// Decides what AI agents may do, call by call.
#[derive(Debug, Parser)]
#[command(name = "aegis", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  aegis dev                                try it: one process, a demo policy, commands to paste
  aegis policy check policies/             is this policy sound?
  aegis explain ParameterOutOfRange        what a reason code means
  aegis audit tail --follow                what is decided, as it is decided
  aegis cluster status                     how is the control plane?

Exit codes: 0 done, 1 refused or failed check, 2 wrong use.";

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// How results are printed
    #[arg(long, global = true, env = "AEGIS_OUTPUT", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// What is logged to stderr, e.g. `info` or `aegis_dataplane=debug` [default: info for `control` and `data`, else warn]
    #[arg(long, global = true, env = "AEGIS_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How it is logged
    #[arg(long, global = true, env = "AEGIS_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// The commands, each in the module of its name.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try it: one process on this machine, with policies that reload by themselves
    Dev(dev::Options),
    /// Run a control node from a configuration file
    Control(control::Options),
    /// Run a data node from a configuration file
    Data(data::Options),
    /// Make, grow, watch and restore a cluster of control nodes
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Make and change tenants
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Register and bar agents
    #[command(subcommand)]
    Agent(agent::Command),
    /// Pin issuers outside whose tokens prove agents
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Show what is left of budgets, and change one until its day ends
    #[command(subcommand)]
    Budget(budget::Command),
    /// Say what all tenants of an organization may use together
    #[command(subcommand)]
    Organization(organization::Command),
    /// Look at requests for approval; agree, or say no
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Say how people are told of requests for approval
    #[command(subcommand)]
    Channels(channels::Command),
    /// Make people who administer, and their tokens
    #[command(subcommand)]
    Person(person::Command),
    /// Say who may do what
    #[command(subcommand)]
    Role(role::Command),
    /// Check, test, build, try out and compare policies; publish, activate and roll back versions
    #[command(subcommand)]
    Policy(policy::Command),
    /// Find sensitive data in files, as a node finds it
    #[command(subcommand)]
    Dlp(dlp::Command),
    /// Make and look at agent tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Follow, verify, prove and export what is recorded; download and verify evidence
    #[command(subcommand)]
    Audit(audit::Command),
    /// Ask a running node whether a call may go on
    Decide(Box<decide::Options>),
    /// Ask a node whether it should be sent requests
    Ready(ready::Options),
    /// Say what a reason code means and what to do about it
    Explain(explain::Options),
    /// Watch other people's logs, so that nobody has to take their word
    #[command(subcommand)]
    Witness(witness::Command),
    /// Show the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Print a script that completes commands in a shell
    Completions(completions::Options),
}

impl Command {
    /// Whether its results may be printed in SARIF.
    pub(crate) fn writes_sarif(&self) -> bool {
        matches!(self, Self::Dlp(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    fn every_command(command: &Command, visit: &mut dyn FnMut(&Command)) {
        visit(command);
        command.get_subcommands().for_each(|command| every_command(command, visit));
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_id_may_begin_with_a_dash() {
        for command in ["show", "approve", "reject", "cancel"] {
            let parsed = Cli::try_parse_from(["aegis", "approvals", command, "-JIbWD", "--tenant", "acme"]);
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err().map(|error| error.to_string()));
        }
    }

    #[test]
    fn every_command_shows_an_example() {
        every_command(&Cli::command(), &mut |command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("\n  aegis "), "`{}` has no example", command.get_name());
        });
    }

    #[test]
    fn every_option_has_an_environment_variable_of_ours_and_secrets_are_not_shown() {
        every_command(&Cli::command(), &mut |command| {
            for option in command.get_opts() {
                let variable = option.get_env().map(|name| name.to_string_lossy().into_owned());
                let variable = variable.unwrap_or_default();
                let place = format!("`{} --{}`", command.get_name(), option.get_id());
                assert!(variable.starts_with("AEGIS_"), "{place} has no variable");
                let secret = variable.contains("TOKEN") && !variable.contains("FILE");
                assert!(
                    !secret || option.is_hide_env_values_set(),
                    "{place} would show its value in the help"
                );
            }
        });
    }
}
