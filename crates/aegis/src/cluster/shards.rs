//! `aegis cluster shards`: which data nodes own slots.

use clap::Args;
use serde_json::Value;

use crate::admin_client::{Server, block_on};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis cluster shards --server https://control-1:7070 --server-ca certs/ca.pem
  aegis cluster shards --output json        # with the numbers of the slots

A slot is one of 1,024 parts of all agents. Any data node judges any call; the owner of an agent's slot needs fewer grants for it.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let map = match block_on(async { Ok(admin.get("/cluster/shards").await) })? {
        Ok(map) => map,
        Err(failure) => return failure.told(output),
    };
    if output.is_json() {
        output.result(&map, String::new);
        return Ok(Ended::Done);
    }
    let nodes = map["nodes"].as_array().cloned().unwrap_or_default();
    listing::print(
        output,
        &nodes,
        &[
            ("ID", |node| text(node, "id")),
            ("NAME", |node| text(node, "name")),
            ("ADDRESS", |node| text(node, "address")),
            ("SLOTS", slots),
        ],
    );
    Ok(Ended::Done)
}

fn slots(node: &Value) -> String {
    node["slots"].as_array().map_or(0, Vec::len).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slots_are_counted() {
        assert_eq!(slots(&json!({"slots": [1, 5, 9]})), "3");
        assert_eq!(slots(&json!({})), "0");
    }
}
