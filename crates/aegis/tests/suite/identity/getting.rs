//! `POST /v1/token` by assertion: what is given out, once, and everything that is refused.

use std::fs;

use aegis_identity::assertion;
use aegis_model::clock::{Clock, UnixNanos};

use super::{JWT_BEARER, ask, claims, furnished, issued, key, signed, token};
use crate::nodes::Cluster;

#[test]
fn an_agent_gets_tokens_by_its_own_key_and_each_assertion_counts_once() {
    let cluster = furnished(3, 2);
    let form = format!("grant_type={JWT_BEARER}&assertion={}", signed("finance-agent", "a-1"));
    let first = ask(cluster.data[0].http, &form);
    let token = issued(&first);
    assert_eq!(first.body["scope"], "stripe-payments:*");
    for data in 0..2 {
        assert_eq!(cluster.ask(data, &token, 10).outcome(), "allow");
        assert_eq!(cluster.ask(data, &token, 1_000).outcome(), "deny");
    }
    let said = claims(&token);
    assert_eq!((said["sub"].as_str(), said["tenant"].as_str()), (Some("finance-agent"), Some("acme")));
    // The same assertion once more, at the same node and at the other one, whichever control node they ask.
    for data in [0, 1] {
        let again = ask(cluster.data[data].http, &form);
        assert_eq!((again.status, again.body["error"].as_str()), (400, Some("invalid_grant")), "{again:?}");
    }
    let listed = cluster.done(&["token", "list", "--tenant", "acme"]);
    let newest = &listed["items"][0];
    assert_eq!((newest["agent"].as_str(), newest["by"].as_str()), (Some("finance-agent"), Some("assertion")));
    assert_eq!(newest["token_id"], said["jti"]);
    refusals(&cluster);
    from_the_command_line(&cluster);
}

/// Everything that is wrong with a request, one thing at a time.
fn refusals(cluster: &Cluster) {
    let node = cluster.data[1].http;
    let now = Clock::System.now();
    let by = |seed: &str, audience: &str, tenant: &str, agent: &str, now: UnixNanos, life: u64| {
        let id = format!("r-{seed}-{audience}-{tenant}-{agent}-{}-{life}", now.0);
        assertion::sign(&key(seed), audience, tenant, agent, &id, now, life)
    };
    let good = |now: UnixNanos, life: u64| by("finance-agent", "test", "acme", "finance-agent", now, life);
    let at = |seconds: i64| UnixNanos::from_seconds(now.seconds().saturating_add_signed(seconds));
    let mut forged = good(now, 60);
    // Another first character of the signature.
    let place = forged.rfind('.').expect("a signature") + 1;
    let other = if forged[place..].starts_with('A') { "B" } else { "A" };
    forged.replace_range(place..=place, other);
    let token = token(cluster, 0, "planner", "of-planner");
    let cases = [
        ("another key", by("planner", "test", "acme", "finance-agent", now, 60)),
        ("another audience", by("finance-agent", "other", "acme", "finance-agent", now, 60)),
        ("another tenant", by("finance-agent", "test", "globex", "finance-agent", now, 60)),
        ("nobody", by("nobody", "test", "acme", "nobody", now, 60)),
        ("too long a life", good(now, 301)),
        ("over", good(at(-120), 60)),
        ("not yet", good(at(120), 60)),
        ("a forged signature", forged),
        ("a token of the cluster's", token),
        ("nothing", "a.b.c".to_owned()),
    ];
    for (what, assertion) in cases {
        let answer = ask(node, &format!("grant_type={JWT_BEARER}&assertion={assertion}"));
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert_eq!(answer.body["error"], "invalid_grant", "{what}: {answer:?}");
    }
    let fresh = || good(now, 60);
    let form = |form: String| ask(node, &form);
    let wide = form(format!("grant_type={JWT_BEARER}&assertion={}&scope=github%3A*", fresh()));
    assert_eq!((wide.status, wide.body["error"].as_str()), (400, Some("invalid_scope")), "{wide:?}");
    let cases = [
        ("unsupported_grant_type", "grant_type=password&assertion=x".to_owned()),
        ("invalid_request", format!("grant_type={JWT_BEARER}")),
        ("invalid_request", format!("grant_type={JWT_BEARER}&assertion=x&assertion=y")),
        ("invalid_request", String::new()),
        ("invalid_request", format!("grant_type={JWT_BEARER}&assertion=%zz")),
    ];
    for (error, text) in cases {
        let answer = form(text);
        assert_eq!((answer.status, answer.body["error"].as_str()), (400, Some(error)), "{answer:?}");
    }
    let no_certificate = form("grant_type=client_credentials&client_id=finance-agent&tenant=acme".to_owned());
    assert_eq!((no_certificate.status, no_certificate.body["error"].as_str()), (401, Some("invalid_client")));
}

/// `aegis token get` does the same.
fn from_the_command_line(cluster: &Cluster) {
    let pem = cluster.path("finance-agent.pem");
    fs::write(&pem, key("finance-agent").to_pkcs8_pem().expose()).expect("a file");
    let node = format!("http://{}", cluster.data[0].http);
    let arguments = ["token", "get", "--node", &node, "--cluster", "test", "--tenant", "acme", "--agent"];
    let key = pem.to_str().expect("UTF-8");
    let got = crate::support::run(&[arguments.as_slice(), &["finance-agent", "--key", key]].concat());
    assert_eq!(got.code, Some(0), "{got:?}");
    assert_eq!(cluster.ask(1, got.stdout.trim(), 10).outcome(), "allow");
    let refused = crate::support::run(&[arguments.as_slice(), &["planner", "--key", key]].concat());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stdout.contains("invalid_grant"), "{refused:?}");
}

#[test]
fn without_a_majority_nobody_gets_a_token_and_tokens_go_on() {
    let mut cluster = furnished(3, 1);
    let before = token(&cluster, 0, "finance-agent", "b-1");
    for at in 0..3 {
        cluster.controls[at].kill();
    }
    let form = format!("grant_type={JWT_BEARER}&assertion={}", signed("finance-agent", "b-2"));
    let answer = ask(cluster.data[0].http, &form);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.body["error"], "temporarily_unavailable");
    assert_eq!(cluster.ask(0, &before, 10).outcome(), "allow");
    for at in 0..3 {
        cluster.start_control(at);
    }
    for at in 0..3 {
        cluster.controls[at].until_ready();
    }
    // What was used before the crash is used.
    let used = format!("grant_type={JWT_BEARER}&assertion={}", signed("finance-agent", "b-1"));
    let again = aegis_testkit::eventually("an answer", crate::support::LONG, || {
        let answer = ask(cluster.data[0].http, &used);
        (answer.status != 503).then_some(answer)
    });
    let again = again.expect("an answer");
    assert_eq!((again.status, again.body["error"].as_str()), (400, Some("invalid_grant")), "{again:?}");
    let after = token(&cluster, 0, "finance-agent", "b-3");
    assert_eq!(cluster.ask(0, &after, 10).outcome(), "allow");
}
