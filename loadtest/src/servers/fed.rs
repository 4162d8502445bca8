//! A control node and a data node that follows it, with the typical policy twice: for one tenant as it is, for another with
//! limits that are never reached. One process answers both, so that a comparison shows what limits cost and nothing else.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use serde::Deserialize;

use super::{Server, output_of, quiet};
use crate::calls::{AGENT, POLICY, SCOPE};

/// The tenant whose policy has no limits.
pub const PLAIN: &str = "plain";
/// The tenant whose policy has.
pub const LIMITED: &str = "limited";

/// Limits of the agent, beside which the tenant has a budget, too.
const LIMITS: &str = "\nrps_limit: 1000000\nburst: 1000000\ndaily_budget: 900000000000\n";
const TENANT_LIMITS: &str = "---\ntenant: {daily_budget: 900000000000}\n";

/// The two nodes.
#[derive(Debug)]
pub struct Fed {
    control: Server,
    data: Server,
    admin: Admin,
    /// Where the data node serves gRPC.
    pub grpc: SocketAddr,
}

/// Who may change things.
#[derive(Debug)]
struct Admin {
    program: PathBuf,
    folder: PathBuf,
    server: String,
}

#[derive(Deserialize)]
struct Ready {
    grpc: SocketAddr,
}

#[derive(Deserialize)]
struct Minted {
    token: String,
}

impl Fed {
    /// Starts both with `program`; everything that they need is written to `folder`.
    ///
    /// # Errors
    /// A node does not start, or a command fails.
    pub fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("fed");
        std::fs::create_dir_all(&folder).with_context(|| format!("making `{}`", folder.display()))?;
        // The data node has to know where the control node will be; held until both are known.
        let held = [free()?, free()?];
        let [http, grpc] = [held[0].local_addr()?, held[1].local_addr()?];
        drop(held);
        let admin = Admin { program: program.to_path_buf(), folder, server: format!("https://{http}") };
        let certs = admin.folder.join("certs");
        let mut command = quiet(program);
        command.args([
            "cluster",
            "certs",
            "--cluster",
            "loadtest",
            "--control",
            "control-1",
            "--data",
            "data-1",
            "--dir",
        ]);
        output_of(command.arg(&certs))?;
        admin.write("control.toml", &control_toml(http, grpc))?;
        admin.write("data.toml", &data_toml(grpc))?;
        let mut command = quiet(program);
        command.args(["cluster", "init", "--config"]).arg(admin.folder.join("control.toml"));
        output_of(command.arg("--token-file").arg(admin.folder.join("admin.token")))?;

        let (control, _) = admin.node("control")?;
        for tenant in [PLAIN, LIMITED] {
            admin.run(&["tenant", "create", tenant])?;
            admin.run(&["agent", "create", AGENT, "--tenant", tenant])?;
            let limited = tenant == LIMITED;
            let policy = if limited { format!("{POLICY}{LIMITS}{TENANT_LIMITS}") } else { POLICY.to_owned() };
            let sources = admin.folder.join(tenant);
            std::fs::create_dir_all(&sources).context("making a folder")?;
            std::fs::write(sources.join("typical.yaml"), policy).context("writing the policy")?;
            admin.run(&["policy", "publish", &sources.to_string_lossy(), "--tenant", tenant])?;
            admin.run(&["policy", "activate", "1", "--tenant", tenant])?;
        }
        let (data, ready) = admin.node("data")?;
        let Ready { grpc } =
            serde_json::from_str(&ready).with_context(|| format!("the node said `{ready}`"))?;
        Ok(Self { control, data, admin, grpc })
    }

    /// The data node's process id.
    pub fn id(&self) -> u32 {
        self.data.id()
    }

    /// A fresh token for the typical agent of a tenant.
    ///
    /// # Errors
    /// The command fails.
    pub fn mint(&self, tenant: &str) -> anyhow::Result<Arc<str>> {
        let printed =
            self.admin.run(&["token", "mint", "--tenant", tenant, "--agent", AGENT, "--scope", SCOPE])?;
        let minted: Minted = serde_json::from_str(&printed).context("reading the minted token")?;
        Ok(minted.token.into())
    }

    pub(crate) fn into_servers(self) -> [Server; 2] {
        [self.data, self.control]
    }
}

impl Admin {
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.folder.join(name), text).with_context(|| format!("writing `{name}`"))
    }

    /// Starts a node: what it said when it was ready.
    fn node(&self, kind: &'static str) -> anyhow::Result<(Server, String)> {
        let mut command = quiet(&self.program);
        command.args([kind, "--log", "warn", "--output", "json", "--config"]);
        command.arg(self.folder.join(format!("{kind}.toml")));
        let mut server = Server::start(kind, &mut command)?;
        let ready = server.ready("\"ready\"")?;
        Ok((server, ready))
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command: Command = quiet(&self.program);
        command.args(arguments).args(["--output", "json", "--server", &self.server, "--server-ca"]);
        command.arg(self.folder.join("certs/ca.pem"));
        output_of(command.arg("--person-token-file").arg(self.folder.join("admin.token")))
    }
}

fn free() -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")
}

fn control_toml(http: SocketAddr, grpc: SocketAddr) -> String {
    format!(
        "node = 'control-1'\ncluster = 'loadtest'\ndata_dir = 'control'\nadvertise = 'https://{grpc}'\n\
         cluster_keys = ['certs/cluster.key']\n[listen]\nhttp = '{http}'\ngrpc = '{grpc}'\nmetrics = '127.0.0.1:0'\n\
         [tls]\ncertificate = 'certs/control-1.pem'\nkey = 'certs/control-1-key.pem'\nauthorities = 'certs/ca.pem'\n"
    )
}

fn data_toml(control: SocketAddr) -> String {
    format!(
        "node = 'data-1'\ndata_dir = 'data'\n[listen]\nhttp = '127.0.0.1:0'\ngrpc = '127.0.0.1:0'\nmetrics = '127.0.0.1:0'\n\
         [control]\naddresses = ['https://{control}']\nauthorities = 'certs/ca.pem'\ncertificate = 'certs/data-1.pem'\n\
         key = 'certs/data-1-key.pem'\ncluster = 'loadtest'\n"
    )
}
