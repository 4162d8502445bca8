//! Several nodes: calls go to whoever owns the agent, and to somebody else when that one fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Node, Reply, allow};
use aegis_proto::v1;
use aegis_sdk::{Call, Client, SdkError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::Status;

/// A token of `agent`. Nobody verifies it here.
fn token(agent: &str) -> String {
    let claims = format!(r#"{{"tenant":"acme","sub":"{agent}"}}"#);
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// A node that always allows, and names `owner`.
async fn naming(owner: &str) -> Node {
    let owner = owner.to_owned();
    Node::scripted(move |_, _| Reply::Answer(Ok(v1::DecideResponse { owner: owner.clone(), ..allow() })))
        .await
}

async fn ask(client: &Client, times: usize) {
    for _ in 0..times {
        client.decide(Call::new("t")).await.expect("an outcome");
    }
}

#[tokio::test]
async fn later_calls_go_to_the_owner_that_was_named() {
    let owner = naming("").await;
    let seed = naming(&owner.endpoint).await;
    let client = seed.client().token(token("finance-agent")).build().expect("a client");
    ask(&client, 5).await;
    assert_eq!((seed.seen().len(), owner.seen().len()), (1, 4));
    assert!(owner.seen().iter().all(|call| call.authorization.starts_with("Bearer e30.")));
}

#[tokio::test]
async fn a_token_that_does_not_say_whose_it_is_stays_with_the_nodes_that_were_given() {
    let owner = naming("").await;
    let seed = naming(&owner.endpoint).await;
    let client = seed.client().token("opaque").build().expect("a client");
    ask(&client, 3).await;
    assert_eq!((seed.seen().len(), owner.seen().len()), (3, 0));
}

#[tokio::test]
async fn an_owner_that_fails_is_left_at_once_and_not_asked_for_a_while() {
    let works = Arc::new(AtomicBool::new(true));
    let working = Arc::clone(&works);
    let owner = Node::scripted(move |_, _| {
        Reply::Answer(match working.load(Ordering::SeqCst) {
            true => Ok(allow()),
            false => Err(Status::unavailable("stopping")),
        })
    })
    .await;
    let seed = naming(&owner.endpoint).await;
    let client = seed.client().token(token("finance-agent")).build().expect("a client");
    ask(&client, 2).await;
    works.store(false, Ordering::SeqCst);
    ask(&client, 10).await;
    // The seed names it in every answer, and has not noticed yet.
    assert_eq!((seed.seen().len(), owner.seen().len()), (11, 2));
}

#[tokio::test]
async fn an_owner_that_is_gone_is_left_at_once() {
    let owner = Node::scripted(|nth, _| match nth {
        0 => Reply::Answer(Ok(allow())),
        _ => Reply::Lost(allow()),
    })
    .await;
    let seed = naming(&owner.endpoint).await;
    let client = seed.client().token(token("finance-agent")).attempts(3).build().expect("a client");
    ask(&client, 2).await;
    // It listens no more, and its connection breaks with the next answer.
    drop(owner);
    ask(&client, 10).await;
    assert_eq!(seed.seen().len(), 11);
}

#[tokio::test]
async fn one_of_several_nodes_is_enough() {
    let alive = naming("").await;
    let dead = naming("").await.endpoint.clone();
    for given in [[dead.clone(), alive.endpoint.clone()], [alive.endpoint.clone(), dead]] {
        let client = Client::builder(&given[0]).endpoint(&given[1]).token("t").build().expect("a client");
        ask(&client, 3).await;
    }
    assert_eq!(alive.seen().len(), 6);
}

#[tokio::test]
async fn all_that_fail_are_tried_again_after_a_pause() {
    let failing = || async {
        Node::scripted(|nth, _| {
            Reply::Answer(if nth == 0 { Err(Status::unavailable("not yet")) } else { Ok(allow()) })
        })
        .await
    };
    let (one, two) = (failing().await, failing().await);
    let client = one.client().endpoint(&two.endpoint).build().expect("a client");
    ask(&client, 1).await;
    assert_eq!((one.seen().len(), two.seen().len()), (2, 1));
}

/// The token would be readable on its way there.
#[tokio::test]
async fn an_address_that_is_protected_otherwise_is_not_used() {
    let plain = naming("").await;
    for named in [
        plain.endpoint.replace("http:", "https:"),
        plain.endpoint.replace("http://", "http://user@"),
        format!("{}/elsewhere", plain.endpoint),
        "nonsense".to_owned(),
    ] {
        let seed = naming(&named).await;
        let client = seed.client().token(token("finance-agent")).build().expect("a client");
        ask(&client, 3).await;
        assert_eq!((seed.seen().len(), plain.seen().len()), (3, 0), "{named}");
    }
}

#[test]
fn all_nodes_are_reached_in_the_same_way() {
    let mixed = Client::builder("http://a:1").endpoint("https://b:1").token("t").build();
    assert!(matches!(mixed, Err(SdkError::Tls(_))));
    let mixed = Client::builder("https://a:1").endpoint("http://b:1").tls_roots("").token("t").build();
    assert!(matches!(mixed, Err(SdkError::Tls(_))));
}
