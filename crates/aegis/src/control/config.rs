//! The configuration of a control node: a TOML file, read strictly.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aegis_audit::keys::{KeyKind, VerifyingKey};
use aegis_controlplane::store::StoreConfig;
use aegis_controlplane::witnesses::Witness;
use aegis_model::caps;
use aegis_model::ids::{ClusterId, PersonId};
use serde::{Deserialize, Serialize};

use super::Files;
use crate::config_file;
use crate::telemetry::{Settings, Who};

/// What a control node runs with. Every path is absolute once it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The node's name, as in its certificate.
    pub(crate) node: String,
    /// The cluster's name, as in its certificate.
    pub(crate) cluster: ClusterId,
    /// Where the node keeps what it promised to the others.
    pub(crate) data_dir: PathBuf,
    /// Where the other nodes reach its gRPC port, e.g. `https://control-1:7071`.
    pub(crate) advertise: String,
    /// How people reach its HTTP port, e.g. `https://aegis.example.com`: what requests for approval lead to. Absent: by its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// What the cluster's private keys are wrapped under: the first file wraps, all unwrap.
    pub(crate) cluster_keys: Vec<PathBuf>,
    /// Seconds without news after which data nodes refuse calls, where a tenant does not say.
    #[serde(default = "staleness_seconds_max")]
    pub(crate) staleness_seconds_max: u32,
    #[serde(default)]
    pub(crate) listen: Listen,
    pub(crate) tls: Tls,
    /// Where telemetry goes. Nothing: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telemetry: Option<Settings>,
    /// Where bundles are published for stock OPAs.
    #[serde(default)]
    pub(crate) store: Option<StoreConfig>,
    /// Who outside of the cluster watches its control log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) witnesses: Vec<Witnessed>,
    /// How people are told of requests for approval.
    #[serde(default)]
    pub(crate) deliveries: Deliveries,
    /// If given, the node makes the cluster when it starts with an empty data_dir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bootstrap: Option<Bootstrap>,
}

/// Where requests are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    #[serde(default = "http_default")]
    pub(crate) http: SocketAddr,
    #[serde(default = "grpc_default")]
    pub(crate) grpc: SocketAddr,
    /// Shows all tenants: loopback unless somebody decides otherwise.
    #[serde(default = "metrics_default")]
    pub(crate) metrics: SocketAddr,
    /// Whether HTTP is served without TLS; on loopback only.
    #[serde(default)]
    pub(crate) http_plain: bool,
}

/// Certificates, as PEM files. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The node's chain, the leaf first.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Who vouches for the nodes of the cluster.
    pub(crate) authorities: PathBuf,
}

/// An outside witness of the control log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Witnessed {
    /// Where it answers.
    pub(crate) url: String,
    /// Its verifier key.
    pub(crate) key: String,
}

/// How people are told of requests for approval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deliveries {
    /// Whether channels may lead to private addresses, such as a chat of one's own, and to those in the clear. Administrators of tenants
    /// then reach whatever this node reaches.
    #[serde(default)]
    pub(crate) private: bool,
}

/// How the first node makes the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bootstrap {
    /// The first person, with role `admin` on `*`.
    #[serde(default = "admin_default")]
    pub(crate) admin: PersonId,
    /// Where that person's token is written. If the file is there, no cluster is made: it was made before, and a node
    /// that lost its data must not begin a second one of the same name.
    pub(crate) token_file: PathBuf,
}

fn staleness_seconds_max() -> u32 {
    caps::STALENESS_SECONDS_DEFAULT
}

fn http_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7070))
}

fn grpc_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7071))
}

fn metrics_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7090))
}

