//! The configuration of a data node: a TOML file, read strictly. What is enforced comes from a control plane
//! (`[control]`) or from files (`[[tenants]]`, `[[trust]]`), never from both.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aegis_controlplane::store::StoreConfig;
use aegis_dataplane::NodeName;
use aegis_dataplane::feed::ControlAddress;
use aegis_model::caps;
use aegis_model::ids::ClusterId;
use aegis_model::ids::TenantId;
use serde::{Deserialize, Serialize};

use super::exports::{self, ExportTo};
use crate::config_file;
use crate::state::AUDIT_DIR;
use crate::telemetry::{Settings, Who};

/// What a data node runs with. Every path is absolute once it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The node's name; stands in every decision id.
    pub(crate) node: NodeName,
    /// Where the node keeps its numbers.
    pub(crate) data_dir: PathBuf,
    /// The audit journal's folder.
    #[serde(default)]
    pub(crate) audit_dir: Option<PathBuf>,
    /// How the journal is kept.
    #[serde(default, skip_serializing_if = "Audit::is_default")]
    pub(crate) audit: Audit,
    /// Where the decision log was, before there was a journal.
    #[serde(default, skip_serializing)]
    record_file: Option<toml::Value>,
    /// How clients reach HTTP, e.g. `https://aegis.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// Largest request body, in bytes.
    #[serde(default = "body_bytes_max")]
    pub(crate) body_bytes_max: usize,
    /// Most calls in progress.
    #[serde(default = "calls_in_progress_max")]
    pub(crate) calls_in_progress_max: usize,
    #[serde(default)]
    pub(crate) listen: Listen,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// Where telemetry goes. Nothing: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telemetry: Option<Settings>,
    /// The control plane that says what is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<Control>,
    /// Whose tokens count; beside a control plane, in addition to its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trust: Vec<Trust>,
    /// Whose policies are enforced, where there is no control plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tenants: Vec<Tenant>,
}

/// How the audit journal is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// Where sealed segments are copied to. Nothing: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreConfig>,
    /// Where events of its records are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) export: Vec<ExportTo>,
    /// Minutes after its first record in which a segment ends, however short it is.
    #[serde(default = "segment_minutes")]
    pub(crate) segment_minutes: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { store: None, export: Vec::new(), segment_minutes: segment_minutes() }
    }
}

impl Audit {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The control plane, and who this node is to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// The gRPC addresses of control nodes, e.g. `https://control-1:7071`. Any of them serves.
    pub(crate) addresses: Vec<String>,
    /// Who vouches for the control nodes (PEM).
    pub(crate) authorities: PathBuf,
    /// The certificate that this node shows, the leaf first (PEM).
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Who vouches for other data nodes, which are told what became of calls that they decided (PEM). Nothing: `authorities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer_authorities: Option<PathBuf>,
    /// The cluster that this node belongs to. Nothing: the first one that it meets, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<ClusterId>,
    /// The label of its region.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) region: String,
    /// Where agents reach this node, e.g. `https://data-1:7081`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) advertise: String,
    /// The only tenant that it serves: a sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<TenantId>,
}

impl Control {
    /// Where the control nodes are.
    ///
    /// # Errors
    /// One is no address, in a sentence.
    pub(crate) fn addresses(&self) -> Result<Vec<ControlAddress>, String> {
        let parse = |address: &String| address.parse().map_err(|bad| format!("`{address}`: {bad}"));
        self.addresses.iter().map(parse).collect()
    }
}

/// Where calls are taken.
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
}

/// Certificates, as PEM files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The node's chain, the leaf first.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// If given, every client has to show a certificate of one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_authorities: Option<PathBuf>,
}

/// A key whose tokens count, when they name its issuer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    pub(crate) issuer: String,
    /// The public key, as a PEM file.
    pub(crate) key: PathBuf,
}

/// A tenant and its policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    pub(crate) name: TenantId,
    /// The policy folder.
    pub(crate) policies: PathBuf,
}

