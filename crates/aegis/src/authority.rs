//! A certificate authority for development, tests and local clusters: it vouches for nodes by their names.
//!
//! A control node's certificate is for `control.CLUSTER` and `NODE.control.CLUSTER`, a data node's for `data.CLUSTER` and
//! `NODE.data.CLUSTER`, a sidecar's for what names its tenant as well; all also for the hosts at which they are reached.
//! What a node may do follows from the first kind of name only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_controlplane::feed::DataNames;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{ClusterId, TenantId};
use aegis_model::secret::Secret;
use anyhow::{Context, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::state::{Readers, read_bounded, write_whole};

/// What a node is to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// It replicates the state.
    Control,
    /// It judges calls.
    Data,
    /// It judges the calls of one tenant.
    Sidecar(TenantId),
}

impl Role {
    /// In a word.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Sidecar(_) => "sidecar",
        }
    }

    /// The names that a node of this role proves itself by.
    fn names(&self, node: &str, cluster: &ClusterId) -> Vec<String> {
        let data = DataNames::new(cluster);
        match self {
            Self::Control => vec![format!("control.{cluster}"), format!("{node}.control.{cluster}")],
            Self::Data => data.of(node, None).to_vec(),
            Self::Sidecar(tenant) => data.of(node, Some(tenant)).to_vec(),
        }
    }
}

/// Whom a certificate is for.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The node's name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) role: Role,
    /// Names and addresses at which it is reached.
    pub(crate) hosts: Vec<String>,
}

/// A certificate with its key, as PEM.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The certificate.
    pub(crate) chain: String,
    /// Its private key.
    pub(crate) key: Secret<String>,
}

/// How far before now a certificate begins to count: clocks differ.
const BEFORE: Duration = Duration::from_secs(300);

/// How long the authority lives: longer than anything it vouches for.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// Larger than any PEM file here.
const PEM_BYTES_MAX: usize = 64 << 10;

/// Vouches for the nodes of one cluster.
pub(crate) struct Authority {
    cluster: ClusterId,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, as PEM.
    pem: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// The cluster's id cannot stand in a certificate.
    pub(crate) fn new(cluster: &ClusterId, now: UnixNanos) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("making a key")?;
        let params = authority_params(cluster, now);
        let pem = params.self_signed(&key).context("signing the authority's certificate")?.pem();
        Ok(Self { cluster: cluster.clone(), issuer: Issuer::new(params, key), pem })
    }

    /// The one that is kept in `folder`, made if there is none.
    ///
    /// # Errors
    /// It is another cluster's, damaged, or cannot be read or written.
    pub(crate) fn open(folder: &Path, cluster: &ClusterId, now: UnixNanos) -> anyhow::Result<Self> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        match (certificate.exists(), key.exists()) {
            (false, false) => {
                let authority = Self::new(cluster, now)?;
                let pem = Secret::new(authority.issuer.key().serialize_pem());
                write(&key, pem.expose(), Readers::Owner)?;
                write(&certificate, &authority.pem, Readers::All)?;
                write(&folder.join("ca-cluster"), &format!("{cluster}\n"), Readers::All)?;
                Ok(authority)
            }
            (true, true) => Self::read(folder, &certificate, &key, cluster, now),
            (true, false) => {
                bail!("`{}` is there without its key `{}`", certificate.display(), key.display())
            }
            (false, true) => {
                bail!("`{}` is there without its certificate `{}`", key.display(), certificate.display())
            }
        }
    }

    fn read(
        folder: &Path,
        certificate: &Path,
        key: &Path,
        cluster: &ClusterId,
        now: UnixNanos,
    ) -> anyhow::Result<Self> {
        let kept = read_text(&folder.join("ca-cluster"))?;
        ensure!(
            kept.trim() == cluster.as_str(),
            "the authority in `{}` vouches for the cluster `{}`, not for `{cluster}`",
            folder.display(),
            kept.trim()
        );
        let pem = read_text(certificate)?;
        let text = Secret::new(read_text(key)?);
        let key = KeyPair::from_pem(text.expose())
            .ok()
            .with_context(|| format!("`{}` holds no key", key.display()))?;
        // The subject is made from the cluster's id and the key is the same, so what is signed leads to the certificate.
        Ok(Self { cluster: cluster.clone(), issuer: Issuer::new(authority_params(cluster, now), key), pem })
    }

    /// Its certificate, as PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `subject` that counts from now on for `life`.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub(crate) fn issue(&self, subject: &Subject, life: Duration, now: UnixNanos) -> anyhow::Result<Issued> {
        let mut names = subject.role.names(&subject.name, &self.cluster);
        names.extend(subject.hosts.iter().cloned());
        names.dedup();
        let context = || format!("the certificate of `{}`", subject.name);
        let mut params = CertificateParams::new(names).with_context(context)?;
        params.distinguished_name = named(&subject.name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_life(&mut params, now, life);
        let key = KeyPair::generate().context("making a key")?;
        let chain = params.signed_by(&key, &self.issuer).with_context(context)?.pem();
        Ok(Issued { chain, key: Secret::new(key.serialize_pem()) })
    }
}

