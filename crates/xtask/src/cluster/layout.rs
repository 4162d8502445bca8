//! The files of a local cluster: certificates, and a configuration per node with ports that were free when it was made.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::processes::Program;

/// The control nodes.
pub(super) const NAMES_CONTROL: [&str; 3] = ["control-1", "control-2", "control-3"];

/// The data nodes.
pub(super) const NAMES_DATA: [&str; 3] = ["data-1", "data-2", "data-3"];

/// The cluster's name.
const CLUSTER: &str = "local";

/// Where everything is.
pub(super) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The one in `dir`, made if there is none.
    pub(super) fn prepare(dir: &Path, program: &Program) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making `{}`", dir.display()))?;
        let layout = Self::of(dir)?;
        let certs = layout.certs();
        let certs = certs.to_str().context("the folder's name is not UTF-8")?;
        // Exchanged each time: they end after 30 days.
        let (control, data) = (NAMES_CONTROL.join(","), NAMES_DATA.join(","));
        program.run(&[
            "cluster",
            "certs",
            "--dir",
            certs,
            "--cluster",
            CLUSTER,
            "--control",
            &control,
            "--data",
            &data,
        ])?;
        if !layout.config(NAMES_DATA[2]).exists() {
            layout.configure()?;
        }
        Ok(layout)
    }

    /// The one in `dir`.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let dir = dir
            .canonicalize()
            .with_context(|| format!("`{}`: run `cargo xtask cluster up`", dir.display()))?;
        Ok(Self { dir })
    }

    pub(super) fn certs(&self) -> PathBuf {
        self.dir.join("certs")
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.dir.join("admin.token")
    }

    pub(super) fn config(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    pub(super) fn pid_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pid"))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The gRPC address of a control node, as the others reach it.
    pub(super) fn control_grpc(&self, name: &str) -> anyhow::Result<String> {
        Ok(format!("https://{}", self.listen(name, "grpc")?))
    }

    /// The HTTP address of a data node.
    pub(super) fn data_http(&self, name: &str) -> anyhow::Result<String> {
        self.listen(name, "http")
    }

    /// The HTTP addresses of all control nodes, as the command line takes them.
    pub(super) fn servers(&self) -> anyhow::Result<String> {
        let all = NAMES_CONTROL.iter().map(|name| Ok(format!("https://{}", self.listen(name, "http")?)));
        Ok(all.collect::<anyhow::Result<Vec<String>>>()?.join(","))
    }

    fn listen(&self, name: &str, port: &str) -> anyhow::Result<String> {
        let path = self.config(name);
        let text = fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("reading `{}`", path.display()))?;
        match table.get("listen").and_then(|listen| listen.get(port)).and_then(toml::Value::as_str) {
            Some(address) => Ok(address.to_owned()),
            None => bail!("`{}` names no `listen.{port}`", path.display()),
        }
    }

    /// Writes every configuration.
    fn configure(&self) -> anyhow::Result<()> {
        let mut ports = free_ports(3 * (NAMES_CONTROL.len() + NAMES_DATA.len()))?.into_iter();
        let mut next = || ports.next().context("no port is left");
        let mut feeds = Vec::new();
        for name in NAMES_CONTROL {
            let [http, grpc, metrics] = [next()?, next()?, next()?];
            feeds.push(format!("\"https://127.0.0.1:{grpc}\""));
            let text = format!(
                "node = \"{name}\"\ncluster = \"{CLUSTER}\"\ndata_dir = \"{name}\"\n\
                 advertise = \"https://127.0.0.1:{grpc}\"\ncluster_keys = [\"certs/cluster.key\"]\n\n\
                 [listen]\nhttp = \"127.0.0.1:{http}\"\ngrpc = \"127.0.0.1:{grpc}\"\nmetrics = \"127.0.0.1:{metrics}\"\n\n\
                 [tls]\ncertificate = \"certs/{name}.pem\"\nkey = \"certs/{name}-key.pem\"\nauthorities = \"certs/ca.pem\"\n"
            );
            self.write(name, &text)?;
        }
        for (turn, name) in NAMES_DATA.into_iter().enumerate() {
            let [http, grpc, metrics] = [next()?, next()?, next()?];
            // Each begins with another one, so that none has all the work.
            feeds.rotate_left(usize::from(turn > 0));
            let text = format!(
                "node = \"{name}\"\ndata_dir = \"{name}\"\n\n\
                 [listen]\nhttp = \"127.0.0.1:{http}\"\ngrpc = \"127.0.0.1:{grpc}\"\nmetrics = \"127.0.0.1:{metrics}\"\n\n\
                 [control]\naddresses = [{}]\nauthorities = \"certs/ca.pem\"\ncertificate = \"certs/{name}.pem\"\n\
                 key = \"certs/{name}-key.pem\"\ncluster = \"{CLUSTER}\"\nadvertise = \"http://127.0.0.1:{grpc}\"\n",
                feeds.join(", ")
            );
            self.write(name, &text)?;
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.config(name);
        fs::write(&path, text).with_context(|| format!("writing `{}`", path.display()))
    }
}

/// So many ports that are free now. They are written down, so that a node keeps its address; whoever takes one in between
/// makes that node say so.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let sockets = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let sockets: Vec<TcpListener> = sockets.collect::<Result<_, _>>().context("looking for free ports")?;
    let ports = sockets.iter().map(|socket| Ok(socket.local_addr()?.port()));
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_ports_of_its_own_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of(folder.path()).unwrap();
        layout.configure().unwrap();
        let mut all: Vec<String> = Vec::new();
        for name in NAMES_CONTROL.iter().chain(&NAMES_DATA) {
            all.extend(["http", "grpc", "metrics"].map(|port| layout.listen(name, port).unwrap()));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(layout.servers().unwrap().split(',').count(), 3);
        assert!(layout.listen("control-1", "quic").is_err());
    }
}
