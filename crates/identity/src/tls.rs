//! TLS settings from PEM files: one stack (rustls), one provider (aws-lc-rs), TLS 1.2 and 1.3.

use std::fmt;
use std::sync::Arc;

use aegis_model::caps;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain, the leaf first, and its private key, both as the bytes of PEM files.
#[derive(Clone, Copy)]
pub struct IdentityPem<'p> {
    /// The chain, without the root.
    pub chain: &'p [u8],
    /// The private key of the leaf, unencrypted: PKCS#8, PKCS#1 or SEC1.
    pub key: &'p [u8],
}

/// Settings of a server that shows `identity` and speaks the protocols `alpn`, the preferred one first.
/// With `client_authorities` (PEM) every client has to show a certificate of one of them.
///
/// # Errors
/// [`TlsError`], which names the file at fault by its role and holds no key material.
pub fn server_config(
    identity: IdentityPem<'_>,
    client_authorities: Option<&[u8]>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    server(identity, client_authorities.map(|pem| (pem, Anonymous::Refused)), alpn)
}

/// Like [`server_config`], for a port that serves known and unknown clients: one that shows no certificate is let in,
/// and what it may do is the caller's matter; one that shows a certificate has to show one of `client_authorities`.
///
/// # Errors
/// [`TlsError`], as for [`server_config`].
pub fn server_config_for_all(
    identity: IdentityPem<'_>,
    client_authorities: &[u8],
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    server(identity, Some((client_authorities, Anonymous::Welcome)), alpn)
}

/// What becomes of a client without a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anonymous {
    Refused,
    Welcome,
}

fn server(
    identity: IdentityPem<'_>,
    clients: Option<(&[u8], Anonymous)>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((pem, anonymous)) => {
            let roots = Arc::new(authorities(pem, PemRole::ClientAuthorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let verifier = match anonymous {
                Anonymous::Refused => verifier,
                Anonymous::Welcome => verifier.allow_unauthenticated(),
            };
            let built =
                verifier.build().map_err(|_withheld| TlsError::Unusable(PemRole::ClientAuthorities))?;
            builder.with_client_cert_verifier(built)
        }
    };
    let (chain, key) = read_identity(identity)?;
    let mut config = builder.with_single_cert(chain, key).map_err(identity_error)?;
    config.alpn_protocols = owned(alpn);
    Ok(config)
}

/// Settings of a client that trusts exactly the authorities in `server_authorities` (PEM), and shows `identity`
/// to servers that ask for one.
///
/// # Errors
/// [`TlsError`], as for [`server_config`].
pub fn client_config(
    server_authorities: &[u8],
    identity: Option<IdentityPem<'_>>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?
        .with_root_certificates(authorities(server_authorities, PemRole::ServerAuthorities)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = read_identity(identity)?;
            builder.with_client_auth_cert(chain, key).map_err(identity_error)?
        }
    };
    config.alpn_protocols = owned(alpn);
    Ok(config)
}

/// The provider, passed explicitly: a default that two crates fight over would stop the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read_identity(
    identity: IdentityPem<'_>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(identity.chain, PemRole::CertificateChain)?;
    // The reader's own error may quote the line at which it stopped, so it goes no further.
    let key = PrivateKeyDer::from_pem_slice(identity.key).map_err(|withheld| match withheld {
        rustls_pki_types::pem::Error::NoItemsFound => TlsError::Empty(PemRole::PrivateKey),
        _ => TlsError::NotPem(PemRole::PrivateKey),
    })?;
    Ok((chain, key))
}

fn authorities(pem: &[u8], role: PemRole) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, role)? {
        roots.add(certificate).map_err(|_withheld| TlsError::Unusable(role))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], role: PemRole) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        found.push(certificate.map_err(|_withheld| TlsError::NotPem(role))?);
        if found.len() > caps::TLS_CERTIFICATES_MAX {
            return Err(TlsError::TooMany(role));
        }
    }
    if found.is_empty() { Err(TlsError::Empty(role)) } else { Ok(found) }
}

fn identity_error(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::KeyMismatch,
        rustls::Error::InvalidCertificate(_) => TlsError::Unusable(PemRole::CertificateChain),
        _ => TlsError::Unusable(PemRole::PrivateKey),
    }
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

/// What a PEM file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemRole {
    /// The certificates that we show.
    CertificateChain,
    /// The key of the first of them.
    PrivateKey,
    /// Who may vouch for clients.
    ClientAuthorities,
    /// Who may vouch for servers.
    ServerAuthorities,
}

impl fmt::Display for PemRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CertificateChain => "certificate chain",
            Self::PrivateKey => "private key",
            Self::ClientAuthorities => "client authorities",
            Self::ServerAuthorities => "server authorities",
        })
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The file holds nothing of what its role needs.
    #[error("the {0} file holds no PEM section for it")]
    Empty(PemRole),
    /// A PEM section is cut off or damaged.
    #[error("the {0} file is damaged PEM")]
    NotPem(PemRole),
    /// More than [`caps::TLS_CERTIFICATES_MAX`].
    #[error("the {0} file holds more than {max} certificates", max = caps::TLS_CERTIFICATES_MAX)]
    TooMany(PemRole),
    /// The content has a form or an algorithm that cannot be used.
    #[error("the {0} file has content that TLS cannot use")]
    Unusable(PemRole),
    /// The key is another's.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
    /// The cryptographic provider lacks what TLS 1.2 and 1.3 need.
    #[error("the cryptographic provider cannot serve TLS: {0}")]
    Provider(rustls::Error),
}
