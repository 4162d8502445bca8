//! Who a control node is to the others: its certificate, the authorities it trusts, both exchangeable while it runs.
//!
//! A control node's certificate carries two DNS names: `control.CLUSTER`, its role, and `NODE.control.CLUSTER`, itself.
//! Whoever connects checks the second one against the name that it wants to reach, wherever the address points; whoever
//! is connected to checks it against the name that each message gives. So the certificate of a data node, or of another
//! cluster under the same authority, is worth nothing here.

use std::sync::Arc;

use aegis_identity::tls::{IdentityPem, TlsError, client_config, server_config_for_all};
use aegis_model::ids::ClusterId;
use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;

/// The certificate of a control node and the authorities of its peers, as the bytes of PEM files.
#[derive(Clone, Copy)]
pub struct TlsPem<'p> {
    /// The chain and its key: shown to those who connect, and to those who are connected to.
    pub identity: IdentityPem<'p>,
    /// Who may vouch for other nodes.
    pub authorities: &'p [u8],
}

/// A control node's side of mutual TLS. Cheap to clone; all clones change together.
#[derive(Clone)]
pub struct TlsIdentity {
    current: Arc<ArcSwap<Settings>>,
    changes: Arc<watch::Sender<u64>>,
}

struct Settings {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

const HTTP2: &[&[u8]] = &[b"h2"];

impl TlsIdentity {
    /// From PEM files.
    ///
    /// # Errors
    /// [`TlsError`], which names the file at fault by its role.
    pub fn new(pem: TlsPem<'_>) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(Settings::read(pem)?));
        Ok(Self { current, changes: Arc::new(watch::Sender::new(0)) })
    }

    /// Exchanges certificate and authorities: new handshakes use them at once, our own connections to peers are made
    /// anew, and theirs to us end within [`aegis_model::caps::CONTROL_CONNECTION_SECONDS_MAX`].
    ///
    /// # Errors
    /// [`TlsError`]; what was in force stays in force.
    pub fn replace(&self, pem: TlsPem<'_>) -> Result<(), TlsError> {
        self.current.store(Arc::new(Settings::read(pem)?));
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// How those are served who connect now.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    /// How others are connected to now.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().client)
    }

    /// How often it was exchanged.
    pub(super) fn generation(&self) -> u64 {
        *self.changes.borrow()
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsIdentity").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

impl Settings {
    fn read(pem: TlsPem<'_>) -> Result<Self, TlsError> {
        // The port also serves people and data nodes, who may come without a certificate; `service` asks for one.
        let server = server_config_for_all(pem.identity, pem.authorities, HTTP2)?;
        let client = client_config(pem.authorities, Some(pem.identity), HTTP2)?;
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

/// The names in the certificates of a cluster's control nodes.
#[derive(Debug, Clone)]
pub struct ControlNames {
    role: ServerName<'static>,
    cluster: ClusterId,
}

/// A name that cannot stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no DNS name: a cluster with several control nodes, and each of them, is called by lower-case letters, \
     digits and `-`, the cluster also with `.`"
)]
pub struct BadControlName(String);

impl ControlNames {
    /// Those of `cluster`.
    ///
    /// # Errors
    /// [`BadControlName`]: the cluster's id is no DNS name.
    pub fn new(cluster: &ClusterId) -> Result<Self, BadControlName> {
        let role = dns_name(format!("control.{cluster}"), cluster.as_str())?;
        Ok(Self { role, cluster: cluster.clone() })
    }

    /// The name of one node.
    ///
    /// # Errors
    /// [`BadControlName`]: the node's name is no label of a DNS name.
    pub fn node(&self, node: &str) -> Result<ServerName<'static>, BadControlName> {
        if node.contains('.') {
            return Err(BadControlName(node.to_owned()));
        }
        dns_name(format!("{node}.control.{}", self.cluster), node)
    }

    /// Whether `certificate`, whose chain was verified, is that of the control node called `node`.
    pub(super) fn proves(&self, certificate: &CertificateDer<'_>, node: &str) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        let Ok(name) = self.node(node) else { return false };
        verify_server_name(&parsed, &self.role).is_ok() && verify_server_name(&parsed, &name).is_ok()
    }
}

fn dns_name(name: String, given: &str) -> Result<ServerName<'static>, BadControlName> {
    let bad = || BadControlName(given.to_owned());
    // An upper-case letter would be equal in a certificate and different everywhere else.
    let plain =
        name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'-' | b'.'));
    match ServerName::try_from(name).map_err(|_unnamed| bad())? {
        name @ ServerName::DnsName(_) if plain => Ok(name),
        _ => Err(bad()),
    }
}
