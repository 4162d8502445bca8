//! TLS settings: whole handshakes in memory, and errors that name the file without quoting it.

use std::io;
use std::sync::Arc;

use aegis_identity::tls::{IdentityPem, PemRole, TlsError, client_config, server_config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, ServerConfig, ServerConnection};

struct Pem {
    chain: String,
    key: String,
}

impl Pem {
    fn identity(&self) -> IdentityPem<'_> {
        IdentityPem { chain: self.chain.as_bytes(), key: self.key.as_bytes() }
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued_by(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Pem {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    Pem { chain: certificate.pem(), key: key.serialize_pem() }
}

/// Runs a handshake to its end; gives the version and the protocol that the server sees.
fn handshake(client: ClientConfig, server: ServerConfig) -> io::Result<(ProtocolVersion, Option<Vec<u8>>)> {
    let name = ServerName::try_from("aegis.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire)?;
        }
        server.read_tls(&mut wire.as_slice())?;
        server.process_new_packets().map_err(io::Error::other)?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire)?;
        }
        client.read_tls(&mut wire.as_slice())?;
        client.process_new_packets().map_err(io::Error::other)?;
    }
    Ok((server.protocol_version().unwrap(), server.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn client_and_server_agree_on_tls_1_3_and_the_first_common_protocol() {
    let authority = authority();
    let pem = issued_by(&authority, "aegis.test");
    let server = server_config(pem.identity(), None, &[b"h2", b"http/1.1"]).unwrap();
    let client = client_config(authority.pem().as_bytes(), None, &[b"http/1.1", b"h2"]).unwrap();
    let (version, protocol) = handshake(client, server).unwrap();
    assert_eq!((version, protocol.as_deref()), (ProtocolVersion::TLSv1_3, Some(&b"h2"[..])));
}

#[test]
fn a_client_of_tls_1_2_is_served() {
    let authority = authority();
    let pem = issued_by(&authority, "aegis.test");
    let server = server_config(pem.identity(), None, &[]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert_eq!(handshake(client, server).unwrap().0, ProtocolVersion::TLSv1_2);
}

#[test]
fn a_server_of_another_authority_or_name_is_refused() {
    let (ours, other) = (authority(), authority());
    let client = || client_config(ours.pem().as_bytes(), None, &[]).unwrap();
    let foreign = issued_by(&other, "aegis.test");
    handshake(client(), server_config(foreign.identity(), None, &[]).unwrap()).unwrap_err();
    let misnamed = issued_by(&ours, "evil.test");
    handshake(client(), server_config(misnamed.identity(), None, &[]).unwrap()).unwrap_err();
}

#[test]
fn with_client_authorities_only_their_clients_come_in() {
    let (ours, other) = (authority(), authority());
    let pem = issued_by(&ours, "aegis.test");
    let server = || server_config(pem.identity(), Some(ours.pem().as_bytes()), &[]).unwrap();
    let client = |identity: Option<&Pem>| {
        client_config(ours.pem().as_bytes(), identity.map(Pem::identity), &[]).unwrap()
    };
    handshake(client(Some(&issued_by(&ours, "node-1"))), server()).unwrap();
    handshake(client(Some(&issued_by(&other, "node-1"))), server()).unwrap_err();
    handshake(client(None), server()).unwrap_err();
}

#[test]
fn each_error_names_the_file_at_fault() {
    let authority = authority();
    let (pem, other) = (issued_by(&authority, "aegis.test"), issued_by(&authority, "other.test"));
    let root = authority.pem();
    let server = |chain: &str, key: &str, clients: Option<&str>| {
        let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
        server_config(identity, clients.map(str::as_bytes), &[]).unwrap_err()
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    use PemRole::{CertificateChain, ClientAuthorities, PrivateKey, ServerAuthorities};
    assert_eq!(server("", &pem.key, None), TlsError::Empty(CertificateChain));
    assert_eq!(server(&pem.key, &pem.key, None), TlsError::Empty(CertificateChain));
    assert_eq!(server(garbage, &pem.key, None), TlsError::Unusable(CertificateChain));
    assert_eq!(server(&pem.chain[..200], &pem.key, None), TlsError::NotPem(CertificateChain));
    assert_eq!(server(&pem.chain, "", None), TlsError::Empty(PrivateKey));
    assert_eq!(server(&pem.chain, &pem.chain, None), TlsError::Empty(PrivateKey));
    assert_eq!(server(&pem.chain, &pem.key[..60], None), TlsError::NotPem(PrivateKey));
    assert_eq!(server(&pem.chain, &other.key, None), TlsError::KeyMismatch);
    let odd_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(server(&pem.chain, odd_key, None), TlsError::Unusable(PrivateKey));
    assert_eq!(server(&pem.chain, &pem.key, Some("")), TlsError::Empty(ClientAuthorities));
    assert_eq!(server(&pem.chain, &pem.key, Some(garbage)), TlsError::Unusable(ClientAuthorities));
    let client = |roots: &str| client_config(roots.as_bytes(), None, &[]).unwrap_err();
    assert_eq!(client(""), TlsError::Empty(ServerAuthorities));
    assert_eq!(client(garbage), TlsError::Unusable(ServerAuthorities));
    assert_eq!(client(&root.repeat(1_025)), TlsError::TooMany(ServerAuthorities));
}

#[test]
fn no_error_quotes_the_key() {
    let pem = issued_by(&authority(), "aegis.test");
    let body = pem.key.lines().nth(1).unwrap();
    let damaged = [
        pem.key.replacen("-----END", "----END", 1),
        pem.key.replacen(body, &format!("{body}!"), 1),
        pem.key.replacen("BEGIN PRIVATE KEY-----", &format!("BEGIN {body}"), 1),
        pem.key.replacen(body, &body[..body.len() - 4], 1),
    ];
    for key in damaged {
        let identity = IdentityPem { chain: pem.chain.as_bytes(), key: key.as_bytes() };
        let error = server_config(identity, None, &[]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&body[..8]), "{shown}");
    }
}
