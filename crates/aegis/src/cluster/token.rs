//! `aegis cluster token`: the way back in for a person whose tokens are all over.

use std::path::PathBuf;

use aegis_controlplane::node::ControlNode;
use aegis_controlplane::node::found::issue_token;
use aegis_model::ids::PersonId;
use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::init::hand_out;
use crate::control::{Config, Watched, start};
use crate::ended::Ended;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis cluster token --config control.toml --person admin --token-file admin.token

A person's token lives at most 12 hours, and whoever has a good one makes the next (`aegis person token`). Where nobody
has one, whoever may read a control node's files makes one here: the command takes the place of that node, which must
not run, for a moment; a majority of the others has to run. It is recorded like every administrative act.")]
pub(crate) struct Options {
    /// The configuration file of the control node (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The person, who has to be known to the cluster
    #[arg(long, env = "AEGIS_PERSON", default_value = "admin", value_name = "PERSON")]
    person: PersonId,
    /// A file that gets the token, readable by you alone, instead of stdout
    #[arg(long, env = "AEGIS_PERSON_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let config = Config::read(&options.config)?;
    let minted = offline(&config, async |node| {
        let issued = issue_token(node.parts(), &options.person).await;
        issued.with_context(|| format!("making a token of `{}`", options.person))
    })?;
    let about = json!({"person": options.person, "token_id": minted.token_id, "expires_at": minted.expires_at.seconds()});
    let head = "a token was made".to_owned();
    hand_out(minted.token.expose(), options.token_file.as_deref(), &options.person, about, &head, output)
}

/// Does `work` with the node of `config`, which takes its part in the cluster meanwhile and ends in order.
pub(super) fn offline<T>(
    config: &Config,
    work: impl AsyncFnOnce(&ControlNode) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    runtime.block_on(async {
        let node = start(config, &mut config.files(), Watched::default()).await?;
        let done = work(&node).await;
        let closed = node.shutdown().await.context("closing the node's storage");
        let done = done?;
        closed?;
        Ok(done)
    })
}