fn body_bytes_max() -> usize {
    caps::BODY_BYTES_MAX
}

fn calls_in_progress_max() -> usize {
    caps::CALLS_IN_PROGRESS_MAX
}

fn segment_minutes() -> u64 {
    caps::AUDIT_SEGMENT_SECONDS / 60
}

fn http_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7080))
}

fn grpc_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7081))
}

fn metrics_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7090))
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: http_default(), grpc: grpc_default(), metrics: metrics_default() }
    }
}

impl Config {
    /// What collectors know this node by.
    pub(crate) fn who(&self) -> Who {
        let control = self.control.as_ref();
        let cluster = control.and_then(|control| control.cluster.as_ref());
        Who {
            service: "aegis-data",
            node: self.node.to_string(),
            cluster: cluster.map(ClusterId::to_string).unwrap_or_default(),
            region: control.map(|control| control.region.clone()).unwrap_or_default(),
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`crate::ended::WrongUse`] with line and column for an unknown key, a wrong type or value, or one that contradicts another.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        config_file::read(path, Self::parse)
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
        match &mut self.audit_dir {
            Some(audit_dir) => at(audit_dir),
            none => *none = Some(self.data_dir.join(AUDIT_DIR)),
        }
        if let Some(store) = &mut self.audit.store {
            store.secret_files.values_mut().for_each(at);
        }
        self.audit.export.iter_mut().for_each(|export| export.anchor(folder));
        if let Some(tls) = &mut self.tls {
            at(&mut tls.certificate);
            at(&mut tls.key);
            tls.client_authorities.iter_mut().for_each(at);
        }
        if let Some(control) = &mut self.control {
            at(&mut control.authorities);
            at(&mut control.certificate);
            at(&mut control.key);
            control.peer_authorities.iter_mut().for_each(at);
        }
        if let Some(telemetry) = &mut self.telemetry {
            telemetry.anchor(folder);
        }
        self.trust.iter_mut().for_each(|trust| at(&mut trust.key));
        self.tenants.iter_mut().for_each(|tenant| at(&mut tenant.policies));
    }

    fn check(&self) -> Result<(), String> {
        if self.record_file.is_some() {
            return Err(
                "`record_file` is no more: decisions are recorded in the audit journal, whose folder `audit_dir` names; read it with `aegis audit tail`"
                    .to_owned(),
            );
        }
        let within = |key: &str, value: usize, most: usize| match value {
            value if (1..=most).contains(&value) => Ok(()),
            _ => Err(format!("`{key}` is {value}; it has to be from 1 to {most}")),
        };
        within("body_bytes_max", self.body_bytes_max, caps::BODY_BYTES_MAX)?;
        within("calls_in_progress_max", self.calls_in_progress_max, caps::CALLS_IN_PROGRESS_MAX)?;
        self.telemetry.as_ref().map_or(Ok(()), Settings::check)?;
        self.check_store()?;
        exports::check(&self.audit.export, self.audit_dir.as_deref())?;
        let (minutes, range) = (self.audit.segment_minutes, caps::AUDIT_SEGMENT_MINUTES);
        if !range.contains(&minutes) {
            let (least, most) = (range.start(), range.end());
            return Err(format!("`audit.segment_minutes` is {minutes}; it has to be from {least} to {most}"));
        }
        if let Some(control) = &self.control {
            return self.check_fed(control);
        }
        if self.trust.is_empty() {
            return Err(
                "no key is trusted, so no call could be answered: add a `[[trust]]`, or a `[control]`"
                    .to_owned(),
            );
        }
        if self.tenants.is_empty() {
            return Err(
                "there is no tenant, so no call could be answered: add a `[[tenants]]`, or a `[control]`"
                    .to_owned(),
            );
        }
        let mut names = HashSet::new();
        match self.tenants.iter().find(|tenant| !names.insert(&tenant.name)) {
            Some(tenant) => Err(format!("the tenant `{}` is there twice", tenant.name)),
            None => Ok(()),
        }
    }