fn admin_default() -> PersonId {
    "admin".parse().expect("a constant that is a name")
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: http_default(), grpc: grpc_default(), metrics: metrics_default(), http_plain: false }
    }
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`crate::ended::WrongUse`] with line and column for an unknown key, a wrong type or value, or one that contradicts
    /// another.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        config_file::read(path, Self::parse)
    }

    /// What collectors know this node by.
    pub(crate) fn who(&self) -> Who {
        Who {
            service: "aegis-control",
            node: self.node.clone(),
            cluster: self.cluster.to_string(),
            region: String::new(),
        }
    }

    /// The files of the node's certificate.
    pub(crate) fn files(&self) -> Files {
        Files::new(&self.tls.certificate, &self.tls.key, &self.tls.authorities)
    }

    /// Reads `text`; relative paths begin at `folder`.
    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut config: Self =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        config.anchor(folder);
        config.check()?;
        Ok(config)
    }

    fn anchor(&mut self, folder: &Path) {
        let at = |path: &mut PathBuf| *path = folder.join(&*path);
        at(&mut self.data_dir);
        self.cluster_keys.iter_mut().for_each(at);
        at(&mut self.tls.certificate);
        at(&mut self.tls.key);
        at(&mut self.tls.authorities);
        match &mut self.store {
            Some(store) => store.secret_files.values_mut().for_each(at),
            none => *none = Some(StoreConfig::folder(&self.data_dir.join("bundles"))),
        }
        if let Some(telemetry) = &mut self.telemetry {
            telemetry.anchor(folder);
        }
        if let Some(bootstrap) = &mut self.bootstrap {
            at(&mut bootstrap.token_file);
        }
    }

    /// The outside witnesses.
    ///
    /// # Errors
    /// In words, if one cannot be asked.
    pub(crate) fn witnesses(&self) -> Result<Vec<Witness>, String> {
        if self.witnesses.len() > caps::WITNESSES_MAX {
            return Err(format!("there are more than {} `witnesses`", caps::WITNESSES_MAX));
        }
        self.witnesses.iter().map(Witnessed::read).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.witnesses()?;
        self.telemetry.as_ref().map_or(Ok(()), Settings::check)?;
        if self.cluster_keys.is_empty() {
            return Err("no cluster key is named: add `cluster_keys`".to_owned());
        }
        let (least, most) = (caps::STALENESS_SECONDS_MIN, caps::STALENESS_SECONDS_MAX);
        if !(least..=most).contains(&self.staleness_seconds_max) {
            let value = self.staleness_seconds_max;
            return Err(format!("`staleness_seconds_max` is {value}; it has to be from {least} to {most}"));
        }
        if self.listen.http_plain && !self.listen.http.ip().is_loopback() {
            return Err(format!(
                "`listen.http_plain` is for loopback only, and `{}` is reached from elsewhere",
                self.listen.http
            ));
        }
        let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if self.public_url.as_ref().is_some_and(|url| !is_url(url)) {
            return Err(
                "`public_url` is how people reach the HTTP port, such as `https://aegis.example.com`"
                    .to_owned(),
            );
        }
        if !self.advertise.starts_with("https://") || self.advertise.ends_with('/') {
            return Err(
                "`advertise` is the address of the gRPC port, such as `https://control-1:7071`".to_owned()
            );
        }
        Ok(())
    }
}

impl Witnessed {
    fn read(&self) -> Result<Witness, String> {
        let Self { url, key } = self;
        let key: VerifyingKey = key.parse().map_err(|error| format!("`witnesses` of `{url}`: {error}"))?;
        if key.kind() != KeyKind::Cosignature {
            return Err(format!(
                "`witnesses` of `{url}`: the key of `{}` is a log's, not a witness's",
                key.name()
            ));
        }
        let near = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
        if !url.starts_with("https://") && !near.iter().any(|near| url.starts_with(near)) {
            return Err(format!(
                "`witnesses`: `{url}` has to begin with `https://`; `http://` is for loopback only"
            ));
        }
        Ok(Witness { url: url.clone(), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "node = 'control-1'\ncluster = 'demo'\ndata_dir = 'state'\nadvertise = 'https://control-1:7071'\n\
                         cluster_keys = ['cluster.key']\n[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\nauthorities = '/ca.pem'\n";

    const WITNESS: &str = "w.example+4a98ebc3+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

    fn problem(text: &str) -> String {
        Config::parse(text, Path::new("/etc/aegis")).expect_err("a problem")
    }

    #[test]
    fn paths_begin_at_the_file_and_defaults_are_filled_in() {
        let text = format!("{WHOLE}[bootstrap]\ntoken_file = 'admin.token'\n");
        let config = Config::parse(&text, Path::new("/etc/aegis")).unwrap();
        assert_eq!(config.data_dir, Path::new("/etc/aegis/state"));
        assert_eq!(config.cluster_keys, [Path::new("/etc/aegis/cluster.key")]);
        assert_eq!(config.tls.authorities, Path::new("/ca.pem"));
        assert_eq!(config.listen.grpc.port(), 7071);
        assert_eq!(config.store.as_ref().unwrap().url, "file:///etc/aegis/state/bundles");
        let bootstrap = config.bootstrap.as_ref().unwrap();
        assert_eq!(
            (bootstrap.admin.as_str(), bootstrap.token_file.as_path()),
            ("admin", Path::new("/etc/aegis/admin.token"))
        );
        // What is shown can be read again, and means the same.
        let shown = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&shown, Path::new("/elsewhere")).unwrap(), config);
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        let told = problem(&WHOLE.replace("data_dir", "datadir = 1\ndata_dir"));
        assert!(told.contains("line 3") && told.contains("unknown field `datadir`"), "{told}");
        assert!(problem("node = 'control-1'\n").contains("missing field"));
        assert!(problem(&WHOLE.replace("['cluster.key']", "[]")).contains("no cluster key"));
        assert!(
            problem(&WHOLE.replace("https://control-1:7071", "control-1:7071")).contains("`advertise` is")
        );
        let plain = format!("{WHOLE}[listen]\nhttp = '0.0.0.0:7070'\nhttp_plain = true\n");
        assert!(problem(&plain).contains("loopback only"));
        let witness = format!("{WHOLE}[[witnesses]]\nurl = 'http://elsewhere:7095'\nkey = '{WITNESS}'\n");
        assert!(problem(&witness).contains("has to begin with `https://`"));
        assert!(problem(&witness.replace("w.example+", "x.example+")).contains("`witnesses` of"));
        Config::parse(&witness.replace("http://elsewhere", "https://elsewhere"), Path::new("/")).unwrap();
        assert!(problem(&format!("staleness_seconds_max = 1\n{WHOLE}")).contains("staleness_seconds_max"));
    }
}
