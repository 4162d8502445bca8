//! `aegis cluster restore`: the first node of a cluster that goes on from a backup.

use std::path::PathBuf;

use aegis_controlplane::machine::ControlMachine;
use aegis_raft_store::backup;
use aegis_raft_store::store::StoreOptions;
use aegis_raft_store::types::Peer;
use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::control::Config;
use crate::ended::Ended;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis cluster restore --check backup.aegis
  aegis cluster restore backup.aegis --config control-1.toml && aegis control --config control-1.toml

The node's data directory has to be empty, its cluster keys those of the backup's time. It begins a new history as the
only member: all other control nodes come back with empty data directories, by `aegis cluster add`. Person tokens and
agent tokens of before count no more; make the first one with `aegis cluster token`.")]
pub(crate) struct Options {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Only look whether the backup is whole
    #[arg(long, env = "AEGIS_CHECK")]
    check: bool,
    /// The configuration file of the control node (TOML)
    #[arg(long, env = "AEGIS_CONFIG", value_name = "FILE", required_unless_present = "check")]
    config: Option<PathBuf>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let shown = options.backup.display();
    let Some(config) = options.config.as_ref().filter(|_| !options.check) else {
        let head =
            backup::check(&options.backup).with_context(|| format!("the backup `{shown}` cannot be used"))?;
        let index = head.last_log_id.map_or(0, |id| id.index);
        let told = json!({"backup": options.backup, "history": head.history, "index": index});
        output.result(&told, || format!("{shown} is whole: history {}, index {index}", head.history));
        return Ok(Ended::Done);
    };
    let config = Config::read(config)?;
    let directory = config.data_dir.join("raft");
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("making the data directory `{}`", config.data_dir.display()))?;
    let peer = Peer { name: config.node.clone(), address: config.advertise.clone() };
    let store = StoreOptions { cluster_id: Some(config.cluster.clone()), ..StoreOptions::default() };
    let restored = backup::restore(&directory, &options.backup, peer, &store, &ControlMachine)
        .with_context(|| format!("restoring `{shown}` into `{}`", directory.display()))?;
    let id = format!("{:016x}", restored.node_id);
    let told = json!({"node": config.node, "id": id, "history": restored.history});
    output.result(&told, || {
        format!(
            "{} ({id}) holds the backup, and begins history {} when it is started",
            config.node, restored.history
        )
    });
    Ok(Ended::Done)
}
