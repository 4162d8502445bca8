//! From a client's certificate to the workload that it names (X.509-SVID, SPIFFE).

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The SPIFFE id of a certificate that TLS has verified: its only URI among the subject alternative names. Nothing if it names another
/// number of them, or something else.
pub fn spiffe_id(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let mut names = parsed.valid_uri_names();
    let only = names.next()?;
    if names.next().is_some() || !only.starts_with("spiffe://") {
        return None;
    }
    Some(only.to_owned())
}