/// Where the certificate of a node, and its key, are kept in `folder`.
pub(crate) fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")))
}

impl Issued {
    /// Writes both files, the key first, each whole: whoever reloads on a change finds a key that fits.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let (chain, key) = files(folder, name);
        write(&key, self.key.expose(), Readers::Owner)?;
        write(&chain, &self.chain, Readers::All)
    }
}

fn authority_params(cluster: &ClusterId, now: UnixNanos) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Aegis development CA of {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, now, AUTHORITY_LIFE);
    params
}

fn set_life(params: &mut CertificateParams, now: UnixNanos, life: Duration) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.seconds());
    params.not_before = now - BEFORE;
    params.not_after = now + life;
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let bytes = read_bounded(path, PEM_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
    String::from_utf8(bytes).ok().with_context(|| format!("`{shown}` is not text"))
}

fn write(path: &Path, text: &str, readers: Readers) -> anyhow::Result<()> {
    write_whole(path, text.as_bytes(), readers).with_context(|| format!("writing `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use aegis_identity::tls::{IdentityPem, client_config, server_config};
    use aegis_model::clock::Clock;
    use rustls::pki_types::ServerName;

    use super::*;

    fn cluster() -> ClusterId {
        "test.example".parse().unwrap()
    }

    fn subject(name: &str, role: Role) -> Subject {
        Subject { name: name.to_owned(), role, hosts: vec!["localhost".to_owned(), "127.0.0.1".to_owned()] }
    }

    /// Whether a client that trusts `authorities` shakes hands with the owner of `issued` under `name`.
    fn shakes_hands(issued: &Issued, authorities: &str, name: &str) -> bool {
        let identity = IdentityPem { chain: issued.chain.as_bytes(), key: issued.key.expose().as_bytes() };
        let server = server_config(identity, Some(authorities.as_bytes()), &[]).unwrap();
        let client = client_config(authorities.as_bytes(), Some(identity), &[]).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        for _ in 0..4 {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            if server.process_new_packets().is_err() {
                return false;
            }
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            if client.process_new_packets().is_err() {
                return false;
            }
        }
        !client.is_handshaking() && !server.is_handshaking()
    }

    #[test]
    fn nodes_are_known_by_role_name_and_host_and_by_no_other() {
        let now = Clock::System.now();
        let authority = Authority::new(&cluster(), now).unwrap();
        let life = Duration::from_secs(3_600);
        let control = authority.issue(&subject("control-1", Role::Control), life, now).unwrap();
        for name in ["control.test.example", "control-1.control.test.example", "localhost", "127.0.0.1"] {
            assert!(shakes_hands(&control, authority.pem(), name), "{name}");
        }
        for name in ["data.test.example", "control-2.control.test.example", "elsewhere"] {
            assert!(!shakes_hands(&control, authority.pem(), name), "{name}");
        }
        let data = authority.issue(&subject("data-1", Role::Data), life, now).unwrap();
        assert!(shakes_hands(&data, authority.pem(), "data-1.data.test.example"));
        assert!(!shakes_hands(&data, authority.pem(), "control.test.example"));
        let other = Authority::new(&cluster(), now).unwrap();
        assert!(!shakes_hands(&control, other.pem(), "localhost"), "another authority");
        let over = UnixNanos::from_seconds(now.seconds() - 7_200);
        let expired = authority.issue(&subject("control-1", Role::Control), life, over).unwrap();
        assert!(!shakes_hands(&expired, authority.pem(), "localhost"), "its life is bounded");
    }

    #[test]
    fn a_kept_authority_goes_on_vouching_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let now = Clock::System.now();
        let first = Authority::open(folder.path(), &cluster(), now).unwrap();
        let mode = std::fs::metadata(folder.path().join("ca-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Authority::open(folder.path(), &cluster(), now).unwrap();
        let issued = again.issue(&subject("data-1", Role::Data), Duration::from_secs(60), now).unwrap();
        assert!(shakes_hands(&issued, first.pem(), "localhost"));

        let other = Authority::open(folder.path(), &"other".parse().unwrap(), now).map(drop);
        assert!(other.unwrap_err().to_string().contains("vouches for the cluster `test.example`"));
        std::fs::remove_file(folder.path().join("ca.pem")).unwrap();
        let half = Authority::open(folder.path(), &cluster(), now).map(drop);
        assert!(half.unwrap_err().to_string().contains("without its certificate"));
    }
}
