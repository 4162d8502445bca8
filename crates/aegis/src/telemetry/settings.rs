//! The table `[telemetry]` of a node's configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_dataplane::spans::Sampling;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::resource::Who;

/// Where telemetry goes, and what of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The collector, e.g. `https://otel.example.com:4317`.
    pub(crate) endpoint: String,
    #[serde(default)]
    pub(crate) protocol: Protocol,
    /// Whether there is a span per decision; data nodes only.
    #[serde(default = "yes")]
    pub(crate) traces: bool,
    #[serde(default = "yes")]
    pub(crate) metrics: bool,
    /// Whether lines of the log are exported, beside standard error.
    #[serde(default = "yes")]
    pub(crate) logs: bool,
    /// Which share of allowed decisions has a span, by trace. All others always have one.
    #[serde(default = "all")]
    pub(crate) sample_ratio: f64,
    /// Seconds between two pushes of metrics.
    #[serde(default = "metrics_seconds")]
    pub(crate) metrics_seconds: u64,
    /// Who vouches for the collector (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorities: Option<PathBuf>,
    /// Whether telemetry may leave this machine in the clear.
    #[serde(default)]
    pub(crate) plain: bool,
    /// Headers that each message carries, such as keys of a service: name, and the file that holds the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) header_files: BTreeMap<String, PathBuf>,
    /// What is told of this node beside its name and kind, e.g. `deployment.environment.name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// How messages travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// OTLP over gRPC; collectors listen at 4317
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP; collectors listen at 4318
    #[serde(rename = "http")]
    Http,
}

/// Most headers and attributes of one's own.
const ENTRIES_MAX: usize = 32;

fn yes() -> bool {
    true
}

fn all() -> f64 {
    1.0
}

fn metrics_seconds() -> u64 {
    15
}

impl Settings {
    /// Everything to a collector on this machine, as `aegis dev` does it.
    pub(crate) fn to(endpoint: &str, protocol: Protocol) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            protocol,
            traces: true,
            metrics: true,
            logs: true,
            sample_ratio: 1.0,
            metrics_seconds: 5,
            authorities: None,
            plain: false,
            header_files: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// Lets relative paths begin at `folder`.
    pub(crate) fn anchor(&mut self, folder: &Path) {
        let at = |path: &mut PathBuf| *path = folder.join(&*path);
        self.authorities.iter_mut().for_each(at);
        self.header_files.values_mut().for_each(at);
    }

    /// Whether it can be done.
    ///
    /// # Errors
    /// In a sentence, why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.reach().check()?;
        if Sampling::ratio(self.sample_ratio).is_none() {
            return Err(format!(
                "`telemetry.sample_ratio` is {}; it has to be from 0 to 1",
                self.sample_ratio
            ));
        }
        if !(1..=3_600).contains(&self.metrics_seconds) {
            let seconds = self.metrics_seconds;
            return Err(format!("`telemetry.metrics_seconds` is {seconds}; it has to be from 1 to 3600"));
        }
        if self.attributes.len() > ENTRIES_MAX {
            return Err(format!("`telemetry` has more than {ENTRIES_MAX} attributes"));
        }
        match self.attributes.keys().find(|name| Who::is_own(name)) {
            Some(name) => Err(format!("`telemetry.attributes`: the node says `{name}` itself")),
            None => Ok(()),
        }
    }

    /// How the collector is reached.
    pub(super) fn reach(&self) -> Reach<'_> {
        Reach {
            table: "telemetry.",
            key: "endpoint",
            prefix: "",
            endpoint: &self.endpoint,
            protocol: self.protocol,
            authorities: self.authorities.as_deref(),
            identity: None,
            plain: self.plain,
            header_files: &self.header_files,
        }
    }

    pub(super) fn sampling(&self) -> Sampling {
        Sampling::ratio(self.sample_ratio).unwrap_or(Sampling::ALL)
    }

    pub(super) fn metrics_every(&self) -> Duration {
        Duration::from_secs(self.metrics_seconds)
    }
}

