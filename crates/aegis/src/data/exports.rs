//! `[[audit.export]]`: where events of a node's records go, as it stands in the configuration, and as the node takes it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::siem::Format;
use aegis_controlplane::store::{OpenStore, StoreConfig};
use aegis_dataplane::archive::Archive;
use aegis_dataplane::export::{Collector, Export, ExportName, Files, Store, To};
use aegis_identity::tls::{IdentityPem, client_config};
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_model::secret::Secret;
use anyhow::Context;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use crate::ended::WrongUse;
use crate::state::read_bounded;
use crate::telemetry::{Protocol, Reach, Who, events};

/// Larger than any PEM file.
const PEM_BYTES_MAX: usize = 4 << 20;

/// Who is sent events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportTo {
    /// Its name: how far it is, is kept under it.
    pub(crate) name: String,
    /// Where it is: `syslog+tls://HOST:PORT`, `otlp+https://HOST:PORT`, `file:///FOLDER`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`.
    pub(crate) to: String,
    /// The form of events: `ocsf`, `cef`, `ecs` or `json-lines`.
    pub(crate) format: String,
    /// The only tenant whose records are sent. Nothing: all records of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<TenantId>,
    /// Who vouches for the collector (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorities: Option<PathBuf>,
    /// The certificate that this node shows, the leaf first (PEM). Nothing: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    /// Its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    /// The name that the collector's certificate has to be for. Nothing: its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    /// How OTLP travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// Whether events may leave this machine in the clear.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    plain: bool,
    /// Headers that each message of OTLP carries: name, and the file that holds the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    header_files: BTreeMap<String, PathBuf>,
    /// Bytes after which another file begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_bytes_max: Option<u64>,
    /// Seconds for which events are gathered for an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gather_seconds: Option<u64>,
    /// Settings of the object store. No secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    /// Secret settings of the object store: the files that hold them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secret_files: BTreeMap<String, PathBuf>,
}

/// What an address leads to.
enum Target {
    Syslog { host: String, port: u16 },
    Otlp,
    Folder(PathBuf),
    Store,
}

impl Target {
    /// The keys that it knows beside those that all have.
    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Syslog { .. } => &["authorities", "certificate", "key", "server_name"],
            Self::Otlp => &["authorities", "certificate", "key", "protocol", "plain", "header_files"],
            Self::Folder(_) => &["file_bytes_max"],
            Self::Store => &["gather_seconds", "options", "secret_files"],
        }
    }
}

/// Whether each can be done, and all of them beside each other and beside the journal in `audit_dir`.
///
/// # Errors
/// In a sentence, why not.
pub(crate) fn check(all: &[ExportTo], audit_dir: Option<&Path>) -> Result<(), String> {
    if all.len() > caps::EXPORTS_MAX {
        return Err(format!("there are more than {} `[[audit.export]]`", caps::EXPORTS_MAX));
    }
    let (mut names, mut folders) = (HashSet::new(), Vec::<(&str, PathBuf)>::new());
    let mut places = HashSet::new();
    for export in all {
        export.check()?;
        if !names.insert(&export.name) {
            return Err(format!("the export `{}` is there twice", export.name));
        }
        let at = |what: String| Err(format!("the export `{}`: {what}", export.name));
        let of = match export.target()? {
            Target::Folder(folder) => {
                if audit_dir
                    .is_some_and(|journal| folder.starts_with(journal) || journal.starts_with(&folder))
                {
                    return at(format!("`{}` and the audit journal lie in each other", folder.display()));
                }
                let overlaps =
                    |(_, other): &&(&str, PathBuf)| folder.starts_with(other) || other.starts_with(&folder);
                if let Some((other, _)) = folders.iter().find(overlaps) {
                    return at(format!(
                        "`{}` and the folder of the export `{other}` lie in each other",
                        folder.display()
                    ));
                }
                folders.push((&export.name, folder));
                continue;
            }
            // Objects of two would have the same names.
            Target::Store => None,
            Target::Syslog { .. } | Target::Otlp => Some((&export.tenant, &export.format)),
        };
        if !places.insert((export.to.trim_end_matches('/'), of)) {
            return at(format!("`{}` gets the same from another export already", export.to));
        }
    }
    Ok(())
}

impl ExportTo {
    /// Lets relative paths begin at `folder`.
    pub(crate) fn anchor(&mut self, folder: &Path) {
        let paths = self.authorities.iter_mut().chain(&mut self.certificate).chain(&mut self.key);
        let paths = paths.chain(self.header_files.values_mut()).chain(self.secret_files.values_mut());
        paths.for_each(|path| *path = folder.join(&*path));
    }

