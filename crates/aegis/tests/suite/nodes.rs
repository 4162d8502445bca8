//! A cluster of processes on the loopback: its files, its nodes, and its administrator.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use aegis_testkit::{TestProcess, eventually, kept};
use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Answer, LONG, Ran, aegis, clean, decide, finish, get, payment};

/// Control nodes and data nodes with a folder of files.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) controls: Vec<Node>,
    pub(crate) data: Vec<Node>,
    settings: Settings,
}

/// What a test wants otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Where each control node is: the address, and the network namespace that it runs in. Nothing: on the loopback.
    pub(crate) places: Vec<Place>,
    /// More lines for the configuration of control nodes, before its tables.
    pub(crate) control: String,
    /// More tables for the configuration of data nodes.
    pub(crate) data: String,
}

/// An address in a network namespace of its own.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ip: IpAddr,
    pub(crate) namespace: PathBuf,
}

/// A place for a node, which may be running.
pub(crate) struct Node {
    pub(crate) name: String,
    kind: &'static str,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    namespace: Option<PathBuf>,
    /// Where its metrics are while it runs; each start takes another port.
    metrics: Option<SocketAddr>,
    pub(crate) process: Option<TestProcess>,
}

impl Cluster {
    /// The files of so many nodes; none runs.
    pub(crate) fn new(controls: usize, data: usize) -> Self {
        Self::with(Settings::default(), controls, data)
    }

