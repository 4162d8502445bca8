//! `aegis cluster init`: makes a cluster from the configuration of its first node.

use std::path::{Path, PathBuf};

use aegis_controlplane::node::found::found;
use aegis_model::ids::PersonId;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::token::offline;
use crate::control::Config;
use crate::ended::{Ended, WrongUse};
use crate::output::Output;
use crate::state::{Readers, write_whole};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis cluster init --config control-1.toml --token-file admin.token

Run once, at the machine of the first control node and before it: the node's data directory has to be empty. The token
of the first person is printed once, or written to the file, and is nowhere else. Start the node afterwards with
`aegis control`, then let the others join with `aegis cluster add`.")]
pub(crate) struct Options {
    /// The configuration file of the first control node (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The first person, who gets role `admin` everywhere
    #[arg(long, env = "AEGIS_ADMIN", default_value = "admin", value_name = "PERSON")]
    admin: PersonId,
    /// A file that gets the person's token, readable by you alone, instead of stdout
    #[arg(long, env = "AEGIS_PERSON_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let config = Config::read(&options.config)?;
    if let Some(file) = options.token_file.as_deref().filter(|file| file.exists()) {
        return Err(WrongUse(format!("`{}` is there already: name another file", file.display())).into());
    }
    let beginning = offline(&config, async |node| {
        let made = found(node.parts(), &config.cluster, &options.admin).await;
        made.with_context(|| format!("making the cluster `{}`", config.cluster))
    })?;
    let about = json!({"cluster": config.cluster, "node": config.node, "admin": options.admin});
    let head = format!("cluster {} was made, with the node {}", config.cluster, config.node);
    hand_out(beginning.token.expose(), options.token_file.as_deref(), &options.admin, about, &head, output)
}

/// Gives a person's token to whoever asked, in a file or on stdout.
pub(super) fn hand_out(
    token: &str,
    file: Option<&Path>,
    person: &PersonId,
    mut about: Value,
    head: &str,
    output: Output,
) -> anyhow::Result<Ended> {
    match file {
        Some(file) => {
            write_whole(file, format!("{token}\n").as_bytes(), Readers::Owner)
                .with_context(|| format!("writing `{}`", file.display()))?;
            about["token_file"] = json!(file);
            output.result(&about, || format!("{head}; the token of {person} is in {}", file.display()));
        }
        None => {
            about["token"] = json!(token);
            output.result(&about, || {
                format!("{head}. The token of {person}, which is shown this once:\n\n{token}")
            });
        }
    }
    Ok(Ended::Done)
}
