//! Certificates and authorities change while the nodes serve.

use crate::authority::{Authority, pem};
use crate::cluster::{CLUSTER, Cluster};
use crate::machine::put;
use crate::stranger::connect;

#[tokio::test(flavor = "multi_thread")]
async fn all_certificates_and_the_authority_are_exchanged_without_a_restart() {
    let cluster = Cluster::start(3).await;
    let (old, new) = (cluster.authority.pem(), Authority::new());
    let both = format!("{old}{}", new.pem());
    let mut written = 0;
    let mut write = async || {
        for seat in &cluster.seats {
            written += 1;
            seat.propose(put(1, written.to_string())).await.unwrap();
        }
    };
    // First everybody trusts both, then shows the new one, then trusts only that.
    let issue = |from: &Authority, name: &str| from.issue_node(CLUSTER, name);
    for (authority, trusted) in [(&cluster.authority, &both), (&new, &both), (&new, &new.pem())] {
        for seat in &cluster.seats {
            let (chain, key) = issue(authority, &seat.name);
            seat.identity.replace(pem(&chain, &key, trusted)).unwrap();
            write().await;
        }
    }
    let seat = &cluster.seats[0];
    let identity = issue(&new, "control-9");
    assert!(connect(seat, Some(&identity), &old).await.is_err(), "it shows the new certificate");
    assert!(connect(seat, Some(&identity), &new.pem()).await.is_ok());
    cluster.agree();

    // What cannot be used changes nothing.
    let (chain, key) = issue(&new, "control-1");
    let (_, other) = issue(&new, "control-1");
    assert!(seat.identity.replace(pem(&chain, &other, &new.pem())).is_err());
    assert!(seat.identity.replace(pem(&chain, &key, "")).is_err());
    write().await;
}
