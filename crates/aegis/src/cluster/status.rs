//! `aegis cluster status`: how the cluster is.

use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on};
use crate::ended::Ended;
use crate::listing::text;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis cluster status --server https://control-1:7070,https://control-2:7070 --server-ca certs/ca.pem
  aegis cluster status --output json

Ends with 1 when no majority has confirmed what is shown, or when the states of control nodes differ.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let all = block_on(async {
        let cluster = admin.get("/cluster").await;
        // Without a leader the list of data nodes cannot be read; the cluster's own state can.
        let nodes = admin.all("/data-nodes").await.unwrap_or_default();
        let store = admin.get("/cluster/object-store").await.unwrap_or_default();
        Ok(cluster.map(|cluster| (cluster, nodes, store)))
    })?;
    let (cluster, nodes, store) = match all {
        Ok(all) => all,
        Err(failure) => return failure.told(output),
    };
    let fresh = cluster["fresh"] == Value::Bool(true);
    let told = json!({"cluster": cluster, "data_nodes": nodes, "object_store": store});
    output.result(&told, || describe(&cluster, &nodes, &store, output));
    let equal = !members(&cluster).any(differs);
    Ok(if fresh && equal { Ended::Done } else { Ended::Refused })
}

fn describe(cluster: &Value, nodes: &[Value], store: &Value, output: Output) -> String {
    let mut lines = vec![format!(
        "{} {}, history {}, term {}, applied {} at {}",
        output.paint("cluster", Tone::Strong),
        text(cluster, "id"),
        text(cluster, "history"),
        text(cluster, "term"),
        text(cluster, "applied_index"),
        text(cluster, "log_time"),
    )];
    lines.push(format!("the state's digest there is {}", text(cluster, "state_digest")));
    if cluster["fresh"] != Value::Bool(true) {
        lines.push(output.paint("no majority has confirmed this: no leader can be reached", Tone::Bad));
    }
    let leader = text(cluster, "leader");
    lines.push(output.paint("control nodes", Tone::Strong));
    for member in members(cluster) {
        let leads = if text(member, "id") == leader { ", leads" } else { "" };
        let applied = match text(member, "applied_index") {
            index if index.is_empty() => String::new(),
            index => format!(", applied {index}"),
        };
        lines.push(format!(
            "  {}  {}  {}  {}{leads}{applied}",
            text(member, "id"),
            text(member, "name"),
            text(member, "address"),
            text(member, "state"),
        ));
        if differs(member) {
            let name = text(member, "name");
            let found = format!(
                "  the state of {name} differs from that of the node that answers: one of them is wrong"
            );
            lines.push(output.paint(&found, Tone::Bad));
        }
    }
    lines.push(output.paint("data nodes", Tone::Strong));
    for node in nodes {
        let retired = if node["retired_at"].is_null() { "" } else { "  retired" };
        let only = match text(node, "tenant") {
            tenant if tenant.is_empty() => String::new(),
            tenant => format!("  only {tenant}"),
        };
        lines.push(format!(
            "  {}  {}  {}  start {}, {}{only}{retired}",
            text(node, "id"),
            text(node, "name"),
            text(node, "address"),
            text(node, "incarnation"),
            text(node, "started_at"),
        ));
    }
    lines.extend(describe_store(store, output));
    lines.join("\n")
}

/// The object store, where one is kept and the leader could be asked.
fn describe_store(store: &Value, output: Output) -> Vec<String> {
    let place = text(store, "place");
    if place.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![output.paint("object store", Tone::Strong)];
    lines.push(format!("  {place}  {} objects are lacking", text(store, "pending")));
    for problem in store["problems"].as_array().into_iter().flatten() {
        let found = format!("  {}: {}", text(problem, "tenant"), text(problem, "message"));
        lines.push(output.paint(&found, Tone::Bad));
    }
    lines
}

fn members(cluster: &Value) -> impl Iterator<Item = &Value> {
    cluster["members"].as_array().into_iter().flatten()
}

fn differs(member: &Value) -> bool {
    member["differs"] == Value::Bool(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn an_object_store_is_shown_where_there_is_one() {
        let store = json!({
            "place": "s3://bundles", "pending": 2,
            "problems": [{"tenant": "acme", "message": "something else lies there"}],
        });
        let shown = |store: &Value| describe_store(store, Output::new(Format::Text)).join("\n");
        assert!(shown(&store).contains("s3://bundles  2 objects are lacking"), "{}", shown(&store));
        assert!(shown(&store).contains("acme: something else lies there"), "{}", shown(&store));
        assert_eq!(shown(&json!({"place": ""})), "");
    }

    #[test]
    fn a_state_that_differs_is_shown() {
        let mut cluster = json!({
            "id": "c", "fresh": true, "leader": "1", "state_digest": "ab",
            "members": [{"id": "1", "name": "control-1", "state": "voter", "applied_index": 7, "differs": false},
                        {"id": "2", "name": "control-2", "state": "voter", "differs": false}],
        });
        let shown = |cluster: &Value| describe(cluster, &[], &Value::Null, Output::new(Format::Text));
        assert!(shown(&cluster).contains("voter, leads, applied 7\n"), "{}", shown(&cluster));
        assert!(!shown(&cluster).contains("differs"));
        cluster["members"][1]["differs"] = json!(true);
        assert!(shown(&cluster).contains("the state of control-2 differs"), "{}", shown(&cluster));
        assert!(members(&cluster).any(differs));
    }
}