    /// The same, with the wishes of a test. The data node of a number is where the control node of that number is.
    pub(crate) fn with(settings: Settings, controls: usize, data: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // A node keeps its address over restarts.
        let address = || kept().expect("a free port");
        let node = |kind: &'static str, number: usize| {
            let (mut http, mut grpc) = (address(), address());
            let place = settings.places.get(number - 1);
            if let (Some(place), "control") = (place, kind) {
                http.set_ip(place.ip);
                grpc.set_ip(place.ip);
            }
            let namespace = place.map(|place| place.namespace.clone());
            Node {
                name: format!("{kind}-{number}"),
                kind,
                http,
                grpc,
                namespace,
                metrics: None,
                process: None,
            }
        };
        let controls: Vec<Node> = (1..=controls).map(|number| node("control", number)).collect();
        let data: Vec<Node> = (1..=data).map(|number| node("data", number)).collect();
        let cluster = Self { folder, controls, data, settings };
        cluster.exchange_certificates();
        cluster.controls.iter().for_each(|node| cluster.configure_control(node, ""));
        cluster.data.iter().enumerate().for_each(|(turn, node)| cluster.configure_data(node, turn));
        cluster
    }

    /// A cluster with a tenant, whose control nodes all take part, and whose data nodes run.
    pub(crate) fn running(controls: usize, data: usize) -> Self {
        Self::running_with(Settings::default(), controls, data)
    }

    /// The same, with the wishes of a test.
    pub(crate) fn running_with(settings: Settings, controls: usize, data: usize) -> Self {
        let mut cluster = Self::with(settings, controls, data);
        let (config, token) = (cluster.path("control-1.toml"), cluster.path("admin.token"));
        let mut init = cluster.controls[0].program();
        let init =
            finish(init.args(["cluster", "init", "--config"]).arg(config).arg("--token-file").arg(token));
        assert_eq!(init.code, Some(0), "{init:?}");
        for at in 0..controls {
            cluster.start_control(at);
        }
        cluster.controls[0].until_ready();
        for at in 1..controls {
            let (name, address) = (cluster.controls[at].name.clone(), cluster.controls[at].address());
            cluster.done(&["cluster", "add", &name, &address]);
            cluster.controls[at].until_ready();
        }
        for at in 0..data {
            cluster.start_data(at);
        }
        cluster.done(&["tenant", "create", "acme"]);
        cluster.done(&["agent", "create", "finance-agent", "--tenant", "acme"]);
        cluster
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn exchange_certificates(&self) {
        let names = |nodes: &[Node]| nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>().join(",");
        let mut certs = aegis();
        certs.args(["cluster", "certs", "--cluster", "test", "--dir"]).arg(self.path("certs"));
        certs.args(["--control", &names(&self.controls)]);
        if !self.settings.places.is_empty() {
            let hosts: Vec<String> = self.settings.places.iter().map(|place| place.ip.to_string()).collect();
            certs.args(["--hosts", &hosts.join(",")]);
        }
        if !self.data.is_empty() {
            certs.args(["--data", &names(&self.data)]);
        }
        let ran = finish(&mut certs);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    pub(crate) fn configure_control(&self, node: &Node, more: &str) {
        let (name, http, grpc) = (&node.name, node.http, node.grpc);
        let text = format!(
            "node = '{name}'\ncluster = 'test'\ndata_dir = '{name}'\nadvertise = 'https://{grpc}'\n{}\
             cluster_keys = ['certs/cluster.key']\n[listen]\nhttp = '{http}'\ngrpc = '{grpc}'\nmetrics = '127.0.0.1:0'\n\
             [tls]\ncertificate = 'certs/{name}.pem'\nkey = 'certs/{name}-key.pem'\nauthorities = 'certs/ca.pem'\n{more}",
            self.settings.control
        );
        fs::write(self.path(&format!("{name}.toml")), text).expect("a file");
    }

    pub(crate) fn configure_data(&self, node: &Node, turn: usize) {
        let (name, http, grpc) = (&node.name, node.http, node.grpc);
        // Each data node begins with another control node.
        let mut addresses: Vec<String> =
            self.controls.iter().map(|node| format!("'{}'", node.address())).collect();
        addresses.rotate_left(turn % self.controls.len());
        let text = format!(
            "node = '{name}'\ndata_dir = '{name}'\n[listen]\nhttp = '{http}'\ngrpc = '{grpc}'\nmetrics = '127.0.0.1:0'\n\
             [control]\naddresses = [{}]\nauthorities = 'certs/ca.pem'\ncertificate = 'certs/{name}.pem'\n\
             key = 'certs/{name}-key.pem'\ncluster = 'test'\nregion = 'eu'\n\
             advertise = 'http://{grpc}'\n{}",
            addresses.join(", "),
            self.settings.data
        );
        fs::write(self.path(&format!("{name}.toml")), text).expect("a file");
    }

    pub(crate) fn start_control(&mut self, at: usize) {
        let config = self.path(&format!("{}.toml", self.controls[at].name));
        self.controls[at].start(config, "\"started\"");
    }

    pub(crate) fn start_data(&mut self, at: usize) {
        let config = self.path(&format!("{}.toml", self.data[at].name));
        self.data[at].start(config, "\"ready\"");
    }

    /// Runs a command as the administrator.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let servers: Vec<String> =
            self.controls.iter().map(|node| format!("https://{}", node.http)).collect();
        let mut command = aegis();
        command.args(arguments).args(["--output", "json", "--server", &servers.join(",")]);
        command.arg("--server-ca").arg(self.path("certs/ca.pem"));
        command.arg("--person-token-file").arg(self.path("admin.token"));
        finish(&mut command)
    }

    /// Runs a command that has to succeed: what it printed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> Value {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.json()
    }

    /// Publishes a policy with this bound: its version.
    pub(crate) fn publish(&self, max: u32) -> u64 {
        self.publish_for(0, max)
    }

    /// The same, with documents for so many more agents.
    pub(crate) fn publish_for(&self, agents: u64, max: u32) -> u64 {
        let policy = self.path("policy");
        fs::create_dir_all(&policy).expect("a folder");
        fs::write(policy.join("p.yaml"), policy_text(max)).expect("a file");
        for agent in 0..agents {
            // Every agent has conditions of its own.
            let own = u64::from(max) * 10_000 + agent;
            let text = format!(
                "agent: other-{agent}\nallowed_tools:\n- name: stripe-payments\n  actions: [create_payment]\n  conditions:\n    \
                 max_amount: {own}\n    params:\n      currency: [eur, usd]\n      vendor: {{matches: '[a-z0-9-]{{2,40}}'}}\n"
            );
            fs::write(policy.join(format!("other-{agent}.yaml")), text).expect("a file");
        }
        let published =
            self.done(&["policy", "publish", policy.to_str().expect("UTF-8"), "--tenant", "acme"]);
        published["version"]["number"].as_u64().expect("a number")
    }

    pub(crate) fn token(&self, agent: &str) -> String {
        let mint = ["token", "mint", "--tenant", "acme", "--agent", agent, "--scope", "*:*"];
        self.done(&mint)["token"].as_str().expect("a token").to_owned()
    }

    /// What a data node answers an agent.
    pub(crate) fn ask(&self, data: usize, token: &str, amount: u32) -> Answer {
        decide(self.data[data].http, token, &payment(amount))
    }

    /// The place of the control node that leads.
    pub(crate) fn leader(&self) -> usize {
        let leader = || {
            let ran = self.run(&["cluster", "status"]);
            let cluster = if ran.code == Some(0) { ran.json()["cluster"].take() } else { return None };
            let members = cluster["members"].as_array()?.iter();
            let name =
                members.filter(|it| it["id"] == cluster["leader"]).find_map(|it| it["name"].as_str())?;
            self.controls.iter().position(|node| node.name == name && node.process.is_some())
        };
        eventually("a leader", LONG, leader).expect("a leader")
    }
}

