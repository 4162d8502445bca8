//! Mutual TLS: who may follow which tenant (TEN-1), and whom a data node follows.

use std::net::SocketAddr;

use aegis_controlplane::feed::{Admission, DataNames};
use aegis_controlplane::raft::listen::serve;
use aegis_controlplane::raft::tls::{TlsIdentity, TlsPem};
use aegis_controlplane::testing::World;
use aegis_dataplane::feed::FeedTls;
use aegis_identity::tls::{IdentityPem, client_config};
use aegis_model::ids::TenantId;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::support::{DataNode, feed_config, feed_node, soon, tenant};

/// An authority, and the certificates that it gives out.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn identity(&self, names: &[String]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.to_vec()).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A control node with a certificate for `names`.
async fn control(
    world: &World,
    authority: &Authority,
    names: &[String],
    tasks: &mut JoinSet<()>,
) -> SocketAddr {
    let data = DataNames::new(&World::cluster_id());
    let feed = feed_node(world, Admission::Certificates(data));
    let (chain, key) = authority.identity(names);
    let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
    let tls = TlsIdentity::new(TlsPem { identity, authorities: authority.pem.as_bytes() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Routes::new(feed.service());
    tasks.spawn(async move { serve(listener, tls, routes, CancellationToken::new()).await.unwrap() });
    tasks.spawn(async move { feed.run(CancellationToken::new()).await.unwrap() });
    address
}

fn control_names() -> Vec<String> {
    vec!["control.test-cluster".to_owned(), "control-1.control.test-cluster".to_owned()]
}

/// A data node that shows `names`, with the certificates of `authority`; it serves one tenant only if `tenant` is given.
async fn data(
    world: &World,
    folder: &std::path::Path,
    authority: &Authority,
    names: &[String],
    tenant: Option<&TenantId>,
    control: SocketAddr,
) -> DataNode {
    let mut config = feed_config(folder, "data-1", 11, &[control]);
    config.controls = vec![format!("https://{control}").parse().unwrap()];
    let (chain, key) = authority.identity(names);
    let identity = IdentityPem { chain: chain.as_bytes(), key: key.as_bytes() };
    config.tls = Some(FeedTls::new(client_config(authority.pem.as_bytes(), Some(identity), &[]).unwrap()));
    config.cluster = Some(World::cluster_id());
    config.tenant = tenant.cloned();
    DataNode::start_with(world, folder, config).await
}

#[tokio::test]
async fn who_shows_the_right_certificate_follows() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    world.activate(&acme, 1);
    let (authority, mut tasks) = (Authority::new(), JoinSet::new());
    let address = control(&world, &authority, &control_names(), &mut tasks).await;
    let names = DataNames::new(&World::cluster_id());
    for only in [None, Some(&acme)] {
        let folder = tempfile::tempdir().unwrap();
        let shown = names.of("data-1", only);
        let node = data(&world, folder.path(), &authority, &shown, only, address).await;
        node.ready().await;
        assert_eq!(node.judged_by(&acme, "finance-agent").await, 1, "the bundle was fetched as well");
    }
}

#[tokio::test]
async fn who_does_not_is_told_nothing() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    world.activate(&acme, 1);
    let (authority, stranger, mut tasks) = (Authority::new(), Authority::new(), JoinSet::new());
    let address = control(&world, &authority, &control_names(), &mut tasks).await;
    let names = DataNames::new(&World::cluster_id());
    let pretender = control(&world, &authority, &names.of("data-9", None), &mut tasks).await;
    let right = names.of("data-1", None);
    let other: TenantId = "other".parse().unwrap();
    let cases = [
        ("another node", &authority, names.of("data-2", None).to_vec(), None::<&TenantId>, address),
        (
            "another tenant's sidecar",
            &authority,
            names.of("data-1", Some(&other)).to_vec(),
            Some(&acme),
            address,
        ),
        (
            "a sidecar that wants everything",
            &authority,
            names.of("data-1", Some(&acme)).to_vec(),
            None,
            address,
        ),
        ("another authority", &stranger, right.to_vec(), None, address),
        ("a data node that plays control node", &authority, right.to_vec(), None, pretender),
    ];
    let mut nodes = Vec::new();
    for (what, authority, shown, only, address) in cases {
        let folder = tempfile::tempdir().unwrap();
        let node = data(&world, folder.path(), authority, &shown, only, address).await;
        nodes.push((what, node, folder));
    }
    // A node with the right certificate, after all of them: it is ready, they are not.
    let folder = tempfile::tempdir().unwrap();
    let node = data(&world, folder.path(), &authority, &right, None, address).await;
    soon("readiness", node.ready()).await;
    for (what, node, _folder) in &nodes {
        assert!(!node.node.is_ready(), "{what}");
        assert_eq!(
            node.ask(&node.token(&acme, "finance-agent"), 1).await.unwrap_err(),
            "PolicyUnavailable",
            "{what}"
        );
    }
}
