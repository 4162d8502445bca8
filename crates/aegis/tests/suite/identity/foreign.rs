//! Tokens of issuers outside: what is pinned for a tenant proves its agents, and ends with the issuer.

use std::fs;

use aegis_model::clock::Clock;
use aegis_testkit::eventually;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::rotation::key_of;
use super::{ACCESS_TOKEN, JWT_BEARER, TOKEN_EXCHANGE, ask, claims, furnished, issued};
use crate::nodes::Cluster;
use crate::support::{Answer, LONG};

const ID_TOKEN: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token";
const SUBJECT: &str = "repo:acme/shop:ref:refs/heads/main";

/// An issuer with one key, which signs with RS256.
pub(super) struct Issuer {
    pair: KeyPair,
    kid: &'static str,
}

impl Issuer {
    pub(super) fn new(kid: &'static str) -> Self {
        Self { pair: KeyPair::generate(KeySize::Rsa2048).expect("a key"), kid }
    }

    /// Its key set, as such issuers show it.
    pub(super) fn key_set(&self) -> Value {
        // `RSAPublicKey` (RFC 8017) of 2,048 bits: a sequence of two integers, the first of which begins with a zero.
        let der = self.pair.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": text(&der[9..265]), "e": text(&der[267..270])}]})
    }

    /// A token of its, with these claims besides.
    pub(super) fn token(&self, more: &Value) -> String {
        let now = Clock::System.now().seconds();
        let mut claims = json!({"iss": "https://ci.example", "aud": "aegis", "sub": SUBJECT,
            "iat": now, "exp": now + 300, "jti": "of-the-issuer"});
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let text = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        let signed = format!("{}.{}", text(header), text(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Pins the keys of `issuer` in `acme`.
fn pin(cluster: &Cluster, issuer: &Issuer) {
    let file = cluster.path("jwks.json");
    fs::write(&file, issuer.key_set().to_string()).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let set = ["issuer", "set", "ci", "--tenant", "acme", "--iss", "https://ci.example"];
    cluster.done(&[set.as_slice(), &["--algorithm", "RS256", "--key-set", file]].concat());
}

fn of_issuer(cluster: &Cluster, data: usize, agent: &str, token: &str) -> Answer {
    let form = format!(
        "grant_type={TOKEN_EXCHANGE}&subject_token={token}&subject_token_type={ID_TOKEN}&client_id={agent}&tenant=acme"
    );
    ask(cluster.data[data].http, &form)
}

#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.body["error"].as_str()), (400, Some("invalid_grant")), "{answer:?}");
}

#[test]
fn a_token_of_a_pinned_issuer_proves_the_agent_that_is_registered_with_it() {
    let cluster = furnished(3, 2);
    let issuer = Issuer::new("k-1");
    refused(&of_issuer(&cluster, 0, "finance-agent", &issuer.token(&json!({}))));
    pin(&cluster, &issuer);
    refused(&of_issuer(&cluster, 0, "finance-agent", &issuer.token(&json!({}))));
    let by = ["--tenant", "acme", "--issuer", "ci", "--issuer-subject", SUBJECT];
    cluster.done(&[&["agent", "set", "finance-agent"], by.as_slice()].concat());

    let token = issued(&of_issuer(&cluster, 1, "finance-agent", &issuer.token(&json!({}))));
    let said = claims(&token);
    assert_eq!((said["sub"].as_str(), &said["basis"]), (Some("finance-agent"), &json!(["issuer:ci"])));
    for data in 0..2 {
        assert_eq!(cluster.ask(data, &token, 10).outcome(), "allow");
        assert_eq!(cluster.ask(data, &token, 1_000).outcome(), "deny");
    }
    let listed = cluster.done(&["token", "list", "--tenant", "acme"]);
    assert_eq!(listed["items"][0]["by"], "issuer", "{listed}");
    assert_eq!(listed["items"][0]["proof"], format!("ci:{SUBJECT}"));

    // Never longer than what it rests on.
    let now = Clock::System.now().seconds();
    let short = issued(&of_issuer(&cluster, 0, "finance-agent", &issuer.token(&json!({"exp": now + 60}))));
    assert_eq!(claims(&short)["exp"].as_u64(), Some(now + 60));

    // Everything that is wrong, one thing at a time.
    for wrong in [
        json!({"sub": "repo:acme/shop:ref:refs/heads/evil"}),
        json!({"iss": "https://ci.example.evil"}),
        json!({"aud": "somebody else"}),
        json!({"aud": ["aegis", "somebody else"]}),
        json!({"exp": now - 60}),
        json!({"exp": now + 90_000}),
        json!({"iat": null}),
        json!({"nbf": now + 120}),
    ] {
        refused(&of_issuer(&cluster, 0, "finance-agent", &issuer.token(&wrong)));
    }
    refused(&of_issuer(&cluster, 0, "planner", &issuer.token(&json!({}))));
    refused(&of_issuer(&cluster, 0, "finance-agent", &Issuer::new("k-1").token(&json!({}))));
    refused(&of_issuer(&cluster, 0, "finance-agent", &token));
    let as_assertion = format!("grant_type={JWT_BEARER}&assertion={}", issuer.token(&json!({})));
    refused(&ask(cluster.data[0].http, &as_assertion));
    as_a_callee(&cluster, &issuer);
    from_the_command_line(&cluster, &issuer);
    ends(&cluster, &issuer, &token);
}

/// The command reads keys from whoever shows them over https, and changes nothing if they are pinned already. A control node shows a
/// key set as issuers do.
#[test]
fn keys_are_taken_over_from_where_an_issuer_shows_them() {
    let cluster = furnished(1, 1);
    let url = format!("https://{}/.well-known/jwks.json", cluster.controls[0].http);
    let ca = cluster.path("certs/ca.pem");
    let from = ["--tenant", "acme", "--key-set-url", &url, "--key-set-ca", ca.to_str().expect("UTF-8")];
    let what = ["issuer", "set", "peer", "--iss", "https://peer.example", "--algorithm", "EdDSA"];
    let pinned = cluster.done(&[what.as_slice(), &from].concat());
    let kept: Value = serde_json::from_str(pinned["key_set"].as_str().expect("a text")).expect("JSON");
    let signs = key_of(&super::token(&cluster, 0, "finance-agent", "j-1"));
    assert_eq!(kept["keys"][0]["kid"], signs, "{kept}");
    let refresh = [["issuer", "refresh", "peer"].as_slice(), &from].concat();
    assert_eq!(cluster.done(&refresh)["revision"], pinned["revision"], "nothing is new");
    cluster.done(&["cluster", "rotate-keys"]);
    let refreshed = cluster.done(&refresh);
    assert!(refreshed["revision"].as_u64() > pinned["revision"].as_u64(), "{refreshed}");
    let kept: Value = serde_json::from_str(refreshed["key_set"].as_str().expect("a text")).expect("JSON");
    assert_eq!((kept["keys"].as_array().map(Vec::len), &refreshed["iss"]), (Some(2), &pinned["iss"]));
    // Not over a connection that anybody can change, and not from a server that nobody vouches for.
    for (url, more) in [(url.replace("https", "http"), &from[4..]), (url.clone(), &[])] {
        let from = ["issuer", "refresh", "peer", "--tenant", "acme", "--key-set-url", &url];
        assert_eq!(cluster.run(&[from.as_slice(), more].concat()).code, Some(1), "{url}");
    }
}

/// It proves the agent that is called as well.
fn as_a_callee(cluster: &Cluster, issuer: &Issuer) {
    let planner = super::token(cluster, 0, "planner", "f-1");
    let form = format!(
        "grant_type={TOKEN_EXCHANGE}&subject_token={planner}&subject_token_type={ACCESS_TOKEN}\
         &actor_token={}&actor_token_type={ID_TOKEN}&client_id=finance-agent&tenant=acme",
        issuer.token(&json!({}))
    );
    let child = issued(&ask(cluster.data[0].http, &form));
    assert_eq!(claims(&child)["callers"], json!(["planner"]));
    assert_eq!(cluster.ask(1, &child, 10).outcome(), "allow");
}

fn from_the_command_line(cluster: &Cluster, issuer: &Issuer) {
    let file = cluster.path("id.token");
    fs::write(&file, issuer.token(&json!({}))).expect("a file");
    let node = format!("http://{}", cluster.data[0].http);
    let file = file.to_str().expect("UTF-8");
    let arguments = ["token", "get", "--node", &node, "--tenant", "acme", "--agent", "finance-agent"];
    let got = crate::support::run(&[arguments.as_slice(), &["--issuer-token-file", file]].concat());
    assert_eq!(got.code, Some(0), "{got:?}");
    assert_eq!(cluster.ask(1, got.stdout.trim(), 10).outcome(), "allow");
}

/// Keys that are pinned anew, a revocation, and the end of an issuer.
fn ends(cluster: &Cluster, issuer: &Issuer, token: &str) {
    let next = Issuer::new("k-2");
    pin(cluster, &next);
    refused(&of_issuer(cluster, 0, "finance-agent", &issuer.token(&json!({}))));
    issued(&of_issuer(cluster, 0, "finance-agent", &next.token(&json!({}))));
    assert_eq!(cluster.ask(0, token, 10).outcome(), "allow", "what was given out goes on");

    let by_key = super::token(cluster, 0, "finance-agent", "f-2");
    cluster.done(&["issuer", "revoke", "ci", "--tenant", "acme", "--reason", "its runners were taken over"]);
    for data in 0..2 {
        let ended = eventually("the revocation", LONG, || {
            let answer = cluster.ask(data, token, 10);
            (answer.status == 401).then_some(answer)
        });
        assert_eq!(ended.expect("a refusal").body["code"], "TokenRevoked");
        assert_eq!(cluster.ask(data, &by_key, 10).outcome(), "allow", "it rests on a key");
    }
    // What it said before does not bring back what was ended.
    refused(&of_issuer(cluster, 0, "finance-agent", &next.token(&json!({}))));
    let removed = cluster.done(&["issuer", "remove", "ci", "--tenant", "acme"]);
    assert_eq!(removed["name"], "ci");
    refused(&of_issuer(cluster, 0, "finance-agent", &next.token(&json!({}))));
}
