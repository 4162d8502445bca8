//! The cluster's own keys rotate while agents go on.

use aegis_testkit::eventually;
use serde_json::Value;

use super::{furnished, token};
use crate::nodes::Cluster;
use crate::support::{LONG, get};

/// The ids in the key set of a data node.
fn key_set(cluster: &Cluster, data: usize) -> Vec<String> {
    let keys = get(cluster.data[data].http, "/.well-known/jwks.json");
    assert_eq!(keys.status, 200, "{keys:?}");
    let keys = keys.body["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().filter_map(|key| key["kid"].as_str()).map(str::to_owned).collect()
}

/// The key that a token names.
pub(super) fn key_of(token: &str) -> String {
    let inspected = crate::support::run_with_input(&["token", "inspect", "--output", "json"], token);
    inspected.json()["header"]["kid"].as_str().expect("a key").to_owned()
}

#[test]
fn a_new_key_signs_once_every_data_node_knows_it_and_no_token_is_refused_meanwhile() {
    let cluster = furnished(3, 2);
    let before = token(&cluster, 0, "finance-agent", "k-0");
    assert_eq!(key_set(&cluster, 0), [key_of(&before)]);
    let rotated = cluster.done(&["cluster", "rotate-keys"]);
    let new = rotated["key"]["id"].as_str().expect("a key").to_owned();
    assert!(rotated["key"]["signs_from"].is_string(), "{rotated}");
    let mut number = 0;
    let first = eventually("a token by the new key", LONG, || {
        number += 1;
        let token = token(&cluster, number % 2, "finance-agent", &format!("k-{number}"));
        for data in 0..2 {
            assert_eq!(cluster.ask(data, &token, 10).outcome(), "allow", "token {number}");
        }
        (key_of(&token) == new).then_some(token)
    });
    let first = first.expect("a token by the new key");
    for data in 0..2 {
        assert_eq!(cluster.ask(data, &before, 10).outcome(), "allow", "what the old one signed counts");
        assert_eq!(cluster.ask(data, &first, 10).outcome(), "allow");
        assert_eq!(key_set(&cluster, data).len(), 2);
    }
    let listed = cluster.done(&["cluster", "keys"]);
    let of_tokens = |row: &&Value| row["kind"] == "agent-token";
    let rows = listed["items"].as_array().cloned().unwrap_or_default();
    let retired = rows.iter().filter(of_tokens).filter(|row| row["retired_at"].is_string()).count();
    assert_eq!(retired, 1, "{listed}");
}