fn policy_text(max: u32) -> String {
    format!(
        "agents: [finance-agent, 'agent-*']\nallowed_tools:\n- name: stripe-payments\n  conditions:\n    max_amount: {max}\n"
    )
}

impl Node {
    pub(crate) fn address(&self) -> String {
        format!("https://{}", self.grpc)
    }

    /// The binary, where this node is.
    pub(crate) fn program(&self) -> Command {
        match &self.namespace {
            None => aegis(),
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", namespace.display())).arg(crate::support::program());
                clean(&mut command);
                command
            }
        }
    }

    /// Sends the process a signal, by its name.
    pub(crate) fn signal(&mut self, signal: &str) {
        self.process.as_mut().expect("it runs").signal(signal).expect("it runs");
    }

    pub(crate) fn start(&mut self, config: PathBuf, until: &str) {
        let mut command = self.program();
        command.arg(self.kind).args(["--output", "json", "--config"]).arg(config);
        let mut process = TestProcess::start(&mut command).expect("it starts");
        let told = process.wait_for(until, LONG).with_context(|| self.name.clone()).expect("it starts");
        let told: Value = serde_json::from_str(&told).expect("a line of JSON");
        self.metrics = told["metrics"].as_str().and_then(|address| address.parse().ok());
        self.process = Some(process);
    }

    pub(crate) fn until_ready(&mut self) {
        let process = self.process.as_mut().expect("it runs");
        process.wait_for("\"ready\"", LONG).with_context(|| self.name.clone()).expect("it becomes ready");
    }

    /// As a service manager ends it.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.terminate().expect("it runs");
        let status = process.wait_end(LONG).expect("it ends");
        assert_eq!(status.code(), Some(0), "{}: {:?}", self.name, process.error_lines());
    }

    /// As a failing machine ends it.
    pub(crate) fn kill(&mut self) {
        drop(self.process.take().expect("it runs"));
    }

    /// Where its metrics are.
    pub(crate) fn metrics(&self) -> SocketAddr {
        self.metrics.expect("it runs")
    }

    /// How far the state of a control node has come, as it tells beside its metrics.
    pub(crate) fn state(&self) -> Value {
        let answer = get(self.metrics.expect("it runs"), "/state");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }
}
