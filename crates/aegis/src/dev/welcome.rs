//! What `aegis dev` says when it is ready: addresses, a token, and commands to paste.

use std::net::SocketAddr;
use std::path::PathBuf;

use aegis_dataplane::node::Addresses;
use aegis_model::clock::Clock;
use aegis_model::decision::Outcome;
use aegis_model::ids::AgentId;
use aegis_policy::cases::Case;
use serde_json::{Value, json};

use super::plane::Plane;
use super::policies::{First, InForce};
use super::samples::{self, SHOWN};
use super::shell::{program, quoted, quoted_path};
use super::tenant;
use crate::output::{Output, Tone};
use crate::state::DataDir;
use crate::token::{Bearer, mint_from_data_dir};

/// Everything to say but the token, which is made at the last moment.
#[derive(Debug)]
pub(super) struct Welcome {
    agent: AgentId,
    place: String,
    policy: InForce,
    addresses: Addresses,
    /// Where the control plane answers HTTP.
    control: Option<SocketAddr>,
    /// Where the token of its administrator is.
    token_file: PathBuf,
    /// A command per outcome of [`SHOWN`], where a call has it.
    commands: [Option<String>; 3],
    mint: String,
    /// What answers requests for approval, without its verb.
    approvals: String,
    /// Where it finds the control plane.
    at: String,
    /// The command that shows what was decided.
    tail: String,
    /// Whether a shell finds this program by its name.
    by_name: bool,
}

impl Welcome {
    /// Finds the calls to show.
    pub(super) fn prepare(first: &First, addresses: Addresses, plane: &Plane, data_dir: &DataDir) -> Self {
        let samples = samples::find(&first.set, &first.tests, Clock::System.now());
        let (program, by_name) = program();
        let audit = data_dir.audit();
        let data_dir = quoted_path(data_dir.root());
        let agent =
            samples.iter().flatten().next().map_or_else(|| any_agent(first), |case| case.agent.clone());
        let mint = format!("{program} token mint --data-dir {data_dir} --agent {}", quoted(agent.as_str()));
        let tail = format!("{program} audit tail {}", quoted_path(&audit));
        let commands = samples.map(|case| case.map(|case| command(&case, &program, &data_dir)));
        let (approvals, at) =
            (format!("{program} approvals"), format!("--tenant {} --data-dir {data_dir}", tenant()));
        let (place, policy) = (first.place.clone(), first.policy.clone());
        let (control, token_file) = (plane.node.addresses().http, plane.token_file.clone());
        Self {
            agent,
            place,
            policy,
            addresses,
            control,
            token_file,
            commands,
            mint,
            approvals,
            at,
            tail,
            by_name,
        }
    }

    /// The agent that the token is for.
    pub(super) fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// Says it all; `ready` comes last.
    ///
    /// # Errors
    /// No token can be made.
    pub(super) fn print(&self, data_dir: &DataDir, output: Output) -> anyhow::Result<()> {
        let minted = mint_from_data_dir(data_dir, &Bearer::for_agent(self.agent.clone()))?;
        let token = minted.token.expose();
        output.result(&self.to_json(token, data_dir), || self.to_text(token, data_dir, output));
        Ok(())
    }

    fn to_json(&self, token: &str, data_dir: &DataDir) -> Value {
        let commands: serde_json::Map<String, Value> = SHOWN
            .iter()
            .zip(&self.commands)
            .filter_map(|(outcome, command)| Some((outcome.to_string(), command.clone()?.into())))
            .collect();
        json!({
            "event": "ready", "http": url(self.addresses.http), "grpc": url(self.addresses.grpc),
            "metrics": url(self.addresses.metrics), "control": url(self.control), "admin_token_file": self.token_file,
            "policies": self.place, "policy": self.policy,
            "data_dir": data_dir.root(), "agent": self.agent, "token": token, "mint": self.mint, "tail": self.tail, "commands": commands,
        })
    }

    fn to_text(&self, token: &str, data_dir: &DataDir, output: Output) -> String {
        let strong = |text: &str| output.paint(text, Tone::Strong);
        let mut text = format!(
            "{}\n\n  HTTP      {}\n  gRPC      {}\n  metrics   {}/metrics\n  policies  {} (version {}, activation {})\n  data      {}\n  control   {} (its administrator's token: {})\n",
            strong("aegis dev: control plane and data node in one process, on this machine only"),
            url(self.addresses.http),
            url(self.addresses.grpc),
            url(self.addresses.metrics),
            self.place,
            self.policy.version,
            self.policy.activation,
            data_dir.root().display(),
            url(self.control),
            self.token_file.display(),
        );
        text.push_str(&format!(
            "\n{}\n\n{token}\n\n{}\n\n  {}\n",
            strong(&format!("A token for {}, good for 15 minutes:", self.agent)),
            strong("A new one:"),
            self.mint,
        ));
        text.push_str(&format!(
            "\n{}\n",
            strong("Paste these into another terminal; each makes its own token:")
        ));
        for (outcome, command) in SHOWN.iter().zip(&self.commands) {
            text.push_str(&match command {
                Some(command) => format!("\n{}\n  {command}\n", title(*outcome)),
                None => format!("\n{}\n(no call of this policy is)\n", title(*outcome)),
            });
        }
        if self.commands[2].is_some() {
            text.push_str(&format!(
                "\nWho may agree looks, and agrees; add `--wait 1m` to the command above to go on by itself then:\n  \
                 {0} list {1}\n  {0} approve ID {1} --reason 'agreed by phone'\n",
                self.approvals, self.at
            ));
        }
        text.push_str(&format!(
            "\nWhat was decided is in the audit log, tamper-evident: {} (add --follow), or `audit verify`.\n",
            self.tail
        ));
        if !self.by_name {
            text.push_str("\n`aegis` is not on your PATH, so the commands name it in full.\n");
        }
        text.push_str(&format!(
            "\n{}: an edit of the policies is live at once; Ctrl-C ends it",
            strong("ready")
        ));
        text
    }
}

fn title(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow | Outcome::Sanitize => "allowed:",
        Outcome::Deny => "denied:",
        Outcome::ApprovalRequired => "needs a person:",
    }
}

/// `aegis decide` for a call.
fn command(case: &Case, program: &str, data_dir: &str) -> String {
    let mut command =
        format!("{program} decide --data-dir {data_dir} --agent {}", quoted(case.agent.as_str()));
    let mut add = |option: &str, value: &str| command.push_str(&format!(" {option} {}", quoted(value)));
    for caller in &case.callers {
        add("--caller", caller.as_str());
    }
    for (name, value) in &case.token {
        match value {
            Value::String(text) => add("--claim", &format!("{name}={text}")),
            other => add("--claim", &format!("{name}:={other}")),
        }
    }
    add("--tool", case.tool.as_str());
    add("--action", case.action.as_str());
    for (option, object) in [("--params", &case.params), ("--context", &case.context)] {
        if !object.is_empty() {
            add(option, &Value::Object(object.clone()).to_string());
        }
    }
    command
}

/// A name that the policy has a rule for, or any.
fn any_agent(first: &First) -> AgentId {
    let globs = first.set.documents.iter().flat_map(|document| &document.agents);
    let mut names = globs.filter_map(|glob| glob.0.replace('*', "x").parse().ok());
    names.next().unwrap_or_else(|| "demo-agent".parse().expect("a constant that is a name"))
}

fn url(address: Option<SocketAddr>) -> String {
    address.map(|address| format!("http://{address}")).unwrap_or_default()
}
