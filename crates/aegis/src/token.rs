//! `aegis token`: makes and shows agent tokens.

mod get;
mod given;
mod inspect;
mod mint;

use clap::Subcommand;

use crate::ended::Ended;
use crate::output::Output;

pub(crate) use inspect::read_public_key;
pub(crate) use mint::{Bearer, DEV_ISSUER, mint_from_data_dir};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  aegis token mint --data-dir .aegis | aegis token inspect")]
pub(crate) enum Command {
    /// Make a token, signed with the key of `aegis dev` or with one from a file
    Mint(Box<mint::Options>),
    /// Get a token as an agent does: by an assertion that its own key signs
    Get(Box<get::Options>),
    /// List the tokens that were given out to a tenant's agents
    List(given::ListOptions),
    /// Revoke a token before its time is over
    Revoke(given::RevokeOptions),
    /// Show what a token says and what is wrong with it; nothing in it is believed
    Inspect(inspect::Options),
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Mint(options) => mint::run(&options, output),
        Command::Get(options) => get::run(&options, output),
        Command::List(options) => given::list(&options, output),
        Command::Revoke(options) => given::revoke(&options, output),
        Command::Inspect(options) => inspect::run(&options, output),
    }
}
