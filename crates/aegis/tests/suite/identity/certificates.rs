//! A token by the certificate of the connection: the SPIFFE id in it is the agent's, or there is none.

use std::fs;

use aegis_identity::tls::{IdentityPem, client_config};
use aegis_testkit::eventually;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use reqwest::Client;
use serde_json::Value;

use super::furnished;
use crate::nodes::Cluster;
use crate::support::LONG;
use crate::trials::runtime;

/// An authority of clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A client that shows a certificate with these URIs.
    fn client(&self, cluster: &Cluster, ids: &[&str]) -> Client {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        let name = |id: &&str| SanType::URI((*id).try_into().expect("ASCII"));
        params.subject_alt_names = ids.iter().map(name).collect();
        let key = KeyPair::generate().expect("a key");
        let chain = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let private = key.serialize_pem();
        let identity = IdentityPem { chain: chain.as_bytes(), key: private.as_bytes() };
        let roots = fs::read(cluster.path("certs/ca.pem")).expect("a file");
        let tls = client_config(&roots, Some(identity), &[b"http/1.1"]).expect("certificates");
        Client::builder().no_proxy().tls_backend_preconfigured(tls).build().expect("a client")
    }
}

/// What a client gets for a form.
async fn ask(cluster: &Cluster, client: &Client, form: &str) -> (u16, Value) {
    let url = format!("https://{}/v1/token", cluster.data[0].http);
    let request = client.post(url).header("Content-Type", "application/x-www-form-urlencoded");
    let answer = request.body(form.to_owned()).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[test]
fn a_certificate_proves_the_agent_that_is_registered_with_its_spiffe_id() {
    let mut cluster = furnished(1, 1);
    let authority = Authority::new();
    fs::write(cluster.path("clients.pem"), &authority.pem).expect("a file");
    let config = cluster.path("data-1.toml");
    let text = fs::read_to_string(&config).expect("a file");
    let tls = "[tls]\ncertificate = 'certs/data-1.pem'\nkey = 'certs/data-1-key.pem'\nclient_authorities = 'clients.pem'\n";
    fs::write(&config, format!("{text}{tls}")).expect("a file");
    cluster.data[0].stop();
    cluster.start_data(0);
    let id = "spiffe://acme.example/finance";
    cluster.done(&["agent", "set", "finance-agent", "--tenant", "acme", "--spiffe-id", id]);
    let form = |agent: &str| format!("grant_type=client_credentials&client_id={agent}&tenant=acme");
    let refused = |answer: &(u16, Value)| (answer.0, answer.1["error"].as_str().map(str::to_owned));
    runtime().block_on(async {
        let good = authority.client(&cluster, &[id]);
        let (status, issued) = ask(&cluster, &good, &form("finance-agent")).await;
        assert_eq!(status, 200, "{issued}");
        let token = issued["access_token"].as_str().expect("a token").to_owned();
        let url = format!("https://{}/v1/decide", cluster.data[0].http);
        let call = good.post(url).bearer_auth(&token).json(&crate::support::payment(10));
        let decided: Value = call.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(decided["outcome"], "allow", "{decided}");
        let other = ask(&cluster, &good, &form("planner")).await;
        assert_eq!(refused(&other), (400, Some("invalid_grant".to_owned())), "it is registered with none");
        for ids in [["spiffe://acme.example/other"].as_slice(), &["spiffe://acme.example/finance/x"]] {
            let answer = ask(&cluster, &authority.client(&cluster, ids), &form("finance-agent")).await;
            assert_eq!(refused(&answer), (400, Some("invalid_grant".to_owned())), "{ids:?}");
        }
        for ids in [[].as_slice(), &[id, "spiffe://acme.example/other"], &["https://acme.example/finance"]] {
            let answer = ask(&cluster, &authority.client(&cluster, ids), &form("finance-agent")).await;
            assert_eq!(refused(&answer), (401, Some("invalid_client".to_owned())), "{ids:?}");
        }
        let foreign = Authority::new().client(&cluster, &[id]);
        let url = format!("https://{}/healthz", cluster.data[0].http);
        assert!(foreign.get(url).send().await.is_err(), "an authority that nobody trusts");
    });
    let listed = eventually("the record", LONG, || {
        let listed = cluster.done(&["token", "list", "--tenant", "acme"]);
        (listed["items"][0]["by"] == "certificate").then_some(listed)
    });
    assert_eq!(listed.expect("the record")["items"][0]["proof"], id);
}