    /// A copy in the journal's own folder would be no copy, and would be taken for logs.
    fn check_store(&self) -> Result<(), String> {
        let folder = self.audit.store.as_ref().and_then(|store| store.url.strip_prefix("file://"));
        match (folder, &self.audit_dir) {
            (Some(folder), Some(audit_dir)) if Path::new(folder).starts_with(audit_dir) => Err(format!(
                "`audit.store` lies in the journal's own folder `{}`: name another disk, or a bucket",
                audit_dir.display()
            )),
            _ => Ok(()),
        }
    }

    fn check_fed(&self, control: &Control) -> Result<(), String> {
        if !self.tenants.is_empty() {
            return Err(
                "policies come from `[control]` or from `[[tenants]]`, and both are there: take one of them out".to_owned(),
            );
        }
        if control.addresses.is_empty() {
            return Err("`control.addresses` names no control node".to_owned());
        }
        control.addresses().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "node = 'data-1'\ndata_dir = 'state'\n[[trust]]\nissuer = 'i'\nkey = 'i.pem'\n\
                         [[tenants]]\nname = 'acme'\npolicies = '/p'\n";

    const FED: &str = "[control]\naddresses = ['https://control-1:7071']\nauthorities = 'ca.pem'\n\
                       certificate = 'data-1.pem'\nkey = 'data-1-key.pem'\nregion = 'eu'\n";

    fn problem(text: &str) -> String {
        Config::parse(text, Path::new("/etc/aegis")).expect_err("a problem")
    }

    #[test]
    fn paths_begin_at_the_file_and_defaults_are_filled_in() {
        let config = Config::parse(WHOLE, Path::new("/etc/aegis")).unwrap();
        assert_eq!(config.data_dir, Path::new("/etc/aegis/state"));
        assert_eq!(config.audit_dir.as_deref(), Some(Path::new("/etc/aegis/state/audit")));
        assert_eq!(config.trust[0].key, Path::new("/etc/aegis/i.pem"));
        assert_eq!(config.tenants[0].policies, Path::new("/p"));
        assert_eq!(config.listen.metrics.port(), 7090);
        // What is shown can be read again, and means the same.
        let shown = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&shown, Path::new("/elsewhere")).unwrap(), config);
    }

    #[test]
    fn a_control_plane_stands_for_tenants_and_trust() {
        let text = format!("node = 'data-1'\ndata_dir = 's'\n{FED}");
        let config = Config::parse(&text, Path::new("/etc/aegis")).unwrap();
        let control = config.control.as_ref().unwrap();
        assert_eq!(
            (control.key.as_path(), control.region.as_str()),
            (Path::new("/etc/aegis/data-1-key.pem"), "eu")
        );
        let shown = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&shown, Path::new("/elsewhere")).unwrap(), config);
    }

    #[test]
    fn telemetry_is_read_with_its_defaults_and_shown() {
        let text = format!(
            "{WHOLE}[telemetry]\nendpoint = 'https://otel:4317'\nauthorities = 'otel.pem'\n\
                            header_files = {{ authorization = 'otel.token' }}\n"
        );
        let config = Config::parse(&text, Path::new("/etc/aegis")).unwrap();
        let telemetry = config.telemetry.as_ref().unwrap();
        assert_eq!(telemetry.authorities.as_deref(), Some(Path::new("/etc/aegis/otel.pem")));
        assert_eq!(telemetry.header_files["authorization"], Path::new("/etc/aegis/otel.token"));
        assert!(telemetry.traces && telemetry.metrics && telemetry.logs);
        let shown = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&shown, Path::new("/elsewhere")).unwrap(), config);
        assert!(problem(&text.replace("https", "http")).contains("in the clear"));
        assert!(problem(&text.replace("authorities", "authoritys")).contains("unknown field"));
    }

    #[test]
    fn a_store_for_audit_logs_is_read_and_shown() {
        let text = format!(
            "{WHOLE}[audit.store]\nurl = 's3://evidence/prod'\noptions = {{ aws_region = 'eu-1' }}\n\
             secret_files = {{ aws_secret_access_key = 's3.secret' }}\n"
        );
        let config = Config::parse(&text, Path::new("/etc/aegis")).unwrap();
        let store = config.audit.store.as_ref().unwrap();
        assert_eq!(store.secret_files["aws_secret_access_key"], Path::new("/etc/aegis/s3.secret"));
        let shown = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&shown, Path::new("/elsewhere")).unwrap(), config);
        assert!(problem(&text.replace("url", "urls")).contains("unknown field"));
        assert!(problem(&format!("{WHOLE}[audit]\nretention = 3\n")).contains("unknown field `retention`"));
        assert!(problem(&format!("{WHOLE}[audit]\nsegment_minutes = 0\n")).contains("from 1 to 10080"));
        let within = format!("{WHOLE}[audit.store]\nurl = 'file:///etc/aegis/state/audit/copy'\n");
        assert!(problem(&within).contains("the journal's own folder"));
    }

    #[test]
    fn exports_are_read_and_shown_and_what_is_wrong_with_them_is_refused() {
        let text = format!(
            "{WHOLE}[[audit.export]]\nname = 'siem'\nto = 'syslog+tls://siem.example.com:6514'\nformat = 'ocsf'\n\
             authorities = 'siem-ca.pem'\n[[audit.export]]\nname = 'files'\nto = 'file:///var/log/aegis'\nformat = 'cef'\n"
        );
        let config = Config::parse(&text, Path::new("/etc/aegis")).unwrap();
        let shown = toml::to_string(&config).unwrap();
        assert!(shown.contains("/etc/aegis/siem-ca.pem"), "{shown}");
        assert_eq!(Config::parse(&shown, Path::new("/elsewhere")).unwrap(), config);
        assert!(problem(&text.replace("'cef'", "'xml'")).contains("the export `files`: `xml`: a form is"));
        assert!(problem(&text.replace("/var/log", "/etc/aegis/state/audit")).contains("lie in each other"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let told = problem(&WHOLE.replace("data_dir", "datadir = 1\ndata_dir"));
        assert!(told.contains("line 2") && told.contains("unknown field `datadir`"), "{told}");
        let told = problem(&format!("{WHOLE}[listen]\nhtpp = '127.0.0.1:1'\n"));
        assert!(told.contains("line 10") && told.contains("unknown field `htpp`"), "{told}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(problem("node = 'x'\ndata_dir = 's'").contains("no key is trusted"));
        assert!(problem(&WHOLE[..WHOLE.find("[[tenants]]").unwrap()]).contains("no tenant"));
        let twice = format!("{WHOLE}[[tenants]]\nname = 'acme'\npolicies = '/q'\n");
        assert!(problem(&twice).contains("twice"));
        assert!(problem(&WHOLE.replace("'data-1'", "'Data 1'")).contains("node name"));
        let fed = format!("{WHOLE}{FED}");
        assert!(problem(&fed).contains("both are there"));
        let fed = format!("node = 'data-1'\ndata_dir = 's'\n{FED}");
        assert!(
            problem(&fed.replace("https://control-1:7071", "control-1"))
                .contains("a control node's address is")
        );
        assert!(problem(&fed.replace("'https://control-1:7071'", "")).contains("names no control node"));
        assert!(problem(&fed.replace("region", "regoin")).contains("unknown field `regoin`"));
        assert!(problem(&format!("record_file = 'x.jsonl'\n{WHOLE}")).contains("`audit_dir`"));
        assert!(problem(&format!("body_bytes_max = 0\n{WHOLE}")).contains("body_bytes_max"));
        assert!(problem(&format!("{WHOLE}[listen]\nhttp = 'localhost'\n")).contains("line 10"));
    }
}
