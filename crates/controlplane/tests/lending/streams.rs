//! Streams: who is let in, who has to go, and who is known to live.

use std::time::Duration;

use aegis_controlplane::lending::Lead;
use aegis_controlplane::testing::World;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_proto::control::{AdvanceHistory, RetireDataNode};
use aegis_proto::v1;
use aegis_proto::v1::lend_farewell::Reason;
use aegis_proto::v1::lend_request::Message as Up;
use tonic::Code;

use crate::support::{ControlNode, hello, sidecar, soon};

#[tokio::test]
async fn a_node_that_does_not_lead_names_the_leader() {
    let world = World::new();
    let there = || Lead::There("https://control-2:7071".to_owned());
    let control = ControlNode::numbered(&world, &Clock::System, 1, there()).await;
    let row = world.data_node(1);
    let mut refused = control.open(hello(&row)).await.unwrap();
    let farewell = refused.farewell().await;
    assert_eq!((farewell.reason(), farewell.leader.as_str()), (Reason::NotLeader, "https://control-2:7071"));
    control.lead.send_replace(Lead::Here);
    let mut node = control.welcome(&hello(&row)).await;
    control.lead.send_replace(there());
    let farewell = node.farewell().await;
    assert_eq!((farewell.reason(), farewell.leader.as_str()), (Reason::NotLeader, "https://control-2:7071"));
    control.lead.send_replace(Lead::Nobody);
    let farewell = control.open(hello(&row)).await.unwrap().farewell().await;
    assert_eq!((farewell.reason(), farewell.leader.as_str()), (Reason::NotLeader, ""));
}

#[tokio::test]
async fn a_process_that_was_replaced_or_retired_has_to_end() {
    let world = World::new();
    let control = ControlNode::start(&world, &Clock::System).await;
    let old = world.data_node(1);
    let mut node = control.welcome(&hello(&old)).await;
    let new = world.data_node(1);
    assert_eq!(node.farewell().await.reason(), Reason::Fenced, "also while it is silent");
    let mut late = control.open(hello(&old)).await.unwrap();
    assert_eq!(late.farewell().await.reason(), Reason::Fenced, "LIM-2");
    let mut node = control.welcome(&hello(&new)).await;
    world.done(RetireDataNode { id: 1 }, &World::root());
    assert_eq!(node.farewell().await.reason(), Reason::Fenced);
}

#[tokio::test]
async fn another_stream_of_the_same_process_takes_the_place_of_the_first() {
    let world = World::new();
    let control = ControlNode::start(&world, &Clock::System).await;
    let row = world.data_node(1);
    let mut first = control.welcome(&hello(&row)).await;
    let mut second = control.welcome(&hello(&row)).await;
    assert_eq!(first.next().await.unwrap_err().code(), Code::Aborted);
    second.ask(v1::LendAsk::default()).await;
    assert_eq!(second.answer().await.number, 1);
}

#[tokio::test]
async fn nobody_borrows_under_another_name_or_for_another_tenant() {
    let world = World::new();
    world.tenant("acme");
    let control = ControlNode::start(&world, &Clock::System).await;
    let (row, side) = (world.data_node(1), sidecar(&world, 2, "acme"));
    control.welcome(&hello(&side)).await;
    for (bad, code) in [
        (v1::LendHello { node_name: "data-9".to_owned(), ..hello(&row) }, Code::PermissionDenied),
        (v1::LendHello { tenant: "acme".to_owned(), ..hello(&row) }, Code::PermissionDenied),
        (v1::LendHello { tenant: String::new(), ..hello(&side) }, Code::PermissionDenied),
        (v1::LendHello { node_id: 7, ..hello(&row) }, Code::Unavailable),
        (v1::LendHello { incarnation: row.incarnation + 9, ..hello(&row) }, Code::Unavailable),
        (v1::LendHello { history: 2, ..hello(&row) }, Code::Unavailable),
    ] {
        let refused = control.open(bad.clone()).await.err().map(|status| status.code());
        assert_eq!(refused, Some(code), "{bad:?}");
    }
}

#[tokio::test]
async fn another_history_ends_every_stream() {
    let world = World::new();
    let control = ControlNode::start(&world, &Clock::System).await;
    let row = world.data_node(1);
    let mut node = control.welcome(&hello(&row)).await;
    world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
    assert_eq!(node.farewell().await.reason(), Reason::History);
    let mut late = control.open(hello(&row)).await.unwrap();
    assert_eq!(late.farewell().await.reason(), Reason::History);
    let new = world.data_node(1);
    control.welcome(&v1::LendHello { history: 2, ..hello(&new) }).await;
}

#[tokio::test]
async fn a_control_node_that_stops_says_so() {
    let world = World::new();
    let control = ControlNode::start(&world, &Clock::System).await;
    let mut node = control.welcome(&hello(&world.data_node(1))).await;
    control.stop.cancel();
    assert_eq!(node.farewell().await.reason(), Reason::Stopping);
}

#[tokio::test]
async fn who_lives_is_known_after_a_while_and_until_it_leaves() {
    let world = World::new();
    let control = ControlNode::start(&world, &world.clock).await;
    let live = control.lending.live();
    let shown = || live.borrow().keys().copied().collect::<Vec<_>>();
    let until = async |wanted: &[u64]| {
        let mut live = control.lending.live();
        let reached = live.wait_for(|live| live.keys().copied().eq(wanted.iter().copied()));
        drop(soon("who lives", reached).await.unwrap());
    };
    let one = control.welcome(&hello(&world.data_node(1))).await;
    let two = control.welcome(&hello(&world.data_node(2))).await;
    assert_eq!(shown(), Vec::<u64>::new(), "nothing is concluded yet");
    world.clock.advance(Duration::from_secs(caps::LEND_ABSENT_SECONDS));
    until(&[1, 2]).await;
    one.say(Up::Leaving(v1::LendLeaving {})).await;
    until(&[2]).await;
    drop(two);
    // Its stream is noticed to be gone, and it counts as live for a while.
    soon("the end of a life", async {
        while !shown().is_empty() {
            world.clock.advance(Duration::from_millis(50));
            // expect(sleep): the lender looks now and then who lives, by a clock that this test moves.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    control.lead.send_replace(Lead::Nobody);
    until(&[]).await;
}
