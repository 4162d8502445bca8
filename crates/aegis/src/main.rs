//! The binary: reads configuration, wires the planes, runs and stops them; the operator's commands.
//!
//! Start at [`cli::Command`]: each variant has a module of its name. A command gives [`ended::Ended`], which is its
//! exit code; everything that is printed goes through [`output::Output`].

mod budget;
mod channels;
mod cli;
mod ended;
mod output;

mod arguments;
mod authority;
mod config_file;
mod logging;
mod panics;
mod signals;
mod telemetry;

mod listing;
mod problems;
mod sources;
mod state;

mod admin_client;

mod agent;
mod approvals;
mod audit;
mod cluster;
mod completions;
mod config;
mod control;
mod data;
mod decide;
mod dev;
mod dlp;
mod enforced;
mod explain;
mod issuer;
mod organization;
mod person;
mod policy;
mod ready;
mod role;
mod tenant;
mod token;
mod witness;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command};
use crate::ended::{Ended, WrongUse};
use crate::output::Output;
use crate::telemetry::LogTap;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    panics::hide_payloads();
    // Before anything can open a connection: a second provider in the graph must not become a panic later.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    debug_assert!(installed.is_ok(), "nothing else installs a provider");
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let output = Output::new(cli.global.output);
    let ended = logging::start(&cli).and_then(|tap| match output.is_sarif() && !cli.command.writes_sarif() {
        true => Err(WrongUse("only `aegis dlp scan` prints SARIF".to_owned()).into()),
        false => run(cli, &matches, output, &tap),
    });
    ended::exit_code(ended, output)
}

fn run(cli: Cli, matches: &ArgMatches, output: Output, tap: &LogTap) -> anyhow::Result<Ended> {
    match cli.command {
        Command::Dev(options) => dev::run(options, output, tap),
        Command::Control(options) => control::run(&options, output, tap),
        Command::Data(options) => data::run(&options, output, tap),
        Command::Cluster(command) => cluster::run(command, output),
        Command::Tenant(command) => tenant::run(command, output),
        Command::Agent(command) => agent::run(command, output),
        Command::Issuer(command) => issuer::run(command, output),
        Command::Approvals(command) => approvals::run(command, output),
        Command::Channels(command) => channels::run(command, output),
        Command::Budget(command) => budget::run(command, output),
        Command::Organization(command) => organization::run(command, output),
        Command::Person(command) => person::run(command, output),
        Command::Role(command) => role::run(command, output),
        Command::Policy(command) => policy::run(command, output),
        Command::Dlp(command) => dlp::run(command, output),
        Command::Token(command) => token::run(command, output),
        Command::Audit(command) => audit::run(command, output),
        Command::Decide(options) => {
            let given = matches.subcommand_matches("decide").expect("clap chose this command");
            decide::run(&options, given, output)
        }
        Command::Ready(options) => ready::run(&options, output),
        Command::Explain(options) => Ok(explain::run(&options, output)),
        Command::Witness(command) => witness::run(command, output),
        Command::Config(command) => config::run(command, output),
        Command::Completions(options) => Ok(completions::run(&options, output)),
    }
}
