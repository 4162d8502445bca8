//! Who is not let in, and what they are told.

use aegis_proto::v1;

use crate::authority::Authority;
use crate::cluster::{CLUSTER, Cluster, Seat, timings};
use crate::machine::put;
use crate::stranger::{code, connect, sender};

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_why_they_are_refused() {
    let mut cluster = Cluster::start(2).await;
    let (seat, other) = (&cluster.seats[0], &cluster.seats[1]);
    let (me, known) = (seat.id(), other.id());
    let identity = cluster.authority.issue_node(CLUSTER, "control-2");
    let mut client = connect(seat, Some(&identity), &cluster.authority.pem()).await.unwrap();
    let ask = |sender: Option<v1::RaftSender>, target| v1::RaftProposeRequest {
        sender,
        target,
        commands: vec![put(1, "stranger")],
        within_ms: 5_000,
    };
    let good = sender(known, "control-2").unwrap();
    assert_eq!(code(client.propose(ask(Some(good.clone()), me)).await), "taken");
    for (sender, target, expected) in [
        (None, me, "malformed"),
        (Some(v1::RaftSender { cluster: "other".to_owned(), ..good.clone() }), me, "wrong_cluster"),
        (Some(v1::RaftSender { protocol: 2, ..good.clone() }), me, "wrong_protocol"),
        (Some(good.clone()), known, "wrong_node"),
        (sender(known, "control-1"), me, "wrong_certificate"),
        (sender(9, "control-2"), me, "unknown_node"),
    ] {
        assert_eq!(code(client.propose(ask(sender.clone(), target)).await), expected, "{sender:?}");
    }
    let vote = |node, term| v1::RaftVoteRequest {
        sender: sender(node, "control-2"),
        target: me,
        vote: Some(v1::RaftVote { term, node, committed: false }),
        last_log: None,
    };
    assert_eq!(code(client.vote(vote(9, 99)).await), "unknown_node", "and its log is not ahead of ours");
    let entries = v1::RaftAppendEntriesRequest {
        sender: sender(9, "control-2"),
        target: me,
        vote: Some(v1::RaftVote { term: 0, node: 9, committed: false }),
        ..Default::default()
    };
    assert_eq!(code(client.append_entries(entries).await), "unknown_node", "and no quorum granted its vote");

    // Removed: its certificate is good, its id is not any more.
    let leader = cluster.leader("a leader");
    if leader == 0 {
        cluster.seats[0].node().members().remove(known, crate::cluster::WITHIN).await.unwrap();
        assert_eq!(code(client.propose(ask(Some(good), me)).await), "removed_node");
    }
    cluster.seats[1].kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_open_no_door() {
    let cluster = Cluster::start(1).await;
    let seat = &cluster.seats[0];
    let authority = cluster.authority.pem();
    let status = || v1::RaftStatusRequest { sender: sender(9, "control-9"), target: 0 };

    let good = cluster.authority.issue_node(CLUSTER, "control-9");
    let mut client = connect(seat, Some(&good), &authority).await.unwrap();
    assert_eq!(code(client.status(status()).await), "taken");

    let mut nobody = connect(seat, None, &authority).await.unwrap();
    assert_eq!(code(nobody.status(status()).await), "wrong_certificate");
    for names in [
        vec![format!("data.{CLUSTER}"), format!("control-9.data.{CLUSTER}")],
        vec![format!("control-9.control.{CLUSTER}")],
        vec![format!("control.{CLUSTER}")],
        vec!["control.other.example".to_owned(), "control-9.control.other.example".to_owned()],
    ] {
        let identity = cluster.authority.issue(&names);
        let mut client = connect(seat, Some(&identity), &authority).await.unwrap();
        assert_eq!(code(client.status(status()).await), "wrong_certificate", "{names:?}");
    }
    // Another authority's certificate does not survive the handshake.
    let foreign = Authority::new().issue_node(CLUSTER, "control-9");
    let refused = match connect(seat, Some(&foreign), &authority).await {
        Ok(mut client) => code(client.status(status()).await),
        Err(error) => error.to_string(),
    };
    assert!(refused != "taken" && refused != "wrong_certificate", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_authority_cannot_join() {
    let cluster = Cluster::start(1).await;
    let mut foreign = Seat::new(&Authority::new(), "control-2", timings());
    foreign.start().await;
    let joined = cluster.seats[0].node().members().join(foreign.peer(), crate::cluster::WITHIN).await;
    assert_eq!(joined.unwrap_err().code(), "node_unreachable");
    assert!(foreign.node().status().members.is_empty());
}
