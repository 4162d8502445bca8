//! `aegis cluster add|promote|remove|remove-data`: who belongs to the cluster.

use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::{Admin, Failure, Server, block_on, segment};
use crate::ended::{Ended, WrongUse};
use crate::listing::text;
use crate::output::Output;
use crate::tenant::told;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis cluster add control-2 https://control-2:7071 --server https://control-1:7070 --server-ca certs/ca.pem

The node has to run at the address, with an empty data directory. It becomes a voter as soon as it has caught up. The
same command again changes nothing.")]
pub(crate) struct AddOptions {
    /// The node's name, as in its certificate
    #[arg(value_name = "NAME")]
    name: String,
    /// Its gRPC address, e.g. https://control-2:7071
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Leave it a learner, which receives everything and decides nothing
    #[arg(long, env = "AEGIS_LEARNER")]
    learner: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis cluster promote control-4
  aegis cluster remove control-2
  aegis cluster remove-data data-7

A node is named by its name or by its id. What was removed never comes back under the same id: it returns with an empty
data directory.")]
pub(crate) struct NodeOptions {
    /// The node's name or id
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    server: Server,
}

pub(super) fn add(options: &AddOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let body = json!({"name": options.name, "address": options.address, "promote": !options.learner});
    let added = block_on(async { Ok(admin.post("/cluster/members", body).await) })?;
    told(added, output, |member| {
        format!("{} ({}) is a {}", text(member, "name"), text(member, "id"), text(member, "state"))
    })
}

pub(super) fn promote(options: &NodeOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let promoted = block_on(async {
        let id = control_id(&admin, &options.node).await?;
        Ok(admin.post_nothing(&format!("/cluster/members/{id}/promote")).await)
    })?;
    told(promoted, output, |member| format!("{} is a {}", text(member, "name"), text(member, "state")))
}

pub(super) fn remove(options: &NodeOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let removed = block_on(async {
        let id = control_id(&admin, &options.node).await?;
        Ok(admin.delete(&format!("/cluster/members/{id}")).await)
    })?;
    told(removed, output, |member| format!("{} was removed for good", text(member, "name")))
}

pub(super) fn remove_data(options: &NodeOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let removed = block_on(async {
        let nodes = admin.all("/data-nodes").await.map_err(unlisted)?;
        let id = find(&nodes, &options.node, |node| node["retired_at"].is_null())?;
        Ok(admin.delete(&format!("/data-nodes/{id}")).await)
    })?;
    told(removed, output, |node| format!("data node {} was retired for good", text(node, "name")))
}

async fn control_id(admin: &Admin, node: &str) -> anyhow::Result<String> {
    let cluster = admin.get("/cluster").await.map_err(unlisted)?;
    let members = cluster["members"].as_array().cloned().unwrap_or_default();
    find(&members, node, |member| member["state"] != "removed")
}

/// The id of the one node that is called so, as a part of a path.
fn find(nodes: &[Value], wanted: &str, counts: impl Fn(&Value) -> bool) -> anyhow::Result<String> {
    let named = |node: &&Value| text(node, "id") == wanted || (text(node, "name") == wanted && counts(node));
    let found: Vec<String> = nodes.iter().filter(named).map(|node| text(node, "id")).collect();
    match found.as_slice() {
        [id] => Ok(segment(id)),
        [] => Err(WrongUse(format!("no node is called `{wanted}`")).into()),
        several => {
            let ids = several.join(", ");
            Err(WrongUse(format!("several nodes are called `{wanted}`: name one by its id ({ids})")).into())
        }
    }
}

fn unlisted(failure: Failure) -> anyhow::Error {
    match failure {
        Failure::Refused(refused) => {
            let detail = refused.document["detail"].as_str().unwrap_or("the control node refused").to_owned();
            anyhow::anyhow!(detail).context("looking for the node")
        }
        Failure::Other(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_its_name_or_its_id() {
        let nodes = [
            json!({"id": "00a1", "name": "one", "state": "removed"}),
            json!({"id": "00a2", "name": "one", "state": "voter"}),
            json!({"id": "00a3", "name": "two", "state": "voter"}),
            json!({"id": "00a4", "name": "two", "state": "learner"}),
        ];
        let look = |wanted| {
            find(&nodes, wanted, |node| node["state"] != "removed").map_err(|error| error.to_string())
        };
        assert_eq!(look("one"), Ok("00a2".to_owned()));
        assert_eq!(look("00a1"), Ok("00a1".to_owned()));
        assert!(look("two").unwrap_err().contains("00a3, 00a4"));
        assert!(look("three").unwrap_err().contains("no node is called"));
    }
}