    fn target(&self) -> Result<Target, String> {
        let bad = || {
            format!(
                "`{}` is not `syslog+tls://HOST:PORT`, `otlp+https://HOST:PORT`, `file:///FOLDER`, `s3://BUCKET/PREFIX` or \
                 `gs://BUCKET/PREFIX`",
                self.to
            )
        };
        match self.to.split_once("://").ok_or_else(bad)? {
            ("syslog+tls", place) => address(place).ok_or_else(bad),
            ("otlp+https" | "otlp+http", _) => Ok(Target::Otlp),
            ("file", folder) if Path::new(folder).is_absolute() => Ok(Target::Folder(PathBuf::from(folder))),
            ("s3" | "gs", place) if !place.is_empty() => Ok(Target::Store),
            _ => Err(bad()),
        }
    }

    /// The keys that are there, of those that not all know.
    fn keys(&self) -> Vec<&'static str> {
        let given = [
            ("authorities", self.authorities.is_some()),
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("server_name", self.server_name.is_some()),
            ("protocol", self.protocol.is_some()),
            ("plain", self.plain),
            ("header_files", !self.header_files.is_empty()),
            ("file_bytes_max", self.file_bytes_max.is_some()),
            ("gather_seconds", self.gather_seconds.is_some()),
            ("options", !self.options.is_empty()),
            ("secret_files", !self.secret_files.is_empty()),
        ];
        given.into_iter().filter_map(|(key, given)| given.then_some(key)).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.name.parse::<ExportName>().map_err(|bad| format!("`{}`: {bad}", self.name))?;
        self.check_rest().map_err(|what| format!("the export `{}`: {what}", self.name))
    }

    fn check_rest(&self) -> Result<(), String> {
        let target = self.target()?;
        self.format.parse::<Format>().map_err(|bad| format!("`{}`: {bad}", self.format))?;
        if let Some(key) = self.keys().into_iter().find(|key| !target.keys().contains(key)) {
            let known = target.keys().iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            return Err(format!("`{key}` means nothing for `{}`; it takes {known}", self.to));
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err("`certificate` and `key` belong together, and one of them is missing".to_owned());
        }
        match target {
            Target::Syslog { host, .. } => {
                if self.authorities.is_none() {
                    return Err("`authorities` is missing: name who vouches for the collector".to_owned());
                }
                self.server_name(&host).map(drop)
            }
            Target::Otlp => self.reach().check(),
            Target::Folder(_) => self.file_bytes_max().map(drop),
            Target::Store => self.gather().map(drop),
        }
    }

    /// The name that the collector's certificate has to be for.
    fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        let name = self.server_name.clone().unwrap_or_else(|| host.to_owned());
        ServerName::try_from(name.clone())
            .map_err(|_uninformative| format!("`{name}` is not the name of a server"))
    }

    fn reach(&self) -> Reach<'_> {
        Reach {
            table: "",
            key: "to",
            prefix: "otlp+",
            endpoint: self.to.strip_prefix("otlp+").unwrap_or_default(),
            protocol: self.protocol.unwrap_or_default(),
            authorities: self.authorities.as_deref(),
            identity: self.certificate.as_deref().zip(self.key.as_deref()),
            plain: self.plain,
            header_files: &self.header_files,
        }
    }

    fn file_bytes_max(&self) -> Result<u64, String> {
        let (bytes, range) =
            (self.file_bytes_max.unwrap_or(caps::EXPORT_FILE_BYTES), caps::EXPORT_FILE_BYTES_RANGE);
        within("file_bytes_max", bytes, &range)
    }

    fn gather(&self) -> Result<Duration, String> {
        let (seconds, range) =
            (self.gather_seconds.unwrap_or(caps::EXPORT_OBJECT_SECONDS), caps::EXPORT_OBJECT_SECONDS_RANGE);
        within("gather_seconds", seconds, &range).map(Duration::from_secs)
    }

    /// The export as the node takes it. Whoever takes the events may be down; only what can be read off its settings and files is
    /// refused.
    ///
    /// # Errors
    /// The settings, or a file.
    pub(crate) fn open(&self, who: &Who) -> anyhow::Result<Export> {
        let opened = self.open_target(who).with_context(|| format!("the export `{}`", self.name))?;
        Ok(Export {
            name: self.name.parse()?,
            format: self.format.parse()?,
            tenant: self.tenant.clone(),
            to: opened,
        })
    }

    fn open_target(&self, who: &Who) -> anyhow::Result<To> {
        Ok(match self.target().map_err(WrongUse)? {
            Target::Syslog { host, port } => To::Syslog(self.collector(host, port)?),
            Target::Otlp => To::Otlp(events::collector(&self.to, &self.reach(), who)?),
            Target::Folder(folder) => {
                To::Files(Files { folder, bytes_max: self.file_bytes_max().map_err(WrongUse)? })
            }
            Target::Store => {
                let store = StoreConfig {
                    url: self.to.clone(),
                    options: self.options.clone(),
                    secret_files: self.secret_files.clone(),
                };
                let OpenStore { store: opened, prefix, hidden } =
                    store.open_store(Duration::from_secs(caps::ARCHIVE_CALL_SECONDS))?;
                let archive = Archive::new(opened, prefix, store.url.clone(), &store.identity(), hidden);
                To::Store(Store { archive, every: self.gather().map_err(WrongUse)? })
            }
        })
    }

    fn collector(&self, host: String, port: u16) -> anyhow::Result<Collector> {
        let read = |path: &Path| {
            read_bounded(path, PEM_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))
        };
        let authorities = self.authorities.as_deref().map(read).transpose()?.unwrap_or_default();
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key).map(Secret::new)?)),
            _ => None,
        };
        let pem = identity.as_ref().map(|(chain, key)| IdentityPem { chain, key: key.expose() });
        let mut tls = client_config(&authorities, pem, &[])?;
        // Collectors over OpenSSL refuse a resumed session of a client that shows a certificate, unless they were told a context.
        tls.resumption = Resumption::disabled();
        let server_name = self.server_name(&host).map_err(WrongUse)?;
        Ok(Collector { host, port, server_name, tls: Arc::new(tls) })
    }
}

