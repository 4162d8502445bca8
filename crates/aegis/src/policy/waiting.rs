//! Waiting until the data nodes enforce an activation, with what each of them says.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use aegis_model::ids::TenantId;
use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::{Admin, Failure, block_on, segment};
use crate::arguments;
use crate::ended::Ended;
use crate::listing::text;
use crate::output::Output;

/// Whether to wait, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Waiting {
    /// Wait until every data node has it in force, and show what each of them says
    #[arg(long, env = "AEGIS_WAIT", num_args = 0..=1, default_missing_value = "30s", value_parser = arguments::duration, value_name = "TIME")]
    wait: Option<Duration>,
}

impl Waiting {
    /// Waits for `activation`, if that is wished: how it ended, and the last that was heard.
    pub(super) fn until_in_force(
        &self,
        admin: &Admin,
        tenant: &TenantId,
        activation: u64,
        output: Output,
    ) -> anyhow::Result<Result<Option<Value>, Failure>> {
        let Some(within) = self.wait else { return Ok(Ok(None)) };
        let seconds = within.as_secs().clamp(1, 600);
        let tenant = segment(tenant.as_str());
        let path = format!("/tenants/{tenant}/activation/progress?activation={activation}&seconds={seconds}");
        let (mut progress, mut heard) = (Progress::new(output), BTreeMap::new());
        let followed = admin.follow(&path, within, |server, step| {
            heard.insert(server, step);
            let all = together(heard.values());
            progress.show(&all);
            all["state"] != "waiting"
        });
        let followed = block_on(async { Ok(followed.await) })?;
        progress.end();
        Ok(followed.map(|()| Some(together(heard.values()))))
    }
}

/// What several control nodes say of one activation, as one. Each hears its own data nodes first and asks the
/// others for theirs, so the best news of each data node count.
fn together<'v>(heard: impl Iterator<Item = &'v Value>) -> Value {
    let mut nodes: BTreeMap<String, Value> = BTreeMap::new();
    let mut states = Vec::new();
    for step in heard {
        states.push(text(step, "state"));
        for node in step["data_nodes"].as_array().into_iter().flatten() {
            let kept = nodes.entry(text(node, "id")).or_insert_with(|| node.clone());
            if rank(node) > rank(kept) {
                *kept = node.clone();
            }
        }
    }
    let count = |state: &str| nodes.values().filter(|node| node["state"] == state).count();
    let (in_force, failed, all) = (count("in_force"), count("failed"), nodes.len());
    let state = match () {
        () if in_force == all => "done",
        () if states.iter().any(|state| state == "replaced") => "replaced",
        () if failed > 0 && in_force + failed == all => "failed",
        () if states.iter().all(|state| state == "timeout") => "timeout",
        () => "waiting",
    };
    let nodes: Vec<Value> = nodes.into_values().collect();
    json!({"state": state, "nodes": all, "in_force": in_force, "data_nodes": nodes})
}

fn rank(node: &Value) -> u8 {
    match node["state"].as_str() {
        Some("in_force") => 2,
        Some("failed") => 1,
        Some(_) | None => 0,
    }
}

/// How a wait ended.
pub(super) fn ended(last: &Value) -> Ended {
    if last["state"] == "done" { Ended::Done } else { Ended::Refused }
}

/// `in force at data-1, data-2; waiting for data-3`, a line per node that failed.
pub(super) fn describe(last: &Value) -> String {
    let names = |state: &str| -> Vec<String> {
        let nodes = last["data_nodes"].as_array().into_iter().flatten();
        nodes.filter(|node| node["state"] == state).map(|node| text(node, "name")).collect()
    };
    let mut told = match names("in_force") {
        names if names.is_empty() => "in force at no data node".to_owned(),
        names => format!("in force at {}", names.join(", ")),
    };
    let waiting = names("waiting");
    if !waiting.is_empty() {
        told.push_str(&format!("; not yet at {}", waiting.join(", ")));
    }
    for node in last["data_nodes"].as_array().into_iter().flatten().filter(|node| node["state"] == "failed") {
        told.push_str(&format!(
            "\n{}: {} ({})",
            text(node, "name"),
            text(node, "message"),
            text(node, "code")
        ));
    }
    match last["state"].as_str().unwrap_or_default() {
        "replaced" => told.push_str("\na newer activation has taken its place"),
        "timeout" | "waiting" => told.push_str("\nthe time to wait is over"),
        _ => {}
    }
    told
}

/// One line on the terminal that is written anew with each step; nothing elsewhere.
struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    fn new(output: Output) -> Self {
        Self { shown: false, terminal: std::io::stderr().is_terminal() && !output.is_json() }
    }

    fn show(&mut self, step: &Value) {
        if self.terminal {
            let (in_force, nodes) = (text(step, "in_force"), text(step, "nodes"));
            // A terminal that is gone does not want to see it.
            let _ = write!(std::io::stderr().lock(), "\r\x1b[Kin force at {in_force} of {nodes} data nodes");
            self.shown = true;
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_node_counts_with_its_best_news() {
        let node = |id: &str, state: &str| json!({"id": id, "name": id, "state": state});
        let step = |state: &str, nodes: &[Value]| json!({"state": state, "data_nodes": nodes});
        let one = step("waiting", &[node("a", "in_force"), node("b", "waiting")]);
        let two = step("timeout", &[node("a", "waiting"), node("b", "in_force")]);
        assert_eq!(together([&one].into_iter())["state"], "waiting");
        let both = together([&one, &two].into_iter());
        assert_eq!((&both["state"], &both["in_force"]), (&json!("done"), &json!(2)));
        let late = together([&step("timeout", &[node("a", "in_force"), node("b", "waiting")])].into_iter());
        assert_eq!(late["state"], "timeout");
        let cannot = together([&one, &step("waiting", &[node("b", "failed")])].into_iter());
        assert_eq!(cannot["state"], "failed");
        assert_eq!(together([&step("replaced", &[node("b", "waiting")])].into_iter())["state"], "replaced");
    }

    #[test]
    fn every_node_is_named_with_what_it_says() {
        let node = |name: &str, state: &str| json!({"name": name, "state": state, "code": "policy", "message": "no"});
        let last = json!({"state": "timeout", "data_nodes": [node("a", "in_force"), node("b", "waiting"), node("c", "failed")]});
        assert_eq!(describe(&last), "in force at a; not yet at b\nc: no (policy)\nthe time to wait is over");
        assert_eq!(ended(&last), Ended::Refused);
        let done = json!({"state": "done", "data_nodes": [node("a", "in_force"), node("b", "in_force")]});
        assert_eq!((describe(&done).as_str(), ended(&done)), ("in force at a, b", Ended::Done));
    }
}
