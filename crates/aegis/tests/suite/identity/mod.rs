//! The life of an identity over real processes: agents prove themselves, get tokens, hand calls on, and are revoked.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "what is measured is real time; an answer that may not be ends a test"
)]

mod certificates;
mod delegation;
mod foreign;
mod getting;
mod revocation;
mod rotation;
mod sdk;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use aegis_identity::assertion;
use aegis_identity::keys::SigningKey;
use aegis_model::clock::Clock;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::nodes::Cluster;
use crate::support::{Answer, exchange};

pub(super) const JWT_BEARER: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
pub(super) const TOKEN_EXCHANGE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
pub(super) const ACCESS_TOKEN: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
pub(super) const JWT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";

/// A cluster whose agents `finance-agent` and `planner` of `acme` have keys and may use `stripe-payments`, with a policy in force that
/// permits small payments.
pub(super) fn furnished(controls: usize, data: usize) -> Cluster {
    let cluster = Cluster::running(controls, data);
    assert_eq!(cluster.publish(100), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let finance = key_file(&cluster, "finance-agent");
    let finance = finance.to_str().expect("UTF-8");
    cluster.done(&["agent", "key", "add", "finance-agent", "--tenant", "acme", "--key", finance]);
    let scope = ["--tenant", "acme", "--scope", "stripe-payments:*"];
    cluster.done(&[&["agent", "set", "finance-agent"], scope.as_slice()].concat());
    register(&cluster, "planner", "stripe-payments:* crm:read");
    cluster
}

/// Registers an agent with the key of its name.
pub(super) fn register(cluster: &Cluster, agent: &str, scope: &str) {
    let key = key_file(cluster, agent);
    let key = key.to_str().expect("UTF-8");
    cluster.done(&["agent", "create", agent, "--tenant", "acme", "--key", key, "--scope", scope]);
}

/// The key that this seed gives.
pub(super) fn key(seed: &str) -> SigningKey {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(seed.bytes()).for_each(|(byte, letter)| *byte = letter);
    SigningKey::generate(&mut StdRng::from_seed(bytes))
}

/// A file with the public part of [`key`], as a JSON Web Key.
pub(super) fn key_file(cluster: &Cluster, seed: &str) -> PathBuf {
    let path = cluster.path(&format!("{seed}.jwk"));
    fs::write(&path, key(seed).verifying_key().to_jwk().to_string()).expect("a file");
    path
}

/// An assertion of `agent`, signed by its key.
pub(super) fn signed(agent: &str, id: &str) -> String {
    assertion::sign(&key(agent), "test", "acme", agent, id, Clock::System.now(), 60)
}

/// `POST /v1/token` with a form that is encoded already.
pub(super) fn ask(node: SocketAddr, form: &str) -> Answer {
    let head = format!(
        "POST /v1/token HTTP/1.1\r\nHost: {node}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}",
        form.len()
    );
    exchange(node, &format!("{head}\r\nConnection: close\r\n\r\n{form}"))
}

/// The token that `agent` gets at a data node.
#[track_caller]
pub(super) fn token(cluster: &Cluster, data: usize, agent: &str, id: &str) -> String {
    let form = format!("grant_type={JWT_BEARER}&assertion={}", signed(agent, id));
    issued(&ask(cluster.data[data].http, &form))
}

/// The token that `agent` gets by exchange of a caller's.
pub(super) fn delegated(cluster: &Cluster, data: usize, agent: &str, id: &str, caller: &str) -> Answer {
    let form = format!(
        "grant_type={TOKEN_EXCHANGE}&subject_token={caller}&subject_token_type={ACCESS_TOKEN}\
         &actor_token={}&actor_token_type={JWT}",
        signed(agent, id)
    );
    ask(cluster.data[data].http, &form)
}

#[track_caller]
pub(super) fn issued(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["token_type"], "Bearer");
    answer.body["access_token"].as_str().expect("a token").to_owned()
}

/// The claims of a token, which nobody verifies here.
pub(super) fn claims(token: &str) -> serde_json::Value {
    let inspected = crate::support::run_with_input(&["token", "inspect", "--output", "json"], token);
    inspected.json()["claims"].clone()
}
