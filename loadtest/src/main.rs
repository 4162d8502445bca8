//! `aegis-loadtest`: the command line of the load generator.

mod command;

use std::process::ExitCode;

use clap::Parser;

/// As the node has it, since this program is the echo server too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match command::run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            command::complain(&format!("error: {error:#}"));
            ExitCode::from(1)
        }
    }
}
