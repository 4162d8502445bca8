//! `aegis cluster`: control nodes, from the first certificate to the restore of a backup.
//!
//! Three of its commands work on the files of a control node that does not run (`init`, `token`, `restore`); the others
//! ask the admin API.

mod add;
mod certs;
mod init;
mod restore;
mod rewrap;
mod rotate;
mod shards;
mod snapshot;
mod status;
mod token;

use clap::Subcommand;

use crate::ended::Ended;
use crate::output::Output;

/// What can be done with a cluster.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example, from nothing to three control nodes:
  aegis cluster certs --dir certs --cluster demo --control control-1,control-2,control-3 --data data-1
  aegis cluster init --config control-1.toml --token-file admin.token
  aegis control --config control-1.toml      # and the other two, each on its machine
  aegis cluster add control-2 https://control-2:7071 --server https://control-1:7070 --server-ca certs/ca.pem")]
pub(crate) enum Command {
    /// Show who belongs to the cluster, who leads, and which data nodes there are
    Status(status::Options),
    /// Show which data nodes own which agents
    Shards(shards::Options),
    /// Make a cluster: its first node, its keys, its first person
    Init(init::Options),
    /// Let a control node join, and make it a voter
    Add(add::AddOptions),
    /// Make a control node that joined a voter
    Promote(add::NodeOptions),
    /// Remove a control node for good
    Remove(add::NodeOptions),
    /// Retire a data node: its id never comes back
    RemoveData(add::NodeOptions),
    /// Write a backup of the whole state to a file
    Snapshot(snapshot::Options),
    /// Make the first node of a restored cluster from a backup
    Restore(restore::Options),
    /// List the cluster's keys: what each signs, and since when
    Keys(rotate::ListOptions),
    /// Let a new key sign tokens of agents (or other things) in the place of the one before
    RotateKeys(rotate::Options),
    /// Wrap private keys under a new cluster key, so that the old one can be taken away
    RewrapKeys(rewrap::Options),
    /// Give out a token of a person at a control node's machine, when nobody has one any more
    Token(token::Options),
    /// Make certificates for development and tests
    Certs(certs::Options),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Status(options) => status::run(&options, output),
        Command::Shards(options) => shards::run(&options, output),
        Command::Init(options) => init::run(&options, output),
        Command::Add(options) => add::add(&options, output),
        Command::Promote(options) => add::promote(&options, output),
        Command::Remove(options) => add::remove(&options, output),
        Command::RemoveData(options) => add::remove_data(&options, output),
        Command::Snapshot(options) => snapshot::run(&options, output),
        Command::Restore(options) => restore::run(&options, output),
        Command::Keys(options) => rotate::list(&options, output),
        Command::RotateKeys(options) => rotate::run(&options, output),
        Command::RewrapKeys(options) => rewrap::run(&options, output),
        Command::Token(options) => token::run(&options, output),
        Command::Certs(options) => certs::run(&options, output),
    }
}