/// A collector of OTLP, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach<'s> {
    /// The table of the configuration that names it, with a dot; may be empty.
    pub(crate) table: &'static str,
    /// The key that holds its address, and what stands before the address there.
    pub(crate) key: &'static str,
    pub(crate) prefix: &'static str,
    /// The address, e.g. `https://otel.example.com:4317`.
    pub(crate) endpoint: &'s str,
    pub(crate) protocol: Protocol,
    /// Who vouches for it (PEM).
    pub(crate) authorities: Option<&'s Path>,
    /// The certificate that is shown to it, and its private key (PEM).
    pub(crate) identity: Option<(&'s Path, &'s Path)>,
    /// Whether it may be told something in the clear.
    pub(crate) plain: bool,
    /// Headers that each message carries, and the files that hold their values.
    pub(crate) header_files: &'s BTreeMap<String, PathBuf>,
}

impl Reach<'_> {
    /// Whether it can be done.
    ///
    /// # Errors
    /// In a sentence, why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (table, key, shown) = (self.table, self.key, format!("{}{}", self.prefix, self.endpoint));
        let url = self.url()?;
        match url.scheme() {
            "https" if self.authorities.is_none() => Err(format!(
                "`{table}{key}` is reached with TLS: name who vouches for it in `{table}authorities`"
            )),
            "http" if self.identity.is_some() => {
                Err(format!("`{table}{key}` is `{shown}`: no certificate is shown to it; use `https`"))
            }
            "http" if !self.plain && !is_loopback(&url) => Err(format!(
                "`{table}{key}` is `{shown}`: names of tenants and agents would leave this machine in the clear; use `https`, or say `plain = true`"
            )),
            _ if self.header_files.len() > ENTRIES_MAX => {
                Err(format!("`{table}header_files` has more than {ENTRIES_MAX} headers"))
            }
            _ => Ok(()),
        }
    }

    /// Where the collector is: scheme, host and port; over HTTP, the path as well.
    pub(super) fn url(&self) -> Result<Url, String> {
        let bad = || {
            let Self { table, key, prefix, endpoint, .. } = self;
            // What stands before a host, or in a query, may be a password.
            let shown = endpoint.rsplit('@').next().and_then(|it| it.split('?').next()).unwrap_or_default();
            format!(
                "`{table}{key}` leads to `{shown}`; it has to be like `{prefix}https://otel.example.com:4317`"
            )
        };
        let url: Url = self.endpoint.parse().map_err(|_bad| bad())?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        match url.scheme() {
            "http" | "https" if plain && url.host().is_some() => Ok(url),
            _ => Err(bad()),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check().map(|()| settings)
    }

    #[test]
    fn an_endpoint_is_enough_and_everything_goes_there() {
        let settings = read("endpoint = 'http://127.0.0.1:4317'").unwrap();
        assert!(settings.traces && settings.metrics && settings.logs);
        assert_eq!((settings.protocol, settings.sampling()), (Protocol::Grpc, Sampling::ALL));
        assert_eq!(settings.metrics_every(), Duration::from_secs(15));
        assert!(read("endpoint = 'http://[::1]:4318'\nprotocol = 'http'\nsample_ratio = 0.1").is_ok());
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refused = |text: &str| read(text).expect_err("refused");
        assert!(refused("endpoint = 'otel:4317'").contains("has to be like"));
        assert!(refused("endpoint = 'http://otel:4317'").contains("in the clear"));
        assert!(read("endpoint = 'http://otel:4317'\nplain = true").is_ok());
        assert!(refused("endpoint = 'https://otel:4317'").contains("authorities"));
        assert!(refused("endpoint = 'http://user:secret@127.0.0.1:4317'").contains("has to be like"));
        let loopback = "endpoint = 'http://127.0.0.1:4317'\n";
        assert!(refused(&format!("{loopback}sample_ratio = 1.5")).contains("from 0 to 1"));
        assert!(refused(&format!("{loopback}sample_ratio = nan")).contains("from 0 to 1"));
        assert!(refused(&format!("{loopback}metrics_seconds = 0")).contains("from 1 to 3600"));
        assert!(refused(&format!("{loopback}protocol = 'thrift'")).contains("unknown variant"));
        assert!(refused(&format!("{loopback}header = 1")).contains("unknown field"));
        assert!(refused(&format!("{loopback}attributes = {{ 'service.name' = 'x' }}")).contains("itself"));
    }
}
