//! Who a data node is: what its certificate says, and nothing that it says itself.
//!
//! A data node's certificate carries two DNS names: `data.CLUSTER`, its role, and `NODE.data.CLUSTER`, itself. That of a
//! sidecar carries `sidecar.CLUSTER` and `NODE.TENANT.sidecar.CLUSTER` instead, where TENANT is the first 40 hexadecimal
//! digits of SHA-256 of the tenant's name, since not every such name can stand in a certificate. So the certificate of a
//! control node, of another cluster, or of a sidecar of another tenant is worth nothing here (TEN-1).

use aegis_model::ids::{ClusterId, TenantId};
use http::Extensions;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use tonic::Status;

use crate::raft::listen::Caller;

/// How data nodes prove who they are.
#[derive(Debug, Clone)]
pub enum Admission {
    /// By their certificates, which [`crate::raft::listen::serve`] has verified.
    Certificates(DataNames),
    /// By their word: for one process that is control and data node at once, and listens on loopback only.
    SameProcess,
}

/// The names in the certificates of a cluster's data nodes.
#[derive(Debug, Clone)]
pub struct DataNames {
    cluster: ClusterId,
}

impl DataNames {
    /// Those of `cluster`.
    pub fn new(cluster: &ClusterId) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// The names for the certificate of data node `node`; with `tenant`, of a sidecar.
    pub fn of(&self, node: &str, tenant: Option<&TenantId>) -> [String; 2] {
        let cluster = &self.cluster;
        match tenant {
            None => [format!("data.{cluster}"), format!("{node}.data.{cluster}")],
            Some(tenant) => {
                let label = tenant_label(tenant);
                [format!("sidecar.{cluster}"), format!("{node}.{label}.sidecar.{cluster}")]
            }
        }
    }

    fn proves(&self, certificate: &CertificateDer<'_>, node: &str, tenant: Option<&TenantId>) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        // A name with a dot would be somebody else's.
        !node.contains('.')
            && self
                .of(node, tenant)
                .iter()
                .all(|wanted| name(wanted).is_some_and(|wanted| verify_server_name(&parsed, &wanted).is_ok()))
    }
}

/// The first 40 hexadecimal digits of SHA-256: as long as a DNS label conveniently is, and nobody finds two tenants.
fn tenant_label(tenant: &TenantId) -> String {
    let hash: [u8; 32] = Sha256::digest(tenant.as_str()).into();
    hash[..20].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(text: &str) -> Option<ServerName<'static>> {
    // An upper-case letter would be equal in a certificate and different everywhere else.
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    ServerName::try_from(text.to_owned()).ok().filter(|name| lower && matches!(name, ServerName::DnsName(_)))
}

impl Admission {
    /// Lets in `node`, which wants `tenant` only, or everything.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a certificate, `PERMISSION_DENIED` with one that does not prove it.
    pub(crate) fn admit(
        &self,
        extensions: &Extensions,
        node: &str,
        tenant: Option<&TenantId>,
    ) -> Result<(), Status> {
        let names = match self {
            Self::SameProcess => return Ok(()),
            Self::Certificates(names) => names,
        };
        let caller = extensions.get::<Caller>();
        let certificate = caller.and_then(|caller| caller.certificate.as_deref()).ok_or_else(|| {
            Status::unauthenticated("a data node shows a certificate of the cluster's authority")
        })?;
        // Whoever may see every tenant may ask for one.
        let proven = names.proves(certificate, node, None)
            || tenant.is_some_and(|only| names.proves(certificate, node, Some(only)));
        match proven {
            true => Ok(()),
            false => Err(Status::permission_denied(format!(
                "the certificate does not carry {}",
                names.of(node, tenant).join(" and ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tonic::Code;

    use super::*;

    fn names() -> DataNames {
        DataNames::new(&"prod-eu".parse().unwrap())
    }

    fn certificate(names: impl IntoIterator<Item = String>) -> Extensions {
        let names: Vec<String> = names.into_iter().collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let mut extensions = Extensions::new();
        let certificate = Some(Arc::new(made.cert.der().clone()));
        extensions.insert(Caller { address: SocketAddr::from(([127, 0, 0, 1], 1)), certificate });
        extensions
    }

    fn admit(extensions: &Extensions, node: &str, tenant: Option<&str>) -> Option<Code> {
        let tenant: Option<TenantId> = tenant.map(|tenant| tenant.parse().unwrap());
        Admission::Certificates(names())
            .admit(extensions, node, tenant.as_ref())
            .err()
            .map(|status| status.code())
    }

    #[test]
    fn a_data_node_is_who_its_certificate_says() {
        let shown = certificate(names().of("data-1", None));
        assert_eq!(admit(&shown, "data-1", None), None);
        assert_eq!(admit(&shown, "data-1", Some("acme")), None, "who may see all may ask for one");
        assert_eq!(admit(&shown, "data-2", None), Some(Code::PermissionDenied));
        assert_eq!(admit(&Extensions::new(), "data-1", None), Some(Code::Unauthenticated));
    }

    #[test]
    fn a_sidecar_sees_its_tenant_only() {
        let shown = certificate(names().of("side-1", Some(&"acme/EU".parse().unwrap())));
        assert_eq!(admit(&shown, "side-1", Some("acme/EU")), None);
        for (node, tenant) in [("side-1", None), ("side-1", Some("acme/eu")), ("side-2", Some("acme/EU"))] {
            assert_eq!(admit(&shown, node, tenant), Some(Code::PermissionDenied), "{node} {tenant:?}");
        }
    }

    #[test]
    fn other_certificates_of_the_same_authority_prove_nothing() {
        let of_control = ["control.prod-eu".to_owned(), "data-1.control.prod-eu".to_owned()];
        let elsewhere = DataNames::new(&"prod-us".parse().unwrap()).of("data-1", None);
        let half = ["data-1.data.prod-eu".to_owned()];
        let wild = ["data.prod-eu".to_owned(), "*.data.prod-eu".to_owned()];
        for names in [of_control.to_vec(), elsewhere.to_vec(), half.to_vec()] {
            assert_eq!(
                admit(&certificate(names.clone()), "data-1", None),
                Some(Code::PermissionDenied),
                "{names:?}"
            );
        }
        // An operator who gives out a wildcard has decided so.
        assert_eq!(admit(&certificate(wild), "data-1", None), None);
        let dotted = ["data.prod-eu".to_owned(), "a.data-1.data.prod-eu".to_owned()];
        assert_eq!(admit(&certificate(dotted), "a.data-1", None), Some(Code::PermissionDenied));
    }
}