/// Host and port.
fn address(place: &str) -> Option<Target> {
    let (host, port) = place.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte);
    let fits = !host.is_empty() && host.bytes().all(known);
    fits.then(|| Target::Syslog { host: host.to_owned(), port })
}

fn within(key: &str, value: u64, range: &std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(format!("`{key}` is {value}; it has to be from {} to {}", range.start(), range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ExportTo>, String> {
        #[derive(Deserialize)]
        struct All {
            export: Vec<ExportTo>,
        }
        let mut all: All = toml::from_str(text).map_err(|error| error.to_string())?;
        all.export.iter_mut().for_each(|export| export.anchor(Path::new("/etc/aegis")));
        check(&all.export, Some(Path::new("/var/lib/aegis/audit"))).map(|()| all.export)
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let told = read(text).expect_err(text);
        assert!(told.contains(expected), "{told}");
    }

    const SYSLOG: &str = "[[export]]\nname = 'siem'\nto = 'syslog+tls://siem.example.com:6514'\nformat = 'ocsf'\n\
                          authorities = 'siem-ca.pem'\ncertificate = 'c.pem'\nkey = 'k.pem'\ntenant = 'acme'\n";
    const OTLP: &str = "[[export]]\nname = 'otel'\nto = 'otlp+https://otel.example.com:4318/in'\nformat = 'ecs'\n\
                        protocol = 'http'\nauthorities = 'otel-ca.pem'\nheader_files = { authorization = 'token' }\n";
    const FILES: &str = "[[export]]\nname = 'files'\nto = 'file:///var/log/aegis'\nformat = 'cef'\nfile_bytes_max = 1048576\n";
    const STORE: &str = "[[export]]\nname = 'lake'\nto = 's3://lake/aegis'\nformat = 'json-lines'\ngather_seconds = 30\n\
                         options = { aws_region = 'eu-central-1' }\nsecret_files = { aws_secret_access_key = 's3.secret' }\n";

    #[test]
    fn each_kind_is_read_and_shown() {
        let all = read(&format!("{SYSLOG}{OTLP}{FILES}{STORE}")).unwrap();
        let [syslog, otlp, files, store] = &all[..] else { panic!("{all:?}") };
        assert!(
            matches!(syslog.target(), Ok(Target::Syslog { host, port: 6514 }) if host == "siem.example.com")
        );
        assert_eq!(syslog.authorities.as_deref(), Some(Path::new("/etc/aegis/siem-ca.pem")));
        assert_eq!(syslog.key.as_deref(), Some(Path::new("/etc/aegis/k.pem")));
        assert_eq!(otlp.reach().endpoint, "https://otel.example.com:4318/in");
        assert_eq!(otlp.header_files["authorization"], Path::new("/etc/aegis/token"));
        assert_eq!(files.file_bytes_max(), Ok(1 << 20));
        assert_eq!(store.gather(), Ok(Duration::from_secs(30)));
        assert_eq!(store.secret_files["aws_secret_access_key"], Path::new("/etc/aegis/s3.secret"));
    }

    /// What people copy works.
    #[test]
    fn the_documented_exports_are_taken() {
        let page = include_str!("../../../../docs/operations.md");
        let blocks = page.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
        let blocks: Vec<String> = blocks
            .filter(|block| block.starts_with("[[audit.export]]"))
            .map(|block| block.replace("audit.export", "export"))
            .collect();
        let [block] = &blocks[..] else { panic!("one block of exports") };
        let kinds: Vec<String> = read(block).unwrap().into_iter().map(|export| export.name).collect();
        assert_eq!(kinds, ["siem", "otel", "files", "lake"]);
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_would_be_right() {
        for (from, to, told) in [
            ("'siem'", "'Siem'", "the name of an export has"),
            ("syslog+tls", "syslog", "is not `syslog+tls://HOST:PORT`"),
            (":6514", "", "is not `syslog+tls://HOST:PORT`"),
            (":6514", ":0", "is not `syslog+tls://HOST:PORT`"),
            ("siem.example.com", "user@siem", "is not `syslog+tls://HOST:PORT`"),
            ("'ocsf'", "'xml'", "a form is `ocsf`"),
            ("key = 'k.pem'\n", "", "belong together"),
            ("authorities", "authority", "unknown field `authority`"),
            ("authorities = 'siem-ca.pem'\n", "", "`authorities` is missing"),
            ("tenant = 'acme'", "server_name = 'a b'", "is not the name of a server"),
            ("tenant = 'acme'", "plain = true", "`plain` means nothing for `syslog+tls://siem"),
        ] {
            refused(&SYSLOG.replace(from, to), told);
        }
        for (from, to, told) in [
            ("otlp+https", "otlp", "is not `syslog+tls://HOST:PORT`, `otlp+https://HOST:PORT`"),
            ("otlp+https", "otlp+http", "would leave this machine in the clear"),
            ("otel.example.com", "user:secret@otel", "has to be like `otlp+https://"),
            ("authorities = 'otel-ca.pem'\n", "", "name who vouches for it in `authorities`"),
            ("protocol = 'http'", "protocol = 'thrift'", "unknown variant `thrift`"),
            ("protocol = 'http'", "server_name = 'x'", "`server_name` means nothing"),
        ] {
            refused(&OTLP.replace(from, to), told);
        }
        for (from, to, told) in [
            ("/var/log/aegis", "log/aegis", "is not `syslog+tls://HOST:PORT`"),
            ("/var/log/aegis", "/var/lib/aegis/audit/events", "lie in each other"),
            ("/var/log/aegis", "/var/lib", "lie in each other"),
            ("1048576", "100", "`file_bytes_max` is 100; it has to be from 4096 to"),
            ("file_bytes_max = 1048576", "options = { a = 'b' }", "it takes `file_bytes_max`"),
        ] {
            refused(&FILES.replace(from, to), told);
        }
        for (from, to, told) in [
            ("s3://lake/aegis", "s3://", "`s3://BUCKET/PREFIX`"),
            ("s3://", "ftp://", "`gs://BUCKET/PREFIX`"),
            ("= 30", "= 241", "it has to be from 1 to 240"),
            ("gather_seconds = 30", "authorities = 'x'", "`authorities` means nothing"),
        ] {
            refused(&STORE.replace(from, to), told);
        }
    }

    #[test]
    fn nobody_is_told_everything_twice() {
        refused(&format!("{SYSLOG}{SYSLOG}"), "the export `siem` is there twice");
        for text in [SYSLOG, OTLP, STORE] {
            let name = text.lines().nth(1).unwrap();
            let again = text.replace(name, "name = 'again'");
            refused(&format!("{text}{again}"), "gets the same from another export already");
        }
        let again = FILES.replace("'files'", "'again'");
        refused(&format!("{FILES}{again}"), "the folder of the export `files`");
        refused(
            &format!("{FILES}{}", again.replace("/aegis", "/aegis/in")),
            "the folder of the export `files`",
        );
        // Another tenant at the same collector is another export.
        let other = SYSLOG.replace("'siem'", "'again'").replace("'acme'", "'beta'");
        assert_eq!(read(&format!("{SYSLOG}{other}")).unwrap().len(), 2);
        let many: String = (0..9).map(|number| FILES.replace("files'", &format!("f{number}'"))).collect();
        refused(&many, "there are more than 8");
    }
}
