//! A certificate authority for these tests.

use aegis_controlplane::raft::tls::{TlsIdentity, TlsPem};
use aegis_identity::tls::IdentityPem;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Vouches for nodes.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Chain and key of a certificate for these DNS names.
    pub(crate) fn issue(&self, names: &[String]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names.to_vec()).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Chain and key of the control node `name` of `cluster`.
    pub(crate) fn issue_node(&self, cluster: &str, name: &str) -> (String, String) {
        self.issue(&[format!("control.{cluster}"), format!("{name}.control.{cluster}")])
    }

    /// The identity of the control node `name` of `cluster`, which trusts this authority.
    pub(crate) fn identity(&self, cluster: &str, name: &str) -> TlsIdentity {
        identity(&self.issue_node(cluster, name), &self.pem())
    }
}

pub(crate) fn identity((chain, key): &(String, String), authorities: &str) -> TlsIdentity {
    TlsIdentity::new(pem(chain, key, authorities)).unwrap()
}

pub(crate) fn pem<'p>(chain: &'p str, key: &'p str, authorities: &'p str) -> TlsPem<'p> {
    TlsPem {
        identity: IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() },
        authorities: authorities.as_bytes(),
    }
}
